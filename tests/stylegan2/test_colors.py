"""Generators of 1, 2 and 4 channels go everywhere that those of 3 do."""

from __future__ import annotations

import contextlib

import pytest
import torch
from micromotion import __main__ as command_line
from micromotion import stylegan2, subspaces
from micromotion.stylegan2.colors import as_rgb, split_alpha
from micromotion.stylegan2.frames import render, synthesize_frames
from micromotion.stylegan2.inversion import optimize, reconstruction_report, tune

CHANNELS = [1, 2, 4]


def test_gray_and_alpha():
    x = torch.rand(2, 4, 3, 5)
    assert torch.equal(as_rgb(x), x[:, :3]) and torch.equal(as_rgb(x[:, :3]), x[:, :3])
    for channels in (1, 2):
        assert torch.equal(as_rgb(x[:, :channels]), x[:, [0, 0, 0]])
    pictures = x.permute(0, 2, 3, 1)
    assert split_alpha(pictures[..., :3])[1] is None and split_alpha(pictures[..., :1])[1] is None
    assert torch.equal(split_alpha(pictures)[0], pictures[..., :3]) and torch.equal(split_alpha(pictures)[1], pictures[..., 3])
    assert torch.equal(split_alpha(pictures[..., :2])[0], pictures[..., [0, 0, 0]])
    assert torch.equal(split_alpha(pictures[..., :2])[1], pictures[..., 1])


@pytest.fixture(params=CHANNELS)
def generator(request, make):
    return make(32, img_channels=request.param)


@pytest.fixture
def codes(generator):
    return generator.map(torch.randn(2, 20, generator=torch.Generator().manual_seed(0)), 0.7)


def test_frames_are_colors_and_pictures_keep_their_channels(generator, codes):
    channels = generator.architecture.img_channels
    own = generator.synthesize(codes)
    assert own.shape[1] == channels
    assert torch.equal(torch.cat(list(synthesize_frames(generator, codes))), as_rgb(own))
    assert render(generator, codes).shape == (2, 32, 32, channels) and render(generator, codes, size=16).shape == (2, 16, 16, channels)


def test_inversion_refinement_and_tuning(generator, codes):
    images = as_rgb(generator.synthesize(codes)).clamp(-1, 1)
    found = optimize(generator, images, steps=3)
    assert found.shape == codes.shape and reconstruction_report(generator, found, images).psnr.isfinite().all()
    assert tune(generator, images, found, steps=1).architecture == generator.architecture


def test_motions_previews_and_calibration(generator, codes):
    motion = subspaces.fit(torch.cat([codes[:1] + i for i in range(3)]), degrees=[0, 0.5, 1])
    seen = []
    with contextlib.suppress(subspaces.SubspaceError):  # random pictures may not answer to a motion
        subspaces.calibrate(motion, lambda x: seen.append(x.shape[1]) or x.mean((1, 2, 3)), generator, codes)
    assert set(seen) == {3}
    assert subspaces.preview_strip(motion, generator, codes[:1])


def test_animate(generator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stylegan2.save(generator, "g.safetensors")
    subspaces.Subspace(torch.ones(8, 24)).save("m.safetensors")
    arguments = ["--generator", "g.safetensors", "--motion", "m.safetensors", "--frames", "4", "--size", "32", "--device", "cpu"]
    for out in ("a.mp4", "a.gif"):
        assert command_line.main(["animate", *arguments, "--out", out]) == 0
