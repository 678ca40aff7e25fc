"""Finite impulse response filtering and the 2x upsampling built on it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from . import backend
from .plain import reference_upsample2d


def upsample2d(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Double the size of ``x [N, C, H, W]``: zero insertion, then the low-pass ``kernel [m, m]`` (sum 1) with gain 4."""
    m, channels = kernel.shape[0], x.shape[1]
    if m % 2 or backend.requested() == "reference":
        return reference_upsample2d(x, kernel)
    weight = (kernel * 4).to(x)[None, None].expand(channels, 1, -1, -1)
    return F.conv_transpose2d(x, weight, stride=2, padding=m // 2 - 1, groups=channels)


def upsample_add(image: torch.Tensor | None, rgb: torch.Tensor, kernel: torch.Tensor, *, picture: bool = False) -> torch.Tensor:
    """Return ``upsample2d(image) + rgb`` in at least float32: ``image [N or 1, C, h, w]`` or None, ``rgb [N, C, 2h, 2w]``.

    ``picture`` moves the result from -1..1 to 0..1 and clamps it.
    """
    if image is not None and backend.select(rgb) == "cuda":
        from . import cuda

        if cuda.supports(rgb, kernel):
            return cuda.upsample_add(image, rgb, kernel, picture)
    rgb = rgb.to(torch.promote_types(rgb.dtype, torch.float32))
    image = rgb if image is None else upsample2d(image, kernel) + rgb
    return (image * 0.5 + 0.5).clamp(0, 1) if picture else image
