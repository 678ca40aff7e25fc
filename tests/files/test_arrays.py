"""numpy's own files: what numpy wrote comes back, objects are read without being run, damage is named."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import torch
from micromotion.files.errors import CheckpointError, DamagedFileError, UnsafeFileError, UnsupportedFileError
from micromotion.files.reading import read_file

ARRAY = np.random.RandomState(0).randn(3, 4, 5)


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz(write=np.savez, **arrays):
    buffer = io.BytesIO()
    write(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path):
    def from_bytes(data, name="file.npy"):
        (tmp_path / name).write_bytes(data)
        return read_file(tmp_path / name)

    return from_bytes


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f4", ">f8", "<i4", "|u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_plain_arrays(read, kind, order):
    array = np.asarray(ARRAY * 10, dtype=kind, order=order)
    found = read(npy(array))
    assert found.dtype.itemsize == array.dtype.itemsize
    assert np.array_equal(found.numpy(), array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_header(read, version):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, ARRAY, version=version)
    assert np.array_equal(read(buffer.getvalue()).numpy(), ARRAY)


def test_a_single_number(read):
    assert read(npy(np.float32(3))).item() == 3


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_archives_packed_or_not(read, write):
    found = read(npz(write, w=ARRAY, other=ARRAY[0]), "file.npz")
    assert list(found) == ["w", "other"]
    assert np.array_equal(found["w"].numpy(), ARRAY)
    assert np.array_equal(found["other"].numpy(), ARRAY[0])


def test_a_saved_dict_is_read_by_the_machine(read):
    found = read(npy({"me.png": [ARRAY[0], ARRAY[1]], "steps": 5}, allow_pickle=True))
    assert found["steps"] == 5
    assert np.array_equal(found["me.png"][1].numpy(), ARRAY[1])


def test_an_array_of_objects_is_a_list(read):
    objects = np.empty(2, dtype=object)
    objects[:] = [ARRAY[0], "name"]
    first, second = read(npy(objects, allow_pickle=True))
    assert np.array_equal(first.numpy(), ARRAY[0])
    assert second == "name"


class Call:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("inside", ["npy", "npz"])
def test_pickled_objects_run_nothing(read, tmp_path, inside):
    array = np.empty(1, dtype=object)
    array[0] = Call(tmp_path / "ran")
    data = npy(array, allow_pickle=True) if inside == "npy" else npz(a=array)
    with pytest.raises(UnsafeFileError, match="mkdir"):
        read(data)
    assert not (tmp_path / "ran").exists()


def header(text, payload=b"\0" * 8):
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin-1") + payload


DAMAGED = {
    "cut": npy(ARRAY)[:-5],
    "cut in the header": npy(ARRAY)[:50],
    "too much": npy(ARRAY) + b"more",
    "unheld numbers": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000), }"),
    "no version": npy(ARRAY)[:6] + b"\x09" + npy(ARRAY)[7:],
    "packed badly": npz(np.savez_compressed, w=ARRAY)[:80] + b"\0" * 40 + npz(np.savez_compressed, w=ARRAY)[120:],
    "no table of contents": npz(w=ARRAY)[:-30],
    "too large": npz(np.savez_compressed, w=np.zeros(5_000_000)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named(read, name):
    with pytest.raises(DamagedFileError):
        read(DAMAGED[name])


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': " + "(" * 4000 + ")" * 4000 + ", }",
        "__import__('os').getcwd()",
    ],
)
def test_headers_are_matched_and_never_evaluated(read, text):
    with pytest.raises(UnsupportedFileError, match="plain numbers"):
        read(header(text))


def test_random_damage_passes_the_border_as_our_errors_only(read):
    random = np.random.RandomState(0)
    for source in (npy(ARRAY), npz(w=ARRAY), npz(np.savez_compressed, w=ARRAY), npy({"a": ARRAY}, allow_pickle=True)):
        for _ in range(150):
            data = bytearray(source)
            for place in random.randint(0, len(data), random.randint(1, 6)):
                data[place] = random.randint(256)
            try:
                found = read(bytes(data))
            except CheckpointError:
                continue
            assert isinstance(found, (torch.Tensor, dict, list, str, int, float, type(None)))
