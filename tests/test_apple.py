"""Nothing that runs on the device asks it for float64: Apple's has none. `apple.py` stands in for one."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from micromotion import stylegan2, subspaces
from micromotion.faces import align, paste
from micromotion.stylegan2.codes import resembles_code
from micromotion.stylegan2.frames import render, synthesize_frames
from micromotion.stylegan2.inversion import EncoderInverter, optimize, reconstruction_report, tune
from micromotion.stylegan2.inversion.compact import CompactEncoder
from micromotion.subspaces.anchors import draw_faces
from micromotion.subspaces.anchors.text import prior_whitening


@pytest.fixture(scope="module")
def apple():
    spec = importlib.util.spec_from_file_location("apple", Path(__file__).with_name("apple.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["apple"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def device(apple, monkeypatch):
    """The device, while the stand-in is at work; torch's automatic precision does not know its name."""
    autocast = torch.autocast
    monkeypatch.setattr(torch, "autocast", lambda d, *a, **k: contextlib.nullcontext() if d == "meta" else autocast(d, *a, **k))
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    with apple.NoFloat64():
        yield apple.DEVICE


@pytest.fixture
def generator(apple, make, device):
    return apple.moved(make())


@pytest.fixture
def codes(generator, device):
    return generator.map(torch.randn(3, 20, generator=torch.Generator().manual_seed(0)).to(device), 0.7)


def test_the_stand_in_refuses_float64_and_computes_as_the_cpu_does(apple, make, device, codes, generator):
    for widen in (codes.double, lambda: codes.to(torch.float64), lambda: torch.zeros(1, device=device, dtype=torch.float64)):
        with pytest.raises(TypeError, match="float64"):
            widen()
    here, there = make(), generator.synthesize(codes)
    assert there.device.type == "meta"
    assert torch.equal(there.cpu(), here.synthesize(here.map(torch.randn(3, 20, generator=torch.Generator().manual_seed(0)), 0.7)))
    assert codes.cpu().double().dtype == torch.float64
    assert torch.equal(codes[[2, 0]].cpu(), codes.cpu()[[2, 0]])
    assert codes.new_tensor([1.5]).cpu() == torch.tensor([1.5], device=device).cpu() == 1.5


def test_drawing(generator, codes):
    assert draw_faces(generator, [0, 1], seeds_of="nvidia").device.type == "cpu"
    assert len(torch.cat([x.cpu() for x in synthesize_frames(generator, codes)])) == 3
    assert render(generator, codes).shape == (3, 16, 16, 3)
    assert resembles_code(codes, generator)[1]


def test_text_anchors_prior(generator, make):
    assert torch.allclose(prior_whitening(generator).cpu(), prior_whitening(make()), rtol=1e-3, atol=1e-4)


def test_finding_and_refining_a_face(generator, codes):
    images = generator.synthesize(codes[:1]).detach().clamp(-1, 1)
    assert optimize(generator, images, codes[:1], steps=2).cpu().isfinite().all()
    assert reconstruction_report(generator, codes[:1], images).psnr.isfinite().all()


def test_motions(generator, codes):
    motion = subspaces.fit(torch.cat([codes.cpu()[:1] + i * torch.ones(1, 6, 24) for i in range(3)]), degrees=[0, 0.5, 1])
    moved = motion.apply(codes[:1], torch.linspace(0, 1, 5))
    assert moved.device.type == "meta"
    assert subspaces.read_coefficients(motion, moved, generator=generator).shape == (5,)
    assert subspaces.fit(codes, degrees=torch.tensor([0, 0.5, 1.0])).rank == 1


def test_tracks_measured_on_the_device(codes, device):
    motion = subspaces.Subspace(torch.ones(6, 24))
    track = torch.linspace(-1, 1, 9)
    assert subspaces.calibrate_track(motion, track.to(device), (2 * track).to(device)).calibration.curve


def test_pasting(device):
    photo = torch.rand(1, 3, 40, 40)
    square, crop = align(photo, "aligned", 40)
    frames = paste(photo.to(device), square.to(device), crop)[0]
    assert frames.cpu().isfinite().all()


def test_tuning(generator, codes):
    images = generator.synthesize(codes[:1]).detach().clamp(-1, 1) * 0.9
    assert isinstance(tune(generator, images, codes[:1], steps=1, locality=0), stylegan2.Generator)


def test_calibrating(generator, codes, make):
    """Pictures, values and the motion's own steps stay in float32 on the device; sums in float64 are the host's."""
    motion, measure = subspaces.Subspace(torch.ones(6, 24)), lambda x: x.mean((1, 2, 3))
    there = subspaces.calibrate(motion, measure, generator, codes, coefficients=[-1, -0.5, 0.5, 1])
    assert there.calibration == subspaces.calibrate(motion, measure, make(), codes.cpu(), coefficients=[-1, -0.5, 0.5, 1]).calibration


def test_inverting_with_an_encoder(apple, generator, codes):
    config = {"input_size": 16, "channels_in": 6, "widths": [4, 8], "hidden": 16, "num_layers": 6, "width": 24}
    inverter = EncoderInverter(apple.moved(CompactEncoder(config)), passes=2)
    images = generator.synthesize(codes[:1]).detach().clamp(-1, 1)
    found = inverter.invert(generator, images)
    assert found.device.type == "meta" and found.cpu().isfinite().all()
