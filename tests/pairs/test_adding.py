"""Pairs from pictures that are there already."""

import json

import pytest
import torch
from micromotion.pairs import Added, MotionPlan, PairsError, add_face

SMILE = MotionPlan("smile", "")


def pictures(count, seed=0):
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def listed(out):
    return [
        json.loads(line) for split in ("train", "test") for f in out.glob(f"{split}/dataset.jsonl") for line in f.read_text().splitlines()
    ]


def test_a_set_grows_face_by_face_and_takes_each_pair_once(tmp_path):
    out, faces = tmp_path / "set", pictures(5)
    assert add_face(str(out), faces[0], faces[1:4], [0.0, 0.5, -0.5], SMILE).new == 2
    assert add_face(str(out), faces[0], faces[1:4], [0.0, 0.5, -0.5], SMILE).new == 0
    assert add_face(str(out), faces[0], faces[1:3], [0.5, 1.0], SMILE).new == 1
    assert add_face(str(out), faces[4], faces[1:3], [0.5, 0.5], SMILE) == Added(1, 4, 2)
    assert len(listed(out)) == 4
    names = sorted(p.stem for p in out.rglob("images/*.png"))
    assert names == ["0000000-000", "0000000-001", "0000000-002", "0000001-000"]


def test_a_picture_that_did_not_change_is_no_pair(tmp_path):
    face = pictures(1)
    assert add_face(str(tmp_path / "set"), face[0], face, [1.0], SMILE) == Added(0, 0, 0)
    assert not (tmp_path / "set").exists()


def test_a_set_has_a_card_of_all_that_was_added(tmp_path):
    faces = pictures(3)
    add_face(str(tmp_path), faces[0], faces[1:], [0.5, 1.0], SMILE, unit="one smile", license="MIT")
    add_face(str(tmp_path), faces[1], faces[2:], [-1.0], MotionPlan("turn", ""), unit="a half turn")
    card = (tmp_path / "README.md").read_text()
    assert "| smile | one smile | 0.5, 1 | MIT |" in card and "| turn | a half turn | -1 | not stated |" in card
    assert "3 pairs of 2 faces" in card and "consent" in card


@pytest.mark.parametrize("other", [{"layout": "imagefolder"}, {"form": "jpg"}, {"test": 0.5}, {"seed": 3}])
def test_a_set_keeps_its_settings(tmp_path, other):
    faces = pictures(4)
    add_face(str(tmp_path), faces[0], faces[1:2], [1.0], SMILE)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PairsError, match="begun with other settings"):
        add_face(str(tmp_path), faces[2], faces[3:], [1.0], SMILE, **other)
    assert sorted(tmp_path.rglob("*")) == before


def test_slider_folders_grow_too(tmp_path):
    faces = pictures(4)
    add_face(str(tmp_path), faces[0], faces[1:], [-1.0, 0.0, 1.0], SMILE, layout="sliders", test=0.0)
    assert sorted(p.name for p in (tmp_path / "train" / "smile").iterdir()) == ["+1", "-1", "0"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"coefficients": [1.0]}, "2 pictures came with 1"),
        ({"coefficients": [0.0, 0.0]}, "Every coefficient is 0"),
        ({"layout": "heap"}, "no layout 'heap'"),
        ({"neutral": torch.zeros(3, 9, 9)}, "9 x 9 px"),
        ({"motion": MotionPlan("a/b", "")}, "name"),
    ],
)
def test_what_makes_no_pairs_is_said(tmp_path, changes, words):
    given = {"neutral": pictures(1)[0], "edited": pictures(2, 1), "coefficients": [0.5, 1.0], "motion": SMILE, **changes}
    with pytest.raises(PairsError, match=words):
        add_face(str(tmp_path / "set"), **given)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw.replace(b'"face"', b'"fact"'),
        lambda raw: raw.replace(b'"coefficients": {"smile": 0.5}', b'"coefficients": [0.5]'),
        lambda raw: raw.replace(b'"unit"', b'"knit"'),
        lambda raw: b"[]",
        lambda raw: b"\xff" + raw,
        lambda raw: b"[" * 100_000,
    ],
)
def test_a_damaged_marker_is_named_and_nothing_changes(tmp_path, damage):
    faces = pictures(3)
    add_face(str(tmp_path), faces[0], faces[1:2], [0.5], SMILE)
    marker = tmp_path / ".shards" / "000000.json"
    marker.write_bytes(damage(marker.read_bytes()))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(PairsError, match=r"000000.json is damaged. Copy it again"):
        add_face(str(tmp_path), faces[0], faces[2:], [1.0], SMILE)
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


def test_a_removed_marker_lets_no_other_be_written_over(tmp_path):
    faces = pictures(5)
    for i in range(3):
        add_face(str(tmp_path), faces[i], faces[i + 1 : i + 2], [1.0], SMILE)
    (tmp_path / ".shards" / "000000.json").unlink()
    last = (tmp_path / ".shards" / "000002.json").read_bytes()
    assert add_face(str(tmp_path), faces[3], faces[4:], [1.0], SMILE).new == 1
    assert (tmp_path / ".shards" / "000002.json").read_bytes() == last and (tmp_path / ".shards" / "000003.json").is_file()


def test_what_a_killed_run_left_is_no_marker(tmp_path):
    faces = pictures(3)
    add_face(str(tmp_path), faces[0], faces[1:2], [0.5], SMILE)
    (tmp_path / ".shards" / ".000001.part.json").write_bytes(b'{"rows": [')
    assert add_face(str(tmp_path), faces[0], faces[2:], [1.0], SMILE) == Added(1, 2, 1)
    assert [p.name for p in sorted((tmp_path / ".shards").iterdir())] == ["000000.json", "000001.json"]


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    faces = pictures(2)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(PairsError, match="holds files that are not a set of pairs"):
        add_face(str(tmp_path), faces[0], faces[1:], [1.0], SMILE)
    assert (tmp_path / "README.md").read_text() == "mine" and [p.name for p in tmp_path.iterdir()] == ["README.md"]
    (tmp_path / "README.md").rename(tmp_path / ".DS_Store")
    assert add_face(str(tmp_path), faces[0], faces[1:], [1.0], SMILE).new == 1
