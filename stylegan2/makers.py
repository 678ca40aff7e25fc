"""Which generator codes were made with, remembered beside the tensors themselves: codes stay plain tensors on their way."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

_makers: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def made_by(codes: torch.Tensor, generator: Any) -> torch.Tensor:
    """Remember that ``codes`` are of ``generator``, for as long as both exist, or of the one with this fingerprint; returns the codes."""
    if generator:
        _makers[codes] = generator if isinstance(generator, str) else weakref.ref(generator)
    return codes


def like(codes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Remember that ``codes`` are of the same generator as ``others``, where that is known; returns the codes."""
    if (found := _makers.get(others)) is not None:
        _makers[codes] = found
    return codes


def fingerprint_of(codes: torch.Tensor) -> str:
    """The fingerprint of the generator that codes were made with, empty where it is not known or gone."""
    found = _makers.get(codes)
    if found is None or isinstance(found, str):
        return found or ""
    generator = found()
    return "" if generator is None else generator.fingerprint
