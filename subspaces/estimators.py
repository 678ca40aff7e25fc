"""Estimators: from anchors to the direction of their motion.

Every estimator works on displacements inside a group (one face, seed or clip), so that what tells faces apart never counts as
motion. A direction is the displacement for one unit of degree; where degrees are unknown, for the range the anchors cover.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .decomposition import default_sparsity, published, robust_pca
from .errors import SubspaceError

PUBLISHED_RANK = 4
MAX_PAIRS = 4000
PAIR_BLOCK = 20_000_000
SPECTRUM_LENGTH = 32
OUTLIER_SIGMAS = 5
MIN_PARTICIPATION = 2.0


@dataclass(frozen=True, eq=False)
class Problem:
    """Anchors in double precision: ``codes [A, L, D]`` in order, ``degrees [A]`` or None, ``group [A]``, ``start [G, L, D]`` or None.

    ``sign`` is +1 or -1: whether, without degrees, the motion grows or shrinks with time.
    """

    codes: torch.Tensor
    degrees: torch.Tensor | None
    group: torch.Tensor
    start: torch.Tensor | None = None
    rank: int = 1
    joint: bool = False
    sparsity: float | None = None
    sign: int = 1

    def indices(self) -> list[torch.Tensor]:
        """The anchors of each group, in order."""
        return [(self.group == g).nonzero()[:, 0] for g in self.group.unique()]


@dataclass(frozen=True, eq=False)
class Motion:
    """What an estimator found.

    ``basis [K, L, D]``; ``spectrum``: singular values of the centered anchors, or of their low-rank part; the rank of that part and
    the share of entries taken for errors (None where the estimator does not look); ``outliers``: anchors that it left out.
    """

    basis: torch.Tensor
    spectrum: torch.Tensor
    recovered_rank: int | None = None
    outlier_share: float | None = None
    outliers: tuple[int, ...] = ()


def theil_sen(p: Problem) -> Motion:
    """The median slope of each coordinate over all pairs inside a group (Theil 1950, Sen 1968); needs degrees."""
    degrees = _known(p.degrees)
    slope = pair_slopes(p.codes, degrees, p.group)  # [L, D]
    residual = center(p.codes - degrees[:, None, None] * slope, p.group)
    return Motion(complete(slope, residual, p.rank, p.group), spectrum(p.codes, p.group), None, share_of_outliers(residual))


def _known(degrees: torch.Tensor | None) -> torch.Tensor:
    if degrees is None:
        raise SubspaceError("This estimator needs a degree for every anchor; give degrees, or choose rpca.")
    return degrees


def least_squares(p: Problem) -> Motion:
    """The least-squares slope of each coordinate on the degree; needs degrees. A baseline: one spike moves it."""
    degrees = _known(p.degrees)
    slope = mean_slope(p.codes, degrees, p.group)
    centered = center(p.codes, p.group, torch.mean)
    return Motion(complete(slope, residual_of(centered, slope, degrees, p.group), p.rank, p.group), spectrum(centered, p.group))


def rpca(p: Problem) -> Motion:
    """Converged robust PCA of the median-centered anchors, then the Theil-Sen slope of its low-rank part.

    Where degrees are unknown, the scores of its strongest component stand in for them; a component that lives in a single anchor
    is that anchor's fault, not a motion, and the anchor is left out.
    """
    low, sparse = decompose(center(p.codes, p.group), p, lambda x: robust_pca(x, p.sparsity))
    keep = torch.ones(len(low), dtype=torch.bool)
    degrees = p.degrees
    if degrees is None:
        degrees, keep = motion_scores(low, p)
    slope = pair_slopes(low[keep], degrees[keep], p.group[keep])
    values = spectrum(low[keep], p.group[keep])
    basis = complete(slope, residual_of(low, slope, degrees, p.group)[keep], p.rank, p.group[keep])
    return Motion(basis, values, numerical_rank(values), share_of_outliers(sparse), tuple((~keep).nonzero()[:, 0].tolist()))


def pca(p: Problem) -> Motion:
    """The first principal component of the mean-centered anchors, scaled by the least-squares slope of its scores."""
    centered = center(p.codes, p.group, torch.mean)
    degrees = motion_scores(centered, p, robust=False)[0] if p.degrees is None else p.degrees
    blocks = centered.flatten(1)[:, None] if p.joint else centered  # [A, B, P]
    V = torch.linalg.svd(blocks.transpose(0, 1), full_matrices=False).Vh[:, :1]  # [B, 1, P]
    scores = (blocks * V[:, 0]).sum(-1)  # [A, B]
    slope = (mean_slope(scores[..., None], degrees, p.group) * V[:, 0]).reshape(centered.shape[1:])
    return Motion(complete(slope, residual_of(centered, slope, degrees, p.group), p.rank, p.group), spectrum(centered, p.group))


def secant(p: Problem) -> Motion:
    """Last minus first anchor of each group, over their difference in degree; the mean of the groups."""
    slopes = []
    for rows in p.indices():
        if p.degrees is None:
            slopes.append(p.sign * (p.codes[rows[-1]] - p.codes[rows[0]]))
            continue
        first, last = rows[p.degrees[rows].argmin()], rows[p.degrees[rows].argmax()]
        if p.degrees[last] > p.degrees[first]:
            slopes.append((p.codes[last] - p.codes[first]) / (p.degrees[last] - p.degrees[first]))
    centered = center(p.codes, p.group, torch.mean)
    degrees = order_in_group(p) if p.degrees is None else p.degrees
    slope = torch.stack(slopes).mean(0)
    return Motion(complete(slope, residual_of(centered, slope, degrees, p.group), p.rank, p.group), spectrum(centered, p.group))


def published_direction(p: Problem) -> Motion:
    """The paper's code: uncentered decomposition per layer, four components, next-to-last row minus the first.

    The start code is the first row, so that with the eleven published degrees the direction ends at "90%", and the displacement is not
    rescaled. Kept as it is for comparison, but for the rank-four truncation: it is exact here, the limit of their randomized one, which
    gives another answer for every seed. Anchors of an opposite motion (degrees below 0), which their code does not know, are left out.
    """
    directions, parts, spikes = [], [], []
    for g, rows in zip(p.group.unique(), p.indices()):
        rows = rows if p.degrees is None else rows[p.degrees[rows] >= 0]
        rows = rows if p.degrees is None else rows[p.degrees[rows].argsort(stable=True)]
        codes = p.codes[rows] if p.start is None else torch.cat([p.start[g][None], p.codes[rows]])
        low, sparse = published(codes.transpose(0, 1))  # [L, A, D]
        low = truncate(low, PUBLISHED_RANK).transpose(0, 1)
        directions.append(low[-2] - low[0])
        parts.append(low)
        spikes.append(sparse.flatten())
    values = spectrum(torch.cat(parts), torch.arange(len(parts)).repeat_interleave(torch.tensor([len(x) for x in parts])))
    return Motion(torch.stack(directions).mean(0)[None], values, numerical_rank(values), share_of_outliers(torch.cat(spikes)))


ESTIMATORS: dict[str, Callable[[Problem], Motion]] = {
    "theil_sen": theil_sen,
    "rpca": rpca,
    "pca": pca,
    "secant": secant,
    "published": published_direction,
    "least_squares": least_squares,
}
NEED_DEGREES = ("theil_sen", "least_squares")


def center(x: torch.Tensor, group: torch.Tensor, how: Callable | None = None) -> torch.Tensor:
    """Subtract from ``x [A, ...]`` the middle of each group: the median, or what ``how(rows, 0)`` gives."""
    x = x.clone()
    for g in group.unique():
        rows = group == g
        x[rows] -= median(x[rows]) if how is None else how(x[rows], 0)
    return x


def median(x: torch.Tensor) -> torch.Tensor:
    """The median over the first axis; of an even number the mean of the two middle values."""
    return (x.median(0).values - (-x).median(0).values) / 2


def pair_slopes(x: torch.Tensor, degrees: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Median over pairs of one group of ``(x_j - x_i) / (d_j - d_i)``, for ``x [A, ...]``; of many pairs a fixed sample."""
    i, j = torch.triu_indices(len(x), len(x), 1)
    usable = (group[i] == group[j]) & (degrees[i] != degrees[j])
    i, j = i[usable], j[usable]
    if len(i) > MAX_PAIRS:
        chosen = torch.randperm(len(i), generator=torch.Generator().manual_seed(0))[:MAX_PAIRS]
        i, j = i[chosen], j[chosen]
    run = (degrees[j] - degrees[i])[:, None]
    blocks = x.flatten(1).split(max(1, PAIR_BLOCK // max(1, len(i))), 1)
    return torch.cat([median((b[j] - b[i]) / run) for b in blocks]).reshape(x.shape[1:])


def mean_slope(x: torch.Tensor, degrees: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Least-squares slope of ``x [A, ...]`` on the degree, inside groups."""
    d = center(degrees, group, torch.mean)
    return torch.tensordot(d / d.square().sum(), center(x, group, torch.mean), 1)


def decompose(centered: torch.Tensor, p: Problem, solver: Callable) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a matrix solver per layer, or on all layers as one matrix; parts ``[A, L, D]``."""
    if p.joint:
        return tuple(part.reshape(centered.shape) for part in solver(centered.flatten(1)))
    return tuple(part.transpose(0, 1) for part in solver(centered.transpose(0, 1)))


def motion_scores(x: torch.Tensor, p: Problem, robust: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Degrees from the motion itself: scores of the strongest joint component, 0 to 1 over the range of the anchors.

    Oriented so that they grow with time (times ``p.sign``). Returns ``scores [A], keep [A]``.
    """
    flat, keep = x.flatten(1), torch.ones(len(x), dtype=torch.bool)
    for _ in range(len(x) // 4 + 1):
        U, s, V = torch.linalg.svd(flat[keep], full_matrices=False)
        u = U[:, 0]
        if not robust or len(u) < 6 or 1 / u.pow(4).sum() >= MIN_PARTICIPATION:
            break
        keep[keep.nonzero()[u.abs().argmax(), 0]] = False
    scores = flat @ V[0]
    scores = scores * orientation(scores[keep], p.group[keep]) * p.sign
    low, high = scores[keep].quantile(0.02), scores[keep].quantile(0.98)
    if not high > low:
        raise SubspaceError(
            "Apart from outliers all these anchors are the same code, so nothing moves in them; use other degrees or frames."
        )
    return (scores - low) / (high - low), keep


def orientation(scores: torch.Tensor, group: torch.Tensor) -> int:
    """+1 where scores grow with time in more pairs than they shrink, else -1."""
    i, j = torch.triu_indices(len(scores), len(scores), 1)
    same = group[i] == group[j]
    return 1 if (scores[j] - scores[i])[same].sign().sum() >= 0 else -1


def order_in_group(p: Problem) -> torch.Tensor:
    """Place of each anchor in its group, 0 for the first to 1 for the last."""
    place = torch.zeros(len(p.codes), dtype=p.codes.dtype)
    for rows in p.indices():
        place[rows] = torch.linspace(0, 1, len(rows), dtype=p.codes.dtype)
    return place * p.sign


def residual_of(centered: torch.Tensor, slope: torch.Tensor, degrees: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """What a slope leaves of centered anchors, centered again."""
    return center(centered - degrees[:, None, None] * slope, group)


def complete(slope: torch.Tensor, residual: torch.Tensor, rank: int, group: torch.Tensor) -> torch.Tensor:
    """A basis ``[K, L, D]``: the motion, then the K - 1 strongest joint components of its low-rank residual, each as long as its range."""
    if rank == 1:
        return slope[None]
    low = robust_pca(residual.flatten(1))[0]
    U, s, V = torch.linalg.svd(low, full_matrices=False)
    found = numerical_rank(s)
    if found < rank - 1:
        raise SubspaceError(f"A subspace of rank {rank} was asked for, but these anchors hold only {found + 1} motions; ask for less.")
    ranges = (U.amax(0) - U.amin(0)) * s
    signs = torch.tensor([orientation(u, group) for u in U.T], dtype=s.dtype)
    rest = (ranges * signs)[: rank - 1, None] * V[: rank - 1]
    return torch.cat([slope[None], rest.reshape(-1, *slope.shape)])


def spectrum(x: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """The largest singular values of ``x [A, L, D]``, centered in its groups, as one matrix ``[A, L * D]``."""
    return torch.linalg.svdvals(center(x, group, torch.mean).flatten(1))[:SPECTRUM_LENGTH]


def numerical_rank(values: torch.Tensor, tolerance: float = 1e-3) -> int:
    """How many singular values exceed ``tolerance`` times the largest."""
    return int((values > tolerance * values[0]).sum()) if values[0] > 0 else 0


def share_of_outliers(residual: torch.Tensor) -> float:
    """Share of entries beyond five robust standard deviations (of the noise that most entries show)."""
    size = residual.abs()
    sigma = 1.4826 * size.median() + 1e-6 * size.max()
    return (size > OUTLIER_SIGMAS * sigma).double().mean().item()


def truncate(x: torch.Tensor, rank: int) -> torch.Tensor:
    """The best approximation of each matrix by one of lower rank."""
    U, s, V = torch.linalg.svd(x, full_matrices=False)
    return (U[..., :rank] * s[..., None, :rank]) @ V[..., :rank, :]


def sparsity_of(p: Problem) -> float:
    """The weight that robust PCA used on these anchors."""
    columns = p.codes[0].numel() if p.joint else p.codes.shape[2]
    return default_sparsity(len(p.codes), columns) if p.sparsity is None else p.sparsity
