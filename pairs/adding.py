"""Pairs out of pictures that are there already: one face and its variants, added to a set that grows from call to call."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..media import to_bytes
from .card import Origin, model_card
from .errors import PairsError
from .layouts import LAYOUTS
from .plan import MotionPlan, Plan, Variant
from .samples import Sample, encoded, sample_of
from .store import Store
from .work import MARKERS, begin, is_begun, mark_done, records

Marker = dict[str, Any]  # what the file of one call holds


@dataclass(frozen=True)
class Added:
    """How many pairs a call added, and what the set holds now."""

    new: int
    pairs: int
    faces: int

    def __str__(self) -> str:
        return f"{self.new:,} new; the set holds {_many(self.pairs, 'pair')} of {_many(self.faces, 'face')}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def add_face(
    out: str,
    neutral: torch.Tensor,
    edited: torch.Tensor,
    coefficients: Sequence[float],
    motion: MotionPlan,
    *,
    layout: str = "pairs",
    form: str = "png",
    test: float = 0.1,
    seed: int = 0,
    unit: str = "",
    license: str = "",
) -> Added:
    """Add the pairs (``neutral [3, H, W]``, each of ``edited [F, 3, H, W]``), in -1..1, moved by ``coefficients [F]``.

    Frames at coefficient 0 are the neutral picture itself and are left out, and so are coefficients that come again, and pictures that
    equal the neutral one. The same face and strengths are added once: a second call adds nothing. A set keeps its layout, format and
    split. ``unit`` and ``license`` of the motion go into the set's card. Raises PairsError.
    """
    wanted = _wanted(neutral, edited, coefficients, layout)
    key = hashlib.sha256(to_bytes(neutral[None]).tobytes()).hexdigest()[:16]
    plan = Plan("code", (key,), (replace(motion, strengths=tuple(sorted(wanted))),), format=form, test=test, seed=seed)
    store, settings = Store(out), {"added": True, "layout": layout, "format": form, "test": test, "seed": seed}
    is_begun(store, settings)
    markers, number = _markers(store)
    rows = [row for marker in markers for row in marker["rows"]]
    if samples := _new(plan, neutral, edited, wanted, rows):
        begin(store, settings)
        rows = _write(store, plan, layout, markers, number, samples, {"name": motion.name, "unit": unit, "license": license})
    return Added(len(samples), len(rows), len({r["face"] for r in rows}))


def _wanted(neutral: torch.Tensor, edited: torch.Tensor, coefficients: Sequence[float], layout: str) -> dict[float, int]:
    """The first frame of each coefficient but 0. Raises PairsError for what makes no pairs."""
    if layout not in LAYOUTS:
        raise PairsError(f"There is no layout {layout!r}; choose one of {', '.join(LAYOUTS)}.")
    if len(edited) != len(coefficients):
        raise PairsError(f"{len(edited)} pictures came with {len(coefficients)} coefficients; give one coefficient for each picture.")
    if neutral.shape != edited.shape[1:]:
        raise PairsError(f"The neutral picture is {_size(neutral)} and the others are {_size(edited[0])}; make both of one size.")
    wanted = {round(float(c), 4): i for i, c in reversed(list(enumerate(coefficients))) if round(float(c), 4)}
    if not wanted:
        raise PairsError("Every coefficient is 0, so nothing differs from the neutral picture; give a sweep that moves.")
    return wanted


def _new(plan: Plan, neutral: torch.Tensor, edited: torch.Tensor, wanted: dict[float, int], rows: list[dict[str, Any]]) -> list[Sample]:
    """The pairs of the plan's one face that ``rows`` lack, without pictures that equal the neutral one."""
    (key,), (motion,) = plan.keys, plan.motions
    mine, source = [r for r in rows if r["key"] == key], encoded(neutral, plan.format)
    face = mine[0]["face"] if mine else len({r["face"] for r in rows})
    missing = [c for c in sorted(wanted) if {motion.name: c} not in [r["coefficients"] for r in mine]]
    changed = [(c, picture) for c in missing if (picture := encoded(edited[wanted[c]], plan.format)) != source]
    variants = [(Variant(face, len(mine) + n, ((motion.name, c),)), picture) for n, (c, picture) in enumerate(changed)]
    return [sample_of((motion,), variant, key, plan.split(0), source, picture, {}) for variant, picture in variants]


def _size(picture: torch.Tensor) -> str:
    return f"{picture.shape[-1]} x {picture.shape[-2]} px"


def _markers(store: Store) -> tuple[list[Marker], int]:
    """What was added before, call by call, and the number of the next call: none is written over, though markers be removed."""
    names = [f"{MARKERS}/{name}" for name in store.names(MARKERS)]
    numbers = [int(stem) for name in names if (stem := name.rpartition("/")[2].removesuffix(".json")).isdecimal()]
    found = [(name, store.read(name)) for name in names]
    return [records(raw, store.path(name)) for name, raw in found if raw is not None], max(numbers, default=-1) + 1


def _write(
    store: Store, plan: Plan, layout: str, markers: list[Marker], number: int, samples: list[Sample], motion: dict[str, str]
) -> list[dict[str, Any]]:
    """Write one call's files, then the lists and the card of the whole set; return the rows of all pairs."""
    LAYOUTS[layout].write(plan, store, number, samples)
    new = mark_done(store, number, samples, [], motion=motion)
    rows = [row for marker in markers for row in marker["rows"]] + new
    known = {m["name"]: m for m in (*(marker["motion"] for marker in markers), motion)}
    strengths = {name: tuple(sorted({r["coefficients"][name] for r in rows if name in r["coefficients"]})) for name in known}
    whole = replace(plan, motions=tuple(MotionPlan(name, "", strengths[name]) for name in known))
    LAYOUTS[layout].finish(whole, store, rows)
    store.write("README.md", model_card(_origin(layout, whole, known), rows, []).encode())
    return rows


def _origin(layout: str, plan: Plan, motions: dict[str, dict[str, str]]) -> Origin:
    units = [(m.name, motions[m.name]["unit"], ", ".join(f"{s:g}" for s in m.strengths), motions[m.name]["license"]) for m in plan.motions]
    return Origin(layout, "pictures that were given", "that of these pictures, not stated", units, f"seed {plan.seed}")
