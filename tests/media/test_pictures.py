"""Picture files of every kind."""

from io import BytesIO

import numpy as np
import pytest
import torch
from micromotion.files.errors import MicromotionError
from micromotion.media import open_writer, video
from micromotion.media import read_picture as read
from PIL import Image


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def as_8bit(images: torch.Tensor) -> np.ndarray:
    return ((images[0].permute(1, 2, 0) + 1) * 127.5).round().numpy().astype(np.uint8)


def test_color_comes_back_exactly(drawn, tmp_path):
    picture = drawn(40, 30)
    (tmp_path / "photo.png").write_bytes(saved(Image.fromarray(picture)))
    images = read(tmp_path / "photo.png")
    assert images.shape == (1, 3, 30, 40) and images.dtype == torch.float32
    np.testing.assert_array_equal(as_8bit(images), picture)
    np.testing.assert_array_equal(as_8bit(read(str(tmp_path / "photo.png"))), picture)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(drawn, orientation):
    """Eight ways to hold a camera; each file shows the same upright picture."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    upright = Image.fromarray(drawn(12, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = upright if orientation == 1 else upright.transpose(undo[orientation])
    np.testing.assert_array_equal(as_8bit(read(saved(turned, exif=exif))), np.asarray(upright))


def test_gray_palette_and_bitmap(drawn):
    picture = Image.fromarray(drawn(20, 20))
    gray = picture.convert("L")
    for image, wanted in (
        (gray, gray.convert("RGB")),
        (picture.quantize(16), None),
        (picture.convert("1"), picture.convert("1").convert("RGB")),
    ):
        wanted = image.convert("RGB") if wanted is None else wanted
        np.testing.assert_array_equal(as_8bit(read(saved(image))), np.asarray(wanted))


def test_transparency_is_kept(drawn):
    picture = np.dstack([drawn(20, 20), np.arange(400, dtype=np.uint16).reshape(20, 20).astype(np.uint8)])
    images = read(saved(Image.fromarray(picture)))
    assert images.shape == (1, 4, 20, 20)
    np.testing.assert_array_equal(as_8bit(images), picture)
    assert read(saved(Image.fromarray(picture).convert("LA"))).shape[1] == 4
    keyed = Image.new("P", (4, 4))
    assert read(saved(keyed, transparency=0)).shape[1] == 4


def test_16_bit_gray_keeps_its_depth():
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for kind in ("PNG", "TIFF"):
        images = read(saved(Image.fromarray(values), kind))
        np.testing.assert_array_equal(((images[0, 0] + 1) * 32767.5).round().numpy(), values)
    floats = Image.fromarray((values / 65535).astype(np.float32))
    assert np.abs(((read(saved(floats, "TIFF"))[0, 0] + 1) / 2).numpy() - values / 65535).max() < 1e-4


def test_cmyk(drawn):
    picture = Image.fromarray(drawn(32, 32)).convert("CMYK")
    images = read(saved(picture, "TIFF"))
    np.testing.assert_array_equal(as_8bit(images), np.asarray(picture.convert("RGB")))
    broken = saved(picture, "TIFF", icc_profile=b"no profile")
    np.testing.assert_array_equal(as_8bit(read(broken)), np.asarray(picture.convert("RGB")))


def test_files_that_are_no_pictures(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    whole = saved(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)))
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    for name in ("notes.txt", "half.png", "absent.png"):
        with pytest.raises(MicromotionError, match=name):
            read(tmp_path / name)
    for data in (b"", b"<svg/>"):
        with pytest.raises(MicromotionError, match="in the given bytes cannot be read: it is damaged"):
            read(data)
    with pytest.raises(MicromotionError, match="not numbers"):
        read(saved(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"))
    with pytest.raises(MicromotionError, match="not from NoneType"):
        read(None)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e12, 0.001, "fast"])
@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_rate_that_no_player_has_is_refused(tmp_path, name, fps):
    with pytest.raises(MicromotionError, match="The frames per second are .*; give a number from 0.1 to 240"):
        open_writer(tmp_path / name, fps)
    assert not list(tmp_path.iterdir())


def test_a_gif_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "GIF_BYTES", 3 * 64)
    with pytest.raises(MicromotionError, match="choose .mp4"), open_writer(tmp_path / "a.gif", 10) as writer:
        for _ in range(4):
            writer.write(np.zeros((1, 8, 8, 3), np.uint8))
    assert not list(tmp_path.iterdir())
