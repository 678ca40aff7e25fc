"""Decode the five ready motions of the avatars from text, as any user would, and calibrate them with the factor regressor.

``python -m micromotion.avatars.make_motions`` writes ``avatars/weights/motions/*.safetensors``. Anchors come from the text
scorer, never from labels; the regressor only says how much one unit is: one coefficient unit is degree 0 to 1 of the template.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from ..stylegan2 import Generator, load
from ..subspaces import Subspace, calibrate, fit, with_preview
from ..subspaces.anchors import load_scorer, text_anchors
from ..subspaces.anchors.scorer import Scorer
from ..subspaces.anchors.text import Weights
from . import render as rendering
from .captions import MOTIONS, Motion
from .regressor import Regressor, load_regressor
from .train_generator import latents_of

WEIGHTS = Path(__file__).parent / "weights"
SEEDS = range(8)
ANCHOR_WEIGHTS = Weights(l2=0.002, prior=0.01)
CALIBRATION_SEED, CALIBRATION_FACES = 940_000_000, 48
REST = {"smile": 0.1, "eyes": 0.9, "anger": 0.1, "yaw": 0.5, "age": 0.1}


def decode(generator: Generator, scorer: Scorer, motion: Motion, progress: Callable | None = None) -> Subspace:
    """The motion of a template, pooled over ``SEEDS``, before calibration."""
    anchors = text_anchors(generator, scorer, motion.template, seeds=SEEDS, weights=ANCHOR_WEIGHTS, progress=progress)
    return fit(anchors, name=motion.name, licence="MIT")


@torch.no_grad()
def faces(generator: Generator, motion: Motion, value: float) -> torch.Tensor:
    """Codes ``[N, L, D]`` of calibration faces at rest whose own factor stands at ``value``."""
    parameters = rendering.sample_parameters(CALIBRATION_FACES, CALIBRATION_SEED)
    for name, rest in {**REST, motion.parameter: value}.items():
        parameters[:, rendering.PARAMETERS.index(name)] = rest
    return generator.map(latents_of(parameters).to(generator.w_avg.device))


def calibrated(subspace: Subspace, generator: Generator, regressor: Regressor, motion: Motion) -> Subspace:
    """One unit = degree 0 to 1, set in the middle of the factor's range; the safe range is measured from faces at rest."""
    column = rendering.FACTORS.index(motion.parameter)

    def degree(images: torch.Tensor) -> torch.Tensor:
        return (regressor.factors(images)[:, column] - motion.low) / (motion.high - motion.low)

    named = dict(unit=f"degree 0 to 1 of {motion.name}", instrument="avatar factor regressor")
    middle = motion.value(0.5) if motion.parameter != "yaw" else REST["yaw"]
    subspace = calibrate(subspace, degree, generator, faces(generator, motion, middle), **named)
    rest = faces(generator, motion, REST[motion.parameter])
    return calibrate(subspace, degree, generator, rest, rescale=False, identity=regressor.identity, min_identity=0.9, **named)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=WEIGHTS / "motions")
    parser.add_argument("--generator", type=Path, default=WEIGHTS / "generator.safetensors")
    parser.add_argument("--scorer", type=Path, default=WEIGHTS / "scorer.safetensors")
    parser.add_argument("--regressor", type=Path, default=WEIGHTS / "regressor.safetensors")
    args = parser.parse_args(arguments)
    generator, scorer, regressor = load(args.generator), load_scorer(args.scorer), load_regressor(args.regressor)
    args.out.mkdir(parents=True, exist_ok=True)
    for motion in MOTIONS:
        with tqdm(total=1, desc=motion.name, unit="anchor step") as bar:

            def show(done: int, total: int, _images, bar=bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            subspace = decode(generator, scorer, motion, show)
        subspace = calibrated(subspace, generator, regressor, motion)
        example = faces(generator, motion, REST[motion.parameter])[0]
        with_preview(subspace, generator, example, torch.linspace(0, 1, 5)).save(args.out / f"{motion.name}.safetensors")
        low, high = subspace.safe_range
        print(f"{motion.name}: safe from {low:.2f} to {high:.2f}, length of one unit {subspace.direction.norm():.2f}")


if __name__ == "__main__":
    main()
