"""Random avatars, the same for the same seed: what the embedded networks are trained on and measured with."""

from __future__ import annotations

import torch

from ..avatars.renderer import MOVES, PARAMETERS, rest_moves


def sample_parameters(count: int, seed: int) -> torch.Tensor:
    """Draw ``[count, P]`` parameters, uniform in 0..1, from a CPU generator with this seed."""
    return torch.rand(count, len(PARAMETERS), generator=torch.Generator().manual_seed(seed))


def sample_styles(count: int, seed: int, photo_share: float = 0.7) -> torch.Tensor:
    """Draw style indices ``[count]``: mostly photo, the rest even over stone, sketch and cartoon (never bronze)."""
    u = torch.rand(count, generator=torch.Generator().manual_seed(seed))
    return torch.where(u < photo_share, 0, 1 + ((u - photo_share) / (1 - photo_share) * 3).long().clamp(0, 2))


def sample_moves(count: int, seed: int, active: float = 0.5) -> torch.Tensor:
    """Draw ``[count, M]`` moves: each uniform in 0..1 with probability ``active``, else at rest."""
    g = torch.Generator().manual_seed(seed)
    drawn, moving = torch.rand(count, len(MOVES), generator=g), torch.rand(count, len(MOVES), generator=g) < active
    return torch.where(moving, drawn, rest_moves(count))
