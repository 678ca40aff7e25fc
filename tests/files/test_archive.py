"""The zip reader against archives of PyTorch, of zipfile, and with the wide fields of files beyond 4 GB."""

from __future__ import annotations

import struct
import zipfile
import zlib

import pytest
import torch
from micromotion.files import archive
from micromotion.stylegan2.checkpoint import DamagedFileError, UnsupportedFileError


def contents(path):
    data = bytearray(path.read_bytes())
    return {name: bytes(blob.view()) for name, blob in archive.records(memoryview(data)).items()}


def test_it_reads_what_zipfile_reads(tmp_path):
    torch.save({"a": torch.randn(100), "b": torch.arange(7)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as file:
        expected = {i.filename.partition("/")[2]: file.read(i) for i in file.infolist()}
    assert contents(tmp_path / "a.pt") == expected and "data.pkl" in expected


def test_a_comment_at_the_end(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("x/data.pkl", b"abc")
        file.comment = b"PK is not always a record" * 100
    assert contents(tmp_path / "a.zip") == {"data.pkl": b"abc"}


def wide_archive(body=b"abcdefgh", size=None, start=0):
    """One record whose sizes and place stand in zip64 fields, as in files beyond 4 GB (APPNOTE.TXT 4.3.14, 4.5.3)."""
    name, full = b"x/data.pkl", 0xFFFFFFFF
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 45, 0, 0, 0, 0, zlib.crc32(body), full, full, len(name), 0) + name + body
    size = len(body) if size is None else size
    extra = struct.pack("<HHQQQ", 1, 24, size, size, start)
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 45, 45, 0, 0, 0, 0, zlib.crc32(body), full, full, len(name), 28, 0, 0, 0, 0, full
    )
    entry += name + extra
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(entry), len(local))
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(local) + len(entry), 1)
    return local + entry + end64 + locator + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, full, full, 0)


def test_wide_fields(tmp_path):
    (tmp_path / "a.zip").write_bytes(wide_archive())
    assert contents(tmp_path / "a.zip") == {"data.pkl": b"abcdefgh"}


@pytest.mark.parametrize("wrong", [{"size": 1 << 40}, {"size": 1 << 63}, {"start": 1 << 62}, {"start": 3}])
def test_wide_fields_that_lie(wrong, tmp_path):
    (tmp_path / "a.zip").write_bytes(wide_archive(**wrong))
    with pytest.raises(DamagedFileError, match="table of contents"):
        contents(tmp_path / "a.zip")


def test_compressed_records_are_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data.pkl", b"\0" * 10_000)
    with pytest.raises(UnsupportedFileError, match="unpack to 10,000"):
        contents(tmp_path / "a.zip")


def test_a_record_that_does_not_fit_its_checksum(tmp_path):
    (tmp_path / "a.zip").write_bytes(wide_archive().replace(b"abcdefgh", b"abcdefgX", 1))
    with pytest.raises(DamagedFileError, match="checksum"):
        contents(tmp_path / "a.zip")
