"""Run a job: shard by shard in this process, or over the machines of a Ray cluster. The bytes are the same.

A shard is done when its marker (``.shards/000012.json``, its rows) is there; it is written last. So a job that was killed goes on
where it stopped: no pair is lost, and none is made twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .card import model_card, origin_of, quality_page
from .cluster import connected, spread
from .errors import PairsError
from .job import Job
from .layouts import LAYOUTS
from .samples import Maker, shown
from .store import Store
from .work import MARKERS, Worker, begin, marker, records

Progress = Callable[[int, int], None]  # (shards done, shards)


@dataclass(frozen=True)
class Summary:
    """What a finished set holds: pairs kept by split, and pairs left out by reason."""

    kept: dict[str, int]
    left: dict[str, int]

    def __str__(self) -> str:
        kept = ", ".join(f"{n:,} {split}" for split, n in self.kept.items()) or "none"
        left = ", ".join(f"{n:,} {reason}" for reason, n in sorted(self.left.items()))
        return f"pairs: {kept}" + (f"; left out: {left}" if left else "")


def make(job: Job, *, ray: str | None = None, workers: int | None = None, progress: Progress | None = None) -> Summary:
    """Make the set of ``job``, or what is missing of it, and return what it holds.

    ``ray``: None runs in this process; "local" starts Ray on this machine, any other text is the address of a cluster. ``workers``:
    how many processes (None: one for each GPU, or for each core). ``progress(done, shards)`` may raise to cancel. Raises PairsError,
    and the errors of the library for files that do not fit.
    """
    if job.layout not in LAYOUTS:
        raise PairsError(f"There is no layout {job.layout!r}; choose one of {', '.join(LAYOUTS)}.")
    store = Store(job.out)
    if ray is not None:
        connected(ray)  # before anything is written
    maker = _begin(job, store)
    done = {name.removesuffix(".json") for name in store.names(MARKERS)}
    missing = [s for s in range(job.plan.shards) if f"{s:06}" not in done]
    if missing:
        items = [{"shard": s} for s in missing]
        made = spread(Worker, (job, None if ray else maker), items, ray=ray, workers=workers, threads=job.plan.threads)
        for count, _ in enumerate(made, job.plan.shards - len(missing) + 1):
            if progress is not None:
                progress(count, job.plan.shards)
    return _conclude(job, store, maker)


def _begin(job: Job, store: Store) -> Maker:
    """Check the job against the folder and its own files before any work: a set is gone on with by its own plan and files alone."""
    maker = Maker(job)
    found = maker.found()  # a motion of another generator, a file that is missing, or a face that cannot be measured ends here
    begin(store, {"fingerprint": job.plan.fingerprint, "layout": job.layout, "gate": asdict(job.gate), "found": found})
    return maker


@dataclass(frozen=True)
class _Marked:
    """What the markers of all shards say, read anew each time it is gone through, so that a set of any size takes little memory."""

    store: Store
    shards: int
    part: str  # "rows" or "left"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for shard in range(self.shards):
            raw = self.store.read(marker(shard))
            if raw is None:
                raise PairsError(f"Shard {shard} of {self.store.out} is missing; run the same command again.")
            yield from records(raw, self.store.path(marker(shard)))[self.part]


def _conclude(job: Job, store: Store, maker: Maker) -> Summary:
    """Write the lists, the card and the quality page over all shards."""
    rows = _Marked(store, job.plan.shards, "rows")
    left = [{"key": shown(key), "reason": "duplicate", "detail": f"the same as {shown(other)}"} for key, other in job.repeats]
    left += _Marked(store, job.plan.shards, "left")
    LAYOUTS[job.layout].finish(job.plan, store, rows)
    store.write("left_out.jsonl", "".join(json.dumps(r, sort_keys=True) + "\n" for r in left).encode())
    store.write("README.md", model_card(origin_of(job, maker.generator, maker.motions), rows, left).encode())
    store.write("quality.html", quality_page(rows, left).encode())
    return Summary(_counts(rows, "split"), _counts(left, "reason"))


def _counts(rows: Iterable[dict[str, Any]], key: str) -> dict[str, int]:
    return dict(sorted(Counter(r[key] for r in rows).items(), reverse=True))
