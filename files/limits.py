"""How large numbers may be, for every door and the library alike: absurd ones are refused before any time or memory is spent."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

from .errors import MicromotionError


@dataclass(frozen=True)
class Limit:
    """The lowest and the highest value of a number, both allowed; ``whole`` ones have no fraction."""

    low: float
    high: float
    whole: bool = False

    def __str__(self) -> str:
        low, high = (f"{int(x)}" if float(x).is_integer() else f"{x:g}" for x in (self.low, self.high))
        return f"a {'whole ' if self.whole else ''}number from {low} to {high}"

    def or_unset(self, value: float) -> Limit:
        """The same with a lowest value that stands for "not given"."""
        return Limit(value, self.high, self.whole)

    def holds(self, value: float) -> bool:
        """Whether a number is within; NaN never is."""
        return self.low <= value <= self.high

    def checked(self, value, what: str, kind: type[MicromotionError] = MicromotionError) -> Any:
        """``value`` as int or float, or ``kind``: one sentence that says ``what`` it is ("The frames are") and what is allowed."""
        number = _whole(value) if self.whole else _real(value)
        if number is None or not self.holds(number):
            raise kind(f"{what} {str(value)[:40]}; give {self}.")
        return number


def counted(text: str) -> int:
    """The whole number that ``text`` writes out in digits, or -1."""
    return int(text) if text.isdecimal() and len(text) < 20 else -1


FRAMES = Limit(1, 100_000, whole=True)
FRAME = Limit(0, 10_000_000, whole=True)  # of a clip, counted from 0
ANCHOR_FRAMES = Limit(3, 100_000, whole=True)  # of a clip that are taken as anchors
HOLD = Limit(0, 100_000, whole=True)
CYCLES = Limit(1, 1000, whole=True)
FPS = Limit(0.1, 240)
SIZE = Limit(16, 4096, whole=True)  # pixels
SQUARE = Limit(1, 8192, whole=True)  # pixels of a square that is cut out of a photo
COEFFICIENT = Limit(-1000, 1000)
FACTOR = Limit(-1000, 1000)  # of a motion
SEED = Limit(0, 2**32 - 1, whole=True)
FACES = Limit(1, 256, whole=True)
INDEX = Limit(0, 255, whole=True)  # of a face in a picture
COMPONENT = Limit(1, 64, whole=True)
RANK = Limit(1, 64, whole=True)
STEPS = Limit(1, 100_000, whole=True)
TRUNCATION = Limit(-2, 2)
SPARSITY = Limit(0.0001, 100)
STRENGTH = Limit(0.001, 1000)  # of one unit of a plain direction, in code space
REACH = Limit(0.01, 100)
CHANGE = Limit(0.0001, 1000)
SMOOTH = Limit(0, 1000)  # frames
LEARNING_RATE = Limit(0.0001, 10)
WEIGHT = Limit(0, 1000)  # of a term of a loss
SHARE = Limit(0, 1)
CROP_SHARE = Limit(0.02, 2)  # of a picture's shorter side
TILT = Limit(-180, 180)  # degrees of arc
MASK_SIZE = Limit(0.1, 3)  # times the shape
CHANGE_SHARE = Limit(0, 100)  # of the change that was asked for
PERCENT = Limit(1, 100, whole=True)
DRAWS = Limit(0, 1000, whole=True)
MANY = Limit(1, 10_000_000, whole=True)
PAIR_FACES = Limit(1, 1_000_000, whole=True)
WORKERS = Limit(1, 1024, whole=True)
SHARD = Limit(1, 10_000, whole=True)  # faces
THREADS = Limit(1, 256, whole=True)
BATCH = Limit(1, 256, whole=True)  # pictures
HALF = Limit(0, 16, whole=True)  # resolutions
VIEWS = Limit(0, 16, whole=True)


def _real(value) -> float | None:
    if isinstance(value, str):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return number if math.isfinite(number) else None


def _whole(value) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        number = _real(value)
        return int(number) if number is not None and number.is_integer() else None
