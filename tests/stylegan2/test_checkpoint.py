"""Official files give the official pictures; native files keep every bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from micromotion import stylegan2
from micromotion.stylegan2 import Architecture, Generator, checkpoint
from safetensors import safe_open

DATA = Path(__file__).parent / "data"
OFFICIAL = {"nvidia_ada_small_nosrc.pkl": "nvidia_ada_small.npz", "rosinality_small.pt": "rosinality_small.npz"}


def bits(generator):
    return {k: v.numpy().tobytes() for k, v in generator.state_dict().items()}


def codes_for(generator, reference, name):
    if "wplus" in name:
        return torch.from_numpy(reference["wplus"])
    return generator.map(torch.from_numpy(reference["z"]), 0.7 if "psi0.7" in name else 1.0)


@pytest.mark.parametrize("file", OFFICIAL)
def test_official_files_give_the_official_pictures(file):
    generator = stylegan2.load(DATA / file)
    reference = np.load(DATA / OFFICIAL[file])
    pictures = [k for k in reference.files if k.startswith("img")]
    assert len(pictures) >= 5
    for name in pictures:
        image = generator.synthesize(codes_for(generator, reference, name), "const" if "const" in name else "none")
        np.testing.assert_allclose(image.numpy(), reference[name], atol=1e-4, rtol=1e-4, err_msg=name)


def test_official_codes():
    generator = stylegan2.load(DATA / "nvidia_ada_small_nosrc.pkl")
    reference = np.load(DATA / "nvidia_ada_small.npz")
    z = torch.from_numpy(reference["z"])
    np.testing.assert_allclose(generator.map(z, 0.7, 4).numpy(), reference["ws_psi0.7_cut4"], atol=1e-5)
    assert generator.architecture.conv_clamp == 256
    assert generator.architecture.channels == {4: 32, 8: 32, 16: 32, 32: 32}


@pytest.mark.parametrize("file", OFFICIAL)
def test_a_round_trip_keeps_every_bit(file, tmp_path):
    first = checkpoint.convert(DATA / file, tmp_path / "a.safetensors")
    again = stylegan2.load(tmp_path / "a.safetensors")
    assert again.architecture == first.architecture
    assert again.fingerprint == first.fingerprint
    assert bits(again) == bits(first)
    checkpoint.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_files_are_half_the_size_and_load_as_float32(dtype, tmp_path):
    generator = stylegan2.load(DATA / "rosinality_small.pt")
    full = stylegan2.save(generator, tmp_path / "f.safetensors")
    half = stylegan2.save(generator, tmp_path / "h.safetensors", dtype)
    assert half.stat().st_size < 0.62 * full.stat().st_size
    again = stylegan2.load(tmp_path / "h.safetensors")
    assert all(p.dtype == torch.float32 for p in again.parameters())
    assert torch.equal(again.w_avg, generator.w_avg)
    z = torch.from_numpy(np.load(DATA / "rosinality_small.npz")["z"])
    a, b = (g.synthesize(g.map(z)) for g in (generator, again))
    assert 0 < (a - b).abs().max() / a.abs().max() < (0.01 if dtype == torch.float16 else 0.1)


def test_native_files_load_without_copying(tmp_path):
    path = stylegan2.save(stylegan2.load(DATA / "rosinality_small.pt"), tmp_path / "a.safetensors")
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    generator = stylegan2.load(path)
    where = generator.synthesis.b32.conv1.weight.data_ptr()
    ranges = [line.split()[0].split("-") for line in maps.read_text().splitlines() if line.endswith(str(path))]
    assert any(int(a, 16) <= where < int(b, 16) for a, b in ranges)


def test_saving_over_a_loaded_file_is_safe(tmp_path):
    path = stylegan2.save(stylegan2.load(DATA / "rosinality_small.pt"), tmp_path / "a.safetensors")
    generator = stylegan2.load(path)
    before = generator.fingerprint
    stylegan2.save(Generator(Architecture(8, {4: 4, 8: 4}, 8, 8)), path)
    generator._fingerprint = None
    assert generator.fingerprint == before
    assert stylegan2.load(path).resolution == 8
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_file_may_be_read_by_whom_the_users_own_files_may(tmp_path):
    (tmp_path / "plain").touch()
    stylegan2.save(Generator(Architecture(8, {4: 4, 8: 4}, 8, 8)), tmp_path / "g.safetensors")
    assert (tmp_path / "g.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert not list(tmp_path.glob(".*"))


def test_a_loaded_generator_is_ready_to_use_and_to_train():
    with torch.inference_mode():
        generator = stylegan2.load(DATA / "rosinality_small.pt")
    assert not generator.training and not any(p.requires_grad for p in generator.parameters())
    codes = generator.w_avg.repeat(1, generator.num_layers, 1).requires_grad_()
    generator.synthesize(codes).mean().backward()
    assert codes.grad.abs().sum() > 0


def test_read_file_gives_plain_values(tmp_path):
    value = {"opts": {"n": 3, "names": ["a", "b"]}, "w": torch.arange(6.0).reshape(2, 3), "h": torch.ones(2, dtype=torch.float16)}
    for new in (True, False):
        torch.save(value, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
        found = checkpoint.read_file(tmp_path / "x.pt")
        assert found["opts"] == value["opts"]
        assert torch.equal(found["w"], value["w"]) and found["h"].dtype == torch.float16


def test_a_saved_generator_says_what_it_is(tmp_path):
    path = stylegan2.save(stylegan2.load(DATA / "rosinality_small.pt"), tmp_path / "a.safetensors")
    with safe_open(path, "pt") as file:
        assert '"kind": "generator"' in file.metadata()["micromotion"]


def test_the_fingerprint_follows_the_weights():
    generator = Generator(Architecture(8, {4: 4, 8: 4}, 8, 8)).requires_grad_(False)
    first = generator.fingerprint
    generator.w_avg.add_(1)
    written = generator.fingerprint
    assert written != first
    generator.w_avg.sub_(1)
    assert generator.fingerprint == first
    other = Generator(Architecture(8, {4: 4, 8: 4}, 8, 8))
    generator.load_state_dict(other.state_dict())
    assert generator.fingerprint == other.fingerprint != first
    generator.synthesis.b4.const = torch.nn.Parameter(torch.zeros(4, 4, 4))
    assert generator.fingerprint != other.fingerprint
    with torch.inference_mode():
        made_there = Generator(Architecture(8, {4: 4, 8: 4}, 8, 8))
        assert made_there.fingerprint == made_there.fingerprint


def test_the_fingerprint_is_computed_once_while_nothing_changes(monkeypatch):
    from micromotion.stylegan2 import generator as room

    generator, counted, inner = Generator(Architecture(8, {4: 4, 8: 4}, 8, 8)), [], room._fingerprint
    monkeypatch.setattr(room, "_fingerprint", lambda g: counted.append(g) or inner(g))
    assert generator.fingerprint == generator.fingerprint and len(counted) == 1
