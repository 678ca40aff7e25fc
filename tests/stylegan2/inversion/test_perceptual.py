"""Perceptual distances: what they measure, and which one is taken when."""

from __future__ import annotations

import sys

import pytest
import torch
from micromotion.stylegan2.inversion import InversionError, load_perceptual
from micromotion.stylegan2.inversion import perceptual as room


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
    """Noise and a shift of colour of the same squared error: the colours of whole regions weigh more in no level than noise in one."""
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


def test_without_the_backbone_auto_is_the_pyramid_and_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def fetched(*args, **kwargs):
        raise AssertionError("a download was started")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetched)
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetched)
    assert load_perceptual("auto").name == "pyramid"
    with pytest.raises(InversionError, match="LPIPS cannot be used.*take|Take the perceptual term 'pyramid'"):
        load_perceptual("lpips")


def test_without_the_package_the_reason_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert load_perceptual("auto").name == "pyramid"
    with pytest.raises(InversionError, match="package lpips is not installed"):
        load_perceptual("lpips")


def test_small_pictures_take_the_pyramid(monkeypatch):
    monkeypatch.setattr(room, "missing_lpips", lambda download=False: None)
    assert load_perceptual("auto", size=32).name == "pyramid"


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
