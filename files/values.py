"""The inert values that a file is read into: nothing here is made of a class that the file names."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from .errors import DamagedFileError

MAX_DIMENSIONS = 8
EXPANDED = 1 << 16  # numbers that a tensor may repeat without storing them
MAX_EMPTY = 1 << 40  # product of the other sides of a tensor without numbers


class Blob:
    """Bytes that stay in the mapped file until they are asked for.

    Protocol 2 writes bytes as text; such a run is kept as the UTF-8 it is stored in and re-encoded as latin-1 on demand.
    A zip archive aligns its records (``aligned``), so that they can be used in place, and keeps a checksum of each (``crc``; 0: none).
    """

    __slots__ = ("_arrays", "_crc", "_run", "aligned", "text", "unwrapped")

    def __init__(self, run: memoryview, text: bool = False, *, aligned: bool = False, crc: int = 0):
        self._run, self.text, self.aligned, self._crc = run, text, aligned, crc
        self.unwrapped: Any = None
        self._arrays: dict[int, np.ndarray] = {}

    def view(self) -> memoryview:
        """The bytes; raises DamagedFileError where they do not fit their checksum."""
        if self._crc and zlib.crc32(self._run) != self._crc:
            raise DamagedFileError("A part of the file does not fit its checksum; the file is damaged. Download it again.")
        self._crc = 0
        if not self.text:
            return self._run
        try:
            return memoryview(str(self._run, "utf-8", "surrogatepass").encode("latin-1"))
        except UnicodeError as e:
            raise DamagedFileError("The file holds bytes that are not in the encoding it declares; it is damaged.") from e

    def numbers(self, start: int = 0) -> np.ndarray:
        """The bytes from ``start`` on, aligned: the mapped file itself in an archive, else one copy, however many tensors share it."""
        if start not in self._arrays:
            run = np.frombuffer(self.view(), np.uint8)[start:]
            self._arrays[start] = run if self.aligned and run.ctypes.data % 8 == 0 else run.copy()
        return self._arrays[start]

    def string(self) -> str:
        """The text, where it is text."""
        return str(self._run, "utf-8", "replace")

    def __len__(self) -> int:
        return len(self._run)


@dataclass(eq=False)
class Storage:
    """A run of numbers of one type; ``blob`` is filled in later where a format keeps the numbers after the tree."""

    dtype: torch.dtype | None
    count: int
    blob: Blob | None = None
    start: int = 0
    swap: bool = False

    @property
    def itemsize(self) -> int:
        return 1 if self.dtype is None else self.dtype.itemsize

    @cached_property
    def bytes(self) -> np.ndarray:
        """The numbers' bytes, aligned and in this machine's order: the mapped file itself in an archive, else one copy."""
        size = self.count * self.itemsize
        run = np.empty(0, np.uint8) if self.blob is None else self.blob.numbers(self.start)[:size]
        if len(run) < size:
            raise DamagedFileError("The file ends before the numbers of one of its tensors; it is truncated. Download it again.")
        return run.reshape(-1, self.itemsize)[:, ::-1].reshape(-1) if self.swap else run


@dataclass(frozen=True, eq=False)
class TensorRef:
    """A tensor that is still in the file: bounds are checked here, bytes are read by :meth:`load`."""

    storage: Storage
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0

    def __post_init__(self):
        sizes = (*self.shape[: MAX_DIMENSIONS + 1], *self.stride[: MAX_DIMENSIONS + 1], self.offset)
        if len(self.shape) != len(self.stride) or len(self.shape) > MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in sizes):
            raise DamagedFileError("The file describes a tensor whose shape makes no sense; it is damaged.")
        room = max(self.capacity, EXPANDED)
        if math.prod(n for n in self.shape if n) > (room if self.numel else MAX_EMPTY) or self.offset + self._extent() > self.capacity:
            raise DamagedFileError(
                f"The file describes a tensor of shape {list(self.shape)[:8]} but does not hold its numbers; it is damaged."
            )

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes that the tensor takes once it is copied."""
        return self.numel * self.dtype.itemsize

    @property
    def capacity(self) -> int:
        return self.storage.count * self.storage.itemsize // self.dtype.itemsize

    def _extent(self) -> int:
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride)) if self.numel else 0

    def load(self) -> torch.Tensor:
        """Return the tensor: a view of the mapped file where alignment allows, else a copy. Never write to it."""
        if not self.numel:
            return torch.empty(self.shape, dtype=self.dtype)
        size = self.dtype.itemsize
        run = self.storage.bytes[self.offset * size : (self.offset + self._extent()) * size]
        return torch.from_numpy(run).view(self.dtype).as_strided(self.shape, self.stride)


@dataclass(frozen=True, eq=False)
class Global:
    """A name that the file mentions and that stands for plain data."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Instance:
    """What is left of an object: the name of its class, its arguments and its attributes."""

    module: str
    name: str
    args: tuple = ()
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Array:
    """A numpy array under construction; it becomes a :class:`TensorRef`, or a list of plain values, when its state arrives."""

    ref: TensorRef | None = None
    items: list[Any] | None = None
    shape: tuple[int, ...] = ()


@dataclass(eq=False)
class Dtype:
    """A numpy dtype: a letter, a width, a byte order."""

    code: str
    order: str = "<"
