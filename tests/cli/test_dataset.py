"""``micromotion dataset`` and ``micromotion fit`` of many clips: every option reaches the work, and what cannot be done is one sentence."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from micromotion import __main__ as command_line
from micromotion import faces, stylegan2
from micromotion.cli import dataset, fit
from micromotion.files.embedded import embedded_root
from micromotion.media import to_bytes
from micromotion.subspaces import Subspace
from micromotion.subspaces.anchors import draw_faces
from PIL import Image

OWN = ["--generator", str(embedded_root() / "generator.safetensors"), "--inverter", str(embedded_root() / "inverter.safetensors")]


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    monkeypatch.delenv("MICROMOTION_WEIGHTS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(*arguments) -> int:
    return command_line.main(["dataset", "out", "--device", "cpu", *map(str, arguments)])


def planned(*arguments):
    """The job of a command line, not made."""
    return dataset.job_of(
        command_line.build_parser().parse_args(["dataset", "out", "--device", "cpu", "--motion", "smile=0.5,1", *arguments])
    )


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--motion", "age=0.5"], "plan"),
        (["--together", "--motion", "age=0.5"], "plan"),
        (["--draws", "3"], "plan"),
        (["--seeds", "7"], "plan"),
        (["--truncation", "0.5"], "plan"),
        (["--test", "0.5"], "plan"),
        (["--seed", "5"], "plan"),
        (["--layout", "parquet"], "layout"),
        (["--format", "webp"], "plan"),
        (["--quality", "80"], "plan"),
        (["--size", "32"], "plan"),
        (["--instruction", "do {degree}"], "plan"),
        (["--opposite", "undo {degree}"], "plan"),
        (["--caption", "done {degree}"], "plan"),
        (["--least-identity", "0.5"], "gate"),
        (["--least-change", "0.2"], "gate"),
        (["--most-leakage", "0.2"], "gate"),
        (["--no-gate"], "gate"),
        (["--license", "CC0"], "license"),
        (["--threads", "2"], "plan"),
        (["--batch", "2"], "plan"),
        (["--shard", "2"], "plan"),
    ],
)
def test_every_option_reaches_the_job(options, changed):
    usual, other = planned(), planned(*options)
    assert {name for name in vars(usual) if getattr(usual, name) != getattr(other, name)} == {changed}


def test_avatars_are_made_measured_and_told(room, capsys):
    assert made("--motion", "smile=-0.3,0.5", "--seeds", 3, "--test", 0) == 0
    assert "pairs: " in capsys.readouterr().out
    card = (room / "out" / "README.md").read_text()
    assert "`generator.safetensors` (128 px, fingerprint" in card and "license: MIT" in card
    assert "<h2>identity</h2>" in (room / "out" / "quality.html").read_text()


def test_photos_that_come_twice_are_taken_once(room, capsys):
    generator = stylegan2.load(embedded_root() / "generator.safetensors").eval().requires_grad_(False)
    (room / "photos").mkdir()
    picture = Image.fromarray(to_bytes(generator.synthesize(draw_faces(generator, [0])))[0]).resize((256, 256))
    picture.save(room / "photos" / "a.png")
    picture.resize((200, 200)).save(room / "photos" / "b.jpg")
    (room / "photos" / "broken.png").write_bytes(b"x")
    try:
        faces.find_predictor()
    except faces.MissingToolError as reason:
        pytest.skip(str(reason))
    assert made("--motion", "smile=0.5", "--photos", "photos", "--no-gate", "--paste", *OWN) == 0
    said = capsys.readouterr()
    assert "Copies of other faces, which are left out: 1." in said.err and "1 duplicate, 1 failed" in said.out
    left = [json.loads(line) for line in (room / "out" / "left_out.jsonl").read_text().splitlines()]
    assert {(r["key"], r["reason"]) for r in left} == {("b.jpg", "duplicate"), ("broken.png", "failed")}


def test_codes_that_come_twice_are_taken_once(room):
    generator = stylegan2.load(embedded_root() / "generator.safetensors").eval().requires_grad_(False)
    stylegan2.save_codes("c.safetensors", draw_faces(generator, [3, 4, 3]), generator)
    assert made("--motion", "smile=0.5", "--codes", "c.safetensors", "--no-gate") == 0
    assert "2 pairs of 2 faces" in (room / "out" / "README.md").read_text()
    assert '"c.safetensors#2", "reason": "duplicate"' in (room / "out" / "left_out.jsonl").read_text()


def test_a_generator_that_draws_no_faces_is_not_measured_and_it_is_said(room, capsys, monkeypatch):
    monkeypatch.setattr(dataset, "why_not", lambda *_: "No face is found.")
    assert made("--motion", "smile=0.5", "--seeds", 1, "--test", 0, *OWN[:2]) == 0
    assert "No face is found. The pairs are not measured, and every pair is kept." in capsys.readouterr().err
    assert "Nothing was measured" in (room / "out" / "quality.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--motion", "smile=0.5", "--ray", "127.0.0.1:9"], "No Ray cluster answers at 127.0.0.1:9"),
        (["--motion", "grin=0.5"], "There is no motion 'grin'"),
        (["--motion", "far.safetensors=0.5"], "belong together"),
        (["--motion", "smile=a"], "write the strengths as numbers"),
        (["--motion", "smile=0.5", "--photos", "pictures"], "for --photos give --generator"),
        (["--motion", "smile=0.5", "--photos", "nowhere", *OWN], "nowhere is not a folder"),
        (["--motion", "smile=0.5", "--truncation", "0"], "draws the mean face"),
        (["--motion", "smile=0.5", "--identity", "none.pth"], "There is no file none.pth"),
    ],
)
def test_what_cannot_be_made_is_one_sentence_and_writes_nothing(room, capsys, arguments, words):
    if "--ray" in arguments:
        pytest.importorskip("ray")
    Subspace(torch.ones(1, 18, 512), name="far").save("far.safetensors")
    (room / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(room / "pictures" / "a.png")
    assert made("--seeds", 2, *arguments) == 2 if "--photos" not in arguments else made(*arguments) == 2
    assert words in capsys.readouterr().err
    assert not (room / "out").exists()


@pytest.mark.parametrize("place", ["a file/set", "/proc/none/set", "file:///proc/none/set", "http://127.0.0.1:9/set"])
def test_a_place_that_cannot_be_written_to_is_named(room, capsys, place):
    if "://" in place:
        pytest.importorskip("fsspec")
    (room / "a file").write_text("mine")
    assert command_line.main(["dataset", place, "--motion", "smile=0.5", "--seeds", "1", "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and "set" in said and ("cannot be" in said or "not an address" in said)


@pytest.fixture
def clips(room, monkeypatch):
    """A folder of two clips of a face that turns, and how often a clip was read."""
    generator = stylegan2.load(embedded_root() / "generator.safetensors").eval().requires_grad_(False)
    motion = Subspace.load(embedded_root() / "motions" / "turn.safetensors")
    read, real = [], fit.codes_of_clip
    monkeypatch.setattr(fit, "codes_of_clip", lambda path, *more: read.append(path.name) or real(path, *more))
    for seed in (1, 2):
        images = generator.synthesize(motion.apply(draw_faces(generator, [seed]), torch.linspace(-0.5, 1, 6)))
        frames = [Image.fromarray(np.ascontiguousarray(p)) for p in to_bytes(images)]
        (room / "clips").mkdir(exist_ok=True)
        frames[0].save(room / "clips" / f"{seed}.gif", save_all=True, append_images=frames[1:], duration=100)
    return read


def test_a_folder_of_clips_is_fitted_as_one_motion_and_goes_on_where_it_stopped(room, clips, monkeypatch):
    command = ["fit", "clips", "turn.safetensors", "--anyway", "--device", "cpu"]
    with monkeypatch.context() as patch:
        patch.setattr(fit, "anchors_of_clips", _interrupted)
        assert command_line.main(command) > 2
    assert clips == ["1.gif", "2.gif"] and len(list(room.glob(".turn.clip-*"))) == 2
    assert command_line.main(command) == 0
    assert clips == ["1.gif", "2.gif"], "what was read is not read again"
    motion = Subspace.load(room / "turn.safetensors")
    assert motion.parameters["groups"] == 2 and motion.parameters["clip"] == "1.gif; 2.gif"
    assert not list(room.glob(".turn.*"))


def _interrupted(*_):
    raise KeyboardInterrupt


def test_another_clip_under_the_same_name_is_read_again(room, clips, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fit, "anchors_of_clips", _interrupted)
        assert command_line.main(["fit", "clips", "turn.safetensors", "--anyway", "--device", "cpu"]) > 2
    shutil.copy(room / "clips" / "2.gif", room / "clips" / "1.gif")
    assert command_line.main(["fit", "clips", "turn.safetensors", "--anyway", "--device", "cpu"]) == 0
    assert clips == ["1.gif", "2.gif", "1.gif"]
