"""Gradients that work from anywhere, leave no trace, and repeat bit for bit."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import nn

from .generator import Generator

Model = TypeVar("Model", bound=nn.Module)


@contextlib.contextmanager
def with_gradients(device: torch.device) -> Iterator[None]:
    """Allow gradients, also for callers under ``torch.inference_mode``, with deterministic cuDNN kernels while it lasts."""
    with torch.inference_mode(False), torch.enable_grad(), _deterministic(device):
        yield


def _deterministic(device: torch.device) -> contextlib.AbstractContextManager:
    if device.type != "cuda":
        return contextlib.nullcontext()
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32)


def frozen(module: Model) -> Model:
    """A twin that shares the weights but asks for no weight gradient, so that the original is never touched.

    Weights that were made under ``inference_mode`` cannot serve autograd and are copied.
    """
    return _twin(module, lambda t: t.clone() if t.is_inference() else t.detach())


def thawed(generator: Generator) -> Generator:
    """A deep copy with weights of its own, ready to be trained."""
    return _twin(generator, lambda t: t.detach().clone())


def _twin(module: Model, take: Callable[[torch.Tensor], torch.Tensor]) -> Model:
    memo = {}
    for tensor in itertools.chain(module.parameters(), module.buffers()):
        taken = take(tensor)
        memo[id(tensor)] = nn.Parameter(taken, requires_grad=False) if isinstance(tensor, nn.Parameter) else taken
    return copy.deepcopy(module, memo)


def plain(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A float32 copy on ``device`` that autograd may keep, whatever mode ``tensor`` was made in."""
    return tensor.detach().to(device, torch.float32).clone()
