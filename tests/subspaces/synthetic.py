"""Anchors whose motion is known: a line in code space with noise, spikes, curvature, bad anchors."""

from __future__ import annotations

import torch


def direction(layers: int = 6, width: int = 32, seed: int = 0) -> torch.Tensor:
    """A direction ``[L, D]`` of norm 3."""
    d = torch.randn(layers, width, generator=torch.Generator().manual_seed(1000 + seed), dtype=torch.float64)
    return 3 * d / d.norm()


def line(d: torch.Tensor, *, seed=0, groups=1, count=12, spikes=0.0, curve=0.0, bad=0, noise=0.02, size=1.0):
    """``codes [A, L, D], degrees [A], group [A]`` of faces that move along ``d``."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    bend = normal(*d.shape)
    bend *= curve * d.norm() / bend.norm()
    codes, degrees, group = [], [], []
    for g in range(groups):
        t = torch.linspace(0, 1, count, dtype=torch.float64)
        x = normal(*d.shape) + size * t[:, None, None] * d + noise * normal(count, *d.shape)
        x = x + 4 * (t * (t - 1))[:, None, None] * bend
        x = x + (torch.rand(x.shape, generator=rng) < spikes) * normal(*x.shape)
        for i in torch.randperm(count - 2, generator=rng)[:bad].tolist():
            x[i + 1] += 0.3 * normal(*d.shape)
        codes.append(x)
        degrees.append(t)
        group.append(torch.full((count,), g))
    return torch.cat(codes).float(), torch.cat(degrees), torch.cat(group)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.cosine_similarity(a.double().flatten(), b.double().flatten(), dim=0).item()
