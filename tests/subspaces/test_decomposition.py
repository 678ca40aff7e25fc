"""Acceptance of the robust PCA solver: recovery, symmetries, optimality, edges, agreement with pyrpca."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from micromotion.subspaces import robust_pca
from micromotion.subspaces.decomposition import default_sparsity, published, solve
from micromotion.subspaces.errors import SubspaceError


def problem(n: int, rank: int, corrupted: float, seed: int = 0, dtype=torch.float64):
    """A random low-rank matrix of unit-variance factors with ``corrupted`` of its entries replaced by large errors."""
    rng = np.random.default_rng(seed)
    L = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, n)) / n**0.5
    S = np.where(rng.random((n, n)) < corrupted, rng.choice([-1.0, 1.0], (n, n)) * 5, 0.0)
    return torch.tensor(L, dtype=dtype), torch.tensor(S, dtype=dtype)


def error(x: torch.Tensor, reference: torch.Tensor) -> float:
    return ((x - reference).norm() / reference.norm()).item()


@pytest.mark.parametrize(("rank", "corrupted"), [(10, 0.05), (10, 0.10), (20, 0.10), (40, 0.05)])
def test_recovers_low_rank_and_sparse_parts_exactly(rank, corrupted):
    L0, S0 = problem(200, rank, corrupted)
    L, S = robust_pca(L0 + S0)
    assert error(L, L0) <= 1e-5
    assert torch.linalg.matrix_rank(L, rtol=1e-6) == rank
    assert torch.equal(torch.where(S.abs() > 1e-4, S.sign(), 0.0), S0.sign())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_scales_with_its_input(scale):
    L0, S0 = problem(60, 3, 0.05)
    L, _ = robust_pca(scale * (L0 + S0))
    assert error(L, scale * robust_pca(L0 + S0)[0]) < 1e-6


def test_transposes_and_rotates_with_its_input():
    L0, S0 = problem(60, 3, 0.05)
    D = L0 + S0
    assert error(robust_pca(D.T)[0].T, robust_pca(D)[0]) < 1e-6
    wide = D[:12]
    assert error(robust_pca(wide.T)[0].T, robust_pca(wide)[0]) < 1e-6
    Q = torch.linalg.qr(torch.randn(60, 60, dtype=torch.float64))[0]
    assert error(robust_pca(Q @ L0)[0], Q @ robust_pca(L0)[0]) < 1e-5


def test_permuting_and_flipping_rows_moves_the_answer_along():
    L0, S0 = problem(60, 3, 0.05)
    P = torch.eye(60, dtype=torch.float64)[torch.randperm(60)] * torch.where(torch.rand(60) < 0.5, -1.0, 1.0)
    assert error(robust_pca(P @ (L0 + S0))[0], P @ robust_pca(L0 + S0)[0]) < 1e-6


def test_the_dual_certifies_optimality():
    L0, S0 = problem(100, 5, 0.05)
    lam = default_sparsity(100, 100)
    L, S, Y = solve(L0 + S0)
    U, s, Vh = torch.linalg.svd(L)
    U, Vh = U[:, :5], Vh[:5]
    W = Y - U @ Vh
    on = S.abs() > 1e-4
    assert (L + S - L0 - S0).norm() <= 1e-6 * (L0 + S0).norm()
    assert torch.linalg.matrix_norm(Y, 2) <= 1 + 1e-3
    assert Y.abs().max() <= lam * (1 + 1e-3)
    assert (U.T @ W).norm() <= 1e-2
    assert (W @ Vh.T).norm() <= 1e-2
    assert torch.allclose(Y[on], lam * S[on].sign(), rtol=1e-3)


def test_edges_are_defined():
    zero = torch.zeros(4, 9)
    assert all(torch.equal(part, zero) for part in robust_pca(zero))
    row = torch.randn(1, 9)
    assert torch.allclose(sum(robust_pca(row)), row, atol=1e-5)
    constant = torch.randn(1, 40, dtype=torch.float64).expand(12, 40)
    L, S = robust_pca(constant)
    assert error(L, constant) < 1e-6
    batch = torch.stack([zero, torch.ones(4, 9)])
    assert torch.equal(robust_pca(batch)[0][0], zero)
    assert torch.allclose(robust_pca(batch)[0][1], batch[1], atol=1e-5)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (torch.full((3, 3), float("nan")), "not finite"),
        (torch.full((3, 3), float("inf")), "not finite"),
        (torch.zeros(0, 3), "shape"),
        (torch.zeros(3), "shape"),
    ],
)
def test_bad_matrices_get_one_sentence(matrix, words):
    with pytest.raises(SubspaceError, match=words):
        robust_pca(matrix)


def test_a_sparsity_of_zero_is_refused():
    with pytest.raises(SubspaceError, match="from 0.0001 to 100"):
        robust_pca(torch.ones(3, 3), 0.0)


def test_single_precision_is_enough():
    L0, S0 = problem(200, 10, 0.05)
    D = L0 + S0
    assert error(robust_pca(D.float())[0].double(), robust_pca(D)[0]) <= 1e-4


def test_single_precision_that_cannot_reach_the_tolerance_still_ends_well():
    L0, S0 = problem(40, 2, 0.05, dtype=torch.float32)
    L, S = robust_pca(L0 + S0, tolerance=1e-12)
    assert error(L, L0) < 1e-4
    assert torch.isfinite(S).all()


def test_a_dozen_anchors_with_spikes_are_recovered():
    exact = 0
    for seed in range(5):
        rng = torch.Generator().manual_seed(seed)
        u, v = torch.randn(12, 1, generator=rng, dtype=torch.float64), torch.randn(1, 512, generator=rng, dtype=torch.float64)
        L0 = u @ v
        S0 = torch.where(torch.rand(12, 512, generator=rng) < 0.05, torch.randn(12, 512, generator=rng, dtype=torch.float64) * 5, 0.0)
        exact += error(robust_pca(L0 + S0)[0], L0) < 1e-5
    assert exact >= 4


@pytest.mark.parametrize(("n", "rank", "corrupted"), [(60, 3, 0.05), (100, 5, 0.10)])
def test_agrees_with_pyrpca(n, rank, corrupted):
    from pyrpca import rpca_pcp_ialm

    L0, S0 = problem(n, rank, corrupted, seed=1)
    D = L0 + S0
    theirs, _ = rpca_pcp_ialm(D.numpy(), 1 / n**0.5, rho=1.2, verbose=False)
    assert error(robust_pca(D, 1 / n**0.5)[0], torch.tensor(theirs)) <= 1e-5


def textbook_of_the_published_solver(D: np.ndarray) -> np.ndarray:
    """Section 5.4's recipe in numpy, an iteration at a time."""
    mu, lam = D.size / (4 * (D**2).sum()), 1 / np.sqrt(max(D.shape))
    S, Y = np.zeros_like(D), np.zeros_like(D)
    relative, rounds = np.inf, 0
    while relative > 1e-7 * (D**2).sum() and rounds < 1000:
        u, s, v = np.linalg.svd(D - S + Y / mu, full_matrices=False)
        L = u @ np.diag(np.maximum(s - 1 / mu, 0)) @ v
        X = D - L + Y / mu
        S = np.sign(X) * np.maximum(np.abs(X) - lam / mu, 0)
        Y = Y + mu * (D - L - S)
        relative, rounds = ((D - L - S) ** 2).sum() / (D**2).sum(), rounds + 1
    return L


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_published_reproduces_the_published_solver(scale):
    rng = np.random.default_rng(3)
    D = scale * (rng.standard_normal((1, 64)) + np.linspace(0, 1, 12)[:, None] * rng.standard_normal((1, 64)))
    assert error(published(torch.tensor(D))[0], torch.tensor(textbook_of_the_published_solver(D))) <= 1e-5


@pytest.mark.parametrize(("norm", "kept"), [(2.3, 0.99), (6.8, 0.88), (22.6, 0.10), (68.0, 0.03)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_published_is_faithful_on_anchors_of_full_width(norm, kept, dtype):
    """Twelve anchors of 512 as the released code sees them, from small codes to such as swallow the motion."""
    rng = np.random.default_rng(5)
    code, motion = rng.standard_normal(512), rng.standard_normal(512)
    D = norm * code / np.linalg.norm(code) + np.linspace(0, 1, 12)[:, None] * 1.1 * motion / np.linalg.norm(motion)
    D = D + 0.005 * rng.standard_normal((12, 512))
    expected = torch.tensor(textbook_of_the_published_solver(D))
    low, sparse = published(torch.tensor(D, dtype=dtype))
    assert error(low.double(), expected) <= 1e-5
    assert (low[-1] - low[0]).norm() / 1.1 == pytest.approx(kept, abs=0.06), "the longer the code, the less of the motion is left"


def test_a_batch_equals_its_members_one_by_one():
    L0, S0 = problem(48, 3, 0.05)
    batch = torch.stack([(L0 + S0)[:12] * k for k in (0.0, 1.0, 7.0)] + [torch.randn(12, 48, dtype=torch.float64)]).reshape(2, 2, 12, 48)
    for solver in (robust_pca, published):
        low_rank, sparse = solver(batch)
        for i in range(4):
            one = solver(batch.reshape(4, 12, 48)[i])
            assert torch.allclose(low_rank.reshape(4, 12, 48)[i], one[0], atol=1e-9)
            assert torch.allclose(sparse.reshape(4, 12, 48)[i], one[1], atol=1e-9)
