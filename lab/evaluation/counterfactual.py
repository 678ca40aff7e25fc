"""M6: the edited picture against the render of the very face that was asked for."""

from __future__ import annotations

from functools import lru_cache

import torch

from ...avatars.motions import Motion
from . import metrics
from .measure import edited
from .rows import Metric, section, spread
from .study import FLOOR, ORACLE, Study
from .world import STEP, Faces, World, moved

EDITED = Metric("counterfactual", "Counterfactual error", "<=", 0.60)
RATIO = Metric("counterfactual_to_oracle", "Counterfactual error over the oracle's", "<=", 1.3)
OWN = Metric("counterfactual_own", "The same against the generator's own drawing of that face")


def error_of(world: World, motion: Motion, faces: Faces, directions: torch.Tensor) -> torch.Tensor:
    """M6 per face: distance to the render of the face with its factor moved, after the edit over before it, ``[N]``."""
    truth, before = _asked(world, motion, faces)
    return metrics.residual(world.show(edited(faces.codes, directions, STEP[motion.name])), truth) / before


@lru_cache(maxsize=16)
def _asked(world: World, motion: Motion, faces: Faces) -> tuple[torch.Tensor, torch.Tensor]:
    """The renders that are asked for, and how far the unmoved faces are from them."""
    truth = world.draw(moved(faces.parameters, motion, STEP[motion.name]), faces.style)
    return truth, metrics.residual(world.show(faces.codes), truth)


def counterfactuals(study: Study) -> dict:
    """M6 on the generator's own test faces, beside the oracle and beside the generator's own drawing of the moved face."""
    rows = []
    for motion in study.motions:
        for group in study.groups:
            faces, directions = study.tests(group), study.directions(group, motion)
            errors = error_of(study.world, motion, faces, directions)
            rows.append(spread(EDITED, group, motion.name, errors))
            rows.append(spread(OWN, group, motion.name, own_error(study.world, motion, faces, directions)))
            if group != ORACLE:
                oracle = metrics.median(error_of(study.world, motion, faces, study.directions(ORACLE, motion)))
                rows.append(spread(RATIO, group, motion.name, errors / oracle))
        rows.append(spread(EDITED, FLOOR, motion.name, floor(study.world, motion, study.tests(ORACLE)), judged=False))
    text = (
        "The renderer draws the very face that was asked for: the same parameters, one factor moved. The error is the distance of the"
        " edited picture to it, over the distance of the unedited one. The last line is the generator's own drawing of that face from its"
        " exact latent: what its remaining unlikeness to the renderer costs. The last table takes that drawing for the truth."
    )
    return section("M6. Counterfactual error", [EDITED, RATIO, OWN], rows, text, step=STEP)


def own_error(world: World, motion: Motion, faces: Faces, directions: torch.Tensor) -> torch.Tensor:
    """As ``error_of``, with the generator's drawing from the exact latent in the renderer's place: the edit alone, ``[N]``."""
    own = _own(world, motion, faces)
    after = metrics.residual(world.show(edited(faces.codes, directions, STEP[motion.name])), own)
    return after / metrics.residual(world.show(faces.codes), own)


def floor(world: World, motion: Motion, faces: Faces) -> torch.Tensor:
    """The counterfactual error of the generator's own drawing: what its unlikeness to the renderer costs, ``[N]``."""
    truth, before = _asked(world, motion, faces)
    return metrics.residual(_own(world, motion, faces), truth) / before


@lru_cache(maxsize=16)
def _own(world: World, motion: Motion, faces: Faces) -> torch.Tensor:
    return world.show(world.faces(moved(faces.parameters, motion, STEP[motion.name])).codes)
