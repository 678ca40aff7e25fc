"""Files are written whole or not at all, one writer each, and what a killed run left goes with the next."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from micromotion.files import native
from micromotion.files.errors import CheckpointError
from micromotion.files.writing import lock, whole_file

HERE = Path(__file__).parent


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(target) as part:
        part.write_text("half")
        assert part.suffix == ".txt" and part.name.startswith(".")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and names(tmp_path) == ["a.txt"]
    with whole_file(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new" and names(tmp_path) == ["a.txt"]


def test_what_a_killed_run_left_is_used_by_the_next(tmp_path):
    code = (
        "import sys, os; sys.path.insert(0, sys.argv[1]); import watch; watch.import_pack(sys.argv[2]);"
        "from pathlib import Path; from micromotion.files.writing import whole_file\n"
        "with whole_file(Path(sys.argv[3])) as part: part.write_bytes(b'x' * 1000); os.kill(os.getpid(), 9)"
    )
    if os.name == "nt":
        pytest.skip("kill is another thing there")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(HERE), str(HERE.parents[1]), str(tmp_path / "a.bin")], check=False)
        assert names(tmp_path) == [".a.part.bin"], "one at most, however often"
    with whole_file(tmp_path / "a.bin") as part:
        assert part.stat().st_size == 0
        part.write_bytes(b"y")
    assert names(tmp_path) == ["a.bin"] and (tmp_path / "a.bin").read_bytes() == b"y"


def test_two_writers_of_one_target_do_not_share_a_part(tmp_path):
    with whole_file(tmp_path / "a.txt") as first, whole_file(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first" and names(tmp_path) == ["a.txt"]


def test_a_lock_is_held_by_one(tmp_path):
    handle = lock(tmp_path / "gate")
    assert handle is not None and lock(tmp_path / "gate") is None
    os.close(handle)
    again = lock(tmp_path / "gate")
    assert again is not None
    os.close(again)


def test_a_link_in_the_parts_place_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".a.part.txt").symlink_to(tmp_path / "precious")
    with whole_file(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert (tmp_path / "precious").read_text() == "mine" and (tmp_path / "a.txt").read_text() == "new"


def test_a_clean_up_that_fails_does_not_hide_what_went_wrong(tmp_path, monkeypatch):
    def refuse(self, missing_ok=False):
        raise OSError(errno.EROFS, "read-only")

    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a.txt"):
        monkeypatch.setattr(Path, "unlink", refuse)
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("name", "words"),
    [("a\0b", "characters that no file system takes"), ("\ud800", "characters that no file system"), ("x" * 300, "too long")],
)
def test_a_name_that_the_system_refuses_is_told(name, words, tmp_path):
    with pytest.raises(CheckpointError, match=words):
        native.write(tmp_path / f"{name}.safetensors", "codes", {}, {"codes": torch.zeros(1)})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "may not be written"), (errno.EIO, "choose another place")],
)
def test_what_the_disk_says_is_told_as_it_is(code, words, tmp_path, monkeypatch):
    def refuse(self, data):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(CheckpointError, match=words):
        native.write(tmp_path / "a.safetensors", "codes", {}, {"codes": torch.zeros(1)})
    assert names(tmp_path) == []


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        native.write(tmp_path / "gone" / "a.safetensors", "codes", {}, {"codes": torch.zeros(1)})


def test_a_saved_file_may_be_read_by_others(tmp_path):
    native.write(tmp_path / "a.safetensors", "codes", {}, {"codes": torch.zeros(1)})
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
