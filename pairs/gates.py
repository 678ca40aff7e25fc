"""Whether a pair can be trusted: the intended change is there, little else changed, and it is still the same person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch


class Instrument(Protocol):
    """Reads quantities and identity off pictures ``[N, 3, R, R]`` in -1..1. Never the network that a motion was decoded with."""

    quantities: tuple[str, ...]

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """``[N, Q]``: one column for each of ``quantities``, in the units of a calibrated coefficient."""
        ...

    def identity(self, images: torch.Tensor) -> torch.Tensor:
        """``[N, E]``: vectors whose cosine says how alike two people are."""
        ...

    def quantity_of(self, motion: str) -> tuple[str, float] | None:
        """The quantity that a motion is meant to change, and by how much one unit changes it; None where that is not known."""
        ...


@dataclass(frozen=True)
class Gate:
    """What a pair must reach. ``change``: share of the intended change that must be there; ``leakage``: how large the other changes may
    be beside it (root mean square); ``identity``: lowest cosine. A bound that is None is not looked at."""

    identity: float | None = 0.9
    change: float | None = 0.5
    leakage: float | None = 0.5

    def verdict(self, measures: dict[str, float]) -> str:
        """Why a pair is left out, or an empty string."""
        if self.identity is not None and measures.get("identity", 1.0) < self.identity:
            return "identity"
        if self.change is not None and measures.get("change", 1.0) < self.change:
            return "change"
        if self.leakage is not None and measures.get("leakage", 0.0) > self.leakage:
            return "leakage"
        return ""


@torch.no_grad()
def measure(
    instrument: Instrument, neutral: torch.Tensor, edited: torch.Tensor, coefficients: Sequence[tuple[tuple[str, float], ...]]
) -> list[dict[str, float]]:
    """What the variants ``edited [V, 3, R, R]`` change in ``neutral [1, 3, R, R]``.

    ``identity``: cosine; ``change``: measured over intended change, 1 where they are equal (left out where no motion has a known
    quantity); ``leakage``: root mean square of the other quantities' changes over the intended one.
    """
    before, after = instrument.read(neutral), instrument.read(edited)
    people = torch.cosine_similarity(instrument.identity(neutral), instrument.identity(edited))
    moved = (after - before).cpu()
    return [
        {"identity": round(float(same), 4), **_change(instrument, change, asked)}
        for same, change, asked in zip(people.cpu(), moved, coefficients)
    ]


def _change(instrument: Instrument, change: torch.Tensor, asked: tuple[tuple[str, float], ...]) -> dict[str, float]:
    wanted = torch.zeros(len(instrument.quantities))
    for name, coefficient in asked:
        known = instrument.quantity_of(name)
        if known is not None:
            wanted[instrument.quantities.index(known[0])] += coefficient * known[1]
    size = float(wanted.norm())
    if not size:
        return {}
    along = float(change @ wanted) / size
    others = change[wanted == 0]
    leak = float(others.square().mean().sqrt()) if len(others) else 0.0
    return {"change": round(along / size, 4), "leakage": round(leak / max(abs(along), 1e-6), 4)}
