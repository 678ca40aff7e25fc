"""Resampling as two small matrix products: exact, differentiable, and bit-deterministic on every device."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F

Size = int | tuple[int, ...]  # the side of a square, or height and width


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # the cached matrix must serve callers that need gradients
def _area_matrix(n: int, size: int) -> torch.Tensor:
    """Rows ``[size, n]`` that average source cells floor(o n / size) .. ceil((o + 1) n / size): adaptive pooling."""
    o = torch.arange(size)
    start, stop = o * n // size, ((o + 1) * n + size - 1) // size
    cells = torch.arange(n)
    inside = (cells >= start[:, None]) & (cells < stop[:, None])
    return inside / inside.sum(1, keepdim=True)


def area_resize(images: torch.Tensor, size: Size) -> torch.Tensor:
    """Adaptive average pooling of ``[N, C, H, W]`` to ``size``, without its non-deterministic CUDA gradient."""
    sides = _sides(size)
    if tuple(images.shape[-2:]) == sides:
        return images
    rows, columns = (_area_matrix(n, side).to(images) for n, side in zip(images.shape[-2:], sides))
    return rows @ images @ columns.T


def resize(images: torch.Tensor, size: Size) -> torch.Tensor:
    """Antialiased bilinear resampling of ``[N, C, H, W]`` to ``size`` (as Pillow's); the identity at that size."""
    if tuple(images.shape[-2:]) == _sides(size):
        return images
    return F.interpolate(images, size=_sides(size), mode="bilinear", antialias=True, align_corners=False)


def resized(images: torch.Tensor, size: Size) -> torch.Tensor:
    """Resample ``[N, C, H, W]`` to ``size`` by exact area averages: two matrix products.

    Equal to the published nearest x7 and average pooling, and defined for every size in and out.
    """
    rows, columns = (area_matrix(n, side).to(images) for n, side in zip(images.shape[-2:], _sides(size)))
    return rows @ images @ columns.T


def within(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Height and width ``shape`` shrunk so that the longer side is at most ``longest``, in the same proportions."""
    factor = min(1.0, longest / max(shape))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def centered(images: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The largest part in the middle of ``[N, C, H, W]`` that has the proportions of ``shape`` (height and width)."""
    height, width = images.shape[-2:]
    factor = min(height / shape[0], width / shape[1])
    rows, columns = (min(n, max(1, round(side * factor))) for n, side in zip((height, width), shape))
    top, left = (height - rows) // 2, (width - columns) // 2
    return images[..., top : top + rows, left : left + columns]


def _sides(size: Size) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else size


@lru_cache(maxsize=16)
def area_matrix(n_in: int, n_out: int) -> torch.Tensor:
    """Matrix ``[n_out, n_in]`` whose row o averages the interval ``[o, o + 1] * n_in / n_out`` of the source."""
    with torch.inference_mode(False):
        edges = torch.arange(n_out + 1, dtype=torch.float64) * n_in / n_out
        pixels = torch.arange(n_in, dtype=torch.float64)
        overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
        return (overlap.clamp_min(0) * n_out / n_in).to(torch.float32)
