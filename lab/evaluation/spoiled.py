"""Naturally spoiled anchors: clips as they come, with blinks, a cut, and frames that the inverter reads badly."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ...subspaces import fit
from . import metrics
from .anchors import clip
from .rows import Metric, section, spread
from .study import Study
from .world import FACTORS

SEED = 77
NEAR = Metric("near", "Cosine with the labels' direction, one face, median")


def run(study: Study) -> dict:
    """Each estimator on clean and on spoiled clips of single faces."""
    rows, g = [], torch.Generator().manual_seed(SEED)
    others = study.world.draw(study.world.neutral(study.sizes.pool, SEED + 1))
    for motion in study.motions:
        truth = study.oracle(motion)[None]
        clips = [clip(face[None], motion, study.sizes.frames) for face in study.world.anchor_parameters()[: study.sizes.pool]]
        for kind, spoil in SPOILS.items():
            codes = [study.world.invert(spoil(study, c, other, g)) for c, other in zip(clips, others)]
            for name in ESTIMATORS:
                found = torch.stack([fit(c, estimator=name).direction for c in codes])
                rows.append(spread(NEAR, f"{kind} | {name}", motion.name, metrics.cosine(found, truth.expand_as(found)).abs()))
    text = (
        "Clips through the inverter, as they come: two blinks (two smiles where the eyes are the motion), a cut to another face, and"
        " frames whose lower half is hidden, which the inverter reads badly; each spoils an eighth of the frames. Cosine of the direction"
        " with that of the labels, one face, median over faces."
    )
    return section("Clips as they come", [NEAR], rows, text)


def _clean(study: Study, parameters: torch.Tensor, other: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return study.world.draw(parameters)


def _blinking(study: Study, parameters: torch.Tensor, other: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Two blinks, an eighth of the frames; where the eyes are the motion, two smiles."""
    still = parameters.std(0) < 1e-6
    column = FACTORS.index("eyes") if still[FACTORS.index("eyes")] else FACTORS.index("smile")
    parameters, blink = parameters.clone(), max(1, len(parameters) // 16)
    for start in torch.randperm(len(parameters) - blink, generator=g)[:2].tolist():
        parameters[start : start + blink, column] = 1 - parameters[start : start + blink, column]
    return study.world.draw(parameters)


def _cut(study: Study, parameters: torch.Tensor, other: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """The last eighth of the frames shows somebody else."""
    images = study.world.draw(parameters)
    images[-max(1, len(images) // 8) :] = other
    return images


def _covered(study: Study, parameters: torch.Tensor, other: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """An eighth of the frames, here and there, has its lower half behind something flat."""
    images = study.world.draw(parameters)
    hidden = torch.randperm(len(images), generator=g)[: max(1, len(images) // 8)]
    images[hidden, :, images.shape[2] // 2 :] = -0.2
    return images


ESTIMATORS = ("rpca", "pca", "secant", "published")
SPOILS: dict[str, Callable[..., torch.Tensor]] = {"clean": _clean, "blinks": _blinking, "a cut": _cut, "covered": _covered}
