"""Demodulation, noise, bias, leaky ReLU and clamp: everything that follows a convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...files.errors import MicromotionError
from . import backend
from .plain import GAIN, SLOPE, act_, act_backward, cached_runs, filter2d, fir_padding, of_run


def bias_act(
    x: torch.Tensor,
    bias: torch.Tensor | None = None,
    noise: torch.Tensor | None = None,
    *,
    activation: str = "lrelu",
    gain: float = 1.0,
    clamp: float | None = None,
) -> torch.Tensor:
    """Return ``clamp(act(x + noise + bias) * gain)``.

    ``x`` is ``[N, C]`` or ``[N, C, H, W]``; ``bias`` is ``[C]``; ``noise`` broadcasts to ``x``.
    ``activation`` is ``"lrelu"`` (slope 0.2, gain sqrt(2), which multiplies ``gain``) or ``"linear"``.
    The clamp limit is scaled by ``gain`` alone (StyleGAN2-ADA).
    """
    if noise is not None:
        x = x + noise
    if bias is not None:
        x = x + bias.reshape(1, -1, *[1] * (x.ndim - 2))
    if activation == "lrelu":
        x = F.leaky_relu(x, SLOPE) * (GAIN * gain)
    elif activation == "linear":
        x = x if gain == 1.0 else x * gain
    else:
        raise MicromotionError(f"Unknown activation {activation!r}; known: 'lrelu', 'linear'.")
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


def conv_act(
    x: torch.Tensor,
    scale: torch.Tensor | None,
    bias: torch.Tensor,
    noise: torch.Tensor | None,
    *,
    kernel: torch.Tensor | None = None,
    gain: float = 1.0,
    clamp: float | None = None,
) -> torch.Tensor:
    """Finish a convolution: ``clamp(lrelu(fir(x) * scale + (noise + bias) * gain))``, first-order differentiable.

    ``x [N, C, H, W]`` comes straight from the convolution and may be overwritten. ``scale`` is ``[N, C]``, ``bias`` ``[C]``,
    ``noise`` ``[N or 1, 1, H, W]``. ``scale`` (or x) has the gain in it already: lrelu(g * u) = g * lrelu(u) for g > 0.
    ``kernel [m, m]`` low-passes the ``2h + 1`` rows and columns of a transposed convolution to ``2h`` (gain 4).
    """
    if backend.select(x) == "cuda":
        from . import cuda

        if cuda.supports(x, kernel):
            return cuda.conv_act(x, scale, bias, noise, kernel, gain, clamp)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, scale, bias, noise)):
        return _ConvAct.apply(x, scale, bias, noise, kernel, gain, clamp)
    return _conv_act(x, scale, bias, noise, kernel, gain, clamp)[0]


def _conv_act(x, scale, bias, noise, kernel, gain, clamp):
    """`conv_act` in plain torch; returns the result and its operands in the shapes and the type they were used in."""
    y = x if kernel is None else filter2d(x, kernel * 4, fir_padding(kernel))
    bias = bias.to(y.dtype)[:, None, None]
    scale = None if scale is None else scale.to(y.dtype)[:, :, None, None]
    noise = None if noise is None else noise.to(y.dtype)
    for n in cached_runs(y):
        act_(y[n], of_run(scale, n), bias, of_run(noise, n), gain, clamp)
    return y, scale, bias, noise


class _ConvAct(torch.autograd.Function):
    """`_conv_act` with gradients, keeping only its output for the backward pass."""

    @staticmethod
    def forward(ctx, x, scale, bias, noise, kernel, gain, clamp):
        if kernel is None:
            ctx.mark_dirty(x)
        y, *operands = _conv_act(x, scale, bias, noise, kernel, gain, clamp)
        ctx.save_for_backward(y, *operands, kernel)
        ctx.gain, ctx.clamp = gain, clamp
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        y, scale, bias, noise, kernel = ctx.saved_tensors
        gx, *rest = act_backward(g, y, scale, bias, noise, ctx.gain, ctx.clamp, ctx.needs_input_grad[1:4])
        if kernel is not None:
            m, (before, after) = len(kernel), fir_padding(kernel)
            gx = filter2d(gx, kernel.flip(0, 1) * 4, (m - 1 - before, m - 1 - after))
        return gx, *rest, None, None, None
