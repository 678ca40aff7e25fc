"""The command line, on tiny random networks in the place of the embedded ones."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from micromotion import __main__ as command_line
from micromotion import faces, media
from micromotion.avatars.motions import FURTHER, MOTIONS
from micromotion.avatars.regressor import load_regressor
from micromotion.cli import animate, clips, combine, measuring, models, portrait, terminal
from micromotion.cli import fit as fitting
from micromotion.cli.clips import ClipCodes
from micromotion.cli.terminal import Clock, UsageError
from micromotion.files import catalog, native, timing
from micromotion.files.errors import DamagedFileError
from micromotion.media.video import VideoWriter
from micromotion.stylegan2 import load, save_codes
from micromotion.subspaces import EASINGS, ESTIMATORS, Calibration, Subspace, algebra
from micromotion.subspaces.anchors import text as text_room
from PIL import Image

SIDE = 32
QUICK = ["--frames", "8", "--size", "32", "--device", "cpu"]


def _tiny():
    path = Path(__file__).parent / "nodes" / "tiny.py"
    spec = importlib.util.spec_from_file_location("tiny_weights", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """Tiny random networks laid out like the embedded weights; every picture is a stranger to their inverter."""
    return _tiny().write(tmp_path_factory.mktemp("weights"), typical_psnr=60.0)


@pytest.fixture(scope="session")
def friendly(tmp_path_factory) -> Path:
    """The same with an inverter that does not say what it is used to."""
    return _tiny().write(tmp_path_factory.mktemp("friendly"), typical_psnr=None)


@pytest.fixture
def room(tmp_path, friendly, monkeypatch) -> Path:
    """An empty working folder, on the tiny weights, whose inverter takes every picture."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(friendly))
    return tmp_path


@pytest.fixture
def strict(room, weights, monkeypatch) -> Path:
    """The same folder; the inverter knows no picture."""
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(weights))
    return room


def micromotion(*arguments) -> int:
    """Run the command line; argparse's own exits become exit codes."""
    try:
        return command_line.main([str(a) for a in arguments])
    except SystemExit as end:
        return end.code


def frames_of(video: Path) -> np.ndarray:
    """All frames of a video, uint8 ``[F, H, W, 3]``."""
    return np.stack([frame.permute(1, 2, 0).numpy() for frame in media.read_clip(video)])


def picture(path: Path, width: int = SIDE, height: int = SIDE) -> Path:
    """A smooth colored picture."""
    y, x = np.mgrid[0:height, 0:width]
    Image.fromarray(np.stack([x * 255 // width, y * 255 // height, (x + y) * 2 % 256], -1).astype(np.uint8)).save(path)
    return path


def _face() -> faces.Face:
    """A face that looks at us from the middle of a picture 90 px high."""
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.stack([45 + 15 * np.cos(turn), 45 + 18 * np.sin(turn)], 1)
    points[36:42], points[42:48], points[48], points[54] = (39, 40), (51, 40), (40, 52), (50, 52)
    return faces.Face(points, (25, 25, 65, 65))


def test_plain_animate_shows_all_ready_motions_one_after_another(room, capsys):
    assert micromotion("animate", *QUICK) == 0
    said = capsys.readouterr().out
    assert "output/micromotion.mp4" in Path(said.split()[0]).as_posix() and "smile, eyes, anger, turn, age" in said
    frames = frames_of(room / "output" / "micromotion.mp4")
    assert frames.shape == (5 * 8, 32, 32, 3)
    firsts = frames[::8].astype(int)
    assert np.abs(firsts - firsts[0]).mean() < 3, "every motion begins at the unmoved face"
    assert all(np.abs(take - take[0]).mean(axis=(1, 2, 3)).max() > 3 for take in frames.astype(int).reshape(5, 8, 32, 32, 3)), "each moves"
    sheet = Image.open(room / "output" / "micromotion_sheet.png")
    assert sheet.width > sheet.height


def test_the_video_says_its_own_rate(room):
    import av

    assert micromotion("animate", "--motion", "smile", "--fps", "12.5", "--out", "a.mp4", *QUICK) == 0
    with av.open("a.mp4") as video:
        assert float(video.streams.video[0].average_rate) == 12.5
        assert video.streams.video[0].codec_context.name == "h264" and video.streams.video[0].pix_fmt == "yuv420p"


def test_together_is_the_sum_and_one_after_another_is_longer(room):
    assert micromotion("animate", "--motion", "smile", "--motion", "turn", "--together", "--out", "one.mp4", *QUICK) == 0
    assert micromotion("animate", "--motion", "smile", "--motion", "turn", "--out", "two.mkv", *QUICK) == 0
    assert len(frames_of(room / "one.mp4")) == 8 and len(frames_of(room / "two.mkv")) == 16


def test_a_seed_is_one_face_and_a_smaller_range_moves_less(room):
    for name, more in {"a": ["--seed", 1], "b": ["--seed", 2], "c": ["--seed", 1, "--range", 0, 0.2]}.items():
        assert micromotion("animate", "--motion", "smile", "--out", f"{name}.mp4", *more, *QUICK) == 0
    a, b, c = (frames_of(room / f"{name}.mp4").astype(int) for name in "abc")
    assert np.abs(a[0] - b[0]).mean() > 2 and np.abs(a[0] - c[0]).mean() < 2
    assert np.abs(c - c[0]).mean() < 0.6 * np.abs(a - a[0]).mean()


def test_own_files_replace_the_embedded_ones(room, friendly):
    image = picture(room / "face.png")
    own = ["--generator", friendly / "generator.safetensors", "--inverter", friendly / "inverter.safetensors"]
    motion = friendly / "motions" / "age.safetensors"
    assert micromotion("animate", image, *own, "--motion", motion, "--out", "own.mp4", *QUICK) == 0
    assert np.abs(frames_of(room / "own.mp4")[0].astype(int) - np.asarray(Image.open(image))).mean() < 6, "coefficient 0 is the picture"


def test_coefficient_zero_is_exact(room, friendly, monkeypatch):
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(friendly))
    image, networks = picture(room / "face.png", 48, 48), models.Models()
    found = portrait.portrait_of(image, networks)
    generator, motion = networks.generator, Subspace.load(models.find_motion("smile"))
    squares = generator.synthesize(motion.apply(found.codes, torch.tensor([0.0, 1.0, 0.0])))
    shown = media.to_bytes(found.compose(squares))
    assert np.array_equal(shown[0], np.asarray(Image.open(image))) and np.array_equal(shown[2], shown[0])
    assert not np.array_equal(shown[1], shown[0])


@pytest.mark.parametrize("name", ["a_sheet.png", "a.png"])
def test_no_output_takes_the_place_of_the_picture(room, capsys, name):
    image = picture(room / name)
    before = image.read_bytes()
    code = micromotion("animate", image, "--motion", "smile", "--out", "a.mp4", *QUICK)
    assert image.read_bytes() == before and code == (2 if name == "a_sheet.png" else 0)


def test_a_square_that_would_ghost_fades_into_the_drawing(room):
    photo, drawn = torch.full((1, 3, 8, 8), -1.0), torch.full((1, 3, 4, 4), 0.5)
    face = portrait.Portrait(torch.zeros(1, 8, 32), photo, faces.Crop.aligned((8, 8)), drawn, replaces=True)
    frames = face.compose(torch.cat([drawn, drawn + 0.01, drawn + 0.3]))
    assert torch.equal(frames[:1], photo) and torch.allclose(frames[2], torch.tensor(0.8))
    assert -1 < float(frames[1].mean()) < 0.5, "on the way"


def test_a_motion_that_moves_outlines_is_not_added_to_the_photo():
    ramp = torch.linspace(-1, 1, 16).sin().expand(1, 3, 16, 16)
    disc = (
        (torch.stack(torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")) - 7.5)
        .norm(dim=0)
        .lt(4)
        .float()
        .expand(1, 3, 16, 16)
    )
    face = portrait.Portrait(torch.zeros(1, 8, 32), ramp, faces.Crop.aligned((16, 16)), disc)
    assert not face.facing(disc * 0.8 + 0.1).replaces, "brighter, in the same place"
    assert face.facing(disc.roll(5, dims=3)).replaces and not face.replaces
    assert portrait.kept_outlines(disc, disc) == pytest.approx(1)


def test_a_warning_of_the_library_is_said_once(capsys):
    handler = command_line._once()
    said = [handler.filter(logging.LogRecord("a", logging.WARNING, "", 0, text, (), None)) for text in ("one", "one", "two")]
    assert [bool(s) for s in said] == [True, False, True]


def test_a_stranger_stops_before_anything_slow(strict, capsys, monkeypatch):
    monkeypatch.setattr(models.Models, "scorer", property(lambda self: pytest.fail("the text was decoded first")))
    call = ("animate", picture(strict / "photo.jpg"), "--motion", "smile", "--text", "a {degree} smile", "--out", "a.mp4", *QUICK)
    assert micromotion(*call, "--invert-steps", 100_000) == 2
    said = capsys.readouterr().err
    for words in ("The whole picture was taken", "rendered avatars", "FFHQ generator", "micromotion download photos --accept", "--anyway"):
        assert words in said
    assert not (strict / "a.mp4").exists()


@pytest.mark.parametrize(("score", "said"), [(1.6, "The face was cut out"), (0.9, "The whole picture was taken")])
def test_a_square_is_searched_for_drawn_faces_too(score, said, monkeypatch, capsys):
    monkeypatch.setattr(faces, "detect", lambda *a, **k: [[replace(_face(), score=score)]])
    _, crop = portrait.Framing(drawn=True).frame(torch.zeros(1, 3, 90, 90), "me.jpg")
    assert crop is not None and crop.is_whole == (score < 1) and said in capsys.readouterr().err


def test_without_a_detector_drawn_squares_go_in_whole_and_others_say_how_to_get_one(monkeypatch, capsys):
    def missing(*a, **k):
        raise faces.MissingToolError("Finding faces needs dlib.")

    monkeypatch.setattr(faces, "detect", missing)
    _, crop = portrait.Framing(drawn=True).frame(torch.zeros(1, 3, 90, 90), "me.jpg")
    assert crop is not None and crop.is_whole and "nothing searched it: Finding faces needs dlib." in capsys.readouterr().err
    for framing, width in ((portrait.Framing(), 90), (portrait.Framing(drawn=True), 120), (portrait.Framing(drawn=True, always=True), 90)):
        with pytest.raises(UsageError, match="needs dlib.*download landmarks"):
            framing.frame(torch.zeros(1, 3, 90, width), "me.jpg")


def test_a_stranger_is_shown_and_named_anyway(strict, capsys):
    assert micromotion("animate", picture(strict / "photo.jpg"), "--anyway", "--motion", "smile", "--out", "a.mp4", *QUICK) == 0
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 1 and "rendered avatars" in said and "FFHQ generator" in said
    frames = frames_of(strict / "a.mp4").astype(int)
    assert np.abs(frames[0] - np.asarray(Image.open(strict / "photo.jpg"))).mean() > 10, (
        "the nearest face it knows, not a ghost on the photo"
    )


@pytest.mark.parametrize(("width", "align"), [(120, []), (90, ["--align"])])
def test_a_photo_is_aligned_edited_and_put_back(room, friendly, monkeypatch, width, align):
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(friendly))
    photo = picture(room / "group.png", width, 90)
    monkeypatch.setattr(faces, "detect", lambda *a, **k: [[_face()]])
    assert micromotion("animate", photo, *align, "--motion", "eyes", "--out", "a.mp4", *QUICK) == 0
    frames, original = frames_of(room / "a.mp4").astype(int), np.asarray(Image.open(photo)).astype(int)
    assert frames.shape == (8, 90, width, 3)
    moved = np.abs(frames - frames[0]).mean(axis=(0, 3))
    assert moved[30:60, 30:60].mean() > 4 * moved[:8].mean() and np.abs(frames[0] - original).mean() < 8


def test_text_decodes_a_motion_for_this_face(room, monkeypatch):
    seen = {}
    library = animate.anchors_of_text
    monkeypatch.setattr(
        animate, "anchors_of_text", lambda text, networks, given, *_, **__: seen.update(given) or library(text, networks, given, steps=2)
    )
    assert micromotion("animate", "--text", "a person with {degree} smile", "--seed", 3, "--out", "a.mp4", *QUICK) == 0
    assert seen["start"].shape == (1, 8, 32)
    assert len(frames_of(room / "a.mp4")) == 8


def test_the_work_on_a_text_is_chosen_and_announced(room, monkeypatch, capsys):
    asked, seconds = {}, iter([0.0, 30.0])

    def slow(*_, progress, **options):
        asked.update(options)
        progress(1, 11)
        progress(2, 11)
        raise UsageError("That is enough.")

    monkeypatch.setattr(fitting, "text_anchors", slow)
    monkeypatch.setattr(terminal, "Announcement", lambda say, cheaper: timing.Announcement(say, cheaper, lambda: next(seconds)))
    assert micromotion("animate", "--text", "a {degree} smile", "--steps", 7, "--quality", "fast", "--out", "a.mp4", *QUICK) == 2
    assert (asked["steps"], asked["quality"]) == (7, "fast")
    said = "This will take about 4 minutes more. Fewer --steps take less; so does --quality fast, which large pictures have anyway."
    assert said in capsys.readouterr().err


def test_verbose_says_where_the_time_went(room, capsys):
    assert micromotion("animate", "--verbose", "--motion", "smile", "--out", "a.mp4", *QUICK) == 0
    report = capsys.readouterr().err
    named = {name: float(seconds) for seconds, name in re.findall(r"^\s*([\d.]+) s  (.+)$", report, re.M)}
    assert {"load the models", "synthesize", "encode the video", "in all"} <= set(named)
    total = named.pop("in all")
    assert sum(named.values()) == pytest.approx(total, abs=0.1)


@pytest.mark.parametrize(("name", "factor", "sign"), [("smile", 0, 1), ("eyes", 1, -1), ("anger", 2, 1), ("turn", 3, 1), ("age", 4, 1)])
def test_the_shipped_motions_do_what_they_are_called(name, factor, sign, monkeypatch):
    monkeypatch.delenv("MICROMOTION_WEIGHTS", raising=False)
    generator, motion = models.Models(device="cpu").generator, Subspace.load(models.find_motion(name))
    face = portrait.avatar(command_line.FAVORITE, 0.7, generator)
    take = animate.take(face.codes, [(name, motion)], command_line.build_parser().parse_args(["animate", "--frames", "12"]))
    assert take.coefficients[0] == 0
    before, after = load_regressor().factors(generator.synthesize(torch.cat([face.codes, take.farthest()])))
    change = (after - before).tolist()
    assert sign * change[factor] > 0.3, change
    assert max(range(5), key=lambda k: abs(change[k])) == factor, change


def test_calibrate_measures_the_landmarks_of_a_face(room, monkeypatch, capsys):
    asked = []
    meter = lambda name, folders: asked.append((name, folders)) or (lambda images: images.mean((1, 2, 3)))  # noqa: E731
    monkeypatch.setattr(faces, "meter", meter)
    call = ("calibrate", "smile", "grin.safetensors", "--geometry", "corner lift", "--faces", 2, "--device", "cpu")
    assert micromotion(*call) == 0 and asked == [("corner lift", [Path("models") / "dlib"])]
    assert Subspace.load(room / "grin.safetensors").calibration.instrument == "corner lift by dlib's landmarks"
    assert micromotion(*call, "--factor", "smile") == 2 and "one instrument" in capsys.readouterr().err
    assert micromotion(*call[:3]) == 2 and "--geometry" in capsys.readouterr().err


def test_a_face_is_brought_to_rest_before_it_acts(room, monkeypatch, capsys):
    monkeypatch.delenv("MICROMOTION_WEIGHTS", raising=False)
    angry = ("animate", "--seed", 5, "--motion", "smile", "--out", "a.mp4", *QUICK)
    assert micromotion(*angry, "--neutralize", "anger", "--neutralize", "turn=code") == 0
    said = capsys.readouterr().err
    told = re.search(r"Brought to rest: anger by (\S+), anger from (\S+) to (\S+?)[,.\n]", said)
    assert told and float(told[2]) > 0.3 and abs(float(told[3])) < 0.1
    assert re.search(r"Brought to rest: turn by [-+0-9.]+\.", said), "the code alone is read"
    generator = models.Models(device="cpu").generator
    face = portrait.avatar(5, 0.7, generator).codes
    rested = measuring.brought_to_rest(face, ["anger"], models.Models(device="cpu"), terminal.Clock())
    before, after = load_regressor().factors(generator.synthesize(torch.cat([face, rested])))[:, 2].tolist()
    assert before > 0.3 and abs(after) < 0.1


def test_a_face_is_brought_to_rest_by_what_is_named(room, monkeypatch, capsys):
    asked = []
    meter = lambda name, folders: asked.append((name, folders)) or (lambda images: images.mean((1, 2, 3)))  # noqa: E731
    monkeypatch.setattr(faces, "meter", meter)
    own = ("--generator", models.embedded("generator"), "--motion", "smile", "--out", "a.mp4", *QUICK)
    assert micromotion("animate", *own, "--neutralize", "smile=corner lift") in (0, 2)  # whether random networks move it
    assert asked == [("corner lift", [Path("models") / "dlib"])]
    assert micromotion("animate", *own, "--neutralize", "grin") == 2 and "no motion 'grin'" in capsys.readouterr().err


def test_a_clip_drives_by_what_its_face_does_without_an_inverter(room, monkeypatch, capsys):
    points = np.random.default_rng(3).normal(0, 50, (68, 2)) + np.linspace(0, 90, 68)[:, None]

    def detect(frames, *, progress, **options):
        assert options["steady"] and options["clip"] and options["folders"] == [Path("models") / "dlib"]
        found = [[faces.Face(points + np.eye(68)[30][:, None] * [5 * step, 0], (0, 0, 9, 9))] for step in range(len(frames))]
        return [[], *found[1:]]

    monkeypatch.setattr(faces, "detect", detect)
    clip = _clip(room, "clip.mp4", range(20, 200, 20))
    call = ("animate", "--motion", "turn", "--drive", clip, "--out", "a.mp4", "--smooth", 0)
    taken = []
    monkeypatch.setattr(animate, "Take", lambda *parts: taken.append(animate_take(*parts)) or taken[-1])
    assert micromotion(*call, "--by", "yaw") == 0
    assert "No face was seen in 1 of 9 frames" in capsys.readouterr().err
    assert len(taken[0]) == 9 and taken[0].coefficients[:2].tolist() == [0, 0] and taken[0].coefficients.abs().max() == 1
    assert micromotion(*call, "--by", "yaw", "--unit", 1000) == 0 and float(taken[-1].coefficients.abs().max()) < 0.01
    assert micromotion("animate", "--by", "yaw", *QUICK) == 2 and "--drive" in capsys.readouterr().err


animate_take = animate.Take


def test_the_authors_head_turn_goes_both_ways():
    motion = Subspace(torch.ones(1, 8, 32))
    assert animate.default_span([("headsTurn", motion)]) == (-1.0, 1.0) and animate.default_span([("smile", motion)]) == (0.0, 1.0)


def test_the_ready_motions_that_go_both_ways_are_known():
    assert {m.name for m in (*MOTIONS, *FURTHER) if m.both_ways} | {"headsTurn"} == set(animate.TWO_SIDED)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(1, 60), st.sampled_from(sorted(EASINGS)))
def test_there_and_back_begins_near_zero_and_returns(low, high, frames, easing):
    span = animate.there_and_back((low, high), frames, easing)
    bounds = sorted((low, high))
    assert len(span) == frames and float(span.min()) >= bounds[0] - 1e-5 and float(span.max()) <= bounds[1] + 1e-5
    nearest = 0.0 if bounds[0] < 0 < bounds[1] else min(bounds, key=abs)
    assert float(span[0]) == pytest.approx(nearest, abs=1e-5)
    if frames >= 16:
        assert float(span.max()) == pytest.approx(bounds[1], abs=1e-5) and float(span.min()) == pytest.approx(bounds[0], abs=1e-5)


def _damaged(room: Path) -> Path:
    whole = (Path(models.embedded_root()) / "generator.safetensors").read_bytes()
    (room / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    return room / "cut.safetensors"


def _foreign_motion(room: Path) -> Path:
    Subspace(torch.ones(1, 18, 512), name="grin").save(room / "grin.safetensors")
    return room / "grin.safetensors"


def _text_file(room: Path, name: str) -> Path:
    (room / name).write_text("no picture", encoding="utf-8")
    return room / name


BAD = {
    "missing image": (lambda r: ["animate", "nobody.png"], "no file nobody.png"),
    "folder as image": (lambda r: ["animate", r], "is a folder"),
    "not a picture": (lambda r: ["animate", _text_file(r, "a.png")], "cannot be read"),
    "template without degree": (lambda r: ["animate", "--text", "a smile"], "{degree}"),
    "zero frames": (lambda r: ["animate", "--frames", "0"], "'0' is not a whole number from 1 to 100000"),
    "endless frames": (lambda r: ["animate", "--frames", "1e9"], "'1e9' is not a whole number"),
    "many frames": (lambda r: ["animate", "--frames", "1000000000"], "from 1 to 100000"),
    "absurd rate": (lambda r: ["animate", "--fps", "1e12"], "'1e12' is not a number from 0.1 to 240"),
    "slow GIF": (lambda r: ["animate", "--fps", "0.001", "--out", "a.gif"], "from 0.1 to 240"),
    "long GIF": (lambda r: ["animate", "--frames", "50000", "--out", "a.gif"], "choose .mp4"),
    "huge size": (lambda r: ["animate", "--size", "1000000"], "from 16 to 4096"),
    "no number": (lambda r: ["animate", "--truncation", "nan"], "'nan' is not a number from -2 to 2"),
    "endless keyframes": (lambda r: ["animate", "--keyframes", "0: 0, 3: inf"], "The coefficient is inf"),
    "absurd range": (lambda r: ["animate", "--range", "0", "1e30"], "from -1000 to 1000"),
    "absurd rank": (lambda r: ["fit", "{degree} old", "a.safetensors", "--rank", "100000"], "from 1 to 64"),
    "absurd steps": (lambda r: ["fit", "{degree} old", "a.safetensors", "--steps", "1000000000"], "from 1 to 100000"),
    "absurd faces": (lambda r: ["fit", "{degree} old", "a.safetensors", "--faces", "1000000000"], "from 1 to 256"),
    "absurd weight": (lambda r: ["combine", "add", "smile", "age", "--weight", "1e30", "--out", "a.safetensors"], "from -1000 to 1000"),
    "half a frame": (lambda r: ["animate", "--frames", "1.5"], "whole number"),
    "no rate": (lambda r: ["animate", "--fps", "0"], "from 0.1 to 240"),
    "infinite range": (lambda r: ["animate", "--range", "0", "inf"], "'inf' is not a number"),
    "negative seed": (lambda r: ["animate", "--seed", "-1"], "0 to 4294967295"),
    "easing": (lambda r: ["animate", "--easing", "bouncy"], "bouncy"),
    "unknown option": (lambda r: ["animate", "--smile"], "--smile"),
    "unknown command": (lambda r: ["animat"], "animat"),
    "unknown motion": (lambda r: ["animate", "--motion", "frown"], "one of smile, eyes, anger, turn, age"),
    "motion of another generator": (lambda r: ["animate", "--motion", _foreign_motion(r)], "1024 px generator (18 layers"),
    "generator without motion": (lambda r: ["animate", "--generator", models.embedded("generator")], "--motion FILE"),
    "image without inverter": (
        lambda r: ["animate", picture(r / "a.png"), "--generator", models.embedded("generator"), "--motion", "smile"],
        "--inverter FILE",
    ),
    "text without scorer": (lambda r: ["animate", "--generator", models.embedded("generator"), "--text", "{degree} old"], "--scorer FILE"),
    "missing generator": (lambda r: ["animate", "--generator", "gone.pkl", "--motion", "smile"], "no file gone.pkl"),
    "damaged generator": (lambda r: ["animate", "--generator", _damaged(r), "--motion", "smile"], "cut.safetensors"),
    "picture as generator": (lambda r: ["animate", "--generator", picture(r / "a.png"), "--motion", "smile"], ""),
    "device": (lambda r: ["animate", "--device", "abacus"], "abacus"),
    "output is a folder": (lambda r: ["animate", "--out", (r / "f.mp4").mkdir() or r / "f.mp4"], "is a folder"),
    "output under a file": (lambda r: ["animate", "--out", _text_file(r, "plain") / "a.mp4"], "cannot be written"),
    "output kind": (lambda r: ["animate", "--out", "a.docx"], "should end in .mp4"),
    "not square": (
        lambda r: ["animate", picture(r / "wide.png", 64, 40), "--predictor", _text_file(r, "no.dat")],
        "no.dat is a text instead of the model",
    ),
    "fit nothing": (lambda r: ["fit", "a smile", "a.safetensors"], "not a file or folder"),
    "fit an empty folder": (lambda r: ["fit", (r / "empty").mkdir() or r / "empty", "a.safetensors"], "holds no pictures"),
    "fit a text file": (lambda r: ["fit", _text_file(r, "clip.mp4"), "a.safetensors"], "not a video"),
    "fit into a picture": (lambda r: ["fit", "{degree} old", "a.png"], "should end in .safetensors"),
    "fit by guessing": (lambda r: ["fit", "{degree} old", "a.safetensors", "--estimator", "guess"], "guess"),
    "fit with unknown degrees": (lambda r: ["fit", "{degree} old", "a.safetensors", "--degrees", "no, 300%"], "outside 0 to 100"),
    "fit a text by a frame": (lambda r: ["fit", "{degree} old", "a.safetensors", "--positive", "3"], "--positive is for clips"),
    "fit a clip by degrees": (lambda r: ["fit", _text_file(r, "c.mp4"), "a.safetensors", "--degrees", "no, 1"], "--degrees is for texts"),
    "fit other layers": (lambda r: ["fit", "{degree} old", "a.safetensors", "--layers", "90"], "count from 0 to 7"),
    "two ways to move": (lambda r: ["animate", "--once", "--keyframes", "0: 1"], "give one of them"),
    "no keyframe": (lambda r: ["animate", "--keyframes", "now: 1"], "is not a keyframe"),
    "no driver": (lambda r: ["animate", "--drive", "gone.mp4"], "no file or folder gone.mp4"),
    "calibrate by nothing": (lambda r: ["calibrate", "smile", "a.safetensors"], "--full and --none"),
    "calibrate by two": (lambda r: ["calibrate", "smile", "a.safetensors", "--factor", "smile", "--full", "b"], "one instrument"),
    "calibrate a stranger by a factor": (
        lambda r: ["calibrate", "smile", "a.safetensors", "--factor", "smile", "--generator", models.embedded("generator")],
        "embedded avatars only",
    ),
    "calibrate no component": (
        lambda r: ["calibrate", "smile", "a.safetensors", "--full", "a", "--none", "b", "--component", "2"],
        "no component",
    ),
    "combine one": (lambda r: ["combine", "add", "smile", "--out", "a.safetensors"], "two motions or more"),
    "combine into nothing": (lambda r: ["combine", "add", "smile", "age"], "--out FILE"),
    "negate two": (lambda r: ["combine", "negate", "smile", "age", "--out", "a.safetensors"], "takes one motion"),
    "restrict to nothing": (lambda r: ["combine", "restrict", "smile", "--out", "a.safetensors"], "--layers coarse"),
    "scale by nothing": (lambda r: ["combine", "scale", "smile", "--weight", "0", "--out", "a.safetensors"], "other than 0"),
    "combine strangers": (lambda r: ["combine", "add", "smile", _foreign_motion(r), "--out", "a.safetensors"], "different shapes"),
    "inspect nothing": (lambda r: ["inspect", "gone.pt"], "no file gone.pt"),
    "inspect a text file": (lambda r: ["inspect", _text_file(r, "a.txt")], ""),
    "convert a picture": (lambda r: ["convert", picture(r / "a.png"), "b.safetensors"], ""),
    "convert to pickle": (lambda r: ["convert", models.embedded("generator"), "b.pkl"], ".safetensors"),
    "download unknown": (lambda r: ["download", "moon"], "'moon'"),
    "a picture that leads to itself": (lambda r: ["animate", _circle(r, "a.png")], "There is no file a.png"),
    "codes that lead to themselves": (lambda r: ["dataset", "out", "--motion", "smile", "--codes", _circle(r, "a.npy")], "no file a.npy"),
    "a pipe": (lambda r: ["inspect", _pipe(r, "a.pt")], "There is no file a.pt"),
    "an empty clip": (lambda r: ["animate", "--drive", (r / "a.mp4").touch() or "a.mp4"], "a.mp4 is empty"),
    "a pipe as clip": (lambda r: ["animate", "--drive", _pipe(r, "a.mp4")], "There is no file or folder"),
}


def _circle(room: Path, name: str) -> str:
    try:
        (room / name).symlink_to(room / name)
    except OSError:
        pytest.skip("no links for this user")
    return name


def _pipe(room: Path, name: str) -> str:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes in folders here")
    os.mkfifo(room / name)
    return name


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_leaves_nothing(case, room, capsys):
    arguments, expected = BAD[case]
    arguments = arguments(room)
    before = {p for p in room.rglob("*") if p.is_file()}
    assert micromotion(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "Traceback" not in said.err
    assert expected in said.err and len(said.err) > 30
    assert {p for p in room.rglob("*") if p.is_file()} == before


def test_missing_embedded_weights_are_named(room, monkeypatch, capsys):
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(room / "nothing"))
    assert micromotion("animate") == 2
    assert "--generator FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trouble", "code"),
    [(RuntimeError("boom"), 1), (KeyboardInterrupt(), 130), (OSError(28, "No space left on device"), 2), (MemoryError(), 2)],
)
def test_a_run_that_breaks_off_leaves_no_half_written_file(room, monkeypatch, capsys, trouble, code):
    def break_off(self):
        raise trouble

    monkeypatch.setattr(animate.Sheet, "rows", break_off)
    assert micromotion("animate", "--motion", "smile", "--out", "film/a.mp4", *QUICK) == code
    assert "Traceback" not in capsys.readouterr().err
    assert [p for p in (room / "film").iterdir()] == []


def test_an_older_result_survives_a_run_that_breaks_off(room, monkeypatch):
    (room / "a.mp4").write_bytes(b"older")
    monkeypatch.setattr(animate, "play", lambda *a, **k: iter(()).throw(RuntimeError("boom")))
    assert micromotion("animate", "--motion", "smile", "--out", "a.mp4", *QUICK) == 1
    assert (room / "a.mp4").read_bytes() == b"older" and {p.name for p in room.iterdir()} == {"a.mp4"}


def test_an_error_nobody_caused_says_so_and_shows_its_trace_on_request(room, monkeypatch, capsys):
    monkeypatch.setattr(animate.Sheet, "keep", lambda *a: 1 / 0)
    assert micromotion("animate", "--motion", "smile", *QUICK) == 1
    assert "unexpected ZeroDivisionError" in capsys.readouterr().err
    assert micromotion("animate", "--motion", "smile", "--verbose", *QUICK) == 1


def test_fit_from_text_writes_a_motion_that_can_be_animated(room, capsys):
    assert micromotion("fit", "a person with {degree} smile", "smile.safetensors", "--seeds", 2, "--steps", 2, "--device", "cpu") == 0
    motion = Subspace.load(room / "smile.safetensors")
    assert motion.template == "a person with {degree} smile" and motion.estimator == "theil_sen" and motion.parameters["groups"] == 2
    assert motion.fingerprint == load(models.embedded("generator")).fingerprint
    assert "theil_sen" in capsys.readouterr().out
    assert micromotion("animate", "--motion", "smile.safetensors", *QUICK) == 0


def test_fit_takes_what_a_text_may_say(room):
    options = ["--degrees", "no, half, full", "--negative", "a person with {degree} frown", "--neutral", "a person", "--layers", "coarse"]
    more = ["--name", "grin", "--license", "CC0", "--estimator", "rpca", "--joint", "--sparsity", "0.2", "--rank", "2"]
    assert micromotion("fit", "{degree} smile", "a.safetensors", *options, *more, "--seeds", 2, "--steps", 2, "--device", "cpu") == 0
    motion = Subspace.load(room / "a.safetensors")
    assert motion.labels == ("no", "half", "full", "-half", "-full") * 2 and motion.layers == (0, 1, 2, 3) and motion.rank == 2
    assert (motion.name, motion.license, motion.parameters["neutral"], motion.parameters["joint"]) == ("grin", "CC0", "a person", True)
    assert [p.name for p in room.iterdir()] == ["a.safetensors"]


def test_an_interrupted_fit_goes_on(room, monkeypatch):
    command = ["fit", "{degree} smile", "a.safetensors", "--seeds", 3, "--steps", 2, "--device", "cpu"]
    inner, seen = text_room._Optimizer.__call__, []

    def stop_at_the_second(self, chosen, progress):
        seen.append(len(chosen))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return inner(self, chosen, progress)

    monkeypatch.setattr(text_room._Optimizer, "__call__", stop_at_the_second)
    assert micromotion(*command) == 130
    assert [p.name for p in room.iterdir()] == [".a.anchors.safetensors"]
    assert micromotion(*command) == 0
    assert sum(seen) - seen[1] == 33, "no anchor is optimized twice"
    assert [p.name for p in room.iterdir()] == ["a.safetensors"]


@pytest.fixture
def knows_everything(monkeypatch):
    """An inverter that takes every picture for a face of its kind."""
    monkeypatch.setattr(clips, "out_of_domain", lambda card, report: None)


def _clip(room: Path, name: str, shades) -> Path:
    with VideoWriter(room / name, 24) as writer:
        writer.write(np.stack([np.full((SIDE, SIDE, 3), shade, np.uint8) for shade in shades]))
    return room / name


def test_a_clip_of_strangers_is_refused(strict, capsys):
    _clip(strict, "a.mp4", range(20, 180, 20))
    assert micromotion("fit", "a.mp4", "one.safetensors", "--device", "cpu") == 2
    assert "rendered avatars" in capsys.readouterr().err and not (strict / "one.safetensors").exists()
    assert micromotion("fit", "a.mp4", "one.safetensors", "--anyway", "--device", "cpu") == 0


@pytest.mark.usefixtures("knows_everything")
def test_several_clips_are_fitted_as_one_motion(room):
    _clip(room, "a.mp4", range(20, 180, 20))
    _clip(room, "b.mp4", range(180, 20, -20))
    assert micromotion("fit", "a.mp4", "one.safetensors", "--also", "b.mp4", "--device", "cpu") == 0
    motion = Subspace.load(room / "one.safetensors")
    assert motion.parameters["groups"] == 2 and motion.parameters["clip"] == "a.mp4; b.mp4"
    assert micromotion("fit", "a.mp4", "back.safetensors", "--reverse", "--device", "cpu") == 0
    assert micromotion("fit", "a.mp4", "there.safetensors", "--device", "cpu") == 0
    there, back = (Subspace.load(room / f"{name}.safetensors").direction for name in ("there", "back"))
    assert torch.cosine_similarity(there.flatten(), back.flatten(), 0) < -0.99


@pytest.mark.usefixtures("knows_everything")
def test_a_clip_drives_another_face(room):
    _clip(room, "nod.mp4", [20, 60, 100, 140, 100, 60, 20])
    assert micromotion("fit", "nod.mp4", "nod.safetensors", "--device", "cpu") == 0
    driven = ["animate", "--motion", "nod.safetensors", "--motion", "smile", "--drive", "nod.mp4", "--out", "d.mp4"]
    assert micromotion(*driven, "--smooth", 0, *QUICK) == 0
    assert len(frames_of(room / "d.mp4")) == 7, "as many frames as the clip has"


def test_a_driving_clip_is_read_along_all_motions_together(room, monkeypatch):
    rng = torch.Generator().manual_seed(0)
    a = torch.randn(8, 32, generator=rng)
    b = a + torch.randn(8, 32, generator=rng)
    motions = [("a", Subspace(a)), ("b", Subspace(b))]
    track, code = torch.linspace(0, 1, 9), torch.zeros(1, 8, 32)
    monkeypatch.setattr(animate, "reading_gain", lambda *args: torch.eye(2))
    clip = ClipCodes(Subspace(a).apply(code, track), tuple(range(9)), 1, 9)
    shown = animate.driven(code, motions, clip, 0.0, models.Models())
    assert torch.allclose(shown.coefficients, track, atol=1e-4) and torch.allclose(shown.farthest()[0], a, atol=1e-4)


def test_a_clip_without_a_face_is_refused_and_frames_without_one_are_told(strict, monkeypatch, capsys):
    _clip(strict, "gray.mp4", [20, 60, 100, 140])
    command = ["animate", "--motion", "smile", "--drive", "gray.mp4", "--out", "d.mp4", *QUICK]
    assert micromotion(*command) == 2
    assert "No frame of gray.mp4 shows a face that this inverter knows" in capsys.readouterr().err
    seen = []
    monkeypatch.setattr(clips, "out_of_domain", lambda card, report: seen.append(report) or ("strange" if len(seen) == 2 else None))
    assert micromotion(*command) == 0
    assert "1 of 4 frames of gray.mp4 show no face" in capsys.readouterr().err
    assert len(frames_of(strict / "d.mp4")) == 4, "the clip keeps its length"


@pytest.mark.usefixtures("knows_everything")
def test_what_a_clip_drives_lasts_as_long_as_the_clip(room):
    with VideoWriter(room / "fast.mp4", 60) as writer:
        writer.write(np.stack([np.full((SIDE, SIDE, 3), shade, np.uint8) for shade in range(20, 200, 6)]))
    assert micromotion("animate", "--motion", "smile", "--drive", "fast.mp4", "--out", "d.mp4", *QUICK) == 0
    assert media.open_clip(room / "d.mp4").fps == 60 and len(frames_of(room / "d.mp4")) == 30
    assert micromotion("animate", "--motion", "smile", "--drive", "fast.mp4", "--fps", 24, "--out", "e.mp4", *QUICK) == 0
    assert media.open_clip(room / "e.mp4").fps == 24


@pytest.mark.parametrize(
    "fields",
    [
        {"frames": [2, 0]},
        {"frames": [0]},
        {"total": 2},
        {"spacing": 0},
        {"spacing": None},
        {"frames": [-1, 0]},
        {"frames": "01"},
        {"total": []},
    ],
)
def test_codes_of_a_clip_that_are_not_those_of_its_frames(room, fields):
    sound = {"frames": [0, 2], "spacing": 2, "total": 4}
    given = {k: v for k, v in (sound | fields).items() if v is not None}
    native.write(room / "clip.safetensors", "clip", given, {"codes": torch.zeros(2, 4, 8)})
    with pytest.raises(DamagedFileError, match="is damaged: its"):
        ClipCodes.load(room / "clip.safetensors")
    native.write(room / "clip.safetensors", "clip", sound, {"codes": torch.zeros(2, 4, 8)})
    assert ClipCodes.load(room / "clip.safetensors").nearest(1) in (0, 1)


HOSTILE = "\x1b[31mred\x07\u202e" + "n" * 5000


def test_what_files_say_does_not_reach_the_terminal_as_it_is(room, capsys):
    """Names, notes and licenses come out of files that strangers made; a terminal acts on some characters."""
    motion = Subspace(torch.ones(1, 8, 32), name=HOSTILE, license=HOSTILE, notes=(HOSTILE,))
    motion.save(room / "m.safetensors")
    torch.save({HOSTILE[:900]: torch.ones(8, 32), "b": torch.ones(8, 32)}, room / "d.pt")
    save_codes(room / "c.safetensors", torch.ones(2, 8, 32), names=[HOSTILE, "b"])
    told = (["inspect", "m.safetensors"], ["inspect", "d.pt"], ["inspect", "c.safetensors"], ["animate", "--motion", "d.pt", *QUICK])
    for arguments in (
        *told,
        ["animate", "--code", "c.safetensors", "--face", "3", *QUICK],
        ["animate", "--motion", "m.safetensors", *QUICK],
    ):
        micromotion(*arguments)
        said = "".join(capsys.readouterr())
        assert said and not set(said) & set("\x1b\x07\u202e") and len(said) < 8000


def test_a_colon_in_an_outputs_name_is_no_protocol(room):
    if sys.platform == "win32":
        pytest.skip("no colons in names there")
    assert micromotion("animate", "--motion", "smile", "--out", "http:x.mp4", *QUICK) == 0
    assert (room / "http:x.mp4").is_file()


def test_a_name_that_is_no_text_is_said(room, capsys):
    try:
        name = os.fsdecode(b"\xff.safetensors")
        (room / name).write_bytes((models.embedded_root() / "motions" / "smile.safetensors").read_bytes())
    except OSError:
        pytest.skip("this file system takes no such names")
    assert micromotion("inspect", name) == 2 and "not in UTF-8" in capsys.readouterr().err


def test_frames_without_a_face_are_held_and_the_clip_keeps_its_length():
    clip = ClipCodes(torch.zeros(3, 1, 1), (0, 2, 8), 2, 12)
    assert clip.over_time(torch.tensor([[0.0], [1.0], [4.0]])).flatten().tolist() == [0, 1, 2, 3, 4, 4]


def test_a_motion_may_go_once_or_follow_keyframes(room):
    for name, options in {"once": ["--once"], "keys": ["--keyframes", "0: 0, 4: 1"]}.items():
        assert micromotion("animate", "--motion", "smile", "--out", f"{name}.mp4", *options, *QUICK) == 0
    once, keys = (np.abs((f := frames_of(room / f"{name}.mp4").astype(int)) - f[0]).mean(axis=(1, 2, 3)) for name in ("once", "keys"))
    assert once.argmax() == 7 and keys.argmax() == 4 and keys[7] < keys[5]


def test_calibrate_measures_by_texts_and_by_a_factor(room, monkeypatch, capsys):
    monkeypatch.delenv("MICROMOTION_WEIGHTS")
    by_text = ["--full", "a person with 100% smile", "--none", "a person with no smile", "--reach", 0.8, "--faces", 1]
    assert micromotion("calibrate", "smile", "held.safetensors", *by_text, "--device", "cpu") == 0
    before, held = Subspace.load(models.find_motion("smile")), Subspace.load(room / "held.safetensors")
    assert torch.equal(held.direction, before.direction) and held.safe_range[1] <= 0.8 and "no smile" in held.calibration.instrument
    capsys.readouterr()
    assert micromotion("calibrate", "smile", "even.safetensors", "--factor", "smile", "--change", 0.5, "--faces", 2, "--device", "cpu") == 0
    assert "safe range" in capsys.readouterr().out
    after = Subspace.load(room / "even.safetensors")
    assert after.direction.norm() < 0.8 * before.direction.norm(), "half a degree is a shorter unit"
    assert "factor regressor" in after.calibration.instrument and after.calibration.unit.startswith("a change of 0.5")


def test_motions_are_combined_and_compared(room, capsys):
    smile, age = (Subspace.load(models.find_motion(name)).direction for name in ("smile", "age"))
    made = {
        "add": (["add", "smile", "age", "--weight", 0.5], smile + age / 2),
        "less": (["subtract", "smile", "age"], smile - age),
        "turned": (["negate", "smile"], -smile),
        "twice": (["scale", "smile", "--weight", 2], 2 * smile),
        "top": (["restrict", "smile", "--layers", "0-3"], torch.cat([smile[:4], 0 * smile[4:]])),
    }
    for name, (command, expected) in made.items():
        assert micromotion("combine", *command, "--out", f"{name}.safetensors") == 0
        motion = Subspace.load(room / f"{name}.safetensors")
        assert torch.allclose(motion.direction, expected, atol=1e-5) and motion.name == name
    assert micromotion("combine", "without", "add.safetensors", "age", "--out", "pure.safetensors") == 0
    pure = Subspace.load(room / "pure.safetensors").direction
    assert abs(torch.cosine_similarity(pure.flatten(), age.flatten(), 0)) < 1e-5
    assert micromotion("combine", "merge", "smile", "twice.safetensors", "--out", "middle.safetensors") == 0
    capsys.readouterr()
    assert micromotion("combine", "cosines", "smile", "age", "turned.safetensors") == 0
    table = capsys.readouterr().out.splitlines()
    assert table[1].split()[:2] == ["smile", "1.00"] and table[1].split()[-1] == "-1.00"


@pytest.mark.parametrize("form", ["folder", "video", "gif"])
@pytest.mark.usefixtures("knows_everything")
def test_fit_from_a_clip(room, form):
    frames = [Image.fromarray(np.full((SIDE, SIDE, 3), 20 * i, np.uint8)) for i in range(8)]
    if form == "folder":
        (room / "clip").mkdir()
        for i, frame in enumerate(frames):
            frame.save(room / "clip" / f"{i}.png")
    elif form == "gif":
        frames[0].save(room / "clip.gif", save_all=True, append_images=frames[1:], duration=40)
    else:
        with VideoWriter(room / "clip.mp4", 24) as writer:
            writer.write(np.stack([np.asarray(frame) for frame in frames]))
    source = {"folder": "clip", "video": "clip.mp4", "gif": "clip.gif"}[form]
    assert micromotion("fit", source, "nod.safetensors", "--device", "cpu") == 0
    motion = Subspace.load(room / "nod.safetensors")
    assert motion.estimator == "rpca" and motion.parameters["anchors"] >= 7 and motion.fingerprint
    assert motion.source == "video" and motion.parameters["clip"] == source and motion.preview


@pytest.mark.parametrize(
    ("name", "expected"),
    [("generator", "resolution 32 px"), ("inverter", "rendered avatars"), ("scorer", "text scorer"), ("motions/smile", "rank 1")],
)
def test_inspect_knows_every_kind_of_file(room, capsys, name, expected):
    assert micromotion("inspect", models.embedded_root() / f"{name}.safetensors") == 0
    assert expected in " ".join(capsys.readouterr().out.split())


def test_a_plain_direction_can_be_inspected_converted_and_animated(room, capsys):
    torch.save(torch.randn(1, 8, SIDE, generator=torch.Generator().manual_seed(0)), "d_latent.pt")
    assert micromotion("inspect", "d_latent.pt") == 0 and micromotion("convert", "d_latent.pt", "wink.safetensors", "--as", "motion") == 0
    assert "imported" in capsys.readouterr().out
    assert Subspace.load(room / "wink.safetensors").direction.norm() == pytest.approx(10, rel=1e-4)
    for name in ("d_latent.pt", "wink.safetensors"):
        assert micromotion("animate", "--motion", name, "--out", f"{name}.mp4", *QUICK) == 0
    assert np.array_equal(frames_of("d_latent.pt.mp4"), frames_of("wink.safetensors.mp4"))


@pytest.mark.usefixtures("knows_everything")
def test_fit_from_a_clip_that_is_not_square_follows_the_face(room, monkeypatch, capsys):
    clip = (np.indices((90, 120)).sum(0)[None, ..., None] + 7 * np.arange(6)[:, None, None, None] + np.zeros(3)) % 256
    with VideoWriter(room / "clip.mp4", 24) as writer:
        writer.write(clip.astype(np.uint8))
    monkeypatch.setattr(faces, "detect", lambda frames, **_: [[_face()] if i != 2 else [] for i in range(len(frames))])
    assert micromotion("fit", "clip.mp4", "nod.safetensors", "--positive", 5, "--device", "cpu") == 0
    assert "no face in 1 frame (2): skip" in capsys.readouterr().err
    motion = Subspace.load(room / "nod.safetensors")
    assert motion.parameters["anchors"] <= 5 and motion.parameters["positive"] == 4, "frame 5 is the fifth that shows a face"


def test_the_default_span_shows_the_motion():
    def motion(name, *safe):
        return name, Subspace(torch.ones(2, 3), calibration=Calibration(safe=(safe,) if safe else ()))

    assert animate.default_span([motion("grin")]) == (0, 1)
    assert animate.default_span([motion("nod")]) == (-1, 1), "avatars nod down and up"
    assert animate.default_span([motion("anger", -0.2, 0.25)]) == (0, 0.7)
    assert animate.default_span([motion("smile", -0.2, 1.5)]) == (0, 1)
    assert animate.default_span([motion("turn", -0.5, 0.75)]) == (-0.75, 0.75)
    assert animate.default_span([motion("turn", -0.5, 0.75), motion("smile", -0.5, 0.5)]) == (0, 0.7)


def test_long_clips_are_thinned_evenly():
    frames, spacing = media.thinned((torch.tensor(i) for i in range(1000)), 96)
    assert spacing == 16 and [int(f) for f in frames] == list(range(0, 1000, 16))
    assert media.thinned(iter(frames), 96) == (frames, 1)


def test_convert_keeps_every_number(room, capsys):
    assert micromotion("convert", models.embedded("generator"), "copy.safetensors") == 0
    assert load(room / "copy.safetensors").fingerprint == load(models.embedded("generator")).fingerprint
    assert "32 px" in capsys.readouterr().out


def test_download_lists_the_catalog_with_licenses(room, capsys):
    assert micromotion("download") == 0
    listed = capsys.readouterr().out
    assert all(entry.name in listed and entry.license in listed for entry in catalog.ENTRIES)
    headings = [line for line in listed.splitlines() if line.endswith(":") and not line.startswith(" ")]
    kinds = [(subject, kind) for subject in ("photos of people", "paintings", "animals") for kind in catalog.KINDS.values()]
    assert headings == [f"{subject}, {kind}:" for subject, kind in kinds if f"{subject}, {kind}:" in headings] and len(headings) >= 8


def test_a_reader_that_has_seen_enough_is_no_error(weights):
    prelude = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import conftest; import micromotion.__main__ as m; "
    command = [sys.executable, "-c", prelude + "sys.exit(m.main(['download']))"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, Path]]:
    """What the catalog was asked to fetch, and where to."""
    asked = []

    def fetch(name, folder, progress):
        progress(1, 2, None)
        asked.append((name, Path(folder)))
        return Path(folder) / catalog.find(name).file

    monkeypatch.setattr(catalog, "download", fetch)
    return asked


def test_download_fetches_into_the_kind_s_folder(room, asked, capsys):
    assert micromotion("download", "ffhq", "--accept") == 0 and micromotion("download", "ffhq", "--accept", "--to", "here") == 0
    assert asked == [("ffhq", Path("models") / "stylegan2"), ("ffhq", Path("here"))]
    assert "not commercial" in capsys.readouterr().out


def test_download_says_the_terms_and_fetches_nothing_until_they_are_accepted(room, asked, capsys):
    assert micromotion("download", "photos") == 0
    said = capsys.readouterr().out
    assert asked == [] and "research and evaluation only" in said and "drive.google.com" in said and "--accept" in said


def test_download_fetches_everything_for_photos(room, asked, capsys):
    assert micromotion("download", "photos", "--accept") == 0
    folders = {folder.name for _, folder in asked}
    assert folders == {"stylegan2", "stylegan2_inverters", "micromotion_scorers", "dlib", "micromotion"} and len(asked) == 11


@pytest.mark.parametrize(
    "command", [(), *((name,) for name in ("animate", "fit", "calibrate", "combine", "inspect", "convert", "download"))]
)
def test_help_explains_each_command(command, capsys):
    assert micromotion(*command, "--help") == 0
    text = capsys.readouterr().out
    assert f"usage: {' '.join(('micromotion', *command))}" in text and len(text) > 200


def test_help_names_exactly_what_the_library_offers():
    assert set(command_line.EASINGS) == set(EASINGS) and set(command_line.ESTIMATORS) == set(ESTIMATORS)
    assert command_line.QUANTITIES == faces.measuring.QUANTITIES
    assert set(command_line.OPERATIONS) == {*combine.OF_ONE, *algebra.OPERATIONS, "cosines"}
    assert set(command_line.FACTORS) == {motion.name for motion in MOTIONS}


def test_every_example_of_the_help_is_understood():
    lines = re.findall(r"^  micromotion (.+?)(?:   .*)?$", command_line.EXAMPLES, re.M)
    assert len(lines) >= 8
    for line in lines:
        words = [w.strip('"') for w in re.findall(r'"[^"]*"|\S+', line)]
        assert command_line.build_parser().parse_args(words).command == words[0]


def test_version_and_bare_call(capsys):
    assert micromotion("--version") == 0 and micromotion() == 0
    out = capsys.readouterr().out
    assert out.startswith("micromotion ") and "commands:" in out


def test_pictures_come_out_as_they_went_in(tmp_path):
    image = picture(tmp_path / "a.png", 31, 17)
    assert np.array_equal(media.to_bytes(media.read_image(image))[0], np.asarray(Image.open(image)))


def test_transparency_is_laid_on_white(tmp_path):
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert np.array_equal(media.to_bytes(media.read_image(tmp_path / "clear.png")), np.full((1, 4, 4, 3), 255))


def test_odd_sides_are_padded_and_codecs_fall_back_with_a_sentence(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(media.video, "H264", ("no_such_codec",))
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        writer.write(np.zeros((3, 33, 47, 3), np.uint8))
    assert frames_of(tmp_path / "a.mp4").shape == (3, 34, 48, 3)
    assert "MPEG-4 Part 2" in caplog.text


def test_no_codec_at_all_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(media.video, "_can_encode", lambda *a: False)
    with pytest.raises(media.MediaError, match="reinstall"), VideoWriter(tmp_path / "a.mp4", 25) as writer:
        writer.write(np.zeros((1, 32, 32, 3), np.uint8))


def test_a_gif_loops_at_its_rate(room):
    assert micromotion("animate", "--motion", "smile", "--fps", "30", "--out", "a.gif", *QUICK) == 0
    gif = Image.open("a.gif")
    durations = [gif.seek(i) or gif.info["duration"] for i in range(gif.n_frames)]
    assert gif.info["loop"] == 0 and sum(durations) == pytest.approx(1000 * 8 / 30, abs=10) and gif.size == (32, 32)


def test_small_pictures_are_enlarged_and_large_ones_kept():
    assert media.enlarge(torch.zeros(1, 3, 10, 20), 30).shape == (1, 3, 30, 60)
    large = torch.zeros(1, 3, 40, 40)
    assert media.enlarge(large, 30) is large


def test_the_clock_adds_up_stages():
    clock = Clock()
    with clock.stage("a"):
        pass
    assert list(clock.each("b", [1, 2])) == [1, 2]
    assert list(clock.seconds) == ["a", "b"] and clock.report().endswith("in all")


def test_doctor_prints_what_a_bug_report_needs(room, capsys):
    (room / "models" / catalog.MOTIONS).mkdir(parents=True)
    (room / "models" / catalog.MOTIONS / "nod.safetensors").write_bytes(b"123")
    assert micromotion("doctor", "--models", room / "models") == 0
    said = capsys.readouterr().out
    assert "StyleGAN2 operations on " in said and "micromotion: nod.safetensors (3 bytes)" in said and "scorer.safetensors (" in said


def _numbers() -> list[tuple[str, str]]:
    """Every option of every command that takes a number."""
    (commands,) = (a for a in command_line.build_parser()._actions if hasattr(a, "choices") and isinstance(a.choices, dict))
    options = [(name, action) for name, parser in commands.choices.items() for action in parser._actions]
    return [
        (name, a.option_strings[0])
        for name, a in options
        if getattr(a.type, "__name__", "") == "number" and a.option_strings and not a.nargs
    ]


def test_every_number_of_every_command_has_bounds(capsys):
    numbers = _numbers()
    assert len(numbers) > 20 and not _plain_numbers()
    for command, option in numbers:
        for word in ("nan", "inf", "-inf", "1e400", "-1e12", "1e12", "many", ""):
            with pytest.raises(SystemExit) as ended:
                command_line.build_parser().parse_args([command, f"{option}={word}"])
            assert ended.value.code == 2, (command, option, word)
            assert re.search(r"is not a (whole )?number from \S+ to \S+", capsys.readouterr().err), (command, option, word)


def _plain_numbers() -> list[str]:
    """Options that would take any number."""
    (commands,) = (a for a in command_line.build_parser()._actions if hasattr(a, "choices") and isinstance(a.choices, dict))
    return [f"{name} {a.option_strings}" for name, parser in commands.choices.items() for a in parser._actions if a.type in (int, float)]
