"""The arithmetic of every measurement: tensors in, one number per identity out, and intervals over identities.

Readings are ``[N, F, 5]``: identities, coefficients, factors in 0..1. All factors are drawn uniformly, so they share one
spread, ``SIGMA``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

SIGMA = 12**-0.5
DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A statistic over identities with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    count: int


def median(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """The median; of an even number the mean of the two middle values."""
    return x.quantile(0.5, dim)


def mean(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    return x.mean(dim)


def variation(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Standard deviation over the size of the mean."""
    return x.std(dim) / x.mean(dim).abs().clamp(min=1e-9)


def bootstrap(values: torch.Tensor, statistic: Callable = median, draws: int = DRAWS, seed: int = 0) -> Interval:
    """The statistic of ``values [N]`` and the 2.5 and 97.5 % quantiles of it over resampled identities (Efron 1979)."""
    values = values.detach().double().flatten()
    n = len(values)
    rows = torch.randint(n, (draws, n), generator=torch.Generator().manual_seed(seed))
    resampled = statistic(values[rows], 1)
    low, high = resampled.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(float(statistic(values[None], 1)), low, high, n)


def shares(anchors: torch.Tensor) -> torch.Tensor:
    """Variance shares of the principal components of ``anchors [A, ...]``, mean-centered, falling."""
    flat = anchors.flatten(1).double()
    energy = torch.linalg.svdvals(flat - flat.mean(0)).square()
    return energy / energy.sum().clamp(min=1e-30)


def effective_rank(share: torch.Tensor) -> float:
    """exp(entropy) of variance shares (Roy and Vetterli 2007)."""
    return float(torch.exp(-torch.special.xlogy(share, share).sum()))


def null_shares(count: int, width: int, kind: str, draws: int = 20, seed: int = 0) -> torch.Tensor:
    """Mean first share of ``count`` points without any motion: independent ``noise``, or a random ``walk``, which is smooth."""
    g = torch.Generator().manual_seed(seed)
    points = torch.randn(draws, count, width, generator=g)
    points = points.cumsum(1) if kind == "walk" else points
    return torch.stack([shares(p)[0] for p in points]).mean()


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Cosine over all but the first axis."""
    return F.cosine_similarity(a.flatten(1).double(), b.flatten(1).double(), dim=1)


def pair_cosines(directions: torch.Tensor) -> torch.Tensor:
    """Absolute cosines of all pairs of ``directions [N, L, D]``."""
    unit = F.normalize(directions.flatten(1).double(), dim=1)
    i, j = torch.triu_indices(len(unit), len(unit), 1)
    return (unit @ unit.T)[i, j].abs()


def ranks(x: torch.Tensor) -> torch.Tensor:
    """Ranks along the last axis; equal values share the mean of theirs."""
    below = (x[..., :, None] > x[..., None, :]).double().sum(-1)
    equal = (x[..., :, None] == x[..., None, :]).double().sum(-1)
    return below + (equal - 1) / 2


def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Pearson correlation along the last axis; 0 where either does not vary."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp(min=1e-12)


def spearman(coefficients: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """Rank correlation of ``coefficients [F]`` with each row of ``response [N, F]``."""
    return correlation(ranks(coefficients)[None], ranks(response))


def slopes(coefficients: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """Least-squares slope of each row of ``response [N, F]``."""
    c = (coefficients - coefficients.mean()).double()
    return response.double() @ c / c.square().sum()


def linearity(coefficients: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """R^2 of a straight line through each row of ``response [N, F]``."""
    return correlation(coefficients.double()[None], response.double()).square()


def monotone(response: torch.Tensor) -> torch.Tensor:
    """Share of steps of each row of ``response [N, F]`` that do not go back."""
    return (response.diff(dim=1) > 0).double().mean(1)


def leaks(before: torch.Tensor, after: torch.Tensor, intended: int) -> torch.Tensor:
    """Change of every factor over that of the intended one, ``[N, 5]``; ``before`` and ``after`` are ``[N, 5]``.

    All factors have one spread, so that the quotient needs no units.
    """
    change = (after - before).double()
    return change / change[:, intended].abs().clamp(min=1e-3)[:, None]


def leakage(before: torch.Tensor, after: torch.Tensor, intended: int) -> torch.Tensor:
    """Root mean square of the other factors' change over the intended factor's change, ``[N]``."""
    others = [j for j in range(before.shape[1]) if j != intended]
    return leaks(before, after, intended)[:, others].square().mean(1).sqrt()


def success(gain: torch.Tensor, leak: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
    """Whether a transfer worked, ``[N]``: 0.8 of the intended change, leakage up to 0.30, identity from 0.90."""
    return ((gain >= 0.8) & (leak <= 0.30) & (identity >= 0.90)).double()


def residual(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Norm of the difference of pictures ``[N, 3, H, W]``."""
    return (image - truth).flatten(1).double().norm(dim=1)


def psnr(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB of pictures in -1..1."""
    error = (image.clamp(-1, 1) - truth.clamp(-1, 1)).double().square().mean((1, 2, 3))
    return 10 * torch.log10(4 / error.clamp(min=1e-12))


def r2(read: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Coefficient of determination of columns ``[N, P]``; a constant offset counts as error."""
    return 1 - (read - truth).square().mean(0) / truth.var(0, unbiased=False)


def luminance(images: torch.Tensor) -> torch.Tensor:
    """Mean luma ``[N]`` of pictures in -1..1, in 255ths (Rec. 601 weights)."""
    weights = images.new_tensor([0.299, 0.587, 0.114])
    return ((images.clamp(-1, 1) + 1) * 127.5 * weights[:, None, None]).sum(1).mean((1, 2))
