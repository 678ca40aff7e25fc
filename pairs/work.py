"""One worker: makes shards of a job, whatever process it lives in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..files import native
from .errors import PairsError
from .job import Job
from .layouts import LAYOUTS
from .samples import Maker, Sample
from .store import Store

MARKERS = ".shards"
PLAN = ".plan.json"
AGAIN = "Copy it again; or remove it, and the pairs that it lists are made again."


def _amounts(value: Any) -> dict[str, float]:
    return {native.text(k): native.number(v) for k, v in native.mapping(value).items()}


Fields = dict[str, Callable[[Any], Any]]
TEXTS = ("name", "split", "key", "instruction", "caption")
ROW: Fields = {**{name: native.text for name in TEXTS}, "face": native.integer, "coefficients": _amounts}
OF_MOTION: Fields = {name: native.text for name in ("name", "unit", "license")}


def begin(store: Store, settings: dict[str, Any]) -> None:
    """Begin a set with ``settings``, or see that it was begun with the same. Raises PairsError."""
    if not is_begun(store, settings):
        if not store.is_free():
            raise PairsError(f"{store.out} holds files that are not a set of pairs; give a new folder, or an empty one.")
        store.write(PLAN, json.dumps(settings, sort_keys=True).encode())


def is_begun(store: Store, settings: dict[str, Any]) -> bool:
    """Whether there is a set with ``settings``. Raises PairsError where there is one with others."""
    raw = store.read(PLAN)
    if raw is not None and _parsed(raw, store.path(PLAN)) != json.loads(json.dumps(settings)):
        raise PairsError(f"{store.out} holds a set that was begun with other settings. Give the same settings to go on, or another folder.")
    return raw is not None


def records(raw: bytes, name: str) -> dict[str, Any]:
    """What the marker ``name`` of a shard says: its "rows", what was "left" out, and its "motion". Raises PairsError."""
    found = _parsed(raw, name)
    try:
        for row in found["rows"]:
            _check(row, ROW)
        for row in found["left"]:
            _check(row, {"reason": native.text})
        for row in (*found["rows"], *found["left"]):
            _amounts(row.get("measures", {}))
        if "motion" in found:
            _check(found["motion"], OF_MOTION)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise PairsError(f"{name} is damaged. {AGAIN}") from error
    return found


def _check(row: dict[str, Any], fields: Fields) -> None:
    """Whether a row has these fields, as they should be: TypeError and KeyError pass."""
    for key, check in fields.items():
        check(row[key])


def _parsed(raw: bytes, name: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise PairsError(f"{name} is damaged. {AGAIN}") from error


class Worker:
    """Makes shards; one of these lives in each process, so that models are loaded once."""

    def __init__(self, job: Job, maker: Maker | None = None):
        self.job, self.maker, self.store = job, maker or Maker(job), Store(job.out)

    def __call__(self, item: dict[str, int]) -> dict[str, int]:
        """Make the shard ``item["shard"]`` unless it is there; Ray calls this with rows of its own."""
        shard = int(item["shard"])
        if self.store.read(marker(shard)) is None:
            self._make(shard)
        return {"shard": shard}

    def _make(self, shard: int) -> None:
        kept, left = [], []
        for face in self.job.plan.faces_of(shard):
            samples, refused = self.maker.make(face)
            kept += samples
            left += refused
        LAYOUTS[self.job.layout].write(self.job.plan, self.store, shard, kept)
        mark_done(self.store, shard, kept, left)


def mark_done(store: Store, shard: int, kept: list[Sample], left: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    """Write the marker of a shard, which is written last, with ``more`` that is known of it; return the rows of its pairs."""
    rows = [{**s.row, "split": s.split} for s in kept]
    store.write(marker(shard), json.dumps({"rows": rows, "left": left, **more}, sort_keys=True).encode())
    return rows


def marker(shard: int) -> str:
    """The name of the file that says that a shard is done."""
    return f"{MARKERS}/{shard:06}.json"
