from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from micromotion.stylegan2.ops import bias_act, demodulation, filter2d, fir_kernel, modulated_conv2d, prepared, styled_conv2d


def operands(n=2, dtype=torch.float64):
    g = torch.Generator().manual_seed(7)
    shapes = (n, 4, 6, 6), (5, 4, 3, 3), (n, 4), (5,), (1, 1, 6, 6)
    return [torch.randn(s, generator=g, dtype=dtype) for s in shapes]


def by_definition(x, weight, style, up):
    """Sample by sample, output channel by output channel: Karras et al. 2020, equations 1 and 3."""
    out = []
    for sample, s in zip(x, style):
        kernels = torch.stack([w * s[:, None, None] / (w * s[:, None, None]).norm() for w in weight])
        if up:
            y = F.conv_transpose2d(sample[None], kernels.transpose(0, 1), stride=2)
            out.append(filter2d(y, fir_kernel().double() * 4, (1, 1)))
        else:
            out.append(F.conv2d(sample[None], kernels, padding=1))
    return torch.cat(out)


@pytest.mark.parametrize("up", [False, True])
def test_reference_is_the_definition(up):
    x, weight, style, *_ = operands()
    torch.testing.assert_close(modulated_conv2d(x, weight, style, up=up, kernel=fir_kernel().double()), by_definition(x, weight, style, up))


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("dtype,tolerance", [(torch.float64, 1e-8), (torch.float32, 1e-5), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
def test_styled_conv_equals_conv_then_act(n, up, dtype, tolerance):
    x, weight, style, bias, noise = operands(n)
    noise = torch.randn(1, 1, 12, 12, dtype=torch.float64) if up else noise
    expected = bias_act(by_definition(x, weight, style, up), bias, noise, gain=0.5, clamp=2.0)
    exact = dtype if dtype in (torch.float64, torch.float32) else torch.float32
    weight, style, bias, noise = (t.to(exact) for t in (weight, style, bias, noise))
    actual = styled_conv2d(x.to(dtype), weight, style, bias, noise, up=up, kernel=fir_kernel(), gain=0.5, clamp=2.0)
    assert actual.dtype == dtype
    assert (actual.double() - expected).abs().max() < tolerance * expected.abs().max()


def test_float16_stays_in_range_where_the_plain_product_overflows():
    x, weight, style, bias, _ = operands(dtype=torch.float32)
    expected = styled_conv2d(x, weight, style, bias)
    actual = styled_conv2d(x.half(), weight * 300, style * 300, bias)
    assert torch.isfinite(actual).all() and (actual - expected).abs().max() < 5e-3 * expected.abs().max()


def test_demodulation_is_the_inverse_norm():
    _, weight, style, *_ = operands()
    norm = (weight[None] * style[:, None, :, None, None]).flatten(2).norm(dim=2)
    torch.testing.assert_close(demodulation(weight, style), 1 / norm)


def test_prepared_is_kept_until_the_weight_changes_or_goes():
    weight, made = torch.ones(3), []

    def make(w):
        made.append(1)
        return w * 2

    assert prepared([weight], "double", make) is prepared([weight], "double", make)
    assert len(made) == 1
    weight.add_(1)
    assert torch.equal(prepared([weight], "double", make), torch.full((3,), 4.0)) and len(made) == 2
    weight.data = torch.zeros(3)
    assert prepared([weight], "double", make).sum() == 0 and len(made) == 3
    twin = copy.deepcopy(weight)
    twin.fill_(5)
    assert prepared([twin], "double", make).sum() == 30
    kept = [weakref.ref(prepared([w], "double", make)) for w in (weight, twin)]
    gc.collect()
    assert all(made() is not None for made in kept)
    del weight, twin
    gc.collect()
    assert [made() for made in kept] == [None, None], "what was made of a weight goes with it"


def test_prepared_is_never_kept_for_a_weight_that_learns():
    weight = torch.ones(3, requires_grad=True)
    first = prepared([weight], "double", lambda w: w * 2)
    assert first.requires_grad and first is not prepared([weight], "double", lambda w: w * 2)
