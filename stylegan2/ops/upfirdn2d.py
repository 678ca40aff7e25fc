"""Finite impulse response filtering and the 2x upsampling built on it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from . import backend


def fir_kernel(taps: tuple[float, ...] = (1, 3, 3, 1)) -> torch.Tensor:
    """Return the separable low-pass kernel ``[m, m]`` of these taps, float32, summing to 1."""
    t = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(t, t)
    return kernel / kernel.sum()


def fir_padding(kernel: torch.Tensor) -> tuple[int, int]:
    """Zero padding that takes the ``2h + 1`` samples of a transposed 3x3 convolution to ``2h``."""
    m = kernel.shape[0]
    return (m - 1) // 2, (m - 2) // 2


def filter2d(x: torch.Tensor, kernel: torch.Tensor, pad: tuple[int, int], rows: tuple[int, int] | None = None) -> torch.Tensor:
    """Convolve every channel of ``x [N, C, H, W]`` with ``kernel [m, m]``, zero padding ``(before, after)`` on both axes.

    ``rows`` gives other padding to the rows. In channels-last memory this is a fast depthwise convolution.
    """
    rows, channels = rows or pad, x.shape[1]
    weight = kernel.flip(0, 1).to(x)[None, None].expand(channels, 1, -1, -1)
    if pad[0] == pad[1] and rows[0] == rows[1]:
        return F.conv2d(x, weight, padding=(rows[0], pad[0]), groups=channels)
    return F.conv2d(F.pad(x, (*pad, *rows)), weight, groups=channels)


def upsample2d(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Double the size of ``x [N, C, H, W]``: zero insertion, then the low-pass ``kernel [m, m]`` (sum 1) with gain 4."""
    m, channels = kernel.shape[0], x.shape[1]
    if m % 2 or backend.requested() == "reference":
        return reference_upsample2d(x, kernel)
    weight = (kernel * 4).to(x)[None, None].expand(channels, 1, -1, -1)
    return F.conv_transpose2d(x, weight, stride=2, padding=m // 2 - 1, groups=channels)


def reference_upsample2d(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    n, c, h, w = x.shape
    m = kernel.shape[0]
    stuffed = x.new_zeros(n, c, h, 2, w, 2)
    stuffed[:, :, :, 0, :, 0] = x
    return filter2d(stuffed.reshape(n, c, 2 * h, 2 * w), kernel * 4, ((m + 1) // 2, (m - 2) // 2))


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
