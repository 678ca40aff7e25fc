"""Pictures of any number of channels as red, green, blue: gray, gray with alpha, color, color with alpha."""

from __future__ import annotations

import torch


def as_rgb(images: torch.Tensor) -> torch.Tensor:
    """Images ``[N, C, H, W]`` of 1 to 4 channels as ``[N, 3, H, W]``: gray three times, alpha left out; three channels as they are."""
    if images.shape[1] == 3:
        return images
    return images[:, :3] if images.shape[1] > 3 else images[:, :1].expand(-1, 3, -1, -1)


def split_alpha(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Pictures ``[F, H, W, C]`` in 0..1 as ``[F, H, W, 3]``, and the alpha channel ``[F, H, W]`` of those with 2 or 4 channels."""
    channels = pictures.shape[-1]
    colors = pictures[..., :3] if channels >= 3 else pictures[..., :1].expand(*pictures.shape[:-1], 3)
    return colors, pictures[..., -1] if channels in (2, 4) else None
