"""Faces that come twice: one would be counted as two, and might lie on both sides of the split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ..files.errors import MicromotionError
from ..media import read_image

SIDE = 16  # a picture's print is its 16 x 16 gray spots
ALIKE = 2.0  # of 255: the mean difference up to which prints are of one picture in another size or compression


def repeated_photos(paths: Sequence[str | Path]) -> dict[str, str]:
    """The pictures that are copies of an earlier one, and of which: in another size or format too. Unreadable ones are passed by."""
    prints = np.empty((len(paths), SIDE * SIDE), np.float32)
    known: list[str] = []  # whose prints come first, in this order
    found: dict[str, str] = {}
    for path in map(str, paths):
        mine = _print(path)
        if mine is None:
            continue
        apart = np.abs(prints[: len(known)] - mine).mean(1)
        if known and apart.min() <= ALIKE:
            found[path] = known[int(apart.argmin())]
        else:
            prints[len(known)] = mine
            known.append(path)
    return found


def repeated_codes(codes: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """The keys whose code ``[L, D]`` equals an earlier one's, and which."""
    first: dict[bytes, str] = {}
    return {key: earlier for key, code in codes.items() if (earlier := first.setdefault(code.numpy().tobytes(), key)) != key}


def _print(path: str) -> np.ndarray | None:
    """The spots ``[256]``, 0..255; None for what cannot be read."""
    try:
        gray = (read_image(Path(path)).mean(1, keepdim=True) + 1) * 127.5
    except (MicromotionError, OSError):
        return None
    return torch.nn.functional.adaptive_avg_pool2d(gray, SIDE).flatten().numpy()
