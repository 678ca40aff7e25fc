"""Every layout, read by the loaders that trainers use, or checked against their documented rules."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from micromotion.pairs import LAYOUTS, MotionPlan, PairsError, make
from PIL import Image


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def loaded(*args, **options):
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(*args, **options)


def test_pairs_have_equal_names_and_captions(job, tmp_path):
    make(job())
    for split in ("train", "test"):
        folder = tmp_path / "set" / split
        control, images, texts = ({p.stem for p in folder.glob(g)} for g in ("control/*.png", "images/*.png", "images/*.txt"))
        assert control == images == texts and control
        lines = [json.loads(line) for line in (folder / "dataset.jsonl").read_text().splitlines()]
        assert {frozenset(line) for line in lines} == {frozenset({"image_path", "control_path", "caption"})}
        for line in lines:
            assert Image.open(line["image_path"]).size == Image.open(line["control_path"]).size and line["caption"]


def test_a_trainer_of_edit_models_reads_pairs(job, tmp_path, monkeypatch):
    """DiffSynth-Studio trains Qwen-Image-Edit and FLUX Kontext; its package brings much, so the tests do not ask for it by themselves."""
    trainer = pytest.importorskip("diffsynth.core.data.unified_dataset").UnifiedDataset
    kept = make(job()).kept
    folder = tmp_path / "set" / "train"
    load = trainer.default_image_operator(base_path=str(folder), height=64, width=64)
    options = {"data_file_keys": ("image", "edit_image"), "main_data_operator": load}
    found = trainer(base_path=str(folder), metadata_path=str(folder / "diffsynth.jsonl"), **options)
    assert len(found) == kept["train"]
    assert found[0]["image"].size == found[0]["edit_image"].size == (128, 128) and found[0]["prompt"].startswith("make the person smile")
    assert found[0]["image"].tobytes() == Image.open(folder / "images" / "0000000-000.png").tobytes()
    assert found[0]["edit_image"].tobytes() == Image.open(folder / "control" / "0000000-000.png").tobytes()


def test_the_lists_of_all_readers_agree(job, tmp_path):
    make(job())
    for split in ("train", "test"):
        folder = tmp_path / "set" / split
        ours, theirs = ([json.loads(line) for line in (folder / f"{n}.jsonl").read_text().splitlines()] for n in ("dataset", "diffsynth"))
        assert [(str(folder / t["image"]), str(folder / t["edit_image"]), t["prompt"]) for t in theirs] == [
            (o["image_path"], o["control_path"], o["caption"]) for o in ours
        ]


@pytest.mark.parametrize("layout", ["imagefolder", "parquet"])
def test_hugging_face_datasets_reads_them(job, tmp_path, layout):
    kept = make(job(layout)).kept
    found = loaded("imagefolder", data_dir=str(tmp_path / "set")) if layout == "imagefolder" else loaded(str(tmp_path / "set"))
    assert {split: len(found[split]) for split in found} == kept
    row = found["train"][0]
    assert row["source"].size == row["edited"].size == (128, 128) and row["instruction"].startswith("make the person smile")
    assert set(json.loads(row["coefficients"])) == {"smile"}


def test_webdataset_reads_its_shards(job, tmp_path):
    kept = make(job("webdataset")).kept
    web = pytest.importorskip("webdataset")
    shards = sorted(str(p) for p in (tmp_path / "set").glob("train-*.tar"))
    samples = list(web.WebDataset(shards, shardshuffle=False, empty_check=False))
    assert len(samples) == kept["train"]
    assert Image.open(io.BytesIO(samples[0]["edited.png"])).size == (128, 128)
    assert json.loads(samples[0]["json"])["name"] == samples[0]["__key__"]
    found = loaded(str(tmp_path / "set"))
    assert len(found["train"]) == kept["train"]


def test_tars_hold_no_owner_and_no_time(job, tmp_path):
    make(job("webdataset"))
    with tarfile.open(next((tmp_path / "set").glob("*.tar"))) as tar:
        assert all((m.mtime, m.uid, m.uname) == (0, 0, "") for m in tar)


def test_sliders_have_a_folder_for_each_strength(job, tmp_path):
    make(job("sliders", test=0.0))
    folder = tmp_path / "set" / "train" / "smile"
    names = [{p.name for p in (folder / scale).iterdir()} for scale in ("-0.3", "0", "+0.5")]
    assert names[0] == names[1] == names[2] and len(names[0]) == 6
    assert json.loads((tmp_path / "set" / "smile.json").read_text()) == {"folders": ["-0.3", "0", "+0.5"], "scales": [-0.3, 0.0, 0.5]}


def test_torchvision_reads_slider_folders(job, tmp_path):
    vision = pytest.importorskip("torchvision.datasets")
    make(job("sliders", test=0.0))
    found = vision.ImageFolder(str(tmp_path / "set" / "train" / "smile"))
    assert found.classes == ["+0.5", "-0.3", "0"] and len(found) == 18 and found[0][0].size == (128, 128)


def test_sliders_refuse_what_has_no_scale(job):
    with pytest.raises(PairsError, match="strengths, not random draws"):
        make(job("sliders", draws=2))


def test_names_of_motions_are_safe_in_paths(job, tmp_path):
    wild = MotionPlan("../../out", str(job().plan.motions[0].file), (0.5,))
    with pytest.raises(PairsError, match="name"):
        make(job("sliders", motions=(wild,)))
    assert not (tmp_path / "out").exists()


def test_every_layout_says_who_reads_it():
    assert set(LAYOUTS) == {"pairs", "imagefolder", "sliders", "webdataset", "parquet"}
    assert all(layout.about for layout in LAYOUTS.values())
