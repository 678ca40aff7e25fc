"""What travels with a set: a card that says what it is and under which terms, and a page of histograms."""

from __future__ import annotations

import html
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stylegan2 import Generator
from ..subspaces import Subspace
from .job import Job
from .layouts import LAYOUTS, SPLITS, Rows
from .plan import MotionPlan, Plan

BINS = 20
NOT_STATED = "not stated"
CONSENT = (
    "Faces of real people need their consent: for the pictures, for the changes made to them, and for training on them."
    " Say of every picture made from this set that it was edited."
)


@dataclass(frozen=True)
class Origin:
    """Where the pairs of a set come from, in the words of its card. ``motions``: name, unit, strengths, license of each."""

    layout: str
    faces: str
    generator: str
    motions: Sequence[tuple[str, str, str, str]]
    made: str


def origin_of(job: Job, generator: Generator, motions: Mapping[str, Subspace]) -> Origin:
    """The origin of a planned set."""
    plan = job.plan
    size = f"{generator.size[1]} x {generator.size[0]} px" if generator.size[0] != generator.size[1] else f"{generator.resolution} px"
    drawn = f"`{Path(plan.generator).name}` ({size}, fingerprint `{generator.fingerprint}`); license: {job.license or NOT_STATED}"
    rows = [(m.name, motions[m.name].calibration.unit, _strengths(plan, m), motions[m.name].license) for m in plan.motions]
    return Origin(job.layout, _faces(plan), drawn, rows, f"seed {plan.seed}, plan `{plan.fingerprint}`")


def model_card(origin: Origin, rows: Rows, left: list[dict[str, Any]]) -> str:
    """The README of the set: origin, terms, motions with their calibration, counts, how it is split, and how to make it again."""
    layout = LAYOUTS[origin.layout]
    pairs = Counter(r["split"] for r in rows)
    faces = Counter(split for split, _ in {(r["split"], r["face"]) for r in rows})
    splits = [s for s in SPLITS if pairs[s]]
    front = f"---\n{layout.card(splits)}\n---\n\n" if layout.card and splits else ""
    lines = [f"| {name} | {unit} | {strengths} | {license or NOT_STATED} |" for name, unit, strengths, license in origin.motions]
    return (
        front
        + f"""\
# Face pairs of known strength

{pairs.total():,} pairs of {faces.total():,} faces. Each pair is the same face before and after a motion of a known coefficient.
Layout: {layout.about}.

| motion | unit | strengths | license |
|---|---|---|---|
{chr(10).join(lines)}

Faces: {origin.faces}. Generator: {origin.generator}. Made with micromotion, {origin.made}.

| split | pairs | faces |
|---|---|---|
{chr(10).join(f"| {split} | {pairs[split]:,} | {faces[split]:,} |" for split in SPLITS)}

No face is on both sides. Left out: {_left(left)}.

## Terms

The pictures derive from the generator: its license holds for them. The motions' licenses stand above.
{CONSENT}
"""
    )


def _strengths(plan: Plan, motion: MotionPlan) -> str:
    drawn = f"random, {motion.span[0]:g} to {motion.span[1]:g}"
    return drawn if plan.draws else ", ".join(f"{s:g}" for s in motion.strengths)


def _faces(plan: Plan) -> str:
    kinds = {
        "seed": f"drawn by the generator at truncation {plan.truncation:g}",
        "code": "saved codes",
        "photo": "photos, aligned and inverted",
    }
    return kinds[plan.kind] + (", the change pasted back into the photo" if plan.paste else "")


def _left(left: list[dict[str, Any]]) -> str:
    reasons = sorted({r["reason"] for r in left})
    return ", ".join(f"{sum(r['reason'] == name for r in left):,} for {name}" for name in reasons) or "none"


def quality_page(rows: Rows, left: list[dict[str, Any]]) -> str:
    """Histograms of every measure, kept pairs dark and left-out ones light, as one HTML page that needs nothing else."""
    count, kept = _measures(rows)
    _, out = _measures(left)
    parts = [f"<h1>{count:,} pairs kept, {len(left):,} left out</h1>", f"<p>{html.escape(_left(left))}</p>"]
    names = sorted({*kept, *out})
    for name in names:
        parts.append(f"<h2>{html.escape(name)}</h2>{_histogram(kept[name], out[name])}")
    if not names:
        parts.append("<p>Nothing was measured.</p>")
    style = "body{font:15px sans-serif;margin:2em;max-width:50em}svg{display:block}"
    return f"<!doctype html><meta charset='utf-8'><title>Quality</title><style>{style}</style>" + "".join(parts) + "\n"


def _measures(rows: Rows) -> tuple[int, defaultdict[str, array]]:
    """How many rows there are, and the values of each measure."""
    count, found = 0, defaultdict(lambda: array("d"))
    for r in rows:
        count += 1
        for name, value in r.get("measures", {}).items():
            found[name].append(value)
    return count, found


def _histogram(kept: Sequence[float], out: Sequence[float]) -> str:
    low, high = min([*kept, *out]), max([*kept, *out])
    step = (high - low) / BINS or 1.0
    counts = [[0, 0] for _ in range(BINS)]
    for side, values in enumerate((kept, out)):
        for v in values:
            counts[min(BINS - 1, int((v - low) / step))][side] += 1
    tallest = max(a + b for a, b in counts)
    bars = []
    for i, (a, b) in enumerate(counts):
        dark, light = 150 * a / tallest, 150 * b / tallest
        bars.append(f"<rect x='{30 * i}' y='{150 - dark:.1f}' width='28' height='{dark:.1f}' fill='#2b5c8a'/>")
        bars.append(f"<rect x='{30 * i}' y='{150 - dark - light:.1f}' width='28' height='{light:.1f}' fill='#d9a7a0'/>")
    axis = f"<text x='0' y='168'>{low:g}</text><text x='600' y='168' text-anchor='end'>{high:g}</text>"
    return f"<svg width='600' height='172' role='img'>{''.join(bars)}{axis}</svg>"
