"""Generators of oblong pictures (StyleGAN-Human's grow from 4 x 2): drawn, moved, filmed; what needs squares says so."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from micromotion import __main__ as command_line
from micromotion import media, stylegan2, subspaces
from micromotion.stylegan2.frames import render, synthesize_frames
from micromotion.stylegan2.inversion import (
    EncoderInverter,
    InversionError,
    OptimizingInverter,
    optimization,
    optimize,
    reconstruction_report,
    tune,
)
from micromotion.stylegan2.inversion.compact import CompactEncoder
from micromotion.stylegan2.inversion.identity import crop_face
from micromotion.stylegan2.resample import centered
from PIL import Image

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


def test_codes_are_found_from_the_mean(generator, codes):
    """Optimization needs no encoder, and so no squares; what it finds shows the picture, and tuning goes on from there."""
    images = generator.synthesize(codes)
    mean = reconstruction_report(generator, generator.w_avg.expand(2, 8, -1), images)
    found = OptimizingInverter().invert(generator, images, steps=60)
    report = reconstruction_report(generator, found, images)
    assert (report.psnr > mean.psnr + 4).all()
    tuned = tune(generator, images, found, steps=20, locality=0)
    assert (reconstruction_report(tuned, found, images).psnr > report.psnr).all()


def test_smaller_pictures_and_those_a_pixel_off_are_taken(generator):
    height, width = generator.size
    for shape in ((height // 2, width // 2), (height + 61, 2 * width + 1), (height, width)):
        found = optimize(generator, centered(torch.zeros(1, 3, *shape), generator.size), steps=2)
        assert found.shape == (1, 8, 24) and found.isfinite().all()


def test_what_needs_squares_says_so(generator):
    with pytest.raises(InversionError, match=f"cut to the proportions of {generator.size[1]} x {generator.size[0]} px"):
        optimize(generator, torch.zeros(1, 3, 32, 32), steps=1)
    with pytest.raises(InversionError, match="inverters look at squares. Refine Face without codes"):
        config = {"input_size": 16, "channels_in": 3, "widths": [4], "hidden": 8, "num_layers": 8, "width": 24}
        EncoderInverter(CompactEncoder(config)).invert(generator, torch.zeros(1, 3, *generator.size))
    with pytest.raises(InversionError, match="a face recognizer looks at aligned squares"):
        crop_face(torch.zeros(1, 3, *generator.size))


@pytest.mark.parametrize("shape", [(60, 60), (61, 40), (40, 61), (7, 90)])
def test_the_middle_is_cut_in_the_proportions_of_the_generator(generator, shape):
    height, width = generator.size
    picture = torch.zeros(1, 3, *shape)
    rows, columns = centered(picture, generator.size).shape[-2:]
    assert abs(rows * width - columns * height) < max(height, width)
    assert rows == shape[0] or columns == shape[1]


def test_preview(generator):
    strip = Image.open(io.BytesIO(subspaces.preview_strip(subspaces.Subspace(torch.ones(8, 24)), generator)))
    assert abs(strip.width * generator.size[0] - 5 * strip.height * generator.size[1]) <= 3 * strip.height


@pytest.fixture
def workplace(generator, tmp_path, monkeypatch):
    """A folder with the generator, a motion, a picture that is not in its proportions, and a clip of such."""
    monkeypatch.chdir(tmp_path)
    stylegan2.save(generator, "g.safetensors")
    subspaces.Subspace(torch.ones(8, 24)).save("m.safetensors")
    Path("clip").mkdir()
    first, last = np.random.default_rng(0).integers(0, 255, (2, 50, 70, 3))
    for i in range(6):
        Image.fromarray((first + (last - first) * i / 5).astype(np.uint8)).save(f"clip/{i}.png")
    monkeypatch.setattr(optimization, "STEPS", 3)
    return ["--generator", "g.safetensors", "--device", "cpu"]


def test_a_picture_and_a_clip_on_the_command_line(generator, workplace, capsys):
    film = ["--motion", "m.safetensors", "--frames", "4", "--size", "16", "--out", "a.mp4"]
    assert command_line.main(["animate", "clip/0.png", *film, *workplace, "--invert-steps", "2"]) == 0
    assert "in the proportions that this generator draws" in capsys.readouterr().err
    frame = next(iter(media.read_clip("a.mp4")))
    assert frame.shape[1] * generator.size[1] == frame.shape[2] * generator.size[0]
    assert command_line.main(["animate", "--drive", "clip", *film, *workplace]) == 0
    assert command_line.main(["fit", "clip", "new.safetensors", *workplace]) == 0
    assert subspaces.Subspace.load("new.safetensors").direction.norm() > 0
    capsys.readouterr()
    assert command_line.main(["animate", "clip/0.png", "--align", *film, *workplace]) == 2
    assert "--align cuts out square faces" in capsys.readouterr().err


def test_pairs_of_photos(generator, workplace):
    motion = ["--motion", "m.safetensors=0.5", "--photos", "clip", "--size", "16"]
    assert command_line.main(["dataset", "pairs", *motion, *workplace]) == 0
    sizes = {Image.open(p).size for p in Path("pairs").rglob("*.png")}
    assert sizes == {(16, round(16 * generator.size[0] / generator.size[1]))}
    assert command_line.main(["dataset", "others", "--paste", *motion, *workplace]) == 2


def test_animate(generator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stylegan2.save(generator, "g.safetensors")
    subspaces.Subspace(torch.ones(8, 24)).save("m.safetensors")
    arguments = ["--generator", "g.safetensors", "--motion", "m.safetensors", "--frames", "4", "--size", "16", "--device", "cpu"]
    assert command_line.main(["animate", *arguments, "--out", "a.mp4"]) == 0
    frame = next(iter(media.read_clip("a.mp4")))
    assert frame.shape[1] * generator.size[1] == frame.shape[2] * generator.size[0]
