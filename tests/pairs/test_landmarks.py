"""The geometry of a face as an instrument, on avatars that dlib's landmarks are found in."""

import pytest
import torch
from micromotion import faces, stylegan2
from micromotion.files.embedded import embedded_root
from micromotion.pairs import Gate, LandmarkInstrument, PairsError, make
from micromotion.pairs.gates import meanings, measure
from micromotion.pairs.landmarks import MEANT, SPREAD, why_not
from micromotion.subspaces import Subspace
from micromotion.subspaces.anchors import draw_faces

try:
    faces.find_predictor()
except faces.MissingToolError as reason:
    pytest.skip(str(reason), allow_module_level=True)


@pytest.fixture(scope="module")
def generator():
    return stylegan2.load(embedded_root() / "generator.safetensors").eval().requires_grad_(False)


def smiling(generator, codes, *coefficients):
    """At 64 px: crisp drawings at the end of a smile dlib reads worse."""
    smile = Subspace.load(embedded_root() / "motions" / "smile.safetensors")
    return generator.synthesis(smile.apply(codes, list(coefficients)), resolution=64)


def test_a_smile_is_seen_in_the_mouth_and_a_face_that_is_gone_is_not_a_number(generator):
    instrument = LandmarkInstrument()
    still, smile = instrument.read(smiling(generator, generator.w_avg.expand(1, generator.num_layers, -1), 0.0, 1.0))
    moved = dict(zip(instrument.quantities, (smile - still).tolist()))
    assert moved["corner lift"] > 0.3 and moved["mouth opening"] > 1 and abs(moved["eye opening"]) < moved["mouth opening"] / 2
    assert torch.isnan(instrument.read(torch.zeros(1, 3, 64, 64))).all()
    assert len(SPREAD) == len(instrument.quantities) and set().union(*MEANT.values()) <= set(instrument.quantities)


def test_pairs_are_measured_against_what_the_mean_face_does(generator):
    instrument, mean = LandmarkInstrument(), generator.w_avg.expand(1, generator.num_layers, -1)
    pictures = smiling(generator, mean, 0.0, 1.0, 0.0)
    meant = meanings(instrument, ["smile"], lambda _: torch.subtract(*instrument.read(pictures[[1, 0]])))
    whole, none = measure(instrument, pictures[:1], pictures[1:], [(("smile", 1.0),)] * 2, meant)
    assert whole["change"] == pytest.approx(1.0) and none["change"] == pytest.approx(0.0)
    assert "identity" not in whole and Gate().verdict(none) == "change"


def test_photos_are_aligned_inverted_measured_and_left_out_with_a_reason(job, generator, tmp_path):
    """From start to end: two faces, a copy of one, a picture without a face, and a broken file."""
    photos = []
    for seed in (0, 1):
        pixels = torch.nn.functional.interpolate(generator.synthesize(draw_faces(generator, [seed])), size=(256, 256), mode="bicubic")
        photos.append(tmp_path / f"{seed}.png")
        photos[-1].write_bytes(encoded(pixels[0]))
    (tmp_path / "wall.png").write_bytes(encoded(torch.zeros(3, 64, 64)))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    keys = tuple(map(str, [*photos, tmp_path / "wall.png", tmp_path / "broken.png"]))
    plan = {"kind": "photo", "keys": keys, "inverter": str(embedded_root() / "inverter.safetensors"), "test": 0.0}
    summary = make(job(instrument=LandmarkInstrument, gate=Gate(0.9, 0.2, 3.0), **plan))
    assert summary.left.pop("failed") == 2 and sum(summary.kept.values()) + sum(summary.left.values()) == 4 and summary.kept
    page = (tmp_path / "set" / "quality.html").read_text()
    assert "<h2>change</h2>" in page and "<h2>leakage</h2>" in page
    pasted = make(job(instrument=None, out=tmp_path / "whole", paste=True, **plan))
    assert pasted.kept == {"train": 4}
    control = sorted((tmp_path / "whole").rglob("control/*.png"))
    assert {faces_size(p) for p in control} == {(256, 256)}, "whole photos, not aligned squares"


def encoded(picture):
    from micromotion.pairs.samples import encoded

    return encoded(picture, "png")


def faces_size(path):
    from PIL import Image

    return Image.open(path).size


def test_what_cannot_be_measured_is_said(generator, job, monkeypatch, tmp_path):
    assert why_not(generator) == ""
    with torch.no_grad():
        monkeypatch.setattr(type(generator), "synthesize", lambda self, codes, *_, **__: torch.zeros(len(codes), 3, 64, 64))
    assert "No face is found" in why_not(generator)
    with pytest.raises(PairsError, match="smile cannot be measured.*--no-gate"):
        make(job(instrument=LandmarkInstrument))
    assert not (tmp_path / "set").exists()
    monkeypatch.setattr("micromotion.pairs.landmarks.detect", _without_dlib)
    assert why_not(generator) == "dlib is not there."


def _without_dlib(*_, **__):
    raise faces.MissingToolError("dlib is not there.")
