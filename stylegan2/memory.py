"""Running out of memory, told from every other failure."""

from __future__ import annotations

import torch

SAID = ("out of memory", "can't allocate memory", "not enough memory")  # by MPS, by CPUs on Linux and macOS, on Windows


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whatever device. Where PyTorch has no class for it, a plain RuntimeError says so in its text."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return type(error) is RuntimeError and any(words in str(error) for words in SAID)
