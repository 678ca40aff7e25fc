"""The CUDA kernels, compiled by an ordinary C++ compiler and run on the CPU behind `shim.cpp`."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from micromotion.stylegan2.ops import backend, cuda

SHIM = Path(__file__).with_name("shim.cpp")


class ShimKernels:
    """Stands in for `nvrtc.Kernels`: the same calls, the same argument values, on CPU pointers."""

    def __init__(self, folder: Path, source: str, storage: int):
        compiler = shutil.which("g++") or shutil.which("clang++")
        if not compiler:
            pytest.skip("no C++ compiler (g++ or clang++) to run the kernels with")
        kernels, library = folder / f"kernels{storage}.cu", folder / f"kernels{storage}.so"
        kernels.write_text(source)
        half = ["-mf16c"] if platform.machine() in ("x86_64", "AMD64") else []
        flags = ["-O2", "-shared", "-fPIC", "-std=c++17", "-ffp-contract=off", *half]
        subprocess.run([compiler, *flags, f'-DKERNELS="{kernels}"', f"-DSTORAGE={storage}", str(SHIM), "-o", str(library)], check=True)
        self.library = ctypes.CDLL(str(library))
        self.launched: list[str] = []

    def launch(self, name, grid, threads, args):
        self.launched.append(name)
        pointers = (ctypes.c_void_p * len(args))(*(ctypes.addressof(a) for a in args))
        getattr(self.library, f"run_{name}")((ctypes.c_uint * 3)(*grid), threads, pointers)


@pytest.fixture(scope="session")
def compiled_shims(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    return {dtype: ShimKernels(folder, cuda.source(), storage) for dtype, storage in cuda.STORAGE.items()}


@pytest.fixture
def shim(compiled_shims, monkeypatch):
    """Run the cuda backend on CPU tensors; gives the kernels by dtype, with the names they were launched by."""
    monkeypatch.setattr(cuda, "_kernels", {(torch.device("cpu"), dtype): k for dtype, k in compiled_shims.items()})
    monkeypatch.setattr(backend, "why_not_cuda", lambda device, dtype: "" if dtype in cuda.STORAGE else "no kernels")
    for kernels in compiled_shims.values():
        kernels.launched.clear()
    return compiled_shims
