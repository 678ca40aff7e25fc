"""One worker: makes shards of a job, whatever process it lives in."""

from __future__ import annotations

import json
from typing import Any

from .errors import PairsError
from .job import Job
from .layouts import LAYOUTS
from .samples import Maker, Sample
from .store import Store

MARKERS = ".shards"
PLAN = ".plan.json"


def begin(store: Store, settings: dict[str, Any]) -> None:
    """Begin a set with ``settings``, or see that it was begun with the same. Raises PairsError."""
    if not is_begun(store, settings):
        store.write(PLAN, json.dumps(settings, sort_keys=True).encode())


def is_begun(store: Store, settings: dict[str, Any]) -> bool:
    """Whether there is a set with ``settings``. Raises PairsError where there is one with others."""
    raw = store.read(PLAN)
    if raw is not None and json.loads(raw) != json.loads(json.dumps(settings)):
        raise PairsError(f"{store.out} holds a set that was begun with other settings. Give the same settings to go on, or another folder.")
    return raw is not None


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
