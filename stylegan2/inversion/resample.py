"""Resampling as two small matrix products: exact, differentiable, and bit-deterministic on every device."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # the cached matrix must serve callers that need gradients
def _area_matrix(n: int, size: int) -> torch.Tensor:
    """Rows ``[size, n]`` that average source cells floor(o n / size) .. ceil((o + 1) n / size): adaptive pooling."""
    o = torch.arange(size)
    start, stop = o * n // size, ((o + 1) * n + size - 1) // size
    cells = torch.arange(n)
    inside = (cells >= start[:, None]) & (cells < stop[:, None])
    return inside / inside.sum(1, keepdim=True)


def area_resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """Adaptive average pooling of ``[N, C, H, W]`` to ``[N, C, size, size]``, without its non-deterministic CUDA gradient."""
    height, width = images.shape[-2:]
    if (height, width) == (size, size):
        return images
    rows = _area_matrix(height, size).to(images)
    columns = _area_matrix(width, size).to(images)
    return rows @ images @ columns.T


def resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """Antialiased bilinear resampling of ``[N, C, H, W]`` to ``[N, C, size, size]`` (as Pillow's); the identity at that size."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
