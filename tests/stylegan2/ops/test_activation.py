from __future__ import annotations

import itertools

import pytest
import torch
from micromotion.stylegan2.ops import bias_act, filter2d, fir_kernel
from micromotion.stylegan2.ops.activation import conv_act
from micromotion.stylegan2.ops.plain import CACHE_BYTES, GAIN, cached_runs


def plain(x, scale, bias, noise, kernel, clamp):
    """The same steps by their definition."""
    x = x if kernel is None else filter2d(x, kernel * 4, (1, 1))
    return bias_act(x * scale[:, :, None, None], bias * 0.7, noise * 0.7, gain=1 / GAIN, clamp=None if clamp is None else clamp * GAIN)


@pytest.mark.parametrize("noise_batch,clamp,up", list(itertools.product((1, 3), (None, 0.8), (False, True))))
def test_conv_act_equals_its_steps_with_gradients(noise_batch, clamp, up):
    g = torch.Generator().manual_seed(3)
    size = (7, 5) if up else (6, 4)
    shapes = ((3, 5, *size), (3, 5), (5,), (noise_batch, 1, 6, 4))
    x, scale, bias, noise = (torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes)
    kernel = fir_kernel().double() if up else None
    expected = plain(x, scale, bias, noise, kernel, clamp)
    actual = conv_act(x * 1, scale, bias, noise, kernel=kernel, gain=0.7, clamp=clamp)
    torch.testing.assert_close(actual, expected)
    grad = torch.randn(expected.shape, generator=g, dtype=torch.float64)
    inputs = (x, scale, bias, noise)
    for a, b in zip(torch.autograd.grad(actual, inputs, grad), torch.autograd.grad(expected, inputs, grad)):
        torch.testing.assert_close(a, b)


def test_conv_act_without_scale_and_noise():
    x, bias = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(3, requires_grad=True)
    expected = bias_act(x, bias, gain=1 / GAIN)
    actual = conv_act(x * 1, None, bias, None)
    torch.testing.assert_close(actual, expected)
    for a, b in zip(torch.autograd.grad(actual.sum(), (x, bias)), torch.autograd.grad(expected.sum(), (x, bias))):
        torch.testing.assert_close(a, b)


def test_second_derivatives_are_refused():
    x = torch.randn(1, 2, 3, 3, requires_grad=True)
    (g,) = torch.autograd.grad(conv_act(x * 1, None, torch.zeros(2), None).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_bias_act_by_hand():
    x = torch.tensor([[-1.0, 2.0], [3.0, -4.0]])
    out = bias_act(x, torch.tensor([1.0, -1.0]), torch.tensor([[0.5], [0.0]]), gain=2.0, clamp=5.0)
    expected = torch.tensor([[0.5 * 2 * GAIN, 1.5 * 2 * GAIN], [10.0, -0.2 * 5 * 2 * GAIN]])
    torch.testing.assert_close(out, expected)


def test_unknown_activation_is_named():
    with pytest.raises(ValueError, match="swish.*lrelu"):
        bias_act(torch.zeros(1, 2), activation="swish")


@pytest.mark.parametrize("shape", [(1, 4, 2, 2), (7, 64, 64, 64), (3, 32, 512, 512)])
def test_cached_runs_cover_every_sample_once(shape):
    x = torch.empty(shape, device="meta").to("meta")
    runs = cached_runs(torch.empty(shape[0], 1).expand(shape[0], x[0].numel()))
    assert [i for r in runs for i in range(shape[0])[r]] == list(range(shape[0]))
    assert all(r.stop - r.start == 1 or (r.stop - r.start) * x[0].numel() * 4 <= CACHE_BYTES for r in runs)
