"""Altered looks at a picture: a motion has to survive what does not change its meaning (as the crops of CLIP-guided synthesis do)."""

from __future__ import annotations

import torch
import torch.nn.functional as F

SHIFT, CONTRAST, BRIGHTNESS, NOISE = 0.05, 0.15, 0.1, 0.1


def view(images: torch.Tensor, seed: int) -> torch.Tensor:
    """``images [N, 3, H, W]`` in -1..1, all altered alike: shifted by up to a twentieth of their size, in contrast, color and noise,
    every other one softened. The same ``seed`` alters the same way on every device; gradients pass."""
    g = torch.Generator().manual_seed(seed)
    size, most = images.shape[2:], max(1, round(SHIFT * images.shape[3]))
    top, left = torch.randint(0, 2 * most + 1, (2,), generator=g).tolist()
    contrast = 1 + CONTRAST * (2 * torch.rand(1, 1, 1, 1, generator=g) - 1)
    color = BRIGHTNESS * (2 * torch.rand(1, 3, 1, 1, generator=g) - 1)
    noise = NOISE * torch.rand(1, generator=g) * torch.randn(1, 3, *size, generator=g)
    soft = bool(torch.rand(1, generator=g) < 0.5)
    looked = F.pad(images, (most,) * 4, mode="replicate")[:, :, top : top + size[0], left : left + size[1]]
    looked = looked * contrast.to(images) + (color + noise).to(images)
    return F.avg_pool2d(F.pad(looked, (1,) * 4, mode="replicate"), 3, 1) if soft else looked
