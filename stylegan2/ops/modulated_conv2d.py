"""Convolution whose kernel is scaled per sample by a style: the core of StyleGAN2."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .upfirdn2d import filter2d

EPSILON = 1e-8


def modulated_conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    style: torch.Tensor,
    *,
    demodulate: bool = True,
    up: bool = False,
    kernel: torch.Tensor | None = None,
) -> torch.Tensor:
    """Convolve ``x [N, I, H, W]`` with ``weight [O, I, k, k]`` modulated by ``style [N, I]`` -> ``[N, O, H, W]``.

    The per-sample kernel ``weight * style`` is normalised to unit length when ``demodulate`` is set
    (Karras et al. 2020, equations 1 and 3). The same result is reached here by scaling the input by the
    style and the output by the norm, so that all samples share one kernel.
    With ``up`` the output is twice as large: transposed convolution, then the low-pass ``kernel`` with gain 4.
    """
    x = x * style.to(x.dtype)[:, :, None, None]
    x = _up_conv(x, weight, kernel) if up else F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    return x * demodulation(weight, style)[:, :, None, None] if demodulate else x


def demodulation(weight: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    """Return ``1 / ||weight[o] * style[n]||`` as ``[N, O]``."""
    with torch.autocast(weight.device.type, enabled=False):
        return (style.to(weight.dtype).square() @ weight.square().sum((2, 3)).T + EPSILON).rsqrt()


def _up_conv(x: torch.Tensor, weight: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    m, k = kernel.shape[0], weight.shape[-1]
    x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return filter2d(x, kernel * 4, ((m + 1) // 2 + k // 2 - (k - 1), (m - 2) // 2 + k // 2 - (k - 2)))
