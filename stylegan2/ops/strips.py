"""Blocks with large planes on a CPU: a few rows at a time, so that everything between two convolutions stays in the cache."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import backend
from .modulation import convolve, demodulation, folded
from .plain import GAIN, act_, filter2d

STRIP_BYTES = 6 << 20


class StripLayer(NamedTuple):
    """One styled convolution: ``weight [O, I, 3, 3]``, ``style [N, I]``, ``bias [O]``, ``noise [N or 1, 1, R, R]`` or None."""

    weight: torch.Tensor
    style: torch.Tensor
    bias: torch.Tensor
    noise: torch.Tensor | None
    clamp: float | None

    def of_sample(self, n: int, up: bool, dtype: torch.dtype) -> StripLayer:
        """The layer with one sample's style and the gain folded into its kernel, ready for `convolve`, in ``dtype``."""
        style = self.style[min(n, len(self.style) - 1)][None]
        weight = self.weight.transpose(0, 1) if up else self.weight
        weight = folded(weight, style, demodulation(self.weight, style) * GAIN, up).to(dtype)
        noise = None if self.noise is None else self.noise[min(n, len(self.noise) - 1)].to(dtype)
        return StripLayer(weight, style, self.bias[:, None, None].to(dtype), noise, self.clamp)

    def finish_(self, y: torch.Tensor, top: int) -> torch.Tensor:
        """What follows the convolution, for rows from ``top`` on, in place."""
        noise = None if self.noise is None else self.noise[:, top : top + y.shape[2]]
        return act_(y, None, self.bias, noise, GAIN, self.clamp)


def worth_strips(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether an up-sampling block on ``x [N, I, h, w]`` runs faster one sample and a few rows at a time."""
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or backend.select(x) != "eager":
        return False
    return 4 * x.shape[2] * x.shape[3] > 9 * len(weight) and x.shape[2] >= 64


def block_in_strips(
    x: torch.Tensor, up: StripLayer, same: StripLayer, to_rgb: torch.Tensor | None, kernel: torch.Tensor, keep: bool
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Run ``up`` (2x), ``same`` and the 1x1 convolution ``to_rgb [N, C, O]`` on ``x [N or 1, I, h, w]``, without gradients.

    Returns the features ``[N, O, 2h, 2w]`` (None unless ``keep``) and the colors ``[N, C, 2h, 2w]`` (None without ``to_rgb``).
    """
    to_rgb = None if to_rgb is None else to_rgb.to(x.dtype)
    n, (o, _, _, _), size = max(len(x), len(up.style), len(same.style)), same.weight.shape, (2 * x.shape[2], 2 * x.shape[3])
    features = torch.empty(n, o, *size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last) if keep else None
    colors = None if to_rgb is None else x.new_empty(n, *size, to_rgb.shape[1])
    step = max(8, STRIP_BYTES // (x.element_size() * o * size[1]) // 4 * 4)  # whole Winograd tiles
    for i in range(n):
        first, second = up.of_sample(i, True, x.dtype), same.of_sample(i, False, x.dtype)
        source = x[i : i + 1] if len(x) > 1 else x  # x[i][None] would lose its memory order
        for top in range(0, size[0], step):
            bottom = min(top + step, size[0])
            y = _up_rows(source, first, kernel, top - 1, bottom + 1)
            y = second.finish_(convolve(y, second.weight, rows=0), top)
            if features is not None:
                features[i, :, top:bottom] = y[0]
            if to_rgb is not None and colors is not None:
                torch.matmul(y[0].permute(1, 2, 0), to_rgb[min(i, len(to_rgb) - 1)].T, out=colors[i, top:bottom])
    return features, None if colors is None else colors.permute(0, 3, 1, 2)


def _up_rows(x: torch.Tensor, layer: StripLayer, kernel: torch.Tensor, top: int, bottom: int) -> torch.Tensor:
    """Rows ``top`` to ``bottom`` of the up-convolution of ``x``, zero outside of the image.

    The 4-tap filter reads rows top - 1 to bottom + 2 of the transposed convolution, whose row t reads the rows of x from
    (t - 2) / 2 to t / 2: so it is computed from the smallest slice of x that gets those right, and cropped.
    """
    h = x.shape[2]
    first, last = max(top, 0), min(bottom, 2 * h)
    low, high = max(0, (first - 2) // 2), min(h, (last + 3) // 2)
    y = convolve(x[:, :, low:high], layer.weight, up=True)
    begin, end = max(first - 1, 0), min(last + 2, 2 * h + 1)
    y = y[:, :, begin - 2 * low : end - 2 * low]
    y = filter2d(y, kernel * 4, (1, 1), rows=(begin - (first - 1), last + 2 - end))
    layer.finish_(y, first)
    return F.pad(y, (0, 0, first - top, bottom - last)) if (first, last) != (top, bottom) else y
