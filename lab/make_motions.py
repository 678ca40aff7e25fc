"""Decode the ready motions of the avatars as any user would, and calibrate them with the factor regressor.

``python -m micromotion.lab.make_motions`` writes ``avatars/weights/motions/*.safetensors``, each from clips: rendered heads that make
the motion, inverted frame by frame, all on the generator's pictures of 64 px. On these models clips keep the person better than text
does (see ``docs/results.md``), and the scorer has no words for the moves. No label is used for a direction; the regressor only says how
much one unit is: one coefficient unit is degree 0 to 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ..avatars import renderer as rendering
from ..avatars.motions import FURTHER, MOTIONS, Motion
from ..avatars.regressor import READ, Regressor, load_regressor
from ..files.embedded import embedded_root
from ..stylegan2 import Generator, load, load_inverter
from ..stylegan2.inversion import Inverter
from ..subspaces import Subspace, calibrate, fit, with_preview
from ..subspaces.anchors import video_anchors
from . import sampling
from .train_generator import latents_of
from .trunk import inverter_for, motion_for, trunk_of

WEIGHTS = embedded_root()
CLIPS, FRAMES = 8, 31
CLIP_SEED = 950_000_000
MIN_IDENTITY = 0.7
MIDDLE = 0.7  # degrees; `calibrate` takes the slope of the inner half
CALIBRATION_SEED, CALIBRATION_FACES = 940_000_000, 48
REST = {"smile": 0.1, "eyes": 0.9, "anger": 0.1, "yaw": 0.5, "age": 0.1}


def clip(motion: Motion, seed: int) -> torch.Tensor:
    """A rendered face ``[FRAMES, 3, 64, 64]`` that runs through the whole range of one factor or move, the motion's positive end last."""
    first = 2 * motion.low - motion.high if motion.both_ways else motion.low
    face = sampling.sample_parameters(1, seed).repeat(FRAMES, 1)
    parameters, moves = _stand(face, motion.parameter, torch.linspace(first, motion.high, FRAMES))
    return rendering.render(parameters, 64, "photo", moves).images


def _stand(parameters: torch.Tensor, name: str, value: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
    """These faces at rest, but for the factor or move of this name: parameters ``[N, P]`` and moves ``[N, M]``."""
    parameters, moves = parameters.clone(), rendering.rest_moves(len(parameters))
    for factor, rest in REST.items():
        parameters[:, rendering.PARAMETERS.index(factor)] = rest
    if name in rendering.MOVES:
        moves[:, list(rendering.MOVES).index(name)] = value
    else:
        parameters[:, rendering.PARAMETERS.index(name)] = value
    return parameters, moves


def decode_clips(generator: Generator, inverter: Inverter, motion: Motion) -> Subspace:
    """The motion of ``CLIPS`` rendered clips, inverted frame by frame, before calibration."""
    codes = [inverter.invert(generator, clip(motion, CLIP_SEED + i)) for i in range(CLIPS)]
    anchors = video_anchors(codes, positive=FRAMES - 1, generator=generator, description=f"rendered heads: {motion.name}")
    return fit(anchors, name=motion.name, license="MIT")


@torch.no_grad()
def faces(generator: Generator, motion: Motion, value: float) -> torch.Tensor:
    """Codes ``[N, L, D]`` of calibration faces at rest whose own factor or move stands at ``value``."""
    parameters, moves = _stand(sampling.sample_parameters(CALIBRATION_FACES, CALIBRATION_SEED), motion.parameter, value)
    return generator.map(latents_of(parameters, moves=moves).to(generator.w_avg.device))


def at_rest(generator: Generator, motion: Motion) -> torch.Tensor:
    """Codes ``[N, L, D]`` of the calibration faces before the motion."""
    return faces(generator, motion, {**REST, **rendering.MOVES}[motion.parameter])


def calibrated(subspace: Subspace, generator: Generator, regressor: Regressor, motion: Motion) -> Subspace:
    """One unit = degree 0 to 1, by the mean slope of faces at rest over the first 0.7 of it; the safe range is measured from there, too."""
    column, rest = READ.index(motion.parameter), at_rest(generator, motion)

    def degree(images: torch.Tensor) -> torch.Tensor:
        return (regressor(images)[:, column] - motion.low) / (motion.high - motion.low)

    named: dict[str, Any] = dict(unit=f"degree 0 to 1 of {motion.name}", instrument="avatar factor regressor")
    forth = torch.linspace(0, 2 * MIDDLE, 9)
    back = -forth[1:] if motion.both_ways else torch.tensor([-0.01])  # a motion of one side has no slope on the other
    run = torch.cat([back, forth])
    for _ in range(3):  # each time in the units that the last one found
        subspace = calibrate(subspace, degree, generator, rest, coefficients=run, **named)
    return calibrate(subspace, degree, generator, rest, rescale=False, identity=regressor.identity, min_identity=MIN_IDENTITY, **named)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=WEIGHTS / "motions")
    parser.add_argument("--generator", type=Path, default=WEIGHTS / "generator.safetensors")
    parser.add_argument("--inverter", type=Path, default=WEIGHTS / "inverter.safetensors")
    parser.add_argument("--regressor", type=Path, default=WEIGHTS / "regressor.safetensors")
    parser.add_argument("--only", nargs="+", choices=[m.name for m in (*MOTIONS, *FURTHER)], help="motions to make (default: all)")
    args = parser.parse_args(arguments)
    whole, regressor = load(args.generator), load_regressor(args.regressor)
    generator = trunk_of(whole)
    inverter = inverter_for(load_inverter(args.inverter), generator)
    args.out.mkdir(parents=True, exist_ok=True)
    for motion in tqdm([m for m in (*MOTIONS, *FURTHER) if not args.only or m.name in args.only], unit="motion"):
        subspace = calibrated(decode_clips(generator, inverter, motion), generator, regressor, motion)
        made, example = motion_for(subspace, whole), at_rest(whole, motion)[0]
        with_preview(made, whole, example, torch.linspace(0, 1, 5)).save(args.out / f"{motion.name}.safetensors")
        low, high = subspace.safe_range or (0.0, 0.0)
        tqdm.write(f"{motion.name}: safe from {low:.2f} to {high:.2f}, length of one unit {subspace.direction.norm():.2f}")


if __name__ == "__main__":
    main()
