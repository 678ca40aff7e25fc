"""M9: what must not change does not: coefficient 0, brightness, and a held coefficient."""

from __future__ import annotations

import torch

from ...avatars.motions import Motion
from ...stylegan2.frames import render
from ...subspaces import Subspace
from . import metrics
from .measure import edited
from .rows import Metric, Row, row, section, spread
from .study import ORACLE, Study
from .world import STEP, Faces, World, factor_of, moved

ZERO = Metric("zero", "Frames at coefficient 0 that are the face, bit for bit, share", ">=", 1.0)
DRIFT = Metric("drift", "Luminance drift beyond the render's, 255ths", "<=", 0.5)
BIAS = Metric("drift_mean", "Its mean over faces, 255ths")
JITTER = Metric("jitter", "Factor jitter at a held coefficient", "<=", 0.01, 4)
FRAMES = 8


def run(study: Study) -> dict:
    """M9 for the pooled directions and the oracle's."""
    faces, rows = study.world.tests(study.sizes.compared), []
    for group in [*study.ours, ORACLE]:
        for motion in study.motions:
            direction = study.directions(group, motion)
            drift = luminance_drift(study.world, faces, direction, motion)
            rows += [
                row(ZERO, group, motion.name, zero_share(study.world, faces.codes[: study.sizes.pictures], direction[0])),
                spread(DRIFT, group, motion.name, drift.abs().amax(1)),
                spread(BIAS, group, motion.name, drift[:, -1], metrics.mean),
                _jitter_row(study, group, motion, faces.codes[: 2 * study.sizes.pictures], direction),
            ]
    text = (
        "Frames at coefficient 0, between moved ones, must have the face's own code and one picture. Drift: the largest departure, over"
        " the sweep, of mean luminance from that of renders of the same motion, median face. Jitter: spread of the factor when only the"
        " generator's noise pictures change from frame to frame."
    )
    return section("M9. Time", [ZERO, DRIFT, BIAS, JITTER], rows, text)


def zero_share(world: World, codes: torch.Tensor, direction: torch.Tensor) -> float:
    """Share of frames at coefficient 0, between moved ones, whose code is the face's own and whose picture is the first's, bit for bit."""
    motion, track = Subspace(direction), torch.tensor([0.0, 0.5] * (FRAMES // 2))
    equal = []
    for code in codes:
        moved = motion.apply(code, track)
        still = render(world.generator, moved)[track == 0]
        equal += [torch.equal(c, code) and torch.equal(p, still[0]) for c, p in zip(moved[track == 0], still)]
    return sum(equal) / len(equal)


def luminance_drift(world: World, faces: Faces, directions: torch.Tensor, motion: Motion) -> torch.Tensor:
    """Change of mean luminance along the motion less that of the renders, ``[N, F]`` in 255ths."""
    steps = torch.linspace(0, STEP[motion.name], 5)
    made = torch.stack([metrics.luminance(world.show(edited(faces.codes, directions, float(c)))) for c in steps], 1)
    drawn = torch.stack([metrics.luminance(world.draw(moved(faces.parameters, motion, float(c)))) for c in steps], 1)
    return (made - made[:, :1]) - (drawn - drawn[:, :1])


def _jitter_row(study: Study, group: str, motion: Motion, codes: torch.Tensor, directions: torch.Tensor) -> Row:
    held = edited(codes, directions, STEP[motion.name]).repeat_interleave(FRAMES, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(study.world.seed)
        images = study.world.show(held, noise="random")
    read = study.world.factors(images)[:, factor_of(motion)].unflatten(0, (-1, FRAMES))
    return spread(JITTER, group, motion.name, read.std(1))
