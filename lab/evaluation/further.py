"""The ready motions beyond the paper's five: what a coefficient does to unseen faces. Leakage counts all factors and all other moves."""

from __future__ import annotations

from ...avatars.motions import FURTHER
from .measure import grid, read_all, sweep
from .response import IDENTITY, LEAKAGE, LINE, SLOPE, SUCCESS, rows_of
from .rows import section
from .study import SHIPPED, Study


def run(study: Study) -> dict:
    """The figures of M3, M4, M5 and M7 for each further motion that is there, on the test identities."""
    world, ready, rows = study.world, {s.name for s in study.world.motions}, []
    chosen = [SLOPE, LINE, LEAKAGE, IDENTITY, SUCCESS]
    for motion in (m for m in FURTHER if m.name in ready):
        readings = sweep(world, world.tests(), study.directions(SHIPPED, motion), grid(world, motion), read_all)
        rows += [r for r in rows_of(readings, SHIPPED, motion) if r.metric in {m.key for m in chosen}]
    text = (
        "As for the five, on the same unseen faces at rest; clips of other faces made them, through the inverter. Leakage here is into the"
        " five factors and the six other moves."
    )
    return section("Further ready motions", chosen, rows, text)
