"""The operations in plain torch, which every fast form is measured against and built on."""

from __future__ import annotations

from typing import Any, overload

import torch
import torch.nn.functional as F

Gradient = torch.Tensor | None

SLOPE = 0.2
GAIN = 2.0**0.5
CACHE_BYTES = 1 << 20


def act_(y, scale, bias, noise, gain, clamp):
    """``y = clamp(lrelu(y * scale + (noise + bias) * gain))``, in place; ``scale`` and ``noise`` may be None."""
    if scale is not None:
        y.mul_(scale)
    if noise is not None:
        y.add_(noise, alpha=gain)
    F.leaky_relu_(y.add_(bias, alpha=gain), SLOPE)
    return y if clamp is None else y.clamp_(-clamp, clamp)


def act_backward(g, y, scale, bias, noise, gain, clamp, needs) -> tuple[torch.Tensor, Gradient, Gradient, Gradient]:
    """Gradients of `act_` in y, scale, bias and noise from its output alone; ``needs`` tells which of the last three are asked for.

    With u = x * scale + (noise + bias) * gain, the sign of y gives the slope, and lrelu'(u) * u = y, so the gradient of ``scale``,
    sum(gu * x) = sum(gu * (u - (noise + bias) * gain)) / scale, needs no x. Where y is clamped every gradient is zero.
    """
    parts = [_act_backward(g[n], y[n], of_run(scale, n), bias, of_run(noise, n), gain, clamp, needs) for n in cached_runs(y)]
    whole: Any = [torch.cat(p) if len(p) > 1 and p[0] is not None else p[0] for p in map(list, zip(*parts))]
    gx, gscale, gbias, gnoise = whole
    return gx, gscale, gbias.sum(0) if needs[1] else None, gnoise.sum_to_size(noise.shape) if needs[2] else None


def _act_backward(g, y, scale, bias, noise, gain, clamp, needs) -> Any:  # four tensors, the last three where they are needed
    g = g if clamp is None else g * (y.abs() < clamp)
    gu = torch.ops.aten.leaky_relu_backward(g, y, SLOPE, True)
    gscale = gbias = gnoise = None
    if needs[0] or needs[1]:
        gbias = gu.sum((2, 3)) * gain
    if needs[0]:
        gux = g * y if noise is None else (g * y).sub_(gu * noise, alpha=gain)
        gscale = (gux.sum((2, 3)) - gbias * bias[:, 0, 0]) / scale[:, :, 0, 0]
    if needs[2]:
        gnoise = gu.sum(1, keepdim=True) * gain
    return gu if scale is None else gu * scale, gscale, gbias, gnoise


def cached_runs(x: torch.Tensor) -> list[slice]:
    """Runs of samples of ``x`` that fit the cache of a CPU core, so that several passes in place cost one trip to memory."""
    step = len(x) if x.device.type != "cpu" else max(1, CACHE_BYTES // (x[0].numel() * x.element_size()))
    return [slice(i, i + step) for i in range(0, len(x), step)]


@overload
def of_run(x: torch.Tensor, run: slice) -> torch.Tensor: ...
@overload
def of_run(x: None, run: slice) -> None: ...
def of_run(x: torch.Tensor | None, run: slice) -> torch.Tensor | None:
    """The part of a small operand ``[N or 1, ...]`` that belongs to a run of samples."""
    return x if x is None or len(x) == 1 else x[run]


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


def reference_upsample2d(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    n, c, h, w = x.shape
    m = kernel.shape[0]
    stuffed = x.new_zeros(n, c, h, 2, w, 2)
    stuffed[:, :, :, 0, :, 0] = x
    return filter2d(stuffed.reshape(n, c, 2 * h, 2 * w), kernel * 4, ((m + 1) // 2, (m - 2) // 2))
