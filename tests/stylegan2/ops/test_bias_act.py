import itertools

import pytest
import torch
from micromotion.stylegan2.ops import bias_act
from micromotion.stylegan2.ops.bias_act import reference_bias_act


def operands(dtype, noise_batch, requires_grad=True):
    g = torch.Generator().manual_seed(3)
    x, scale, bias = torch.randn(3, 5, 6, 4, generator=g), torch.rand(3, 5, generator=g) + 0.5, torch.randn(5, generator=g)
    noise = torch.randn(6, 4, generator=g) if noise_batch == 0 else torch.randn(noise_batch, 1, 6, 4, generator=g)
    return [t.to(dtype).requires_grad_(requires_grad) for t in (x, scale, bias, noise)]


@pytest.mark.parametrize("noise_batch,clamp,gain", list(itertools.product((0, 1, 3), (None, 0.8), (1.0, 0.5**0.5))))
def test_equals_reference_with_gradients(noise_batch, clamp, gain):
    x, scale, bias, noise = operands(torch.float64, noise_batch)
    options = {"scale": scale, "clamp": clamp, "gain": gain}
    expected = reference_bias_act(x, bias, noise, **options)
    actual = bias_act(x * 1, bias, noise, **options)
    torch.testing.assert_close(actual, expected)
    g = torch.randn_like(expected)
    inputs = (x, scale, bias, noise)
    for a, b in zip(torch.autograd.grad(actual, inputs, g), torch.autograd.grad(expected, inputs, g)):
        torch.testing.assert_close(a, b)


def test_unknown_activation_is_named():
    with pytest.raises(ValueError, match="swish.*lrelu"):
        bias_act(torch.zeros(1, 2), activation="swish")
