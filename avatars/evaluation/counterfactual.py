"""M6: the edited picture against the render of the very face that was asked for."""

from __future__ import annotations

import torch

from ..captions import Motion
from . import metrics
from .measure import edited
from .rows import Metric, section, spread
from .study import ORACLE, Study
from .world import STEP, Faces, World, moved

EDITED = Metric("counterfactual", "Counterfactual error", "<=", 0.60)
RATIO = Metric("counterfactual_to_oracle", "Counterfactual error over the oracle's", "<=", 1.3)
FLOOR = "the generator's own latent"


def error_of(
    world: World, motion: Motion, parameters: torch.Tensor, codes: torch.Tensor, directions: torch.Tensor, style: str = "photo"
) -> torch.Tensor:
    """M6 per face: distance to the render of the face with its factor moved, after the edit over before it, ``[N]``."""
    truth = world.draw(moved(parameters, motion, STEP[motion.name]), style)
    after = metrics.residual(world.show(edited(codes, directions, STEP[motion.name])), truth)
    return after / metrics.residual(world.show(codes), truth)


def counterfactuals(study: Study) -> dict:
    """M6 on the generator's own test faces, beside the oracle and beside the generator's own drawing of the moved face."""
    world, faces, rows = study.world, study.world.tests(), []
    for motion in study.motions:
        errors = {g: error_of(world, motion, faces.parameters, faces.codes, study.directions(g, motion)) for g in study.groups}
        oracle = metrics.median(errors[ORACLE])
        rows += [spread(EDITED, g, motion.name, e) for g, e in errors.items()]
        rows += [spread(RATIO, g, motion.name, e / oracle) for g, e in errors.items() if g != ORACLE]
        rows.append(spread(EDITED, FLOOR, motion.name, _floor(study, motion, faces), judged=False))
    text = (
        "The renderer draws the very face that was asked for: the same parameters, one factor moved. The error is the distance of the"
        " edited picture to it, over the distance of the unedited one. The last line is the generator's own drawing of that face from its"
        " exact latent: what its remaining unlikeness to the renderer costs."
    )
    return section("M6. Counterfactual error", [EDITED, RATIO], rows, text, step=STEP)


def _floor(study: Study, motion: Motion, faces: Faces) -> torch.Tensor:
    world = study.world
    target = moved(faces.parameters, motion, STEP[motion.name])
    truth = world.draw(target)
    return metrics.residual(world.show(world.faces(target).codes), truth) / metrics.residual(world.show(faces.codes), truth)
