"""From anchors to a subspace: estimators against known motions, pooling, ranks, layers, bad input."""

from __future__ import annotations

import pytest
import torch
from micromotion.subspaces import Anchors, SubspaceError, fit, pool
from micromotion.subspaces.estimators import ESTIMATORS, NEED_DEGREES, center, median, pair_slopes
from synthetic import cosine, direction, line


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if e != "published"])
def test_every_estimator_finds_a_clean_motion_in_degrees(estimator):
    d = direction()
    codes, degrees, group = line(d, noise=0.001, groups=2)
    s = fit(Anchors(codes, degrees, group), estimator=estimator)
    assert torch.allclose(s.direction.double(), d, atol=0.02)
    assert s.rank == 1
    assert s.explained[0] > 0.99
    assert s.effective_rank < 1.1


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if e not in (*NEED_DEGREES, "published")])
def test_without_degrees_the_unit_is_the_anchors_range_in_their_order(estimator):
    d = direction()
    codes, _, _ = line(d, noise=0.001, count=30)
    s = fit(codes, estimator=estimator)
    assert cosine(s.direction, d) > 0.999
    assert s.direction.norm() == pytest.approx(d.norm().item(), rel=0.06)
    assert cosine(fit(codes, estimator=estimator, reverse=True).direction, d) < -0.999


def test_the_default_estimator_follows_the_degrees():
    codes, degrees, _ = line(direction())
    assert fit(codes, degrees).estimator == "theil_sen"
    assert fit(codes).estimator == "rpca"


@pytest.mark.parametrize("kind", [{"spikes": 0.05}, {"spikes": 0.1}, {"spikes": 0.05, "curve": 0.3}, {"bad": 1}, {"bad": 2}])
def test_robust_estimators_beat_the_others_under_errors(kind):
    """The order of method.md's table; the last column, one bad anchor, is where plain components fail."""
    d = direction(1, 512)
    scores = {e: [] for e in ESTIMATORS}
    for seed in range(4):
        codes, degrees, _ = line(d, seed=seed, **kind)
        for e in ESTIMATORS:
            scores[e].append(cosine(fit(codes, degrees, e).direction, d))
    mean = {e: sum(v) / len(v) for e, v in scores.items()}
    assert min(mean["theil_sen"], mean["rpca"]) > 0.9
    assert min(mean["theil_sen"], mean["rpca"]) > max(mean["pca"], mean["least_squares"], mean["published"])
    if "spikes" in kind:
        assert min(mean["theil_sen"], mean["rpca"]) > mean["secant"] + 0.2


def test_rpca_without_degrees_leaves_a_bad_frame_out_and_says_so():
    d = direction()
    codes, _, _ = line(d, count=20)
    codes[7] += 3 * torch.randn(codes.shape[1:], generator=torch.Generator().manual_seed(5))
    s = fit(Anchors(codes, labels=tuple(f"frame {i}" for i in range(20))))
    assert cosine(s.direction, d) > 0.99
    assert any("frame 7" in note for note in s.notes)


def test_pooling_faces_sharpens_the_direction():
    d = direction(1, 512)
    one, five = [], []
    for seed in range(4):
        codes, degrees, group = line(d, seed=seed, groups=5, spikes=0.05, size=0.3)
        one.append(cosine(fit(codes[:12], degrees[:12]).direction, d))
        five.append(cosine(fit(Anchors(codes, degrees, group)).direction, d))
    assert sum(five) > sum(one)
    assert min(five) > 0.95


def test_differences_between_faces_are_no_motion():
    d = direction()
    codes, degrees, group = line(d, groups=3, noise=0.001)
    codes += 50 * torch.randn(3, 1, 1)[group]
    for estimator in ESTIMATORS:
        if estimator != "published":
            assert cosine(fit(Anchors(codes, degrees, group), estimator=estimator).direction, d) > 0.99


def test_reports_rank_and_outlier_share():
    codes, degrees, _ = line(direction(), spikes=0.05, noise=0.0, count=24)
    s = fit(codes, degrees, "rpca", joint=True)
    assert s.recovered_rank == 1
    assert s.outlier_share == pytest.approx(0.05, abs=0.015)
    assert fit(codes, degrees, "theil_sen").outlier_share == pytest.approx(0.05, abs=0.03)
    assert fit(codes, degrees, "pca").outlier_share is None
    noisy, _, _ = line(direction(), spikes=0.05, noise=0.02, count=24)
    assert fit(noisy, degrees, "rpca").outlier_share == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize("estimator", ["theil_sen", "rpca", "pca"])
@pytest.mark.parametrize("known", [True, False])
def test_rank_two_finds_both_motions_of_a_clip(estimator, known):
    if estimator == "theil_sen" and not known:
        return
    first, second = direction(), direction(seed=1) / 3
    codes, degrees, _ = line(first, count=40, noise=0.0)
    wave = torch.sin(degrees * 12.6)
    codes = codes + (wave[:, None, None] * second).float()
    s = fit(codes, degrees if known else None, estimator, rank=2)
    plane = torch.linalg.qr(s.basis.flatten(1).T.double()).Q
    for d in (first, second):
        unit = d.flatten() / d.norm()
        assert (plane.T @ unit).norm() > 0.95
    assert s.direction.shape == first.shape
    assert s.apply(codes[:1], torch.zeros(3, 2)).shape == (3, *first.shape)


def test_the_published_estimator_follows_its_recipe():
    """Section 5.4 written out: start row first, uncentered, four components, next-to-last minus first."""
    from micromotion.subspaces.decomposition import published

    codes, degrees, _ = line(direction(), count=11)
    start = torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(3))
    s = fit(Anchors(codes, degrees, start=start), estimator="published")
    for layer in range(6):
        rows = torch.cat([start[:, layer], codes[:, layer]]).double()
        U, values, V = torch.linalg.svd(published(rows)[0])
        low = U[:, :4] * values[:4] @ V[:4]
        assert torch.allclose(s.direction[layer].double(), low[10] - low[0], atol=1e-5)


def test_a_layer_mask_leaves_the_other_rows_alone():
    codes, degrees, _ = line(direction())
    s = fit(codes, degrees, layers="coarse, 5")
    assert s.layers == (0, 1, 2, 3, 5)
    assert torch.equal(s.direction[4], torch.zeros(32))
    assert s.direction[5].norm() > 0


def test_anchors_marked_unused_do_not_count():
    codes, degrees, _ = line(direction(), noise=0.0)
    codes[3] = 99
    used = torch.arange(12) != 3
    assert torch.allclose(fit(Anchors(codes, degrees, used=used), estimator="secant").direction.double(), direction(), atol=1e-5)
    assert torch.allclose(fit(Anchors(codes, degrees, used=used), estimator="least_squares").direction.double(), direction(), atol=1e-5)


def test_many_frames_are_fitted_quickly():
    codes, degrees, _ = line(direction(4, 64), count=300)
    assert cosine(fit(codes, degrees).direction, direction(4, 64)) > 0.99


def test_pair_slopes_and_median_are_the_textbooks():
    x = torch.tensor([[0.0], [1.0], [5.0], [3.0]], dtype=torch.float64)
    d = torch.arange(4.0, dtype=torch.float64)
    slopes = sorted(((x[j] - x[i]) / (j - i)).item() for i in range(4) for j in range(i + 1, 4))
    assert pair_slopes(x, d, torch.zeros(4)).item() == pytest.approx((slopes[2] + slopes[3]) / 2)
    assert median(x).item() == pytest.approx(2.0)
    assert center(x, torch.tensor([0, 0, 1, 1])).flatten().tolist() == [-0.5, 0.5, 1, -1]


def test_pooled_anchors_keep_faces_apart():
    d = direction()
    sets = [Anchors(*line(d, seed=k)[:2], start=torch.zeros(1, 6, 32), template="a", fingerprint="f") for k in range(3)]
    p = pool(sets)
    assert p.num_groups == 3
    assert p.start.shape == (3, 6, 32)
    assert len(p) == 36
    assert torch.equal(p.group, torch.arange(3).repeat_interleave(12))


def test_lists_and_arrays_are_anchors_too():
    codes, degrees, _ = line(direction())
    expected = fit(codes, degrees).direction
    assert torch.equal(fit(codes.numpy(), degrees.numpy()).direction, expected)
    assert torch.equal(fit(codes.tolist(), degrees.tolist()).direction, expected)


def test_published_leaves_out_the_opposite_motion_and_orders_by_degree():
    codes, degrees, _ = line(direction(), count=11)
    start = torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(3))
    expected = fit(Anchors(codes, degrees, start=start), estimator="published").direction
    both = Anchors(torch.cat([codes.flip(0), -codes[1:]]), torch.cat([degrees.flip(0), -degrees[1:]]), start=start)
    assert torch.allclose(fit(both, estimator="published").direction, expected, atol=1e-6)


CODES, DEGREES, _ = line(direction())
MOSTLY_ONE = torch.cat([CODES[:1].repeat(11, 1, 1), CODES[11:]])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit(CODES[:2], DEGREES[:2]), "2 anchors are too few"),
        (lambda: fit(CODES[:1].repeat(5, 1, 1), DEGREES[:5]), "all the same code"),
        (lambda: fit(torch.full((5, 6, 32), float("nan"))), "not finite"),
        (lambda: fit(CODES, DEGREES[:5]), "12 anchors but 5 degrees"),
        (lambda: fit(CODES, torch.full((12,), float("inf"))), "not finite"),
        (lambda: fit(CODES, torch.ones(12)), "at least two"),
        (lambda: fit(CODES, None, "theil_sen"), "needs a degree"),
        (lambda: fit(CODES, DEGREES, "magic"), "choose one of theil_sen"),
        (lambda: fit(CODES[0], DEGREES), "shape"),
        (lambda: fit(CODES, DEGREES, rank=0), "The rank is 0; give a whole number from 1 to 64"),
        (lambda: fit(CODES, DEGREES, rank=1.5), "whole number"),
        (lambda: fit(CODES, ["no"] * 12), "cannot be read as numbers"),
        (lambda: fit([["a"]]), "cannot be read as numbers"),
        (lambda: fit(Anchors(CODES, DEGREES, used=torch.zeros(12))), "marked to be left out"),
        (lambda: Anchors(CODES, group=torch.full((12,), -1)), "count from 0"),
        (lambda: Anchors(CODES, DEGREES[:, None]), r"shape of \(12, 1\)"),
        (lambda: fit(MOSTLY_ONE, DEGREES), "finds no motion"),
        (lambda: fit(MOSTLY_ONE), "nothing moves"),
        (lambda: fit(CODES, DEGREES, layers="3-1"), "counts down"),
        (lambda: fit(CODES, DEGREES, layers="0-"), "names no layers"),
        (lambda: fit(CODES, DEGREES, layers="0, 90-91"), "count from 0 to 5"),
        (lambda: fit(CODES, DEGREES, layers=[0.5]), "whole number from 0 to 99"),
        (lambda: fit(CODES, DEGREES, layers=["eyes"]), "whole number from 0 to 99"),
        (lambda: fit(CODES, DEGREES, "published", rank=2), "one direction"),
        (lambda: fit(CODES, DEGREES, "secant", rank=40), "ask for less"),
        (lambda: fit(CODES, DEGREES, layers="5-9"), "count from 0 to 5"),
        (lambda: fit(CODES, DEGREES, layers="eyes"), "names no layers"),
        (lambda: fit(CODES, DEGREES, "rpca", sparsity=-1), "from 0.0001 to 100"),
        (lambda: fit(Anchors(CODES, DEGREES), DEGREES), "their own degrees"),
        (lambda: Anchors(CODES, start=torch.zeros(1, 4, 32)), "Start codes"),
        (lambda: pool([]), "no anchors"),
        (lambda: pool([Anchors(CODES), Anchors(CODES, DEGREES)]), "some have none"),
        (lambda: pool([Anchors(CODES), Anchors(CODES[:, :4])]), "different shapes"),
        (lambda: pool([Anchors(CODES, fingerprint="a"), Anchors(CODES, fingerprint="b")]), "different generators"),
    ],
)
def test_bad_anchors_get_one_sentence(call, words):
    with pytest.raises(SubspaceError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
