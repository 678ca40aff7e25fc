"""Whether a pair can be trusted: the intended change is there, little else changed, and it is still the same person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

MEASURABLE = 0.5  # of an instrument's units: motions that change less are not judged by it


class Instrument(Protocol):
    """Reads quantities and identity off pictures ``[N, 3, R, R]`` in -1..1. Never the network that a motion was decoded with."""

    quantities: tuple[str, ...]

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """``[N, Q]``: one column for each of ``quantities``, in units that can be compared; not a number where no face is seen."""
        ...

    def identity(self, images: torch.Tensor) -> torch.Tensor | None:
        """``[N, E]``: vectors whose cosine says how alike two people are. None: it cannot tell people apart."""
        ...

    def meant_by(self, motion: str) -> Mapping[str, float | None]:
        """The quantities that a motion is meant to change, and by how much one unit does; None where the mean face has to tell.

        None at all: the instrument cannot judge this motion, and only identity counts.
        """
        ...


@dataclass(frozen=True)
class Gate:
    """What a pair must reach. ``change``: share of the intended change that must be there; ``leakage``: how large the other changes may
    be beside it (root mean square); ``identity``: lowest cosine. A bound that is None is not looked at."""

    identity: float | None = 0.9
    change: float | None = 0.5
    leakage: float | None = 0.5

    def verdict(self, measures: dict[str, float]) -> str:
        """Why a pair is left out, or an empty string. Where a face was asked for and none was found, any bound leaves the pair out."""
        if measures.get("face", 1.0) < 1 and (self.identity, self.change, self.leakage) != (None, None, None):
            return "no face"
        if self.identity is not None and measures.get("identity", 1.0) < self.identity:
            return "identity"
        if self.change is not None and measures.get("change", 1.0) < self.change:
            return "change"
        if self.leakage is not None and measures.get("leakage", 0.0) > self.leakage:
            return "leakage"
        return ""


def meanings(instrument: Instrument, motions: Sequence[str], response: Callable[[str], torch.Tensor]) -> dict[str, torch.Tensor]:
    """What one unit of each motion is meant to change: ``[Q]`` by motion; 0 for what it should leave alone.

    ``response(motion)`` is what one unit changes on the generator's mean face ``[Q]``; it is asked only where the instrument does not know.
    """
    return {name: _meaning(instrument, instrument.meant_by(name), name, response) for name in motions}


def _meaning(instrument: Instrument, known: Mapping[str, float | None], name: str, response: Callable[[str], torch.Tensor]) -> torch.Tensor:
    meant = torch.zeros(len(instrument.quantities))
    if not known:
        return meant
    measured = response(name) if None in known.values() else meant
    for quantity, amount in known.items():
        i = instrument.quantities.index(quantity)
        meant[i] = measured[i] if amount is None else amount
    return meant if None not in known.values() or float(meant.norm()) >= MEASURABLE else torch.zeros_like(meant)


@torch.no_grad()
def measure(
    instrument: Instrument,
    neutral: torch.Tensor,
    edited: torch.Tensor,
    coefficients: Sequence[tuple[tuple[str, float], ...]],
    meant: Mapping[str, torch.Tensor],
) -> list[dict[str, float]]:
    """What the variants ``edited [V, 3, R, R]`` change in ``neutral [1, 3, R, R]``; ``meant`` is of `meanings`.

    ``identity``: cosine; ``change``: measured over intended change, 1 where they are equal (left out where no motion has a known
    quantity); ``leakage``: root mean square of the other quantities' changes over the intended one; ``face``: 0 where none was found.
    """
    moved = (instrument.read(edited) - instrument.read(neutral)).cpu()
    before, after = instrument.identity(neutral), instrument.identity(edited)
    alike = None if before is None or after is None else torch.cosine_similarity(before, after).cpu()
    found = [_change(change, asked, meant) for change, asked in zip(moved, coefficients)]
    return [f if alike is None else {"identity": round(float(alike[i]), 4), **f} for i, f in enumerate(found)]


def _change(change: torch.Tensor, asked: tuple[tuple[str, float], ...], meant: Mapping[str, torch.Tensor]) -> dict[str, float]:
    if not torch.isfinite(change).all():
        return {"face": 0.0}
    wanted = sum((coefficient * meant[name] for name, coefficient in asked), torch.zeros(len(change)))
    size = float(wanted.norm())
    if not size:
        return {}
    along = float(change @ wanted) / size
    others = change[wanted == 0]
    leak = float(others.square().mean().sqrt()) if len(others) else 0.0
    return {"change": round(along / size, 4), "leakage": round(leak / max(abs(along), 1e-6), 4)}
