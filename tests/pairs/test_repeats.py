"""Copies are found whatever their size and format, and two people are never taken for one."""

import os
from pathlib import Path

import pytest
import torch
from micromotion.avatars import renderer
from micromotion.lab import sampling
from micromotion.media import to_bytes
from micromotion.pairs import make, repeated_codes, repeated_photos
from PIL import Image


def people(count):
    images = renderer.render(sampling.sample_parameters(count, 5), 128, sampling.sample_styles(count, 6)).images
    return [Image.fromarray(pixels) for pixels in to_bytes(images)]


def test_copies_in_another_size_or_format_are_found(tmp_path):
    first, second, third = people(3)
    first.save(tmp_path / "a.png")
    second.save(tmp_path / "b.png")
    first.resize((90, 90)).save(tmp_path / "c.jpg", quality=70)
    third.save(tmp_path / "d.webp")
    second.save(tmp_path / "e.bmp")
    (tmp_path / "f.png").write_bytes(b"broken")
    found = repeated_photos(sorted(tmp_path.iterdir()))
    assert {Path(k).name: Path(v).name for k, v in found.items()} == {"c.jpg": "a.png", "e.bmp": "b.png"}


def test_different_people_are_not_copies(tmp_path):
    for i, picture in enumerate(people(40)):
        picture.save(tmp_path / f"{i}.png")
    assert repeated_photos(sorted(tmp_path.iterdir())) == {}


@pytest.mark.skipif(not os.environ.get("MICROMOTION_PORTRAITS"), reason="MICROMOTION_PORTRAITS names no folder of portraits")
def test_portraits_of_two_centuries_are_not_copies():
    files = [p for p in Path(os.environ["MICROMOTION_PORTRAITS"]).iterdir() if p.suffix in (".jpg", ".png")]
    assert len(files) > 20 and repeated_photos(files) == {}


def test_equal_codes_are_found():
    a, b = torch.zeros(2, 3), torch.ones(2, 3)
    assert repeated_codes({"x#0": a, "x#1": b, "y#0": a.clone()}) == {"y#0": "x#0"}


def test_copies_are_listed_with_what_they_repeat(job, tmp_path):
    wanted = job()
    summary = make(type(wanted)(**{**vars(wanted), "repeats": (("/photos/b.png", "/photos/a.png"),)}))
    assert summary.left == {"duplicate": 1}
    assert "the same as a.png" in (tmp_path / "set" / "left_out.jsonl").read_text()
    assert "1 for duplicate" in (tmp_path / "set" / "README.md").read_text()
