"""The yardstick: a StyleGAN2 synthesis network written the straightforward way.

Every sample has its own modulated kernels, run as one grouped convolution; the low-pass filter is a one-channel convolution over
``[N * C, 1, H, W]`` after explicit zero insertion and padding; bias, noise, activation and gain are separate steps. This is how the
published micromotion code and the StyleGAN2 copies it builds on compute on a device without their compiled extensions.
It reads its weights from our Generator, so both compute the same images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def synthesize(generator, codes: torch.Tensor) -> torch.Tensor:
    """Codes ``[N, L, D]`` -> images ``[N, 3, R, R]``, with the stored noise."""
    x = image = torch.zeros(0)
    for resolution in generator.architecture.resolutions:
        block = generator.synthesis.block(resolution)
        row = 2 * resolution.bit_length() - 7
        if resolution == 4:
            x = block.const[None].repeat(len(codes), 1, 1, 1)
            row = -1
        else:
            x = styled(x, codes[:, row], block.conv0, up=True)
        x = styled(x, codes[:, row + 1], block.conv1)
        rgb = to_rgb(x, codes[:, row + 2], block.torgb)
        image = rgb if resolution == 4 else upfirdn2d(image, block.resample_filter * 4, 2, (2, 1)) + rgb
    return image


def styled(x: torch.Tensor, w: torch.Tensor, layer, up: bool = False) -> torch.Tensor:
    x = modulated(x, layer.weight, style(w, layer.affine), up=up)
    if up:
        x = upfirdn2d(x, layer.resample_filter * 4, 1, (1, 1))
    x = x + layer.noise_strength * layer.noise_const
    x = x + layer.bias[None, :, None, None]
    return F.leaky_relu(x, 0.2) * 2**0.5


def to_rgb(x: torch.Tensor, w: torch.Tensor, layer) -> torch.Tensor:
    weight = layer.weight / layer.weight.shape[1] ** 0.5
    return modulated(x, weight, style(w, layer.affine), demodulate=False) + layer.bias[None, :, None, None]


def style(w: torch.Tensor, affine) -> torch.Tensor:
    return F.linear(w, affine.weight / affine.weight.shape[1] ** 0.5, affine.bias)


def modulated(x: torch.Tensor, weight: torch.Tensor, style: torch.Tensor, *, demodulate: bool = True, up: bool = False) -> torch.Tensor:
    n, i, h, w = x.shape
    o, _, k, _ = weight.shape
    weight = weight[None] * style[:, None, :, None, None]  # [N, O, I, k, k]
    if demodulate:
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    x = x.reshape(1, n * i, h, w)
    if up:
        weight = weight.transpose(1, 2).reshape(n * i, o, k, k)
        x = F.conv_transpose2d(x, weight, stride=2, groups=n)
    else:
        x = F.conv2d(x, weight.reshape(n * o, i, k, k), padding=k // 2, groups=n)
    return x.reshape(n, o, *x.shape[2:])


def upfirdn2d(x: torch.Tensor, kernel: torch.Tensor, up: int, pad: tuple[int, int]) -> torch.Tensor:
    """Insert ``up - 1`` zeros after every sample, pad, and filter each channel on its own."""
    n, c, h, w = x.shape
    x = x.reshape(n * c, h, 1, w, 1)
    x = F.pad(x, (0, up - 1, 0, 0, 0, up - 1)).reshape(n * c, 1, h * up, w * up)
    x = F.pad(x, (*pad, *pad))
    x = F.conv2d(x, kernel.flip(0, 1)[None, None])
    return x.reshape(n, c, *x.shape[2:])
