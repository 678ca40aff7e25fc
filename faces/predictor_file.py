"""dlib's landmark file, walked through before dlib sees it: dlib takes its numbers on trust, and a wrong one ends the process."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable
from pathlib import Path

from ..files import catalog, strangers
from ..files.budget import border
from ..files.download import hash_file
from .errors import FaceError

log = logging.getLogger(__name__)

POINTS = 68
WIDE, NARROW = 8, 2  # bytes of a size and of a floating point number's mantissa; of its exponent


class _UnsoundError(FaceError):
    """What is wrong, for the sentence of `check_predictor`."""


def check_predictor(path: str | Path) -> None:
    """Raise FaceError unless ``path`` is a sound shape predictor of 68 points; the published file is known by its hash."""
    path = Path(path)
    with border(path.name, FaceError):
        if hash_file(path) == catalog.find("landmarks").sha256:
            return
        log.info("%s is not the file that dlib publishes; looking through it first.", path)
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                _Walk(data).predictor()
            except (_UnsoundError, IndexError) as error:
                what = strangers.kind(data[:512], data[257:262])
                if what != strangers.UNKNOWN:
                    raise FaceError(f"The landmark file {path} is {what}.") from error
                why = f"it is damaged or not dlib's {POINTS}-point file"
                raise FaceError(f"The landmark file {path} cannot be read ({error}): {why}. Copy or download it again.") from error


class _Walk:
    """dlib's serialization (serialize.h): whole numbers as a byte of sign and length and that many bytes; a float as two of them."""

    def __init__(self, data: mmap.mmap):
        self.data, self.at, self.needed = data, 0, 0

    def number(self, width: int = WIDE) -> int:
        control = self.data[self.at]
        length = control & 0x0F
        if not 1 <= length <= width or control & 0x70:
            raise _UnsoundError(f"no number at byte {self.at}")
        start = self.at + 1
        self.at = start + length
        if self.at > len(self.data):
            raise _UnsoundError("it ends too early")
        value = int.from_bytes(self.data[start : self.at], "little")
        return -value if control & 0x80 else value

    def floats(self, count: int) -> None:
        for _ in range(count):
            self.number()
            self.number(NARROW)

    def count(self, right: int | None = None) -> int:
        """How many items follow: each takes two bytes at least."""
        found = self.number()
        if not 0 <= found <= (len(self.data) - self.at) // 2 or right not in (None, found):
            raise _UnsoundError(f"{found} items where {'other' if right is None else right} belong")
        return found

    def column(self, length: int) -> None:
        """A matrix of one column; newer versions write its sides as negative numbers."""
        if (abs(self.number()), abs(self.number())) != (length, 1):
            raise _UnsoundError("a column of another length")
        self.floats(length)

    def items(self, read: Callable[[], None], right: int | None = None) -> int:
        count = self.count(right)
        for _ in range(count):
            read()
        return count

    def predictor(self) -> None:
        """Version, mean shape, cascades of forests of trees, and for each cascade the pixels that its trees compare."""
        if self.number(4) != 1:
            raise _UnsoundError("another version")
        self.column(2 * POINTS)
        needed = [self.forest() for _ in range(self.count())]
        pixels = [self.items(self.anchor) for _ in range(self.count(len(needed)))]
        if any(n > found for n, found in zip(needed, pixels)):
            raise _UnsoundError("a tree compares a pixel that does not exist")
        for found in pixels[: self.count(len(pixels))]:
            self.items(lambda: self.floats(2), found)
        if self.at != len(self.data):
            raise _UnsoundError("more bytes than a predictor has")

    def forest(self) -> int:
        """How many pixels the trees of one cascade need."""
        self.needed = 0
        self.items(self.tree)
        return self.needed

    def tree(self) -> None:
        splits = self.items(self.split)
        self.items(lambda: self.column(2 * POINTS), splits + 1)

    def split(self) -> None:
        first, second = self.number(), self.number()
        if min(first, second) < 0:
            raise _UnsoundError("a pixel before the first")
        self.needed = max(self.needed, first + 1, second + 1)
        self.floats(1)

    def anchor(self) -> None:
        if not 0 <= self.number() < POINTS:
            raise _UnsoundError("a pixel at a point that does not exist")
