"""Directions applied to faces and read by the instrument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch

from ...avatars.motions import Motion
from . import metrics
from .world import BATCH, REACH, STEP, Faces, World, factor_of, sign_of

ROUNDS = 3
LONGEST = 3.0


@dataclass(frozen=True)
class Readings:
    """What the instrument reads along a sweep: ``coefficients [F]``, ``factors [N, F, 5]`` (with the moves ``[N, F, 12]``), ``identity
    [N, F, Q]``, ``luma [N, F]``."""

    coefficients: torch.Tensor
    factors: torch.Tensor
    identity: torch.Tensor
    luma: torch.Tensor

    def at(self, coefficient: float) -> int:
        """The frame of this coefficient."""
        return int((self.coefficients - coefficient).abs().argmin())

    def response(self, motion: Motion) -> torch.Tensor:
        """Change of the intended factor along the motion, from the first frame, ``[N, F]``."""
        factor = self.factors[:, :, factor_of(motion)]
        return sign_of(motion) * (factor - factor[:, :1])

    def same(self, frame: int) -> torch.Tensor:
        """Cosine of the identity with that of the first frame, ``[N]``."""
        return metrics.cosine(self.identity[:, 0], self.identity[:, frame])

    def leakage(self, motion: Motion, frame: int) -> torch.Tensor:
        return metrics.leakage(self.factors[:, 0], self.factors[:, frame], factor_of(motion))

    def leaks(self, motion: Motion, frame: int) -> torch.Tensor:
        return metrics.leaks(self.factors[:, 0], self.factors[:, frame], factor_of(motion))

    def success(self, motion: Motion, coefficient: float) -> torch.Tensor:
        """Whether each face got what was asked at this coefficient, ``[N]``."""
        frame = self.at(coefficient)
        gain = self.response(motion)[:, frame] / coefficient
        return metrics.success(gain, self.leakage(motion, frame), self.same(frame))


def edited(codes: torch.Tensor, directions: torch.Tensor, coefficient: float) -> torch.Tensor:
    """Codes ``[N, L, D]`` moved along ``directions [S, L, D]``; face i takes direction i modulo S."""
    own = directions[torch.arange(len(codes)) % len(directions)]
    return codes + coefficient * own


def read(world: World, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Factors, identity and mean luminance of pictures."""
    return *world.read(images), metrics.luminance(images)


def read_all(world: World, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Factors and moves, identity and mean luminance of pictures."""
    return *world.read_all(images), metrics.luminance(images)


def sweep(world: World, faces: Faces, directions: torch.Tensor, coefficients, reading: Callable = read) -> Readings:
    """Read every face at every coefficient; what it is at rest is read once."""
    coefficients = torch.as_tensor(coefficients, dtype=torch.float32)
    moving = coefficients[coefficients != 0]
    frames = torch.stack([edited(faces.codes, directions, float(c)) for c in moving], 1)  # [N, F, L, D]
    parts = [reading(world, world.show(chunk)) for chunk in frames.flatten(0, 1).split(BATCH)]
    moved = [torch.cat(p).unflatten(0, frames.shape[:2]) for p in zip(*parts)]
    places = (coefficients != 0).cumsum(0) * (coefficients != 0)
    columns = (torch.cat([still[:, None], move], 1)[:, places] for still, move in zip(rest(world, faces, reading), moved))
    return Readings(coefficients, *columns)


@lru_cache(maxsize=64)
def rest(world: World, faces: Faces, reading: Callable = read) -> tuple[torch.Tensor, ...]:
    """What the instrument reads before any edit."""
    return reading(world, world.show(faces.codes))


def typical_length(world: World) -> float:
    """Root mean square distance of faces' codes from their mean: the length that one large edit may have."""
    codes = world.calibration().codes
    return float((codes - codes.mean(0)).flatten(1).norm(dim=1).square().mean().sqrt())


def calibrate(world: World, direction: torch.Tensor, motion: Motion, faces: Faces) -> torch.Tensor:
    """Scale ``direction [L, D]`` so that one unit moves its factor by one unit, on faces that are not tested.

    A direction with too little effect is stopped at ``LONGEST`` times the spread of codes; the table then shows its small response.
    The sign is kept: a direction that works backwards has found the wrong end.
    """
    usual, length = typical_length(world), direction.flatten().norm().clamp(min=1e-12)
    scale, steps = usual / length, [0.0, 0.5 * STEP[motion.name], STEP[motion.name]]
    for _ in range(ROUNDS):
        readings = sweep(world, faces, direction[None] * scale, steps)
        slope = metrics.slopes(readings.coefficients, readings.response(motion)).mean()
        scale = (scale / slope.clamp(min=0.25, max=4.0)).clamp(max=LONGEST * usual / length).float()
    return direction * scale


def calibrated(world: World, directions: torch.Tensor, motion: Motion) -> torch.Tensor:
    """``calibrate`` each of ``directions [S, L, D]``, several on fewer faces each."""
    faces = world.calibration(world.sizes.probes if len(directions) > 1 else None)
    return torch.stack([calibrate(world, d, motion, faces) for d in directions])


def grid(world: World, motion: Motion) -> torch.Tensor:
    """The sweep's coefficients, then one sigma, then the transfer's step."""
    steps = torch.linspace(0, REACH[motion.name], world.sizes.coefficients)
    return torch.cat([steps, torch.tensor([metrics.SIGMA, STEP[motion.name]])])
