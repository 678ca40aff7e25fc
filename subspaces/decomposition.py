"""Robust principal component analysis: a matrix as low rank plus sparse (Candes et al. 2011, arXiv 0912.3599)."""

from __future__ import annotations

import torch

from ..files import limits
from .errors import SubspaceError

RHO = 1.2
MU_GROWTH = 1e7
TOLERANCE = 1e-7
MAX_ITERATIONS = 1000


def robust_pca(matrices: torch.Tensor, sparsity: float | None = None, *, tolerance: float = TOLERANCE) -> tuple[torch.Tensor, torch.Tensor]:
    """Split each matrix D of ``matrices [..., m, n]`` into ``low_rank, sparse`` of the same shape, L + S = D.

    Minimizes ``||L||_* + sparsity * ||S||_1`` by the inexact augmented Lagrangian of Lin, Chen and Ma (2010,
    arXiv 1009.5055), all matrices at once, in the dtype given. ``sparsity`` None: ``default_sparsity``. Center first: an
    offset counts as the strongest component. Errors: not a matrix, empty, or not finite.
    """
    return solve(matrices, sparsity, tolerance=tolerance)[:2]


def default_sparsity(m: int, n: int) -> float:
    """The weight c / sqrt(max(m, n)); c is 2 up to 24 rows, 1.5 up to 47, and the textbook's 1 from 48.

    With a dozen anchors the textbook weight takes the motion itself for sparse and recovers almost nothing.
    """
    few = min(m, n)
    c = 2.0 if few <= 24 else 1.5 if few < 48 else 1.0
    return c / max(m, n) ** 0.5


def solve(
    matrices: torch.Tensor, sparsity: float | None = None, *, tolerance: float = TOLERANCE
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``robust_pca`` with its dual ``Y [..., m, n]``, the certificate of optimality, as third value."""
    D = _checked(matrices)
    if sparsity is not None:
        sparsity = limits.SPARSITY.checked(sparsity, "The sparsity weight of robust PCA is", SubspaceError)
    lam = sparsity or default_sparsity(*D.shape[-2:])
    flat = D.reshape(-1, *D.shape[-2:])  # [B, m, n]
    L, S, Y = torch.zeros_like(flat), torch.zeros_like(flat), torch.zeros_like(flat)
    active = (flat != 0).flatten(1).any(1).nonzero()[:, 0]
    state = _start(flat[active], lam)
    for _ in range(MAX_ITERATIONS):
        if not len(active):
            break
        state, done = _step(*state, lam, tolerance)
        L[active], S[active], Y[active] = state[1:4]
        active, state = active[~done], [x[~done] for x in state]
    return L.reshape(D.shape), S.reshape(D.shape), Y.reshape(D.shape)


def _start(D: torch.Tensor, lam: float) -> list[torch.Tensor]:
    spectral = torch.linalg.matrix_norm(D, 2)[:, None, None] if len(D) else D.new_zeros(0, 1, 1)
    Y = D / torch.maximum(spectral, D.abs().flatten(1).amax(1)[:, None, None] / lam) if len(D) else D
    return [D, torch.zeros_like(D), torch.zeros_like(D), Y, 1.25 / spectral, MU_GROWTH * 1.25 / spectral]


def _step(D, L, S, Y, mu, mu_max, lam: float, tolerance: float) -> tuple[list[torch.Tensor], torch.Tensor]:
    L = shrink_singular_values(D - S + Y / mu, 1 / mu)
    S = shrink(D - L + Y / mu, lam / mu)
    R = D - L - S
    done = R.flatten(1).norm(dim=1) < tolerance * D.flatten(1).norm(dim=1)
    return [D, L, S, Y + mu * R, torch.minimum(mu * RHO, mu_max), mu_max], done


def published(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The decomposition as the paper's authors published it, for comparison only: ``low_rank, sparse``.

    Its penalty uses the squared Frobenius norm where the L1 norm belongs, and its stopping rule compares a relative residual with an
    absolute number, so that it ends after a few iterations and depends on the scale of ``matrices [..., m, n]``.
    """
    D = _checked(matrices)
    flat = D.reshape(-1, *D.shape[-2:])
    pairs = [_published_one(M) for M in flat]
    low, sparse = (torch.stack(parts).reshape(D.shape) for parts in zip(*pairs))
    return low, sparse


def _published_one(D: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    energy = D.square().sum()
    if not energy:
        return D.clone(), torch.zeros_like(D)
    mu, lam = D.numel() / (4 * energy), 1 / max(D.shape) ** 0.5
    L, S, Y = torch.zeros_like(D), torch.zeros_like(D), torch.zeros_like(D)
    for _ in range(MAX_ITERATIONS):
        L = shrink_singular_values(D - S + Y / mu, 1 / mu)
        S = shrink(D - L + Y / mu, lam / mu)
        R = D - L - S
        Y = Y + mu * R
        if R.square().sum() / energy <= 1e-7 * energy:
            break
    return L, S


def shrink(X: torch.Tensor, tau: torch.Tensor | float) -> torch.Tensor:
    """Soft threshold: sign(x) * max(|x| - tau, 0)."""
    return X.sign() * (X.abs() - tau).clamp_min(0)


def shrink_singular_values(X: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
    """Soft threshold of the singular values of ``X [..., m, n]``.

    Long matrices in double precision go through their small Gram matrix, which is many times faster than the decomposition.
    """
    m, n = X.shape[-2:]
    if m > n:
        return shrink_singular_values(X.mT, tau).mT
    if 2 * m <= n and X.dtype == torch.float64:
        energy, U = torch.linalg.eigh(X @ X.mT)
        kept = shrink(energy.clamp_min(0).sqrt()[..., None, :], tau)
        return (U * (kept / (kept + tau))) @ (U.mT @ X)
    U, s, Vh = torch.linalg.svd(X, full_matrices=False)
    return (U * shrink(s[..., None, :], tau)) @ Vh


def _checked(matrices: torch.Tensor) -> torch.Tensor:
    if matrices.ndim < 2 or not matrices.numel():
        raise SubspaceError(f"Robust PCA takes matrices [..., rows, columns] with entries; these have shape {tuple(matrices.shape)}.")
    if not torch.isfinite(matrices).all():
        raise SubspaceError("Robust PCA was given numbers that are not finite (NaN or infinity); remove the anchors that hold them.")
    return matrices.detach() if matrices.is_floating_point() else matrices.to(torch.float32)
