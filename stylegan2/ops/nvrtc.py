"""CUDA source -> running kernels, with nothing but what torch ships: NVRTC compiles, the driver launches, both through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import torch

log = logging.getLogger(__name__)
CACHE_VARIABLE = "MICROMOTION_CACHE"
WINDOWS = sys.platform == "win32"


class KernelError(RuntimeError):
    """NVRTC or the driver is missing, or refused something."""


def library_candidates() -> Iterator[str]:
    """Where NVRTC may be: beside torch, in NVIDIA's wheels, in a toolkit, then wherever the system looks. Newest version first."""
    major = (torch.version.cuda or "0").split(".")[0]
    torch_home = Path(torch.__file__).parent
    toolkit = Path(os.environ.get("CUDA_PATH") or os.environ.get("CUDA_HOME") or "/usr/local/cuda")
    places = [torch_home / "lib", *sorted((torch_home.parent / "nvidia").glob("*"), reverse=True), toolkit]
    pattern = "nvrtc64_*.dll" if WINDOWS else "libnvrtc.so*"
    found = [f for place in places for f in sorted(place.rglob(pattern), reverse=True) if _is_compiler(f.name)]
    yield from map(str, sorted(found, key=lambda f: f"{major}" not in f.name))
    yield from [f"nvrtc64_{major}0_0.dll"] if WINDOWS else [f"libnvrtc.so.{major}", "libnvrtc.so"]


def _is_compiler(name: str) -> bool:
    return "builtins" not in name and ".alt." not in name


class Nvrtc:
    """The compiler. ``compile`` turns one source text into a cubin for one architecture."""

    def __init__(self):
        self.lib = _load(library_candidates(), "NVRTC, the CUDA run-time compiler that torch ships,")
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(self.lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        self.version = f"{major.value}.{minor.value}"

    def architectures(self) -> list[int]:
        """The compute capabilities it can compile for, as 75, 80, ... ascending."""
        count = ctypes.c_int()
        self._check(self.lib.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
        found = (ctypes.c_int * count.value)()
        self._check(self.lib.nvrtcGetSupportedArchs(found))
        return sorted(found)

    def compile(self, source: str, capability: int, defines: Sequence[str] = ()) -> bytes:
        """Machine code for ``capability`` (86 for 8.6); for a GPU newer than the compiler, PTX that the driver finishes."""
        known = [a for a in self.architectures() if a <= capability]
        if not known:
            raise KernelError(f"NVRTC {self.version} cannot compile for compute capability {capability / 10}.")
        exact = known[-1] == capability
        options = [f"--gpu-architecture={'sm' if exact else 'compute'}_{known[-1]}", *(f"-D{d}" for d in defines)]
        program = ctypes.c_void_p()
        self._check(self.lib.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"micromotion.cu", 0, None, None))
        try:
            code = self.lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*(o.encode() for o in options)))
            if code:
                raise KernelError(f"NVRTC {self.version} rejected a kernel: {self._fetch(program, 'ProgramLog').decode(errors='replace')}")
            return self._fetch(program, "CUBIN" if exact else "PTX")
        finally:
            self.lib.nvrtcDestroyProgram(ctypes.byref(program))

    def _fetch(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self.lib, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self._check(getattr(self.lib, f"nvrtcGet{what}")(program, buffer))
        return buffer.raw

    def _check(self, code: int) -> None:
        if code:
            self.lib.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise KernelError(f"NVRTC: {self.lib.nvrtcGetErrorString(code).decode()}.")


class Driver:
    """The driver calls that torch has no public name for. They act on the calling thread's context, which torch makes."""

    def __init__(self):
        self.lib = _load(["nvcuda.dll"] if WINDOWS else ["libcuda.so.1", "libcuda.so"], "The CUDA driver")

    def context(self) -> int | None:
        """The context of the calling thread: None in a thread in which torch did nothing on a GPU so far."""
        context = ctypes.c_void_p()
        self._check(self.lib.cuCtxGetCurrent(ctypes.byref(context)))
        return context.value

    def enter(self, context: int | None) -> None:
        """Make ``context`` that of the calling thread."""
        if self.context() != context:
            self._check(self.lib.cuCtxSetCurrent(ctypes.c_void_p(context)))

    def load(self, image: bytes) -> ctypes.c_void_p:
        module = ctypes.c_void_p()
        self._check(self.lib.cuModuleLoadData(ctypes.byref(module), image))
        return module

    def function(self, module: ctypes.c_void_p, name: str) -> ctypes.c_void_p:
        function = ctypes.c_void_p()
        self._check(self.lib.cuModuleGetFunction(ctypes.byref(function), module, name.encode()))
        return function

    def launch(self, function: ctypes.c_void_p, grid: tuple[int, int, int], threads: int, stream: int, args: Sequence) -> None:
        """Run ``function`` on ``stream``; ``args`` are ctypes values of exactly the kernel's types."""
        pointers = (ctypes.c_void_p * len(args))(*(ctypes.addressof(a) for a in args))
        self._check(self.lib.cuLaunchKernel(function, *grid, threads, 1, 1, 0, ctypes.c_void_p(stream), pointers, None))

    def _check(self, code: int) -> None:
        if code:
            text = ctypes.c_char_p()
            self.lib.cuGetErrorString(code, ctypes.byref(text))
            raise KernelError(f"The CUDA driver: {(text.value or b'error').decode()} ({code}).")


def _load(candidates, what: str) -> ctypes.CDLL:
    for name in candidates:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            log.debug("%s: %s", name, error)
    raise KernelError(f"{what} was not found.")


compiler, driver = lru_cache(maxsize=1)(Nvrtc), lru_cache(maxsize=1)(Driver)  # each found and loaded on first use


class Kernels:
    """The kernels of one source text for one device, compiled at most once per process and kept on disk between processes."""

    def __init__(self, source: str, defines: Sequence[str], device: torch.device):
        major, minor = torch.cuda.get_device_capability(device)
        self.device = device
        with torch.cuda.device(device):
            torch.cuda.current_stream(device).synchronize()  # makes the device's context before the driver is asked for it
            self.context = driver().context()
            self.module = driver().load(compiled(source, 10 * major + minor, defines))
        self._functions: dict[str, ctypes.c_void_p] = {}

    def launch(self, name: str, grid: tuple[int, int, int], threads: int, args: Sequence) -> None:
        """Queue a kernel on torch's current stream of the device."""
        with torch.cuda.device(self.device):
            driver().enter(self.context)
            if name not in self._functions:
                self._functions[name] = driver().function(self.module, name)
            driver().launch(self._functions[name], grid, threads, torch.cuda.current_stream(self.device).cuda_stream, args)


def compiled(source: str, capability: int, defines: Sequence[str] = ()) -> bytes:
    """`Nvrtc.compile`, remembered in `cache_folder` by source, architecture and CUDA version. A damaged entry is made anew."""
    key = hashlib.sha256("\0".join([source, str(capability), *defines, str(torch.version.cuda)]).encode()).hexdigest()
    path = cache_folder() / f"{key[:32]}.cubin"
    code = _read(path)
    if code is None:
        code = compiler().compile(source, capability, defines)
        _write(path, code)
    return code


def cache_folder() -> Path:
    """``MICROMOTION_CACHE``, else the user's cache folder of this system."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("LOCALAPPDATA") if WINDOWS else os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "micromotion" / "kernels"


def _read(path: Path) -> bytes | None:
    """The code after its 32-byte digest, or None if there is none, or it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data[32:] if len(data) > 32 and hashlib.sha256(data[32:]).digest() == data[:32] else None


def _write(path: Path, code: bytes) -> None:
    """Put code into the cache in one step; a cache that cannot be written is no cache."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(file.name, path)
    except OSError as error:
        log.debug("kernel cache %s: %s", path, error)
