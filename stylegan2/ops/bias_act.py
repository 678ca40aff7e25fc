"""Bias, noise, leaky ReLU and clamp: everything that follows a convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F

SLOPE = 0.2
GAIN = 2.0**0.5


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
        raise ValueError(f"Unknown activation {activation!r}; known: 'lrelu', 'linear'.")
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)
