"""What is no checkpoint is named by what it is, with a way on."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from micromotion.files.errors import MissingFileError, UnsupportedFileError
from micromotion.files.reading import read_file

PAGES = {
    "plain": b"<!DOCTYPE html><html>",
    "byte order mark": b"\xef\xbb\xbf<!DOCTYPE html><html>",
    "comment": b"<!-- saved from url --><html><body>",
    "long comment": b"<!-- " + b"x" * 900,
    "xml prologue": b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C">\n<html>',
    "utf-16": "<!DOCTYPE html><html>".encode("utf-16"),
}
TEXTS = {
    "Entry not found": (b"Entry not found", "a text.*'Entry not found'"),
    "gated": (b"Access to model x/y is restricted. You must have access to it.", "a text.*'Access to model x/y"),
    "JSON": (b'{"error":"Repository not found"}', "a JSON text.*Repository not found"),
    "XML": (b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>', "an XML text"),
    "cut letter": ("é".encode() * 400, "a text"),
}
OTHERS = {
    "bzip2": (b"BZh91AY&SY\x00\x01\x02", "a bzip2 archive: unpack it first"),
    "tar": (b"\0" * 257 + b"ustar" + b"\0" * 250, "a tar archive.*unpack it"),
    "Keras": (b"\x89HDF\r\n\x1a\n" + b"\0" * 80, "Keras"),
    "MXNet": (b"\x12\x01" + b"\0" * 80, "MXNet"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x05" + bytes(range(128, 220)), "ONNX"),
    "zeros": (b"\0" * 4000, "nothing but zeros.*did not finish"),
    "LZ4": (b"\x04\x22\x4d\x18" + bytes(range(200)), "an LZ4 archive: unpack it first"),
    "PDF": (b"%PDF-1.7\n" + b"\xe2\xe3\xcf\xd3" * 9, "PDF"),
    "bytes": (bytes(range(1, 200)), "not a checkpoint that can be recognized"),
}


@pytest.fixture
def refusal(tmp_path):
    def of(data):
        (tmp_path / "ffhq.pkl").write_bytes(data)
        with pytest.raises(UnsupportedFileError) as caught:
            read_file(tmp_path / "ffhq.pkl")
        return str(caught.value)

    return of


@pytest.mark.parametrize("name", PAGES)
def test_pages(refusal, name):
    assert "a web page: the download was answered with a page" in refusal(PAGES[name])


@pytest.mark.parametrize("name", [*TEXTS, *OTHERS])
def test_texts_archives_and_other_programs(refusal, name):

    data, expected = {**TEXTS, **OTHERS}[name]
    assert re.search(expected, refusal(data))


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def test_archives_say_what_to_take_out(refusal):
    assert "take 'ffhq.pkl' out of it" in refusal(zipped("models/readme.txt", "models/ffhq.pkl"))
    assert "Keras" in refusal(zipped("config.json", "model.weights.h5"))


def test_a_folder_is_not_said_to_be_missing(tmp_path):
    with pytest.raises(MissingFileError, match="is a folder; name the file in it"):
        read_file(tmp_path)
