from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from micromotion.stylegan2.ops import styled_conv2d, use_backend, winograd


def operands(n, i, o, height, width, dtype=torch.float32):
    g = torch.Generator().manual_seed(3)
    x = torch.randn(n, i, height, width, generator=g, dtype=dtype).contiguous(memory_format=torch.channels_last)
    return x, torch.randn(o, i, 3, 3, generator=g, dtype=dtype)


@pytest.mark.parametrize("tiles", [1, 5, 256])
@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("n,i,o,width", [(1, 3, 5, 8), (3, 4, 200, 12)])
def test_equals_the_direct_convolution(n, i, o, width, rows, tiles, monkeypatch):
    monkeypatch.setattr(winograd, "BLOCK_TILES", tiles)
    x, weight = operands(n, i, o, 16 + 2 - 2 * rows, width)
    actual = winograd.conv3x3(x, weight, rows)
    expected = F.conv2d(x.double(), weight.double(), padding=(rows, 1))
    assert actual.shape == expected.shape and actual.is_contiguous(memory_format=torch.channels_last)
    assert (actual - expected).abs().max() < 2e-6 * expected.abs().max()


def test_rounds_no_worse_than_the_direct_convolution():
    x, weight = operands(1, 256, 128, 32, 32)
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    direct, fast = ((y - exact).norm() / exact.norm() for y in (F.conv2d(x, weight, padding=1), winograd.conv3x3(x, weight)))
    assert fast < 2 * direct


@pytest.mark.parametrize(
    "shape,weight,rows,answer",
    [
        ((1, 128, 32, 32), (128, 128, 3, 3), 1, True),
        ((1, 128, 34, 32), (128, 128, 3, 3), 0, True),
        ((1, 128, 28, 32), (128, 128, 3, 3), 1, False),
        ((2, 128, 32, 32), (128, 128, 1, 1), 1, False),
        ((1, 64, 64, 64), (64, 64, 3, 3), 1, False),
        ((1, 128, 34, 34), (128, 128, 3, 3), 1, False),
    ],
)
def test_is_used_for_many_channels_and_whole_tiles(shape, weight, rows, answer):
    assert winograd.pays(torch.empty(shape), torch.empty(weight), rows) is answer
    assert not winograd.pays(torch.empty(shape).bfloat16(), torch.empty(weight).bfloat16(), rows)


@pytest.mark.parametrize("n", [1, 2])
def test_a_layer_and_its_gradients_equal_the_reference(n, monkeypatch):
    used, original = [], winograd.conv3x3
    monkeypatch.setattr(winograd, "conv3x3", lambda *a: used.append(1) or original(*a))
    x, weight = operands(n, 128, 128, 32, 32)
    style, bias = torch.rand(n, 128) + 0.5, torch.randn(128)
    inputs = [t.requires_grad_() for t in (x, style, bias)]
    actual = styled_conv2d(x, weight, style, bias)
    with use_backend("reference"):
        expected = styled_conv2d(x, weight, style, bias)
    assert (actual - expected).abs().max() < 1e-5 * expected.abs().max()
    g = torch.randn(expected.shape)
    for a, b in zip(torch.autograd.grad(actual, inputs, g), torch.autograd.grad(expected, inputs, g)):
        assert (a - b).norm() < 1e-5 * b.norm()
    assert len(used) == 2
