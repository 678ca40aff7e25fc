"""The inert values that a file is read into: nothing here is made of a class that the file names."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .errors import DamagedFileError

MAX_DIMENSIONS = 8


class Blob:
    """Bytes that stay in the mapped file until they are asked for.

    Protocol 2 writes bytes as text; such a run is kept as the UTF-8 it is stored in and re-encoded as latin-1 on demand.
    """

    __slots__ = ("_view", "text")

    def __init__(self, view: memoryview, text: bool = False):
        self._view, self.text = view, text

    def view(self) -> memoryview:
        if not self.text:
            return self._view
        try:
            return memoryview(str(self._view, "utf-8", "surrogatepass").encode("latin-1"))
        except UnicodeError as e:
            raise DamagedFileError("The file holds bytes that are not in the encoding it declares; it is damaged.") from e

    def __len__(self) -> int:
        return len(self._view)


@dataclass(eq=False)
class Storage:
    """A run of numbers of one type; ``blob`` is filled in later where a format keeps the numbers after the tree."""

    dtype: torch.dtype | None
    count: int
    blob: Blob | None = None
    start: int = 0

    @property
    def itemsize(self) -> int:
        return 1 if self.dtype is None else self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class TensorRef:
    """A tensor that is still in the file: bounds are checked here, bytes are read by :meth:`load`."""

    storage: Storage
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0
    swap: bool = False

    def __post_init__(self):
        sizes = (*self.shape, *self.stride, self.offset)
        if len(self.shape) != len(self.stride) or len(self.shape) > MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in sizes):
            raise DamagedFileError("The file describes a tensor whose shape makes no sense; it is damaged.")
        if self.numel > max(self.capacity, 1 << 20) or self.offset + self._extent() > self.capacity:
            raise DamagedFileError(
                f"The file describes a tensor of shape {list(self.shape)[:8]} but does not hold its numbers; it is damaged."
            )

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def capacity(self) -> int:
        return self.storage.count * self.storage.itemsize // self.dtype.itemsize

    def _extent(self) -> int:
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride)) if self.numel else 0

    def load(self) -> torch.Tensor:
        """Return the tensor: a view of the mapped file where alignment allows, else a copy. Never write to it."""
        if not self.numel:
            return torch.empty(self.shape, dtype=self.dtype)
        if self.storage.blob is None:
            raise DamagedFileError("The file ends before the numbers of one of its tensors; it is truncated.")
        size = self.dtype.itemsize
        first = self.storage.start + self.offset * size
        run = np.frombuffer(self.storage.blob.view(), np.uint8)[first : first + self._extent() * size]
        if len(run) < self._extent() * size:
            raise DamagedFileError("The file ends before the numbers of one of its tensors; it is truncated.")
        if self.swap:
            run = run.reshape(-1, size)[:, ::-1].reshape(-1)
        if run.ctypes.data % size or not run.flags.writeable:
            run = run.copy()
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
    """A numpy array under construction; it becomes a :class:`TensorRef` when its state arrives."""

    ref: TensorRef | None = None


@dataclass(eq=False)
class Dtype:
    """A numpy dtype: a letter, a width, a byte order."""

    code: str
    order: str = "<"
