from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from micromotion.stylegan2.low_resolution import SkipSynthesis

from .test_generator import codes_of, make


@pytest.fixture
def generator():
    return make(32).requires_grad_(False)


def shrunk(generator, codes, resolution):
    return F.avg_pool2d(generator.synthesize(codes), generator.resolution // resolution)


def test_exact_at_its_code_and_closer_than_the_bare_skip_output_near_it(generator):
    code = codes_of(generator, 1)
    fast = SkipSynthesis.around(generator, code, 16)
    torch.testing.assert_close(fast(code), shrunk(generator, code, 16), rtol=1e-5, atol=1e-5)
    near = code + 0.05 * torch.randn(8, *code.shape[1:], generator=torch.Generator().manual_seed(2))
    exact = shrunk(generator, near, 16)
    error, bare = (fast(near) - exact).norm(), (generator.synthesis(near, resolution=16) - exact).norm()
    assert error < 0.3 * bare


def test_gradients_reach_the_codes_but_not_through_the_layers_left_out(generator):
    code = codes_of(generator, 1)
    fast = SkipSynthesis.around(generator, code, 16)
    moved = code.clone().requires_grad_()
    fast(moved).square().sum().backward()
    row = generator.synthesis.b16.rows[2]
    assert (moved.grad[:, : row + 1].abs().sum((0, 2)) > 0).all() and moved.grad[:, row + 1 :].abs().sum() == 0


def test_unknown_resolution_names_the_choices(generator):
    with pytest.raises(ValueError, match="24 px; choose one of 4, 8, 16, 32"):
        SkipSynthesis.around(generator, codes_of(generator, 1), 24)
    with pytest.raises(ValueError, match="choose one of 32"):
        SkipSynthesis.around(make(architecture="resnet"), codes_of(generator, 1), 16)
