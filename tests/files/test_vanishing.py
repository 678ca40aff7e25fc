"""Files that others take away, and disks that fail, between looking for a file and reading it: every reader names it."""

from __future__ import annotations

import builtins
import errno
import io
import os
from pathlib import Path

import pytest
from micromotion.files.errors import MicromotionError
from micromotion.lab import fuzz

CODES = (errno.EIO, errno.EACCES, errno.ENOENT)


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    pytest.importorskip("dlib")
    return [r for r in fuzz.readers(tmp_path_factory.mktemp("sound")) if r.name not in ("pairs", "picture")]


def refused(reader, path):
    with pytest.raises(MicromotionError) as caught:
        reader.read(path)
    return path.stem in str(caught.value)


@pytest.mark.parametrize("code", CODES)
def test_a_file_that_cannot_be_opened(readers, code, monkeypatch):
    for reader in readers:
        for path in reader.files:
            fails = failing(path, code)
            with monkeypatch.context() as patch:
                patch.setattr(builtins, "open", fails)
                patch.setattr(io, "open", fails)
                assert refused(reader, path), (reader.name, path.name)


def failing(path: Path, code: int):
    real = builtins.open

    def fails(file, *args, **options):
        if str(file) == str(path):
            raise OSError(code, os.strerror(code), str(file))
        return real(file, *args, **options)

    return fails


def test_a_file_that_is_gone_once_it_was_found(readers, monkeypatch):
    for reader in readers:
        for path in reader.files:
            gone, looked = path.with_name(f"gone{path.suffix}"), Path.is_file
            gone.write_bytes(path.read_bytes())

            def found(self, gone=gone, looked=looked):
                there = looked(self)
                gone.unlink(missing_ok=True) if self.name == gone.name else None
                return there

            with monkeypatch.context() as patch:
                patch.setattr(Path, "is_file", found)
                assert reader.name == "landmarks" or refused(reader, gone), (reader.name, path.name)  # that one is opened at once
