"""dlib's landmark file, looked through before dlib takes its numbers on trust."""

from __future__ import annotations

import bz2

import pytest
from micromotion.faces import predictor_file
from micromotion.faces.errors import FaceError
from micromotion.lab.fuzz import predictor_bytes


def check(tmp_path, content):
    (tmp_path / "points.dat").write_bytes(content)
    predictor_file.check_predictor(tmp_path / "points.dat")


def test_a_sound_file_passes_and_dlib_reads_it(tmp_path):
    dlib = pytest.importorskip("dlib")
    check(tmp_path, predictor_bytes())
    assert dlib.shape_predictor(str(tmp_path / "points.dat")) is not None


@pytest.mark.parametrize(
    ("find", "put", "why"),
    [
        (b"\x01\x01\x81\x88", b"\x01\x02\x81\x88", "another version"),
        (b"\x81\x88\x81\x01", b"\x81\x44\x81\x01", "a column of another length"),
        (b"\x01\x01\x01\x01\x01\x01\x01\x00\x01\x01\x01\x03", b"\x01\x01\x01\x01\x01\x01\x01\x00\x01\x02\x01\x03", "does not exist"),
        (b"\x01\x01\x01\x02\x01\x05\x01\x09", b"\x01\x01\x01\x02\x01\x05\x01\x44", "a point that does not exist"),
        (b"\x01\x01\x01\x02\x01\x05", b"\x01\x01\x08" + b"\xff" * 7 + b"\x3f\x01\x05", "items where"),
        (b"\x01\x01\x01\x02\x01\x05", b"\x01\x01\x09\x02\x01\x05", "no number at byte"),
    ],
)
def test_every_number_that_dlib_would_trust_is_looked_at(find, put, why, tmp_path):
    content = predictor_bytes()
    assert content.count(find) >= 1
    at = content.rfind(find)
    with pytest.raises(FaceError, match=why):
        check(tmp_path, content[:at] + put + content[at + len(find) :])


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"\x01\x00", lambda c: b"", lambda c: c[:7]])
def test_a_file_of_another_length(change, tmp_path):
    with pytest.raises(FaceError, match=r"points\.dat.*(cannot be read|empty)"):
        check(tmp_path, change(predictor_bytes()))


def test_an_archive_and_a_page_are_named(tmp_path):
    """The file is published as .bz2, and servers answer with pages."""
    with pytest.raises(FaceError, match=r"points\.dat is a bzip2 archive: unpack it first"):
        check(tmp_path, bz2.compress(predictor_bytes()))
    with pytest.raises(FaceError, match="is a web page"):
        check(tmp_path, b"<!DOCTYPE html><html>")
