"""Sets made, interrupted, gone on with, and refused."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from micromotion.files.embedded import embedded_root
from micromotion.files.errors import MicromotionError
from micromotion.pairs import Gate, MotionPlan, PairsError, make
from micromotion.subspaces import Subspace
from PIL import Image


def rows(out):
    return [json.loads(line) for f in sorted((out / ".shards").iterdir()) for line in [f.read_text()]]


def test_a_set_holds_what_its_plan_says(job, tmp_path):
    summary = make(job())
    kept = [r for shard in rows(tmp_path / "set") for r in shard["rows"]]
    assert sum(summary.kept.values()) == len(kept) == 12 and not summary.left
    for row in kept:
        folder = tmp_path / "set" / row["split"]
        source, edited = (np.asarray(Image.open(folder / part / f"{row['name']}.png"), dtype=int) for part in ("control", "images"))
        assert source.shape == edited.shape and np.abs(source - edited).max() > 5
        assert (folder / "images" / f"{row['name']}.txt").read_text() == row["instruction"]
    card = (tmp_path / "set" / "README.md").read_text()
    assert "12 pairs of 6 faces" in card and "consent" in card and "degree 0 to 1 of smile" in card


def test_an_interrupted_set_is_gone_on_with_and_ends_the_same(job, digest, tmp_path):
    class StopError(Exception):
        pass

    def stop(done, total):
        if done == 2:
            raise StopError

    with pytest.raises(StopError):
        make(job(), progress=stop)
    assert not (tmp_path / "set" / "README.md").exists()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "set").rglob("*.png")}
    make(job())
    assert before and all(p.stat().st_mtime_ns == at for p, at in before.items()), "finished shards are not made again"
    make(job(out=tmp_path / "at once"))
    lists = {"train/dataset.jsonl", "test/dataset.jsonl"}  # they name their own folder
    first, second = ({k: v for k, v in digest(tmp_path / name).items() if k not in lists} for name in ("set", "at once"))
    assert first == second


def test_a_killed_shard_leaves_no_marker_and_is_made_whole(job, tmp_path, monkeypatch):
    from micromotion.pairs import work

    store_write, count = work.Store.write, []

    def dying(self, name, content):
        count.append(name)
        if len(count) == 6:
            raise KeyboardInterrupt
        store_write(self, name, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(work.Store, "write", dying)
        make(job())
    assert not list((tmp_path / "set").rglob("*.part*"))
    assert missing_pictures(tmp_path / "set") == [], "a marker names no picture that is not there"
    assert sum(make(job()).kept.values()) == 12
    assert missing_pictures(tmp_path / "set") == []


def missing_pictures(folder):
    """The pictures that markers name and that are missing."""
    rows = [row for marker in (folder / ".shards").glob("*.json") for row in json.loads(marker.read_text())["rows"]]
    pictures = [folder / row["split"] / kind / f"{row['name']}.png" for row in rows for kind in ("images", "control")]
    return [p for p in pictures if not p.is_file()]


def test_a_shard_that_is_done_is_not_made_by_a_second_worker(job, monkeypatch):
    from micromotion.pairs.work import Worker

    make(job())
    monkeypatch.setattr(Worker, "_make", lambda self, shard: pytest.fail("made twice"))
    assert Worker(job())({"shard": 0}) == {"shard": 0}


def test_other_settings_do_not_go_on_with_a_set(job):
    make(job())
    for other in (job(seed=1), job("imagefolder"), job(gate=Gate())):
        with pytest.raises(PairsError, match="begun with other settings"):
            make(other)


def test_the_gate_leaves_pairs_out_and_says_why(job, instrument, tmp_path):
    summary = make(job(gate=Gate(0.999, None, None), instrument=instrument))
    assert summary.left["identity"] > 0
    left = [json.loads(line) for line in (tmp_path / "set" / "left_out.jsonl").read_text().splitlines()]
    assert len(left) == sum(summary.left.values()) and all(r["measures"]["identity"] < 0.999 for r in left if r["reason"] == "identity")
    names = {p.stem for p in (tmp_path / "set").rglob("images/*.png")}
    assert not names & {r["name"] for r in left}
    assert "<svg" in (tmp_path / "set" / "quality.html").read_text()


def test_a_variant_that_changes_nothing_is_left_out(job):
    still = MotionPlan("smile", str(embedded_root() / "motions" / "smile.safetensors"), (1e-9,))
    assert make(job(motions=(still,))).left == {"unchanged": 6}


def test_sizes_and_formats(job, tmp_path):
    for number, (form, size) in enumerate((("png", 32), ("webp", 100), ("jpg", 0))):
        out = tmp_path / str(number)
        make(job(out=out, format=form, size=size, keys=("4",)))
        (picture,) = [p for p in out.rglob(f"images/*-000.{form}")]
        assert Image.open(picture).size == ((size or 128),) * 2


@pytest.mark.parametrize("kind", ["another generator", "missing"])
def test_a_motion_that_does_not_fit_ends_it_before_anything_is_written(job, tmp_path, kind):
    file = tmp_path / "m.safetensors"
    if kind == "another generator":
        Subspace(torch.ones(1, 18, 512), name="far").save(file)
    with pytest.raises(MicromotionError, match=r"belong together|no file"):
        make(job(motions=(MotionPlan("m", str(file), (1.0,)),)))
    assert not (tmp_path / "set").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that this user may not write to")
def test_a_folder_that_may_not_be_written_to(job, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(PairsError, match="cannot be written"):
        make(job(out=tmp_path / "locked" / "set"))


def test_a_place_that_is_a_file(job, tmp_path):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(PairsError, match="cannot be"):
        make(job())
    assert (tmp_path / "set").read_text() == "mine"


def test_a_full_disk_keeps_what_is_there(job, tmp_path, monkeypatch):
    real = Path.write_bytes

    def full(path, content):
        if "0000002" in path.name:
            raise OSError(28, "No space left on device")
        return real(path, content)

    with monkeypatch.context() as patch, pytest.raises(PairsError, match="the disk is full"):
        patch.setattr(Path, "write_bytes", full)
        make(job())
    assert sum(make(job()).kept.values()) == 12


def test_what_does_not_fit_on_the_disk_is_not_there_by_half(job, tmp_path, monkeypatch):
    real = Path.write_bytes

    def half(self, content):
        real(self, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(PairsError, match="cannot be written"):
        patch.setattr(Path, "write_bytes", half)
        make(job())
    assert not [p for p in (tmp_path / "set").rglob("*") if p.is_file()]


def test_broken_photos_are_left_out_with_their_reason(job, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.png").write_bytes(b"not a picture")
    plan = {"kind": "photo", "keys": (str(tmp_path / "photos" / "broken.png"),), "inverter": str(embedded_root() / "inverter.safetensors")}
    summary = make(job(**plan))
    assert summary.left == {"failed": 1} and not summary.kept
    (line,) = (tmp_path / "set" / "left_out.jsonl").read_text().splitlines()
    assert "broken.png" in json.loads(line)["detail"] and str(tmp_path) not in json.loads(line)["key"]


def test_any_address_of_fsspec(job, digest, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    make(job("webdataset", out="memory://sets/a"))
    make(job("webdataset"))
    files = fsspec.filesystem("memory")
    remote = {p.removeprefix("/sets/a/") for p in files.find("/sets/a")}
    assert remote == set(digest(tmp_path / "set"))
    assert files.cat_file("/sets/a/train-000000.tar") == (tmp_path / "set" / "train-000000.tar").read_bytes()
    with pytest.raises(PairsError, match="not an address"):
        make(job(out="nosuchscheme://x"))


def test_saved_codes_give_the_same_pairs_as_their_seeds(job, tmp_path):
    from micromotion import stylegan2
    from micromotion.subspaces.anchors import draw_faces

    generator = stylegan2.load(embedded_root() / "generator.safetensors")
    stylegan2.save_codes(tmp_path / "faces.safetensors", torch.cat([draw_faces(generator, [s]) for s in (3, 4)]), generator)
    make(job(keys=("3", "4"), test=0.0))
    make(job(kind="code", keys=tuple(f"{tmp_path / 'faces.safetensors'}#{i}" for i in range(2)), out=tmp_path / "coded", test=0.0))
    pictures = sorted((tmp_path / "set").rglob("*.png"))
    assert len(pictures) == 8
    assert all(p.read_bytes() == (tmp_path / "coded" / p.relative_to(tmp_path / "set")).read_bytes() for p in pictures)


def test_variants_that_are_the_same_picture_are_kept_once(job):
    twin = MotionPlan("smile", str(embedded_root() / "motions" / "smile.safetensors"), (0.5, 0.5 + 1e-9))
    summary = make(job(motions=(twin,)))
    assert summary.left == {"duplicate": 6} and sum(summary.kept.values()) == 6


def test_a_motion_that_changed_meanwhile_does_not_go_on_with_a_set(job, tmp_path):
    smile = Subspace.load(embedded_root() / "motions" / "smile.safetensors")
    smile.save(tmp_path / "m.safetensors")
    wanted = job(motions=(MotionPlan("smile", str(tmp_path / "m.safetensors"), (0.5,)),))
    make(wanted)
    Subspace(-smile.basis, name="smile").save(tmp_path / "m.safetensors")
    with pytest.raises(PairsError, match="begun with other settings"):
        make(wanted)


def test_pictures_are_made_together_as_the_plan_says(job, monkeypatch):
    from micromotion.pairs import samples

    asked, real = [], samples.synthesize_frames
    monkeypatch.setattr(samples, "synthesize_frames", lambda *args, batch: asked.append(batch) or real(*args, batch=batch))
    make(job(batch=3))
    assert set(asked) == {3}


def test_a_batch_is_what_fits_into_a_quarter_of_a_gpu_whatever_else_it_holds(monkeypatch):
    from types import SimpleNamespace

    from micromotion.pairs import samples

    monkeypatch.setattr(samples, "frame_bytes", lambda _: 1 << 30)
    for gigabytes, batch in ((2, 1), (16, 4), (80, 16)):
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, g=gigabytes: SimpleNamespace(total_memory=g << 30))
        assert samples.fitting_batch(SimpleNamespace(w_avg=SimpleNamespace(device=torch.device("cuda")))) == batch
    assert samples.fitting_batch(SimpleNamespace(w_avg=torch.zeros(1))) == 1


def test_a_damaged_marker_of_a_shard_is_named(job):
    make(job())
    marker = Path(job().out) / ".shards" / "000001.json"
    whole = marker.read_bytes()
    marker.write_bytes(whole[:-9])
    with pytest.raises(PairsError, match=r"000001.json is damaged. Copy it again; or remove it"):
        make(job())
    marker.unlink()
    make(job())
    assert marker.read_bytes() == whole


def test_a_disk_that_fills_up_in_the_middle_is_said_and_the_run_goes_on_where_it_stopped(job, tmp_path, monkeypatch, digest):
    """The real thing, on a small file system, cannot be asked of every machine: the disk refuses from the tenth file on."""
    written, write = [], Path.write_bytes

    def full(self, data):
        written.append(self)
        if len(written) >= 10:
            write(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(PairsError, match=r"cannot be written \(the disk is full; make room on it\)\. What is there already is kept"):
            make(job())
    left = digest(job().out)
    assert len(left) == 9 and not any("part" in name for name in left)
    make(job())
    make(job(out=tmp_path / "other"))
    assert set(digest(job().out)) == set(digest(tmp_path / "other"))
    assert all(digest(job().out)[name] == found for name, found in left.items())
