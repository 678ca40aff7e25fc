"""Which generator codes were made with, remembered beside the tensors themselves: codes stay plain tensors on their way."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

_makers: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def made_by(codes: torch.Tensor, generator: Any) -> torch.Tensor:
    """Remember that ``codes`` are of ``generator``, for as long as both exist; returns the codes."""
    if generator is not None:
        _makers[codes] = weakref.ref(generator)
    return codes


def maker(codes: torch.Tensor) -> Any | None:
    """The generator that codes were made with, where it is known and still there."""
    found = _makers.get(codes)
    return None if found is None else found()
