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
    them stay. ``device``: where to compute; "auto" is each worker's GPU, if it has one. ``license``: of the generator, for the card.
    ``folders``: where dlib's landmark file may lie, for photos (see `faces.detect`).
    ``repeats``: faces that are copies of others and were left out of the plan, each with the face that it repeats.
    """

    plan: Plan
    out: str
    layout: str = "pairs"
    instrument: Callable[[], Instrument] | None = None
    gate: Gate = Gate()
    device: str = "cpu"
    license: str = ""
    folders: tuple[str, ...] = ()
    repeats: tuple[tuple[str, str], ...] = ()
