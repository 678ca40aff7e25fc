"""Perceptual distances: what they measure, and which one is taken when."""

from __future__ import annotations

import socket
import sys
import types

import pytest
import torch
import torch.nn.functional as F
from micromotion.stylegan2.inversion import EncoderInverter, InversionError, load_perceptual, save_inverter
from micromotion.stylegan2.inversion import perceptual as room
from micromotion.stylegan2.inversion.compact import CompactEncoder
from micromotion.stylegan2.inversion.perceptual import Features


@pytest.fixture
def pictures():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).cumsum(-1).cumsum(-2).mul(0.02)


def test_pyramid_is_a_distance(pictures):
    distance = load_perceptual("pyramid")
    other = pictures.flip(0)
    assert (distance(pictures, pictures) == 0).all()
    assert (distance(pictures, other) > 0).all()
    torch.testing.assert_close(distance(pictures, other), distance(other, pictures))


def test_pyramid_hears_structure_that_pixels_do_not(pictures):
    """Noise and a shift of color of the same squared error: the colors of whole regions weigh more in no level than noise in one."""
    noise = 0.1 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1)).sign()
    shift = torch.full_like(pictures, 0.1)
    distance = load_perceptual("pyramid")
    assert noise.square().mean() == pytest.approx(shift.square().mean().item())
    assert (distance(pictures + noise, pictures) > 2 * distance(pictures + shift, pictures)).all()


@pytest.mark.parametrize("size", [8, 12, 30, 32, 100])
def test_pyramid_takes_any_size_and_has_a_gradient(size):
    x = torch.zeros(1, 3, size, size, requires_grad=True)
    load_perceptual("pyramid")(x, torch.rand(1, 3, size, size)).sum().backward()
    assert x.grad.abs().max() > 0


@pytest.fixture
def without_lpips(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """A folder of embedded weights with a small inverter that looks at its own reconstruction."""
    config = {"input_size": 32, "channels_in": 6, "widths": [4, 8], "hidden": 8, "num_layers": 2, "width": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inverter = EncoderInverter(CompactEncoder(config))
    save_inverter(inverter, tmp_path / "inverter.safetensors")
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(tmp_path))
    return inverter


def test_without_lpips_the_embedded_inverter_judges(without_lpips, embedded, pictures):
    distance = load_perceptual("auto")
    assert distance.name == "features" and not any(p.requires_grad for p in distance.parameters())
    assert (distance(pictures, pictures) == 0).all()
    twice = torch.cat([pictures, pictures], 1)
    other = torch.cat([pictures.flip(0)] * 2, 1)
    maps = [[F.normalize(m, dim=1) for m in embedded.encoder.features(x)] for x in (twice, other)]
    apart = sum((a - b).square().sum(1).mean((1, 2)) for a, b in zip(*maps))
    expected = load_perceptual("pyramid")(pictures, pictures.flip(0)) + 0.1 * apart
    torch.testing.assert_close(distance(pictures, pictures.flip(0)), expected)


@pytest.mark.parametrize("size", [32, 48, 64, 256])
def test_features_take_other_sizes_and_have_a_gradient(size, embedded):
    x = torch.zeros(1, 3, size, size, requires_grad=True)
    load_perceptual("features")(x, torch.rand(1, 3, size, size)).sum().backward()
    assert x.grad.abs().max() > 0


def test_a_full_size_encoder_can_judge_too(make_encoder):
    encoder = make_encoder("BackboneEncoder")
    distance = Features(encoder, 32)
    x = torch.rand(1, 3, 40, 40)
    assert distance(x, x.flip(3)) > load_perceptual("pyramid")(x, x.flip(3))


def test_without_either_auto_is_the_pyramid(without_lpips, tmp_path, monkeypatch):
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(tmp_path))
    assert load_perceptual("auto").name == "pyramid"
    with pytest.raises(InversionError, match=r"'features' cannot be used: this copy .* lacks its embedded inverter"):
        load_perceptual("features")


def test_without_the_backbone_nothing_is_fetched(embedded, tmp_path, monkeypatch):
    pytest.importorskip("lpips")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", lambda *args: pytest.fail("a download was started"))
    assert load_perceptual("auto").name == "features"
    with pytest.raises(InversionError, match=f"its backbone {room.BACKBONE_FILE} is not in .*Take 'pyramid'"):
        load_perceptual("lpips")


def test_without_the_package_the_reason_is_named(without_lpips):
    with pytest.raises(InversionError, match="package lpips is not installed"):
        load_perceptual("lpips")


def test_small_pictures_take_the_pyramid(embedded, monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", types.ModuleType("lpips"))
    assert load_perceptual("auto", size=31).name == "pyramid"
    with pytest.raises(InversionError, match="'lpips' cannot be used: pictures of 63 px are too small"):
        load_perceptual("lpips", size=63)


@pytest.fixture
def random_lpips(tmp_path, monkeypatch):
    """LPIPS with a random backbone in the place where torchvision keeps the real one."""
    pytest.importorskip("lpips")
    from torchvision.models import alexnet

    (tmp_path / "checkpoints").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(alexnet().state_dict(), tmp_path / "checkpoints" / room.BACKBONE_FILE)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    room._lpips_network.cache_clear()
    yield load_perceptual("auto")
    room._lpips_network.cache_clear()


@pytest.mark.slow
def test_lpips_is_taken_where_its_backbone_is(random_lpips):
    assert random_lpips.name == "lpips"
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    assert (random_lpips(pictures, pictures) == 0).all()
    assert random_lpips(pictures, pictures.flip(0)).shape == (2,)
    large = pictures.repeat_interleave(8, -1).repeat_interleave(8, -2).requires_grad_(True)
    random_lpips(large, large.detach().flip(0)).sum().backward()
    assert large.grad.abs().max() > 0
    assert not any(p.requires_grad for p in random_lpips.parameters())
    import lpips

    official = lpips.LPIPS(net="alex", verbose=False)  # reads the same backbone by torchvision's own loader
    assert torch.equal(random_lpips(pictures, pictures.flip(0)), official(pictures, pictures.flip(0)).flatten())
