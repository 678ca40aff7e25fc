"""The fast forms of synthesis against the plain reference: pictures, gradients, every architecture, every path."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from micromotion import stylegan2
from micromotion.stylegan2 import Architecture, Generator, MicromotionError
from micromotion.stylegan2.ops import strips, use_backend
from micromotion.stylegan2.ops.backend import requested

DATA = Path(__file__).parent / "data"
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}  # relative to the largest value


def make(resolution=32, width=8, dtype=torch.float32, **options):
    """A small generator in which every parameter matters: no bias or noise strength is zero."""
    torch.manual_seed(0)
    channels = {2**k: width for k in range(2, resolution.bit_length())}
    generator = Generator(Architecture(resolution, channels, w_dim=16, z_dim=16, mapping_layers=2, **options))
    with torch.no_grad():
        for name, parameter in generator.synthesis.named_parameters():
            if parameter.ndim < 2:
                parameter.copy_(torch.randn(parameter.shape) * 0.3 + ("affine" in name))
    return generator.to(dtype).eval()


def codes_of(generator, n=3):
    g = torch.Generator().manual_seed(5)
    return torch.randn(n, generator.num_layers, generator.width, generator=g).to(generator.w_avg.dtype)


def relative(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def reference(generator, codes, noise="const"):
    with use_backend("reference"):
        return generator.synthesize(codes, noise)


@pytest.mark.parametrize("file", ["nvidia_ada_small", "rosinality_small"])
@pytest.mark.parametrize("backend", ["reference", "eager"])
def test_official_pictures(file, backend):
    path = next(DATA.glob(f"{file}*.p*"))
    generator, official = stylegan2.load(path), np.load(DATA / f"{file}.npz")
    with use_backend(backend), torch.no_grad():
        for noise in ("const", "none"):
            image = generator.synthesize(torch.from_numpy(official["wplus"]), noise)
            assert relative(image, torch.from_numpy(official[f"img_wplus_{noise}"])) < TOLERANCE[torch.float32]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("noise", ["const", "random", "none"])
@pytest.mark.parametrize(
    "options",
    [{}, {"conv_clamp": 0.7}, {"architecture": "orig"}, {"architecture": "resnet"}, {"resample_filter": (1, 2, 1)}, {"use_noise": False}],
    ids=lambda o: "-".join(map(str, o.values())) or "skip",
)
def test_fast_equals_reference(options, noise, dtype):
    generator = make(dtype=dtype, **options)
    codes = codes_of(generator)
    with torch.no_grad():
        torch.manual_seed(1)
        expected = reference(generator, codes, noise)
        torch.manual_seed(1)
        assert relative(generator.synthesize(codes, noise), expected) < TOLERANCE[dtype]
        assert generator.synthesize(codes[:1], noise).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("options", [{}, {"conv_clamp": 0.7}, {"architecture": "resnet"}], ids=str)
def test_gradients_equal_the_reference(options, frozen):
    generator = make(dtype=torch.float64, **options).requires_grad_(not frozen)
    codes = codes_of(generator).requires_grad_()
    inputs = {"codes": codes, **{k: p for k, p in generator.synthesis.named_parameters() if not frozen}}
    g = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    expected = torch.autograd.grad(reference(generator, codes), list(inputs.values()), g)
    actual = torch.autograd.grad(generator.synthesize(codes), list(inputs.values()), g)
    for name, a, b in zip(inputs, actual, expected):
        assert relative(a, b) < 1e-10, name


def test_shared_code_gradients_equal_the_reference():
    generator = make(dtype=torch.float64).requires_grad_(False)
    codes = codes_of(generator, 1).requires_grad_()
    g = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    (expected,) = torch.autograd.grad(reference(generator, codes), codes, g)
    (actual,) = torch.autograd.grad(generator.synthesize(codes), codes, g)
    assert relative(actual, expected) < 1e-10


@pytest.mark.parametrize("rows", [8, 20, 4096])
@pytest.mark.parametrize("noise", ["const", "random", "none"])
def test_strips_equal_the_reference(rows, noise, monkeypatch):
    calls = []
    original = strips._up_rows
    monkeypatch.setattr(strips, "STRIP_BYTES", rows * 128 * 8 * 4)
    monkeypatch.setattr(strips, "_up_rows", lambda *a: calls.append(1) or original(*a))
    generator = make(128, conv_clamp=4.0)
    codes = codes_of(generator, 2)
    with torch.no_grad():
        torch.manual_seed(1)
        expected = reference(generator, codes, noise)
        assert not calls
        torch.manual_seed(1)
        assert relative(generator.synthesize(codes, noise), expected) < TOLERANCE[torch.float32]
    assert len(calls) == 2 * -(-128 // min(rows, 128))


@pytest.mark.parametrize("options", [{}, {"architecture": "resnet"}, {"architecture": "orig"}], ids=str)
@pytest.mark.parametrize("resolution", [32, 128])
def test_prefix_goes_on_bit_for_bit_from_any_row(options, resolution):
    generator = make(resolution, **options)
    codes = codes_of(generator)
    with torch.no_grad():
        for rows in range(generator.num_layers + 1):
            codes[:, :rows] = codes[:1, :rows]
            prefix = generator.synthesis.prefix(codes[:1], rows)
            image = generator.synthesis(codes, prefix=prefix).expand(3, -1, -1, -1)
            assert relative(image, generator.synthesize(codes)) < TOLERANCE[torch.float32], rows


def test_smaller_resolution_is_the_skip_image_of_that_block():
    generator = make(32)
    codes = codes_of(generator)
    small = make(16)
    small.load_state_dict({k: v for k, v in generator.state_dict().items() if "b32" not in k})
    with torch.no_grad():
        torch.testing.assert_close(generator.synthesis(codes, resolution=16), small.synthesize(codes[:, :6]), rtol=0, atol=1e-5)


def test_changed_weights_change_the_picture():
    generator = make().requires_grad_(False)
    codes = codes_of(generator)
    generator.synthesize(codes)
    for name in ("b8.conv1.weight", "b16.conv0.affine.weight", "b32.torgb.affine.bias"):
        generator.synthesis.get_parameter(name).mul_(1.5)
        assert relative(generator.synthesize(codes), reference(generator, codes)) < TOLERANCE[torch.float32], name
    generator.to(torch.float64)
    assert relative(generator.synthesize(codes.double()), reference(generator, codes.double())) < TOLERANCE[torch.float64]


def test_weights_kept_from_inference_mode_serve_gradients_later():
    with torch.inference_mode():
        generator = make().requires_grad_(False)
        codes = codes_of(generator)
        expected = generator.synthesize(codes)
    codes = codes.clone().requires_grad_()
    image = Generator.synthesize(generator_copy(generator), codes)
    image.square().sum().backward()
    assert relative(image.detach(), expected.clone()) < TOLERANCE[torch.float32] and codes.grad.abs().sum() > 0


def generator_copy(generator):
    twin = Generator(generator.architecture).requires_grad_(False).eval()
    twin.load_state_dict(generator.state_dict())
    return twin


def test_autocast_computes_in_bfloat16_and_returns_float32():
    generator = make()
    codes = codes_of(generator)
    expected = reference(generator, codes)
    with torch.autocast("cpu", torch.bfloat16):
        image = generator.synthesize(codes)
        image.square().mean().backward()
    assert image.dtype == torch.float32 and 1e-4 < relative(image, expected) < 5e-2
    gradient = generator.synthesis.b8.conv0.weight.grad.clone()
    generator.zero_grad()
    reference(generator, codes).square().mean().backward()
    assert relative(gradient, generator.synthesis.b8.conv0.weight.grad) < 0.1


def test_backward_keeps_one_plane_per_layer():
    generator = make(width=16, resolution=64).requires_grad_(False)
    codes = codes_of(generator, 4).requires_grad_()
    kept = {}
    plane = 4 * 16 * 64 * 64 * 4
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.update({t.data_ptr(): t.numel() * t.element_size()}) or t, lambda t: t):
        generator.synthesize(codes)
    assert sum(kept.values()) < 2.2 * (1 + 1 / 4 + 1 / 16 + 1 / 64 + 1 / 256) * plane


@pytest.mark.parametrize(
    "noise,shape,match", [("loud", (1, 8, 16), "noise mode"), ("const", (1, 18, 512), r"\[N, 8, 16\]"), ("const", (8, 16), "shape")]
)
def test_wrong_input_is_one_sentence(noise, shape, match):
    with pytest.raises(ValueError, match=match):
        make().synthesize(torch.zeros(shape), noise)


@pytest.mark.parametrize("resolution", [32, 128])
def test_half_precision_is_close_and_only_in_the_highest_blocks(resolution):
    generator = make(resolution)
    codes = codes_of(generator, 2)
    types = []
    hooks = [b.conv1.register_forward_hook(lambda *a: types.append(a[2].dtype)) for b in generator.synthesis.children()]
    with torch.no_grad():
        exact = generator.synthesize(codes)
        types.clear()
        image = generator.synthesize(codes, half=1)
        assert types[:2] == [torch.float32] * 2 and torch.float32 not in types[len(generator.synthesis.resolutions) - 1 :]
        assert image.dtype == torch.float32 and 1e-5 < relative(image, exact) < 3e-2
        assert 1e-5 < relative(generator.synthesize(codes, half=9), exact) < 6e-2
        codes[:, :7] = codes[:1, :7]
        prefix = generator.synthesis.prefix(codes[:1], 7, half=9)
        assert relative(generator.synthesize(codes, half=9, prefix=prefix), generator.synthesize(codes, half=9)) < 3e-2
    for hook in hooks:
        hook.remove()


def test_a_generator_bound_to_a_backend_runs_it_whatever_is_asked_outside(monkeypatch):
    generator, seen = make(), []
    codes = codes_of(generator)
    monkeypatch.setenv("MICROMOTION_OPS", "reference")
    block = generator.synthesis.b8
    block.register_forward_hook(lambda *_: seen.append(requested()))
    for name in ("eager", None):
        generator.backend = name
        generator.synthesis.prefix(codes[:1], 6)
        generator.synthesize(codes)
    assert seen == ["eager", "eager", "reference", "reference"]
    assert copy.deepcopy(generator).backend is None
    with pytest.raises(MicromotionError, match="'tpu'; choose one of auto"):
        generator.backend = "tpu"


@pytest.mark.parametrize("resolution", [16, 128])
def test_torch_compile_takes_the_plain_form_whole(resolution):
    generator = make(resolution).requires_grad_(False)
    for learns in (False, True):
        codes = codes_of(generator, 2).requires_grad_(learns)
        compiled = torch.compile(generator.synthesize, fullgraph=True, backend="eager")
        assert relative(compiled(codes), generator.synthesize(codes)) < TOLERANCE[torch.float32]


def test_picture_is_the_image_in_0_1():
    generator = make()
    codes = codes_of(generator)
    with torch.no_grad():
        expected = (generator.synthesize(codes) * 0.5 + 0.5).clamp(0, 1)
        torch.testing.assert_close(generator.synthesize(codes, picture=True), expected)


def test_random_noise_has_the_strength_of_the_layer(make):
    layer = make().synthesis.block(8).conv1
    fresh = [layer.noise("random", 400).var().item() for _ in range(2)]
    assert fresh == pytest.approx([layer.noise_strength.item() ** 2] * 2, rel=0.1)
    layer.noise_strength.data.zero_()
    assert not layer.noise("random", 2).any()


def test_both_ways_of_a_residual_block_are_scaled_by_the_root_of_a_half(make):
    block = make(architecture="resnet").synthesis.block(8)
    x, styles = torch.ones(1, 12, 4, 4), (torch.ones(1, 12), torch.ones(1, 10), torch.ones(1, 10))
    inner = block.conv1(block.conv0(x, styles[0], "none"), styles[1], "none")
    shortcut = torch.einsum("oi,i->o", block.skip.weight[:, :, 0, 0] / 12**0.5, torch.ones(12))
    found, _ = block(x, None, styles, "none", stop=2)
    expected = (inner + shortcut[:, None, None]) * 0.5**0.5
    assert torch.allclose(found[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-5)
