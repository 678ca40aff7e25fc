"""Pairs out of pictures that are there already: one face and its variants, added to a set that grows from call to call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch

from ..media import to_bytes
from .errors import PairsError
from .layouts import LAYOUTS
from .plan import MotionPlan, Plan, Variant
from .samples import Sample, encoded, sample_of
from .store import Store
from .work import MARKERS, mark_done


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
) -> int:
    """Add the pairs (``neutral [3, H, W]``, each of ``edited [F, 3, H, W]``), in -1..1, moved by ``coefficients [F]``; return how many.

    Frames at coefficient 0 are the neutral picture itself and are left out, and so are coefficients that come again. The same face
    and strengths are added once: a second call adds nothing. Raises PairsError.
    """
    if layout not in LAYOUTS:
        raise PairsError(f"There is no layout {layout!r}; choose one of {', '.join(LAYOUTS)}.")
    if len(edited) != len(coefficients):
        raise PairsError(f"{len(edited)} pictures came with {len(coefficients)} coefficients; give one coefficient for each picture.")
    if neutral.shape != edited.shape[1:]:
        raise PairsError(f"The neutral picture is {_size(neutral)} and the others are {_size(edited[0])}; make both of one size.")
    wanted = {round(float(c), 4): i for i, c in reversed(list(enumerate(coefficients))) if round(float(c), 4)}
    if not wanted:
        raise PairsError("Every coefficient is 0, so nothing differs from the neutral picture; give a sweep that moves.")
    store, source = Store(out), encoded(neutral, form)
    key = hashlib.sha256(to_bytes(neutral[None]).tobytes()).hexdigest()[:16]
    rows = _known(store)
    done = {(r["key"], tuple(r["coefficients"].items())) for r in rows}
    new = [c for c in sorted(wanted) if (key, ((motion.name, c),)) not in done]
    if not new:
        return 0
    face, taken = _face(rows, key)
    motion = MotionPlan(**{**vars(motion), "strengths": tuple(sorted({*new, *(c for r in rows for c in r["coefficients"].values())}))})
    plan = Plan("code", (key,), (motion,), format=form, test=test, seed=seed)
    moves = [(c, Variant(face, taken + n, ((motion.name, c),))) for n, c in enumerate(new)]
    samples = [sample_of((motion,), v, key, plan.split(0), source, encoded(edited[wanted[c]], form), {}) for c, v in moves]
    _write(store, plan, layout, rows, samples)
    return len(samples)


def _size(picture: torch.Tensor) -> str:
    return f"{picture.shape[-1]} x {picture.shape[-2]} px"


def _known(store: Store) -> list[dict[str, Any]]:
    """The rows of everything that was added before."""
    found = (store.read(f"{MARKERS}/{name}") for name in store.names(MARKERS))
    return [row for raw in found if raw is not None for row in json.loads(raw)["rows"]]


def _face(rows: list[dict[str, Any]], key: str) -> tuple[int, int]:
    """The number of a face in the set, and how many pairs of it are there."""
    mine = [r for r in rows if r["key"] == key]
    return (mine[0]["face"] if mine else len({r["face"] for r in rows})), len(mine)


def _write(store: Store, plan: Plan, layout: str, rows: list[dict[str, Any]], samples: list[Sample]) -> None:
    shard = len(store.names(MARKERS))
    LAYOUTS[layout].write(plan, store, shard, samples)
    LAYOUTS[layout].finish(plan, store, rows + mark_done(store, shard, samples, []))
