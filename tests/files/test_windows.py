"""What Windows does otherwise, acted out where there is none: no fcntl, open files that cannot be renamed, programs that hold files for
moments, folders that are junctions. (The tests of all rooms run on Windows itself too.)"""

from __future__ import annotations

import builtins
import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from micromotion.files import writing
from micromotion.files.errors import UnwritableError

fcntl = pytest.importorskip("fcntl", reason="this is Windows")
HERE = Path(__file__).parent
LINKS = Path("/proc/self/fd")


class Locks:
    """``msvcrt``: a locked byte is refused with the error that Windows gives."""

    LK_NBLCK = 2

    def __init__(self):
        self.at: list[int] = []

    def locking(self, handle: int, mode: int, count: int) -> None:
        self.at.append(os.lseek(handle, 0, os.SEEK_CUR))
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError, where Windows says PermissionError: both are caught


def is_open(path: Path) -> bool:
    return any(os.readlink(link) == str(path) for link in LINKS.iterdir() if link.is_symlink())


@pytest.fixture
def windows(monkeypatch):
    """The module as Windows imports it: without fcntl, and on files that are not renamed or removed while they are open."""
    if not LINKS.is_dir():
        pytest.skip("open files are told by /proc")
    imported = builtins.__import__

    def without_fcntl(name, *rest):
        if name == "fcntl":
            raise ModuleNotFoundError("No module named 'fcntl'")
        return imported(name, *rest)

    def guarded(act):
        def guard(path, *rest, **options):
            if is_open(Path(path)) or (rest and is_open(Path(rest[0]))):
                raise PermissionError(13, "Access is denied")
            return act(path, *rest, **options)

        return guard

    locks = Locks()
    monkeypatch.setitem(sys.modules, "msvcrt", locks)
    with monkeypatch.context() as now:
        now.setattr(sys, "platform", "win32")
        now.setattr(builtins, "__import__", without_fcntl)
        spec = importlib.util.spec_from_file_location("micromotion.files.writing_there", writing.__file__)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert not hasattr(module, "fcntl")
    monkeypatch.setattr(module, "sys", types.SimpleNamespace(platform="win32"))
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(os, "replace", guarded(os.replace))
    monkeypatch.setattr(os, "unlink", guarded(os.unlink))
    module.locks = locks
    return module


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_takes_its_place_though_open_ones_are_not_renamed(windows, tmp_path):
    for text in ("old", "new"):
        with windows.whole_file(tmp_path / "a.txt") as part:
            part.write_text(text)
        assert (tmp_path / "a.txt").read_text() == text and names(tmp_path) == ["a.txt"]
    with pytest.raises(KeyboardInterrupt), windows.whole_file(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert (tmp_path / "a.txt").read_text() == "new" and names(tmp_path) == ["a.txt"]
    assert set(windows.locks.at) == {windows.FAR}, "a locked byte cannot be written: none that a file has"


def test_two_writers_have_two_parts_there_too(windows, tmp_path):
    with windows.whole_file(tmp_path / "a.txt") as first, windows.whole_file(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first" and names(tmp_path) == ["a.txt"]


def test_a_file_that_is_looked_at_for_a_moment_is_waited_for(windows, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("old")
    tries, replace = [], os.replace

    def busy(part, path):
        tries.append(part)
        if len(tries) < 3:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        replace(part, path)

    monkeypatch.setattr(os, "replace", busy)
    with windows.whole_file(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new" and len(tries) == 3


def test_a_file_that_stays_open_elsewhere_is_said_and_kept(windows, tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with (tmp_path / "a.txt").open(), pytest.raises(UnwritableError, match="another program has it open; close it there"):
        with windows.whole_file(tmp_path / "a.txt") as part:
            part.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_folder_in_the_files_place_is_not_waited_for(windows, tmp_path, monkeypatch):
    (tmp_path / "a.txt").mkdir()
    monkeypatch.setattr(windows, "PAUSES", (1000.0,))

    def refuse(part, path):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UnwritableError, match="a folder has that name"), windows.whole_file(tmp_path / "a.txt"):
        pass
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp932"])
def test_a_console_that_lacks_letters_gets_them_escaped(encoding, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import watch; watch.import_pack(sys.argv[2]);"
        "from micromotion.__main__ import main; sys.exit(main(sys.argv[3:]))"
    )
    name = "笑顔 🙂 café ſ.safetensors"
    env = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", code, str(HERE), str(HERE.parents[1]), "inspect", str(tmp_path / name)]
    for made, rc in ((False, 2), (True, 0)):
        if made:
            motion = HERE.parents[1] / "avatars" / "weights" / "motions" / "smile.safetensors"
            (tmp_path / name).write_bytes(motion.read_bytes())
        done = subprocess.run(command, capture_output=True, env=env, timeout=120)
        said = (done.stdout + done.stderr).decode(encoding)
        assert done.returncode == rc and "\\U0001f642" in said and "Traceback" not in said
