"""Run a job: shard by shard in this process, or over the machines of a Ray cluster. The bytes are the same.

A shard is done when its marker (``.shards/000012.json``, its rows) is there; it is written last. So a job that was killed goes on
where it stopped: no pair is lost, and none is made twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .card import model_card, quality_page
from .cluster import over_ray
from .errors import PairsError
from .job import Job
from .layouts import LAYOUTS
from .samples import Maker
from .store import Store
from .work import MARKERS, Worker, marker

PLAN = ".plan.json"
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
    _begin(job, store)
    done = {name.removesuffix(".json") for name in store.names(MARKERS)}
    missing = [s for s in range(job.plan.shards) if f"{s:06}" not in done]
    if missing:
        made = over_ray(job, missing, ray, workers) if ray is not None else map(Worker(job), ({"shard": s} for s in missing))
        _finish_all(made, job, len(missing), progress)
    return _conclude(job, store)


def _begin(job: Job, store: Store) -> None:
    """Check the job against the folder and its own files before any work: a set is gone on with by its own plan alone."""
    wanted = {"fingerprint": job.plan.fingerprint, "layout": job.layout, "gate": asdict(job.gate)}
    raw = store.read(PLAN)
    if raw is None:
        _ = Maker(job).motions  # a motion of another generator, or a file that is missing, ends here
        store.write(PLAN, json.dumps(wanted, sort_keys=True).encode())
    elif json.loads(raw) != wanted:
        raise PairsError(f"{job.out} holds a set that was begun with other settings. Give the same settings to go on, or another folder.")


def _finish_all(finished: Iterable[dict[str, int]], job: Job, missing: int, progress: Progress | None) -> None:
    total = job.plan.shards
    for count, _ in enumerate(finished, total - missing + 1):
        if progress is not None:
            progress(count, total)


def _rows(job: Job, store: Store) -> Iterator[dict[str, Any]]:
    for shard in range(job.plan.shards):
        raw = store.read(marker(shard))
        if raw is None:
            raise PairsError(f"Shard {shard} of {job.out} is missing; run the same command again.")
        yield json.loads(raw)


def _conclude(job: Job, store: Store) -> Summary:
    """Write the lists, the card and the quality page over all shards."""
    rows: list[dict[str, Any]] = []
    left: list[dict[str, Any]] = []
    for found in _rows(job, store):
        rows += found["rows"]
        left += found["left"]
    LAYOUTS[job.layout].finish(job.plan, store, rows)
    summary = Summary(_counts(rows, "split"), _counts(left, "reason"))
    store.write("left_out.jsonl", "".join(json.dumps(r, sort_keys=True) + "\n" for r in left).encode())
    store.write("README.md", model_card(job, rows, left).encode())
    store.write("quality.html", quality_page(rows, left).encode())
    return summary


def _counts(rows: list[dict[str, Any]], key: str) -> dict[str, int]:
    names = sorted({r[key] for r in rows}, reverse=True)
    return {name: sum(r[key] == name for r in rows) for name in names}
