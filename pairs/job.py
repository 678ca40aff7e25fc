"""Everything that a worker needs to make any shard of a set by itself: small, and picklable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .gates import Gate, Instrument
from .plan import Plan


@dataclass(frozen=True)
class Job:
    """A plan, where it is written (``out``, a folder or an address) and in which ``layout``.

    ``instrument`` makes what the pairs are measured with (None: nothing is measured, and every pair stays), and ``gate`` says which of
    them stay. ``device``: where to compute.
    """

    plan: Plan
    out: str
    layout: str = "pairs"
    instrument: Callable[[], Instrument] | None = None
    gate: Gate = Gate()
    device: str = "cpu"
