"""What travels with a set: a card that says what it is and under which terms, and a page of histograms."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from ..subspaces.opening import open_motion
from .job import Job
from .layouts import LAYOUTS, SPLITS
from .plan import MotionPlan

BINS = 20
CONSENT = (
    "Faces of real people need their consent: for the pictures, for the changes made to them, and for training on them."
    " Say of every picture made from this set that it was edited."
)


def model_card(job: Job, rows: list[dict[str, Any]], left: list[dict[str, Any]]) -> str:
    """The README of the set: origin, terms, motions with their calibration, counts, how it is split, and how to make it again."""
    plan, layout = job.plan, LAYOUTS[job.layout]
    splits = [s for s in SPLITS if any(r["split"] == s for r in rows)]
    front = f"---\n{layout.card(splits)}\n---\n\n" if layout.card and splits else ""
    return (
        front
        + f"""\
# Face pairs of known strength

{len(rows):,} pairs of {_faces_in(rows):,} faces. Each pair is the same face before and after a motion of a known coefficient.
Layout: {layout.about}.

| motion | unit | strengths | license |
|---|---|---|---|
{chr(10).join(_motion_row(job, m) for m in plan.motions)}

Faces: {_faces(job)}. Made with micromotion, seed {plan.seed}, plan `{plan.fingerprint}`.

| split | pairs | faces |
|---|---|---|
{chr(10).join(_split_row(rows, split) for split in SPLITS)}

No face is on both sides. Left out by the quality gate: {_left(left)}. Histograms: `quality.html`.

## Terms

The pictures derive from the generator: its license holds for them. The motions' licenses stand above.
{CONSENT}
"""
    )


def _motion_row(job: Job, motion: MotionPlan) -> str:
    subspace = open_motion(motion.file)
    grid = ", ".join(f"{s:g}" for s in motion.strengths)
    strengths = f"random, {motion.span[0]:g} to {motion.span[1]:g}" if job.plan.draws else grid
    return f"| {motion.name} | {subspace.calibration.unit} | {strengths} | {subspace.license or 'not stated'} |"


def _split_row(rows: list[dict[str, Any]], split: str) -> str:
    found = [r for r in rows if r["split"] == split]
    return f"| {split} | {len(found):,} | {_faces_in(found):,} |"


def _faces_in(rows: list[dict[str, Any]]) -> int:
    return len({r["face"] for r in rows})


def _faces(job: Job) -> str:
    plan = job.plan
    kinds = {
        "seed": f"drawn by the generator at truncation {plan.truncation:g}",
        "code": "saved codes",
        "photo": "photos, aligned and inverted",
    }
    return kinds[plan.kind] + (", the change pasted back into the photo" if plan.paste else "")


def _left(left: list[dict[str, Any]]) -> str:
    reasons = sorted({r["reason"] for r in left})
    return ", ".join(f"{sum(r['reason'] == name for r in left):,} for {name}" for name in reasons) or "none"


def quality_page(rows: list[dict[str, Any]], left: list[dict[str, Any]]) -> str:
    """Histograms of every measure, kept pairs dark and left-out ones light, as one HTML page that needs nothing else."""
    names = sorted({name for r in rows + left for name in r.get("measures", {})})
    parts = [f"<h1>{len(rows):,} pairs kept, {len(left):,} left out</h1>", f"<p>{html.escape(_left(left))}</p>"]
    for name in names:
        kept = [r["measures"][name] for r in rows if name in r["measures"]]
        out = [r["measures"][name] for r in left if name in r.get("measures", {})]
        parts.append(f"<h2>{html.escape(name)}</h2>{_histogram(kept, out)}")
    if not names:
        parts.append("<p>Nothing was measured.</p>")
    style = "body{font:15px sans-serif;margin:2em;max-width:50em}svg{display:block}"
    return f"<!doctype html><meta charset='utf-8'><title>Quality</title><style>{style}</style>" + "".join(parts) + "\n"


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
