"""Layer masks: which rows of a W+ code a motion may touch."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import torch

from ..files.limits import Limit
from .errors import SubspaceError

LAYER = Limit(0, 99, whole=True)
MOST, DIGITS = 1000, 10  # of numbers, and of digits of one
BANDS = {"all": (0, None), "coarse": (0, 4), "middle": (4, 8), "fine": (8, None)}


def parse_layers(layers: str | Iterable[int] | None, num_layers: int) -> tuple[int, ...]:
    """Rows of a code, counted from 0, sorted.

    ``layers`` is None or ``"all"``, a band (``"coarse"``: 4 and 8 px, rows 0 to 3; ``"middle"``: 16 and 32 px, rows 4 to 7; ``"fine"``:
    the rest), numbers and ranges (``"0-3, 7"``), several of these with commas, or a sequence of numbers.
    """
    if layers is None:
        return tuple(range(num_layers))
    chosen = _parse_text(layers, num_layers) if isinstance(layers, str) else _whole_numbers(layers)
    if not chosen or min(chosen) < 0 or max(chosen) >= num_layers:
        raise SubspaceError(
            f"The layers {str(layers)[:60]!r} are not among the {num_layers} of this generator; they count from 0 to {num_layers - 1}."
        )
    return tuple(sorted(chosen))


def layer_mask(layers: Iterable[int], num_layers: int) -> torch.Tensor:
    """``[L, 1]`` of ones at ``layers`` and zeros elsewhere."""
    mask = torch.zeros(num_layers, 1)
    mask[list(layers)] = 1
    return mask


def _whole_numbers(layers: Iterable[int]) -> set[int]:
    try:
        chosen = list(islice(layers, MOST + 1))
    except TypeError:
        raise SubspaceError(f"The layers are {str(layers)[:40]}; write {', '.join(BANDS)}, or numbers such as 0-3, 7.") from None
    if len(chosen) > MOST:
        raise SubspaceError(f"More than {MOST} layers are named; no generator has as many.")
    return {LAYER.checked(i, "A layer is", SubspaceError) for i in chosen}


def _parse_text(text: str, num_layers: int) -> set[int]:
    chosen: set[int] = set()
    for part in filter(None, (p.strip().lower() for p in text.split(","))):
        if part in BANDS:
            first, last = BANDS[part]
            chosen.update(range(num_layers)[first:last])
            continue
        ends = [end.strip() for end in part.split("-")]
        if len(ends) > 2 or not all(end.isdecimal() and len(end) < DIGITS for end in ends):
            raise SubspaceError(f"{part[:40]!r} names no layers; write {', '.join(BANDS)}, or numbers such as 0-3, 7.")
        if int(ends[0]) > int(ends[-1]):
            raise SubspaceError(f"{part!r} counts down; write the smaller layer first.")
        chosen.update((int(ends[0]), *range(int(ends[0]), min(int(ends[-1]), num_layers) + 1)))
    return chosen
