"""M8: motions made from photos, on statues, drawings, cartoons, and on a style that no network was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import torch

from ...avatars import renderer as rendering
from ...avatars.motions import Motion
from . import metrics
from .measure import Readings, read, sweep
from .rows import Metric, Row, row, section, spread
from .study import ORACLE, Study
from .world import STEP, UNSEEN_STYLE, Faces, World, moved

STYLE_SUCCESS = Metric("domain_success", "Transfer success")
STYLE_SHARE = Metric("domain_share", "Transfer success, share of the oracle's", ">=", 0.95)
LEAST = 0.1  # of the oracle's own success, for a verdict
STYLE_GAIN = Metric("domain_gain", "Change over what was asked")
STYLE_LEAK = Metric("domain_leakage", "Leakage")
STYLE_SAME = Metric("domain_identity", "Identity cosine", "", None, 3)


def run(study: Study) -> dict:
    """M8: directions from photos on faces of other styles, through the inverter and, where the generator has them, its own codes."""
    world, rows = study.world, []
    for style, how, faces in _styled(study):
        for group in [*study.ours, ORACLE]:
            for motion in study.motions:
                readings = sweep(world, faces, study.directions(group, motion), [0.0, STEP[motion.name]])
                rows += _rows(f"{style}, {how} | {group}", motion, readings)
    for style in rendering.STYLES:
        for motion in study.motions:
            rows += _rows(f"{style}, renders | the renderer itself", motion, _drawn(world, style, motion))
    text = (
        f"Directions made from photos only. Own code: the generator's own face in that style. Inverted: a render in that style through"
        f" the inverter. {UNSEEN_STYLE.capitalize()} was never shown to the generator or to the inverter."
        " Renders: the renderer draws the face before and after, so what is missing there is the instrument's own; what a motion misses"
        " beyond the oracle's line is the motion's, and the rest is the generator's or the inverter's. So a motion is judged by its share"
        " of the oracle's success; absolute figures stand beside it without a verdict."
    )
    unjudged = [s for s in rendering.STYLES if s not in study.styles]
    if unjudged:
        text += f" Without a verdict, because the instrument by itself misses its gate there: {', '.join(unjudged)}."
    made = section("M8. Domains", [STYLE_SUCCESS, STYLE_GAIN, STYLE_LEAK, STYLE_SAME], rows, text)
    return relative(made, study.styles)


def relative(made: dict, styles: list[str]) -> dict:
    """The section with its motions judged by their share of the oracle's success, in ``styles``; absolute figures have no verdict."""
    if any(m["key"] == STYLE_SHARE.key for m in made["metrics"]):
        return made
    success = [r for r in made["rows"] if r["metric"] == STYLE_SUCCESS.key]
    oracle = {(r["group"].rpartition(" | ")[0], r["motion"]): r["value"] for r in success if r["group"].endswith(f" | {ORACLE}")}
    shares = []
    for r in success:
        place, _, group = r["group"].rpartition(" | ")
        best = oracle.get((place, r["motion"]), 0.0)
        if group != ORACLE and best >= LEAST:
            judged = place.partition(",")[0] in styles
            shares.append(row(STYLE_SHARE, r["group"], r["motion"], r["value"] / best, judged=judged).json())
    plain = [{**r, "sense": "", "target": None, "met": None} if r["metric"] == STYLE_SUCCESS.key else r for r in made["rows"]]
    unjudged = [{**m, "sense": "", "target": None} if m["key"] == STYLE_SUCCESS.key else m for m in made["metrics"]]
    return {**made, "metrics": [asdict(STYLE_SHARE), *unjudged], "rows": [*shares, *plain]}


def _rows(name: str, motion: Motion, readings: Readings) -> list[Row]:
    """The figures at the transfer's step."""
    step = STEP[motion.name]
    return [
        spread(STYLE_SUCCESS, name, motion.name, readings.success(motion, step), metrics.mean),
        spread(STYLE_GAIN, name, motion.name, readings.response(motion)[:, 1] / step),
        spread(STYLE_LEAK, name, motion.name, readings.leakage(motion, 1)),
        spread(STYLE_SAME, name, motion.name, readings.same(1)),
    ]


def _drawn(world: World, style: str, motion: Motion) -> Readings:
    """True renders, before and after: the most that the instrument can grant in this style."""
    before, step = world.tests(world.sizes.domains).parameters, STEP[motion.name]
    parts = [read(world, world.draw(p, style)) for p in (before, moved(before, motion, step))]
    return Readings(torch.tensor([0.0, step]), *(torch.stack(pair, 1) for pair in zip(*parts)))


def _styled(study: Study) -> Iterator[tuple[str, str, Faces]]:
    """Yield style, how its codes were made, and the faces."""
    world = study.world
    for style in rendering.STYLES:
        if style not in ("photo", UNSEEN_STYLE):
            yield style, "own code", world.tests(study.sizes.domains, style)
        if world.inverter is not None:
            yield style, "inverted", _inverted(study, style)


def _inverted(study: Study, style: str) -> Faces:
    parameters = study.world.tests(study.sizes.domains).parameters
    made = study.cache.tensors(f"domain-{style}", lambda: {"codes": study.world.invert(study.world.draw(parameters, style))})
    return Faces(parameters, made["codes"], style)
