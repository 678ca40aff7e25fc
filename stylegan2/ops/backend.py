"""Which form of the operations runs: the plain reference, the fast plain-torch form, or the CUDA kernels; and why."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ...files.errors import MicromotionError

BACKENDS = ("auto", "reference", "eager", "cuda")
VARIABLE = "MICROMOTION_OPS"


class _Forced(threading.local):
    """One for each thread. torch.compile reads it; of torch 2.11 it cannot read a ContextVar."""

    name: str | None = None


_forced = _Forced()


class BackendError(MicromotionError):
    """A backend was asked for that does not exist, or cannot run here."""


@dataclass(frozen=True)
class Status:
    """What runs on a device, and why: ``str()`` gives one sentence."""

    backend: str
    requested: str
    device: str
    reason: str

    def __str__(self) -> str:
        return f"StyleGAN2 operations on {self.device}: {self.backend} ({self.reason})."


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Force a backend for the calls inside: ``reference``, ``eager``, ``cuda``, or ``auto`` (the kernels on NVIDIA cards, else eager).

    It goes before the environment variable ``MICROMOTION_OPS``, and holds for this thread only.
    """
    before, _forced.name = _forced.name, valid(name, "use_backend")
    try:
        yield
    finally:
        _forced.name = before


def requested() -> str:
    """The backend asked for by `use_backend`, else by the environment variable ``MICROMOTION_OPS``, else ``auto``."""
    return _forced.name or valid(os.environ.get(VARIABLE, "auto") or "auto", f"The environment variable {VARIABLE}")


def select(x: torch.Tensor) -> str:
    """The backend that runs operations on ``x``: ``reference``, ``eager`` or ``cuda``. Raises `BackendError`."""
    name = requested()
    if name in ("reference", "eager"):
        return name
    reason = why_not_cuda(x.device, x.dtype)
    if not reason:
        return "cuda"
    if name == "cuda":
        raise BackendError(f"The CUDA kernels were asked for, but cannot run here: {reason}. Choose 'auto' or 'eager'.")
    return "eager"


def status(device: torch.device | str | None = None, test: bool = True) -> Status:
    """Say which backend runs on ``device`` (None: the GPU where there is one) in float32, and why.

    The first call on a device compiles the kernels and tests them; ``test`` False leaves that to the first picture.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    name = requested()
    if name in ("reference", "eager"):
        return Status(name, name, str(device), "it was asked for")
    if device.type == "cuda" and not torch.version.hip and not test:
        return Status("cuda", name, str(device), "if the kernels pass their self-test at the first picture")
    reason = why_not_cuda(device, torch.float32)
    if not reason:
        return Status("cuda", name, str(device), "the kernels passed their self-test")
    return Status("none" if name == "cuda" else "eager", name, str(device), f"the CUDA kernels cannot run here: {reason}")


def why_not_cuda(device: torch.device, dtype: torch.dtype) -> str:
    """Why the CUDA kernels cannot run, or an empty string. The first call on a device compiles and tests them."""
    if device.type != "cuda":
        return f"the device is {device.type}"
    if torch.version.hip:
        return "this is a ROCm build of torch"
    from . import cuda

    return cuda.why_not(device, dtype)


def valid(name: str, who: str) -> str:
    """``name`` if there is such a backend. ``who`` named it, and begins the sentence of the `BackendError`."""
    if name not in BACKENDS:
        raise BackendError(f"{who} names the backend {name!r}; choose one of {', '.join(BACKENDS)}.")
    return name
