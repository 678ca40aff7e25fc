"""Finite impulse response filtering and the 2x upsampling built on it."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def fir_kernel(taps: tuple[float, ...] = (1, 3, 3, 1)) -> torch.Tensor:
    """Return the separable low-pass kernel ``[m, m]`` of these taps, float32, summing to 1."""
    t = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(t, t)
    return kernel / kernel.sum()


def filter2d(x: torch.Tensor, kernel: torch.Tensor, pad: tuple[int, int]) -> torch.Tensor:
    """Convolve every channel of ``x [N, C, H, W]`` with ``kernel [m, m]``, zero padding ``(before, after)`` on both axes."""
    channels = x.shape[1]
    weight = kernel.flip(0, 1).to(x)[None, None].expand(channels, 1, -1, -1)
    if pad[0] == pad[1]:
        return F.conv2d(x, weight, padding=pad[0], groups=channels)
    return F.conv2d(F.pad(x, (*pad, *pad)), weight, groups=channels)


def upsample2d(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Double the size of ``x [N, C, H, W]``: zero insertion, then the low-pass ``kernel`` (sum 1) with gain 4."""
    n, c, h, w = x.shape
    m = kernel.shape[0]
    stuffed = x.new_zeros(n, c, h, 2, w, 2)
    stuffed[:, :, :, 0, :, 0] = x
    return filter2d(stuffed.reshape(n, c, 2 * h, 2 * w), kernel * 4, ((m + 1) // 2, (m - 2) // 2))
