"""Demodulation, noise, bias, leaky ReLU and clamp: everything that follows a convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F

SLOPE = 0.2
GAIN = 2.0**0.5
CACHE_BYTES = 1 << 20


def bias_act(
    x: torch.Tensor,
    bias: torch.Tensor | None = None,
    noise: torch.Tensor | None = None,
    *,
    scale: torch.Tensor | None = None,
    activation: str = "lrelu",
    gain: float = 1.0,
    clamp: float | None = None,
) -> torch.Tensor:
    """Return ``clamp(act(x * scale + noise + bias) * gain)``.

    ``x`` is ``[N, C]`` or ``[N, C, H, W]``; ``scale`` is ``[N, C]``; ``bias`` is ``[C]``; ``noise`` broadcasts to ``x``.
    ``activation`` is ``"lrelu"`` (slope 0.2, gain sqrt(2), which multiplies ``gain``) or ``"linear"``.
    The clamp limit is scaled by ``gain`` alone (StyleGAN2-ADA).
    """
    if activation not in ("lrelu", "linear"):
        raise ValueError(f"Unknown activation {activation!r}; known: 'lrelu', 'linear'.")
    if scale is not None and activation == "lrelu":
        return _scale_bias_act(x, scale, bias, noise, gain * GAIN, None if clamp is None else clamp * gain)
    return reference_bias_act(x, bias, noise, scale=scale, activation=activation, gain=gain, clamp=clamp)


def reference_bias_act(x, bias=None, noise=None, *, scale=None, activation="lrelu", gain=1.0, clamp=None):
    if scale is not None:
        x = x * scale[:, :, None, None]
    if noise is not None:
        x = x + noise
    if bias is not None:
        x = x + bias.reshape(1, -1, *[1] * (x.ndim - 2))
    if activation == "lrelu":
        x = F.leaky_relu(x, SLOPE) * (GAIN * gain)
    else:
        x = x if gain == 1.0 else x * gain
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


def _scale_bias_act(x, scale, bias, noise, gain, clamp):
    """The same with ``gain`` folded into the small operands: lrelu(g * u) = g * lrelu(u) for g > 0."""
    n, c = x.shape[:2]
    scale = (scale * gain).to(x.dtype).reshape(n, c, 1, 1)
    bias = x.new_zeros(1, c, 1, 1) if bias is None else (bias * gain).to(x.dtype).reshape(1, c, 1, 1)
    noise = x.new_zeros(1, 1, 1, 1) if noise is None else (noise * gain).to(x.dtype).reshape(-1, 1, *noise.shape[-2:])
    return _ScaleBiasAct.apply(x, scale, bias, noise, clamp)


def _slices(x: torch.Tensor) -> list[slice]:
    """Runs of samples that fit the cache of a CPU core, so that several in-place passes cost one trip to memory."""
    step = len(x) if x.is_cuda else max(1, CACHE_BYTES // (x[0].numel() * x.element_size()))
    return [slice(i, i + step) for i in range(0, len(x), step)]


class _ScaleBiasAct(torch.autograd.Function):
    """y = clamp(lrelu(x * scale + noise + bias)), keeping only y for the backward pass.

    With u = x * scale + noise + bias, the sign of y gives the slope, and lrelu'(u) * u = y, so the gradient of ``scale``,
    sum(gu * x) = sum(gu * (u - noise - bias)) / scale, needs no x. Where y is clamped the gradient is zero.
    """

    @staticmethod
    def forward(ctx, x, scale, bias, noise, clamp):
        for n in _slices(x):
            y = x[n].mul_(scale[n]).add_(noise[n] if len(noise) > 1 else noise).add_(bias)
            F.leaky_relu_(y, SLOPE)
            if clamp is not None:
                y.clamp_(-clamp, clamp)
        ctx.mark_dirty(x)
        ctx.clamp = clamp
        ctx.save_for_backward(x, scale, bias, noise)
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        y, scale, bias, noise = ctx.saved_tensors
        gx = torch.empty_like(y)
        sums, products, noises = [], [], []
        for n in _slices(y):
            gn = g[n] if ctx.clamp is None else g[n] * (y[n].abs() < ctx.clamp)
            gu = torch.ops.aten.leaky_relu_backward(gn, y[n], SLOPE, True)
            noise_n = noise[n] if len(noise) > 1 else noise
            sums.append(gu.sum((2, 3), keepdim=True))
            products.append((gn * y[n]).sub_(gu * noise_n).sum((2, 3), keepdim=True))
            if ctx.needs_input_grad[3]:
                noises.append(gu.sum(1, keepdim=True))
            torch.mul(gu, scale[n], out=gx[n])
        sums, products = torch.cat(sums), torch.cat(products)
        gscale = (products - sums * bias) / scale
        gnoise = torch.cat(noises).sum_to_size(noise.shape) if noises else None
        return gx, gscale.to(scale.dtype), sums.sum(0, keepdim=True).to(bias.dtype), gnoise, None
