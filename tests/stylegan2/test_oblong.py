"""Generators of oblong pictures (StyleGAN-Human's grow from 4 x 2): drawn, moved, filmed; what needs squares says so."""

from __future__ import annotations

import pytest
import torch
from micromotion import __main__ as command_line
from micromotion import media, stylegan2, subspaces
from micromotion.stylegan2.frames import render, synthesize_frames
from micromotion.stylegan2.inversion import InversionError, optimize, tune

BASES = {(4, 2): (32, 16), (4, 8): (32, 64), (5, 3): (40, 24)}


@pytest.fixture(params=BASES)
def generator(request, make):
    return make(32, base=request.param)


@pytest.fixture
def codes(generator):
    return generator.map(torch.randn(2, 20, generator=torch.Generator().manual_seed(0)), 0.7)


def test_sizes(generator, codes):
    height, width = generator.size
    assert generator.size == BASES[generator.architecture.base] and generator.num_layers == 8
    for noise in ("const", "none", "random"):
        assert generator.synthesize(codes, noise).shape == (2, 3, height, width)
    assert torch.cat(list(synthesize_frames(generator, codes))).shape == (2, 3, height, width)
    assert render(generator, codes).shape == (2, height, width, 3)
    assert max(render(generator, codes, size=16).shape[1:3]) == 16


def test_a_square_of_it_is_what_a_square_generator_draws(make):
    """In the middle, far from the edges that the constants do not share, nothing depends on the width."""
    wide, narrow = make(8, base=(4, 32)), make(8, base=(4, 16))
    state = {k: v for k, v in wide.state_dict().items() if v.shape == narrow.state_dict()[k].shape}
    narrow.load_state_dict({**narrow.state_dict(), **state})
    narrow.synthesis.b4.const.data = wide.synthesis.b4.const.data[..., :16].clone()
    code = wide.map(torch.ones(1, 20))
    narrow_picture, wide_picture = (g.synthesize(code, "none") for g in (narrow, wide))
    torch.testing.assert_close(narrow_picture[..., :20], wide_picture[..., :20])


@pytest.mark.parametrize("form", ["nvidia_pickle", "sahlman", "basicsr"])
def test_files(form, generator, codes, write, tmp_path):
    if form != "nvidia_pickle":
        generator = (
            type(generator)(generator.architecture.__class__(**{**vars(generator.architecture), "z_dim": 24})).eval().requires_grad_(False)
        )
    loaded = stylegan2.load(getattr(write, form)(tmp_path / "a.pth", generator))
    assert loaded.size == generator.size and torch.equal(loaded.synthesize(codes), generator.synthesize(codes))
    kept = stylegan2.load(stylegan2.save(loaded, tmp_path / "a.safetensors"))
    assert kept.architecture == loaded.architecture and torch.equal(kept.synthesize(codes), loaded.synthesize(codes))


def test_what_needs_squares_says_so(generator, codes):
    images = torch.zeros(2, 3, 32, 32)
    for refuse in (lambda: optimize(generator, images, steps=1), lambda: tune(generator, images, codes, steps=1)):
        with pytest.raises(InversionError, match="squares only"):
            refuse()


def test_animate(generator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stylegan2.save(generator, "g.safetensors")
    subspaces.Subspace(torch.ones(8, 24)).save("m.safetensors")
    arguments = ["--generator", "g.safetensors", "--motion", "m.safetensors", "--frames", "4", "--size", "16", "--device", "cpu"]
    assert command_line.main(["animate", *arguments, "--out", "a.mp4"]) == 0
    frame = next(iter(media.read_clip("a.mp4")))
    assert frame.shape[1] * generator.size[1] == frame.shape[2] * generator.size[0]
