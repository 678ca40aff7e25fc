"""Save Training Pairs: a set in the output folder that grows from run to run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from micromotion.files.errors import MicromotionError
from micromotion.subspaces import Subspace
from micromotion.subspaces.subspace import Calibration
from PIL import Image

SMILE = Subspace(torch.ones(1, 6, 8), name="smile", license="CC0", calibration=Calibration(unit="degree 0 to 1 of smile"))


@pytest.fixture
def saved(pack):
    """``saved(images, sweep, **more)`` writes into a new set and returns its folder and what is said under the node."""
    folder = pack.base / "output" / "mine"
    shutil.rmtree(folder, ignore_errors=True)

    def save(images, sweep, **more):
        node = pack.nodes["SavePairs"]
        inputs = {"images": images, "sweep": torch.as_tensor(sweep), "motion": SMILE, "layout": "pairs", "name": "mine", **more}
        with torch.inference_mode():
            return folder, node.execute(**inputs).ui["text"][0]

    return save


def frames(count, seed=0, side=16):
    return torch.rand(count, side, side, 3, generator=torch.Generator().manual_seed(seed))


def test_frames_become_pairs_with_their_words_and_a_card(saved):
    images = frames(4)
    folder, said = saved(images, [-0.5, 0.0, 0.5, 1.0], test=0.0)
    assert said == "output/mine: 3 new; the set holds 3 pairs of 1 face"
    names = sorted(p.stem for p in (folder / "train" / "images").glob("*.png"))
    assert len(names) == 3
    for name, frame, words in zip(names, (0, 2, 3), ("smile less", "smile", "smile strongly")):
        edited, still = (folder / "train" / part / f"{name}.png" for part in ("images", "control"))
        assert shown(edited) == pixels(images[frame]) and shown(still) == pixels(images[1])
        assert words in (folder / "train" / "images" / f"{name}.txt").read_text()
    card = (folder / "README.md").read_text()
    assert "| smile | degree 0 to 1 of smile | -0.5, 0.5, 1 | CC0 |" in card and "consent" in card


def pixels(image):
    return (image * 255).round().int().tolist()


def shown(path):
    with Image.open(path) as picture:
        return np.asarray(picture).tolist()


def test_a_second_run_adds_what_is_new_and_nothing_twice(saved):
    saved(frames(2), [0.0, 1.0])
    assert saved(frames(2), [0.0, 1.0])[1] == "output/mine: 0 new; the set holds 1 pair of 1 face"
    assert saved(frames(4, 1), [0.0, 1.0])[1] == "output/mine: 2 new; the set holds 3 pairs of 3 faces", "two faces, a sweep each"


def test_a_photo_stands_for_coefficient_0_where_it_is_given(saved):
    photo = frames(1, 9)
    folder, said = saved(frames(2), [0.5, 1.0], neutral=photo, test=0.0)
    assert "2 new" in said
    control = next((folder / "train" / "control").iterdir())
    assert shown(control) == pixels(photo[0])


def test_the_coefficient_of_apply_micromotion_counts(saved):
    folder, _ = saved(frames(2), [0.0, 1.0], coefficient=-0.5, layout="sliders", test=0.0)
    assert sorted(p.name for p in (folder / "train" / "smile").iterdir()) == ["-0.5", "0"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sweep": torch.tensor([0.5, 1.0])}, "No frame is at coefficient 0"),
        ({"sweep": torch.tensor([0.0, 0.5, 1.0])}, "2 frames and 3 coefficients"),
        ({"sweep": torch.tensor([[0.0, 0.0], [1.0, 0.5]])}, "several components"),
        ({"sweep": torch.zeros(0)}, r"has shape \[0\]"),
        ({"sweep": torch.zeros(2, 1, 1)}, r"has shape \[2, 1, 1\]"),
        ({"neutral": frames(2, 5)}, "1 faces and neutral 2"),
        ({"neutral": frames(1, 5, side=8)}, "8 x 8 px"),
        ({"name": "../../mine"}, "leaves the folder output"),
    ],
)
def test_what_makes_no_pairs_is_said_and_nothing_is_written(saved, pack, changes, words):
    folder = pack.base / "output" / "mine"
    with pytest.raises(MicromotionError, match=words):
        saved(**{"images": frames(2), "sweep": torch.tensor([0.0, 1.0]), **changes})
    assert not folder.exists()


def test_a_set_keeps_its_layout(saved):
    saved(frames(2), [0.0, 1.0])
    with pytest.raises(MicromotionError, match="begun with other settings"):
        saved(frames(2, 3), [0.0, 1.0], layout="imagefolder")


def test_a_name_that_no_file_can_have_is_made_plain(saved):
    odd = Subspace(torch.ones(1, 6, 8), name="a/b: {degree}?")
    folder, _ = saved(frames(2), [0.0, 1.0], motion=odd, layout="sliders", test=0.0)
    assert [p.name for p in (folder / "train").iterdir()] == ["a-b- -degree"]


def test_a_set_that_was_removed_is_written_again(saved, pack):
    node = pack.nodes["SavePairs"]
    folder, _ = saved(frames(2), [0.0, 1.0])
    before = node.fingerprint_inputs(name="mine")
    shutil.rmtree(folder)
    assert node.fingerprint_inputs(name="mine") != before


def test_cancelling_keeps_whole_faces(saved, pack):
    pack.fake.management.interrupt_after = 1
    try:
        with pytest.raises(BaseException) as stopped:
            saved(frames(6, 1), [0.0, 1.0])
    finally:
        pack.fake.management.interrupt_after = None
    assert type(stopped.value).__name__ == "Interrupted"
    lines = [line for f in (pack.base / "output" / "mine").glob("*/dataset.jsonl") for line in f.read_text().splitlines()]
    assert len(lines) == 2 and all(json.loads(line)["caption"] for line in lines)
