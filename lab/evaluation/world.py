"""What is measured, with what, and how much of it: the networks, the faces, the sizes of a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ...avatars import renderer as rendering
from ...avatars.motions import FURTHER, Motion
from ...avatars.regressor import READ, Regressor, load_regressor
from ...files.embedded import embedded_root
from ...stylegan2 import Generator, MicromotionError, load, load_inverter
from ...stylegan2.frames import synthesize_frames
from ...subspaces import Subspace
from ...subspaces.anchors import load_scorer
from ..train_generator import TRUNK, latents_of, parameters_of
from ..trunk import inverter_for, motion_for, trunk_of

log = logging.getLogger(__name__)
WEIGHTS = embedded_root()
INSTRUMENT = Path(__file__).parent.parent / "weights" / "instrument.safetensors"
FACTORS = rendering.FACTORS
READINGS = (*FACTORS, *rendering.MOVES)
WHO = slice(len(FACTORS), len(rendering.PARAMETERS))  # the columns of identity
STYLE_COORDINATES = {"photo": 0.35, "stone": 0.75, "sketch": 0.85, "cartoon": 0.95}
UNSEEN_STYLE = "bronze"
NEUTRAL = {"smile": 0.15, "eyes": 0.85, "anger": 0.15, "yaw": 0.5, "age": 0.2}
JITTER = 0.08
REACH = {"smile": 0.7, "eyes": 0.7, "anger": 0.7, "turn": 0.4, "age": 0.65} | {m.name: 0.4 if m.both_ways else 0.7 for m in FURTHER}
STEP = {"smile": 0.5, "eyes": 0.5, "anger": 0.5, "turn": 0.35, "age": 0.5} | {m.name: 0.35 if m.both_ways else 0.5 for m in FURTHER}
BATCH = 64
TEST, CALIBRATION, ANCHORS, LABELS = range(4)


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    ``pool`` anchor identities make one direction; ``2 * pool`` are drawn, for two disjoint pools. ``identities`` is for
    the directions that a user would keep, ``compared`` for the others; ``calibration`` scales those, ``probes`` single-face ones.
    """

    identities: int = 200
    coefficients: int = 21
    calibration: int = 24
    probes: int = 16
    pool: int = 5
    frames: int = 24
    degrees: int = 11
    steps: int | None = None
    many: int = 48
    gate: int = 4096
    labels: int = 5000
    compared: int = 32
    ablated: int = 24
    domains: int = 40
    inverted: int = 32
    inversion_steps: tuple[int, ...] = (1, 2, 10, 25, 50, 200)
    pictures: int = 4


FULL = Sizes()
BRIEF = Sizes(
    identities=60, coefficients=9, calibration=12, many=12, compared=16, ablated=12, domains=20, inverted=12,
    inversion_steps=(1, 2, 10, 25, 50),
)  # fmt: skip
QUICK = Sizes(
    identities=12, coefficients=5, calibration=8, probes=4, pool=2, frames=6, degrees=4, steps=6, many=8, gate=256, labels=256, compared=6,
    ablated=6, domains=6, inverted=4, inversion_steps=(1, 2, 4), pictures=2,
)  # fmt: skip
SIZES = {"full": FULL, "brief": BRIEF, "quick": QUICK}


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces whose truth is known: ``parameters [N, P]`` and the codes ``[N, L, D]`` that the generator draws them from."""

    parameters: torch.Tensor
    codes: torch.Tensor
    style: str = "photo"

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class World:
    """The generator under test, the instrument that measures (``regressor``), and the makers of anchors.

    The scorer is what text anchors are optimized against and the inverter what reads pictures: neither ever measures. ``motions``
    are the ready ones. ``reader`` is the shipped regressor, which knows the moves, as the instrument does not.
    """

    generator: Generator
    regressor: Regressor
    scorer: Any = None  # Scorer or None
    inverter: Any = None  # Inverter or None
    sizes: Sizes = field(default_factory=Sizes)
    seed: int = 0
    motions: tuple[Subspace, ...] = ()
    reader: Regressor | None = None

    def latents(self, parameters: torch.Tensor, style: str = "photo") -> torch.Tensor:
        return latents_of(parameters, STYLE_COORDINATES[style])

    @torch.no_grad()
    def faces(self, parameters: torch.Tensor, style: str = "photo") -> Faces:
        """The generator's own faces for these parameters; ``parameters`` of the result are what their latents stand for."""
        z = self.latents(parameters, style)
        return Faces(parameters_of(z)[0], self.generator.map(z.to(self.device)).cpu(), style)

    def draw(self, parameters: torch.Tensor, style: str = "photo") -> torch.Tensor:
        """The true pictures ``[N, 3, R, R]`` of parameters ``[N, P]``."""
        chunks = parameters.split(BATCH)
        return torch.cat([rendering.render(p, self.generator.resolution, style).images for p in chunks])

    def show(self, codes: torch.Tensor, noise: str = "const") -> torch.Tensor:
        """The generator's pictures ``[N, 3, R, R]`` of codes."""
        return torch.cat([images.cpu() for images in synthesize_frames(self.generator, codes, batch=BATCH, noise=noise)])

    @torch.no_grad()
    def read(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the instrument reads: factors ``[N, 5]`` and centered identity ``[N, Q]``."""
        values = self._values(self.regressor, images)
        return values[:, : len(FACTORS)], values[:, WHO] - 0.5

    @torch.no_grad()
    def read_all(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the reader reads: factors and moves ``[N, 12]``, columns of ``READINGS``, and centered identity ``[N, Q]``."""
        assert self.reader is not None
        values = self._values(self.reader, images)
        return values[:, [READ.index(name) for name in READINGS]], values[:, WHO] - 0.5

    def _values(self, regressor: Regressor, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([regressor(chunk.to(self.device)).cpu() for chunk in images.split(BATCH)])

    def factors(self, images: torch.Tensor) -> torch.Tensor:
        """The factors ``[N, 5]`` that the instrument reads."""
        return self.read(images)[0]

    @torch.no_grad()
    def invert(self, images: torch.Tensor, steps: int | None = None) -> torch.Tensor:
        return self.inverter.invert(self.generator, images.to(self.device), steps).cpu()

    @property
    def device(self) -> torch.device:
        return self.generator.w_avg.device

    def neutral(self, count: int, use: int) -> torch.Tensor:
        """Parameters ``[N, P]`` of faces at rest, any identity; ``use`` keeps the faces of different uses apart."""
        g = torch.Generator().manual_seed(10_000 * (self.seed + 1) + use)
        parameters = torch.rand(count, len(rendering.PARAMETERS), generator=g)
        rest = torch.tensor([NEUTRAL[name] for name in FACTORS])
        parameters[:, : len(FACTORS)] = rest + JITTER * (2 * parameters[:, : len(FACTORS)] - 1)
        return parameters

    def tests(self, count: int | None = None, style: str = "photo") -> Faces:
        """Faces that no direction was made from or calibrated on; the same object for the same request."""
        return _at_rest(self, count or self.sizes.identities, TEST, style)

    def calibration(self, count: int | None = None) -> Faces:
        """Faces that directions are scaled on."""
        return _at_rest(self, count or self.sizes.calibration, CALIBRATION, "photo")

    def anchor_parameters(self) -> torch.Tensor:
        return self.neutral(2 * self.sizes.pool, ANCHORS)


@lru_cache(maxsize=32)
def _at_rest(world: World, count: int, use: int, style: str) -> Faces:
    return world.faces(world.neutral(count, use), style)


def factor_of(motion: Motion) -> int:
    """The column of the factor or move that a motion changes."""
    return READINGS.index(motion.parameter)


def sign_of(motion: Motion) -> float:
    """+1 where the motion raises its factor, -1 where it lowers it."""
    return 1.0 if motion.high > motion.low else -1.0


def moved(parameters: torch.Tensor, motion: Motion, amount: float | torch.Tensor) -> torch.Tensor:
    """Parameters whose factor went ``amount`` factor units along the motion; every other number stays."""
    parameters = parameters.clone()
    parameters[:, factor_of(motion)] += sign_of(motion) * amount
    return parameters


def load_world(weights: Path = WEIGHTS, sizes: Sizes = FULL, seed: int = 0, device: str = "cpu", resolution: int = TRUNK) -> World:
    """The embedded networks, the generator up to its block of ``resolution``; scorer and inverter may be missing, and what needs them is
    then left out."""
    generator = trunk_of(load(weights / "generator.safetensors").eval().requires_grad_(False).to(device), resolution)
    instrument, reader = (load_regressor(path).to(device) for path in (INSTRUMENT, weights / "regressor.safetensors"))
    scorer = _optional(weights / "scorer.safetensors", load_scorer)
    inverter = _optional(weights / "inverter.safetensors", load_inverter)
    motions = tuple(motion_for(Subspace.load(path), generator) for path in sorted((weights / "motions").glob("*.safetensors")))
    inverter = inverter and inverter_for(inverter, generator).to(device)
    return World(generator, instrument, scorer and scorer.to(device), inverter, sizes, seed, motions, reader)


def _optional(path: Path, loader):
    if not path.is_file():
        log.warning("There is no %s; what needs it is left out.", path.name)
        return None
    try:
        return loader(path)
    except MicromotionError as error:
        log.warning("%s cannot be used: %s", path.name, error)
        return None
