"""Running out of memory is told from other failures, whatever the device."""

from __future__ import annotations

import pytest
import torch
from micromotion.stylegan2.memory import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError(),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, other allocations: 1 MB, max allowed: 9.07 GB)."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    ],
)
def test_every_device_says_so_in_its_way(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("an illegal memory access was encountered"), ValueError("out of memory"), OSError()])
def test_other_failures_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


def test_what_this_machine_raises_is_known():
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
