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


def resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """Resample ``[N, C, H, W]`` to ``[N, C, size, size]`` by exact area averages: two matrix products.

    Equal to the published nearest x7 and average pooling, and defined for every size in and out.
    """
    rows, columns = (area_matrix(n, size).to(images) for n in images.shape[-2:])
    return rows @ images @ columns.T


@lru_cache(maxsize=16)
def area_matrix(n_in: int, n_out: int) -> torch.Tensor:
    """Matrix ``[n_out, n_in]`` whose row o averages the interval ``[o, o + 1] * n_in / n_out`` of the source."""
    with torch.inference_mode(False):
        edges = torch.arange(n_out + 1, dtype=torch.float64) * n_in / n_out
        pixels = torch.arange(n_in, dtype=torch.float64)
        overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
        return (overlap.clamp_min(0) * n_out / n_in).to(torch.float32)
