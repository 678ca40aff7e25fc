"""The ready motions on faces as users draw them, not at rest: what is left of a motion where a face already has some of it."""

from __future__ import annotations

import torch

from ...avatars.motions import Motion
from ...subspaces.anchors import draw_faces
from . import metrics
from .measure import Readings, sweep
from .rows import Metric, Row, row, section, spread
from .study import ORACLE, SHIPPED, Study
from .world import STEP, Faces, factor_of, sign_of

TRUNCATION, FIRST_SEED = 0.7, 500_000
ROOM = Metric("drawn_room", "Faces with headroom: the asked change stays within the factor's range, share")
GAIN = Metric("drawn_gain", "Change over what was asked")
LEAK = Metric("drawn_leakage", "Leakage")
SAME = Metric("drawn_identity", "Identity cosine", "", None, 3)
SUCCESS = Metric("drawn_success", "Transfer success")
EVERY, ROOMY = "all faces", "faces with headroom"


def run(study: Study) -> dict:
    """The ready motions, where there are any, and the oracle on drawn faces: on all, and on those with headroom."""
    codes = draw_faces(study.world.generator, range(FIRST_SEED, FIRST_SEED + study.sizes.identities), TRUNCATION)
    faces, rows = Faces(torch.zeros(len(codes), 0), codes), []
    for group in [SHIPPED] * (SHIPPED in study.groups) + [ORACLE]:
        for motion in study.motions:
            readings = sweep(study.world, faces, study.directions(group, motion), [0.0, STEP[motion.name]])
            roomy = headroom(readings, motion)
            rows += [row(ROOM, group, motion.name, float(roomy.double().mean()))]
            rows += _rows(f"{EVERY} | {group}", readings, motion, torch.ones_like(roomy))
            rows += _rows(f"{ROOMY} | {group}", readings, motion, roomy)
    text = (
        f"{len(codes)} faces drawn at truncation {TRUNCATION:g}, as Sample Faces does: some smile already, some have their eyes closed. The"
        " asked change is that of a transfer. Headroom: the instrument reads the factor of the unmoved face so that the asked change does"
        " not leave its range."
    )
    return section("Faces as drawn", [ROOM, GAIN, LEAK, SAME, SUCCESS], rows, text)


def headroom(readings: Readings, motion: Motion) -> torch.Tensor:
    """Which faces can change by the motion's step within the factor's range, ``[N]``."""
    at = readings.factors[:, 0, factor_of(motion)]
    room = 1 - at if sign_of(motion) > 0 else at
    return room >= STEP[motion.name]


def _rows(group: str, readings: Readings, motion: Motion, chosen: torch.Tensor) -> list[Row]:
    if not chosen.any():
        return []
    step, name = STEP[motion.name], motion.name
    return [
        spread(GAIN, group, name, (readings.response(motion)[:, 1] / step)[chosen]),
        spread(LEAK, group, name, readings.leakage(motion, 1)[chosen]),
        spread(SAME, group, name, readings.same(1)[chosen]),
        spread(SUCCESS, group, name, readings.success(motion, step)[chosen], metrics.mean),
    ]
