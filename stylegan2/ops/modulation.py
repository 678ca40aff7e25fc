"""Convolution whose kernel is scaled per sample by a style: the core of StyleGAN2."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from . import backend, winograd
from .activation import bias_act, conv_act
from .plain import GAIN, cached_runs, filter2d, fir_padding, of_run
from .preparing import prepared

EPSILON = 1e-8


def modulated_conv2d(
    x: torch.Tensor, weight: torch.Tensor, style: torch.Tensor, *, up: bool = False, kernel: torch.Tensor | None = None
) -> torch.Tensor:
    """Convolve ``x [N, I, H, W]`` with ``weight [O, I, k, k]`` modulated by ``style [N, I]`` -> ``[N, O, H, W]``.

    Every sample has its own kernel ``weight * style``, normalized to unit length (Karras et al. 2020, equations 1 and 3). With ``up`` the
    output is twice as large: transposed convolution, then the low-pass ``kernel [m, m]`` with gain 4. This is the literal form, one
    kernel per sample; `styled_conv2d` is the fast one.
    """
    n, (o, i, k, _) = len(style), weight.shape
    weight = weight * style[:, None, :, None, None]  # [N, O, I, k, k]
    weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + EPSILON).rsqrt()
    x = x.expand(n, -1, -1, -1).reshape(1, n * i, *x.shape[2:])
    if up:
        x = F.conv_transpose2d(x, weight.transpose(1, 2).reshape(n * i, o, k, k), stride=2, groups=n)
    else:
        x = F.conv2d(x, weight.reshape(n * o, i, k, k), padding=k // 2, groups=n)
    x = x.reshape(n, o, *x.shape[2:])
    return filter2d(x, kernel * 4, fir_padding(kernel)) if kernel is not None and up else x


def styled_conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    style: torch.Tensor,
    bias: torch.Tensor,
    noise: torch.Tensor | None = None,
    *,
    up: bool = False,
    kernel: torch.Tensor | None = None,
    activation: str = "lrelu",
    gain: float = 1.0,
    clamp: float | None = None,
) -> torch.Tensor:
    """One layer: demodulated `modulated_conv2d`, then `bias_act`; ``noise`` is ``[N or 1, 1, H, W]``, ``x`` is ``[N or 1, I, h, w]``.

    First-order differentiable in everything but ``kernel``; the backward pass keeps one tensor per layer, its output.
    """
    if activation != "lrelu" or backend.select(x) == "reference":
        x = modulated_conv2d(x, weight, style, up=up, kernel=kernel)
        return bias_act(x, bias, noise, activation=activation, gain=gain, clamp=clamp)
    weight, style = prenormalized(weight, style) if x.dtype == torch.float16 else (weight, style)
    gain = gain * GAIN
    scale = demodulation(weight, style) * gain  # [N, O]
    x = _in_type(x)
    weight = _oriented(weight, x, up)
    if _folds(x, weight, style):
        x, scale = convolve(x, folded(weight, style, scale, up), up), None
    else:
        x = _StyledConv.apply(x, weight, style, up)
    clamp = None if clamp is None else clamp * gain / GAIN
    return conv_act(x, scale, bias, noise, kernel=kernel if up else None, gain=gain, clamp=clamp)


def demodulation(weight: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    """Return ``1 / ||weight[o] * style[n]||`` as ``[N, O]``."""
    norm = prepared([weight], "norm", lambda w: torch.linalg.vector_norm(w, dim=(2, 3)).square())  # without a copy of w
    with torch.autocast(weight.device.type, enabled=False):
        return (style.to(norm).square() @ norm.T + EPSILON).rsqrt()


def prenormalized(weight: torch.Tensor, style: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale kernels and styles so that float16 cannot overflow in the convolution; demodulation takes the scale out again."""
    weight = prepared([weight], "small", lambda w: w / (w[0].numel() ** 0.5 * w.detach().abs().amax((1, 2, 3), keepdim=True)))
    return weight, style / style.detach().abs().amax(1, keepdim=True)


def folded(weight: torch.Tensor, style: torch.Tensor, scale: torch.Tensor, up: bool) -> torch.Tensor:
    """One sample's own kernel: ``weight * style * scale``, for an oriented ``weight`` (see `convolve`)."""
    factor = style.T * scale if up else scale.T * style  # [I, O] or [O, I]
    return weight * factor[:, :, None, None].to(weight.dtype)


def convolve(x: torch.Tensor, weight: torch.Tensor, up: bool = False, rows: int | None = None) -> torch.Tensor:
    """The convolution itself: padded with ``weight [O, I, k, k]``, or transposed, stride 2, with ``[I, O, k, k]`` (``2h + 1`` rows).

    ``rows``: zero rows added above and below, if not as many as keep the size.
    """
    if up:
        return F.conv_transpose2d(x, weight, stride=2)
    pad = weight.shape[-1] // 2
    rows = pad if rows is None else rows
    return winograd.conv3x3(x, weight, rows) if winograd.pays(x, weight, rows) else F.conv2d(x, weight, padding=(rows, pad))


class _StyledConv(torch.autograd.Function):
    """``convolve(x * style, weight, up)``, keeping only its inputs: conv2d would also keep the product ``x * style``."""

    @staticmethod
    def forward(ctx, x, weight, style, up):
        style = style.to(x.dtype)[:, :, None, None]
        ctx.save_for_backward(x, weight, style)
        ctx.up = up
        return convolve(x * style, weight, up)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        x, weight, style = ctx.saved_tensors
        needs_weight = ctx.needs_input_grad[1]
        modulated = x * style if needs_weight else x.expand(len(style), -1, -1, -1)
        gx, gweight = _convolve_backward(g, modulated, weight, ctx.up, needs_weight)
        gstyle = gx.new_empty(*gx.shape[:2], 1, 1)
        for n in cached_runs(gx):
            torch.sum(gx[n] * of_run(x, n), (2, 3), keepdim=True, out=gstyle[n])
            gx[n].mul_(of_run(style, n))
        return gx.sum_to_size(x.shape), gweight, gstyle.sum_to_size(style.shape)[:, :, 0, 0], None


def _convolve_backward(g, x, weight, up, needs_weight) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Gradients of `convolve` in its input and, if needed, its weight."""
    if not up and not needs_weight and winograd.pays(g, weight.transpose(0, 1)):
        return winograd.conv3x3(g, weight.flip(2, 3).transpose(0, 1)), None
    pad = 0 if up else weight.shape[-1] // 2
    backward = torch.ops.aten.convolution_backward
    return backward(g, x, weight, None, [1 + up] * 2, [pad] * 2, [1, 1], up, [0, 0], 1, [True, needs_weight, False])[:2]


def _folds(x: torch.Tensor, weight: torch.Tensor, style: torch.Tensor) -> bool:
    """Whether scaling the kernel is cheaper than scaling the planes: one sample, large planes, no gradient of the kernel."""
    learns = torch.is_grad_enabled() and any(t.requires_grad for t in (x, weight, style))
    return len(style) == 1 and x.shape[2] * x.shape[3] > 9 * weight.shape[0] and not learns


def _in_type(x: torch.Tensor) -> torch.Tensor:
    """``x`` in the type to compute in: that of autocast where it is on, else its own."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


def _oriented(weight: torch.Tensor, x: torch.Tensor, up: bool) -> torch.Tensor:
    """The kernel as `convolve` wants it, in the type of ``x``; on a GPU also in its memory order, so that cuDNN need not copy it."""
    if weight.dtype == x.dtype and (weight.requires_grad or x.device.type == "cpu"):
        return weight.transpose(0, 1) if up else weight

    def make(w: torch.Tensor) -> torch.Tensor:
        return (w.transpose(0, 1) if up else w).to(x.dtype, memory_format=torch.channels_last)

    return prepared([weight], (x.dtype, up), make)
