"""Blurs and ramps."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def gaussian_blur(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Blur ``[H, W, C]`` float32 along both axes, mirrored at the edges, the kernel cut at 4 sigma; float64 sums, as SciPy has them."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return pixels
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    rows = _convolve(pixels, kernel)
    return _convolve(rows.transpose(1, 0, 2), kernel).transpose(1, 0, 2)


def _convolve(pixels: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve the first axis with a symmetric kernel, as one banded matrix times overlapping blocks: the fastest form in float64."""
    radius, length = len(kernel) // 2, len(pixels)
    block = max(2 * radius, 32)
    band = np.zeros((block, block + 2 * radius))
    for row in range(block):
        band[row, row : row + 2 * radius + 1] = kernel
    padded = np.pad(pixels.reshape(length, -1), ((radius, radius), (0, 0)), "symmetric")
    out = np.empty((length, padded.shape[1]), dtype=np.float32)
    for start in range(0, length, block):
        rows = min(block, length - start)
        out[start : start + rows] = band[:rows, : rows + 2 * radius] @ padded[start : start + rows + 2 * radius].astype(np.float64)
    return out.reshape(pixels.shape)


def smoothstep(x: torch.Tensor) -> torch.Tensor:
    """0 below 0, 1 above 1, and a smooth cubic between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur of ``[N, C, H, W]``; the edge is repeated outwards. ``sigma`` in pixels."""
    radius = max(int(3 * sigma + 0.5), 1)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=images.device) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(images.dtype)
    flat = F.pad(images.flatten(0, 1)[:, None], (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(flat, kernel[None, None, None]), kernel[None, None, :, None]).view_as(images)
