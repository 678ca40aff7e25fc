"""M8: motions made from photos, on statues, drawings, cartoons, and on a style that no network was trained on."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ...avatars import renderer as rendering
from ...avatars.captions import Motion
from . import metrics
from .measure import Readings, read, sweep
from .rows import Metric, Row, section, spread
from .study import ORACLE, Study
from .world import STEP, UNSEEN_STYLE, Faces, World, moved

STYLE_SUCCESS = Metric("domain_success", "Transfer success", ">=")
STYLE_GAIN = Metric("domain_gain", "Change over what was asked")
STYLE_LEAK = Metric("domain_leakage", "Leakage")
STYLE_SAME = Metric("domain_identity", "Identity cosine", "", None, 3)


def run(study: Study) -> dict:
    """M8: directions from photos on faces of other styles, through the inverter and, where the generator has them, its own codes."""
    world, rows = study.world, []
    for style, how, faces, target in _styled(study):
        for group in [*study.ours, ORACLE]:
            for motion in study.motions:
                readings = sweep(world, faces, study.directions(group, motion), [0.0, STEP[motion.name]])
                name, judged = f"{style}, {how} | {group}", style in study.styles and group != ORACLE
                rows += _rows(name, motion, readings, target=target, judged=judged)
    for style in rendering.STYLES:
        for motion in study.motions:
            rows += _rows(f"{style}, renders | the renderer itself", motion, _drawn(world, style, motion), judged=False)
    text = (
        f"Directions made from photos only. Own code: the generator's own face in that style. Inverted: a render in that style through"
        f" the inverter. {UNSEEN_STYLE.capitalize()} was never shown to the generator or to the inverter."
        " Renders: the renderer draws the face before and after, so what is missing there is the instrument's own; what a motion misses"
        " beyond the oracle's line is the motion's, and the rest is the generator's or the inverter's."
    )
    unjudged = [s for s in rendering.STYLES if s not in study.styles]
    if unjudged:
        text += f" Without a verdict, because the instrument by itself misses its gate there: {', '.join(unjudged)}."
    return section("M8. Domains", [STYLE_SUCCESS, STYLE_GAIN, STYLE_LEAK, STYLE_SAME], rows, text)


def _rows(name: str, motion: Motion, readings: Readings, **verdict) -> list[Row]:
    """The figures at the transfer's step; ``verdict``: what success is judged by."""
    step = STEP[motion.name]
    return [
        spread(STYLE_SUCCESS, name, motion.name, readings.success(motion, step), metrics.mean, **verdict),
        spread(STYLE_GAIN, name, motion.name, readings.response(motion)[:, 1] / step),
        spread(STYLE_LEAK, name, motion.name, readings.leakage(motion, 1)),
        spread(STYLE_SAME, name, motion.name, readings.same(1)),
    ]


def _drawn(world: World, style: str, motion: Motion) -> Readings:
    """True renders, before and after: the most that the instrument can grant in this style."""
    before, step = world.tests(world.sizes.domains).parameters, STEP[motion.name]
    parts = [read(world, world.draw(p, style)) for p in (before, moved(before, motion, step))]
    return Readings(torch.tensor([0.0, step]), *(torch.stack(pair, 1) for pair in zip(*parts)))


def _styled(study: Study) -> Iterator[tuple[str, str, Faces, float]]:
    """Yield style, how its codes were made, the faces, and the success that is asked for."""
    world = study.world
    for style in rendering.STYLES:
        seen = style != UNSEEN_STYLE
        if seen and style != "photo":
            yield style, "own code", world.tests(study.sizes.domains, style), 0.90
        if world.inverter is not None:
            yield style, "inverted", _inverted(study, style), 0.90 if seen else 0.70


def _inverted(study: Study, style: str) -> Faces:
    parameters = study.world.tests(study.sizes.domains).parameters
    made = study.cache.tensors(f"domain-{style}", lambda: {"codes": study.world.invert(study.world.draw(parameters, style))})
    return Faces(parameters, made["codes"], style)
