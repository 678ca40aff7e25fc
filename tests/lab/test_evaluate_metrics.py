"""Every figure on data whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from micromotion.lab.evaluation import metrics


def line(count: int = 12, noise: float = 0.0) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    d = torch.randn(2, 16, generator=g)
    return 7 + torch.linspace(0, 1, count)[:, None, None] * d + noise * torch.randn(count, 2, 16, generator=g)


def test_a_line_has_one_component():
    share = metrics.shares(line())
    assert share[0] == pytest.approx(1, abs=1e-6)
    assert metrics.effective_rank(share) == pytest.approx(1, abs=1e-3)


def test_equal_components_have_their_number_as_effective_rank():
    assert metrics.effective_rank(torch.full((4,), 0.25)) == pytest.approx(4)


def test_a_common_offset_explains_nothing():
    noise = torch.randn(12, 512, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(metrics.shares(noise), metrics.shares(noise + 1000), atol=1e-4)


def test_nulls_are_those_of_theory():
    assert metrics.null_shares(12, 4096, "noise") == pytest.approx(1 / 11, abs=0.02)
    assert 0.5 < metrics.null_shares(24, 2048, "walk") < 0.7


def test_bootstrap_covers_the_mean_of_normal_values():
    values = torch.randn(400, generator=torch.Generator().manual_seed(2))
    found = metrics.bootstrap(values, metrics.mean)
    assert found.value == pytest.approx(values.mean().item(), abs=1e-5)
    assert (found.high - found.low) == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.1)
    assert found == metrics.bootstrap(values, metrics.mean)


def test_bootstrap_of_equal_values_is_a_point():
    found = metrics.bootstrap(torch.full((9,), 0.5))
    assert (found.low, found.value, found.high) == (0.5, 0.5, 0.5)


def test_pair_cosines_ignore_the_sign():
    d = torch.tensor([[[1.0, 0.0]], [[-2.0, 0.0]], [[0.0, 3.0]]])
    assert metrics.pair_cosines(d).tolist() == pytest.approx([1.0, 0.0, 0.0])


@pytest.mark.parametrize("curve", [torch.linspace(0, 1, 9), torch.linspace(0, 1, 9) ** 3])
def test_any_rising_curve_has_spearman_one(curve):
    c = torch.linspace(0, 2, 9)
    assert metrics.spearman(c, torch.stack([curve, -curve])).tolist() == pytest.approx([1.0, -1.0])


def test_spearman_agrees_with_scipy_with_ties():
    from scipy.stats import spearmanr

    g = torch.Generator().manual_seed(3)
    y = torch.randint(0, 5, (1, 21), generator=g).float()
    c = torch.linspace(0, 1, 21)
    assert metrics.spearman(c, y).item() == pytest.approx(spearmanr(c, y[0]).statistic, abs=1e-6)


def test_slope_linearity_and_monotone_share():
    c = torch.linspace(0, 1, 5)
    y = torch.stack([3 * c + 1, torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0])])
    assert metrics.slopes(c, y).tolist() == pytest.approx([3.0, 0.0])
    assert metrics.linearity(c, y)[0] == pytest.approx(1)
    assert metrics.linearity(c, y)[1] == pytest.approx(0, abs=1e-6)
    assert metrics.monotone(y).tolist() == [1.0, 0.5]


def test_leakage_is_relative_to_the_intended_change():
    before = torch.full((2, 5), 0.5)
    after = before.clone()
    after[:, 0] += 0.4
    after[1, 3] -= 0.2
    assert metrics.leakage(before, after, 0).tolist() == pytest.approx([0.0, 0.25])
    assert metrics.leaks(before, after, 0)[1].tolist() == pytest.approx([1.0, 0, 0, -0.5, 0])


def test_leakage_has_the_same_size_for_a_falling_factor():
    before = torch.full((1, 5), 0.5)
    after = before + torch.tensor([0.0, -0.4, 0.2, 0.0, 0.0])
    assert metrics.leakage(before, after, 1).item() == pytest.approx(0.25)


def test_success_needs_all_three():
    gain = torch.tensor([0.9, 0.7, 0.9, 0.9])
    leak = torch.tensor([0.1, 0.1, 0.4, 0.1])
    same = torch.tensor([0.95, 0.95, 0.95, 0.85])
    assert metrics.success(gain, leak, same).tolist() == [1, 0, 0, 0]


def test_psnr_of_a_known_error():
    truth = torch.zeros(1, 3, 4, 4)
    assert metrics.psnr(truth + 0.2, truth).item() == pytest.approx(20.0, abs=1e-3)


def test_r2_counts_a_constant_offset_as_error():
    truth = torch.linspace(0, 1, 50)[:, None]
    assert metrics.r2(truth, truth).item() == pytest.approx(1)
    assert metrics.r2(truth + truth.std(unbiased=False), truth).item() == pytest.approx(0, abs=1e-4)


def test_luminance_of_white_and_black():
    images = torch.stack([torch.ones(3, 4, 4), -torch.ones(3, 4, 4)])
    assert metrics.luminance(images).tolist() == pytest.approx([255.0, 0.0], abs=1e-3)
