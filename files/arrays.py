"""numpy's own files, ``.npy`` and ``.npz``: numbers out of a header of fixed form, which is matched and never evaluated."""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from .archive import count_records
from .budget import Budget
from .errors import DamagedFileError, UnsupportedFileError
from .machine import Machine
from .names import NUMPY_DTYPES, strides
from .values import Array, Blob, Storage, TensorRef

MAGIC = b"\x93NUMPY"
ENDING = ".npy"
MAX_ARRAYS = 10_000
MAX_HEADER = 10_000  # bytes, numpy's own bound
EXPANSION, ALLOWANCE = 16, 16 << 20  # packed arrays may unpack to this many times their size, and so many bytes more
_HEADER = re.compile(
    r"\{\s*'descr':\s*'([<>=|]?)([a-zA-Z]\d{0,3})',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d\s,L]{0,200})\),?\s*\}\s*"
)
_DAMAGED = "The numpy array's header is not one that numpy writes; the file is damaged. Copy or download it again."


def read_npy(view: memoryview, budget: Budget) -> Any:
    """The array in the bytes of a ``.npy`` file: a TensorRef, or the value of a pickled one, read by the machine that executes nothing."""
    text, position = _header(view)
    match = _HEADER.fullmatch(text)
    if match is None:
        raise UnsupportedFileError("The file is a numpy array of records or of an unknown kind; only arrays of plain numbers are read.")
    order, code, fortran, sizes = match.groups()
    shape = tuple(int(n.rstrip("L")[:18]) for n in re.split(r"[\s,]+", sizes.strip(" ,\n")) if n.rstrip("L"))
    if code.startswith("O"):
        return Machine(view, position, budget=budget).read()
    return _numbers(view[position:], order, code, fortran == "True", shape)


def _header(view: memoryview) -> tuple[str, int]:
    """The header's text, and where the numbers begin (NEP 1)."""
    if len(view) < 12 or view[6] not in (1, 2, 3):
        raise DamagedFileError(_DAMAGED)
    wide = 2 if view[6] == 1 else 4
    length, start = int.from_bytes(view[8 : 8 + wide], "little"), 8 + wide
    if length > MAX_HEADER or start + length > len(view):
        raise DamagedFileError(_DAMAGED)
    return str(view[start : start + length], "latin-1"), start + length


def _numbers(content: memoryview, order: str, code: str, fortran: bool, shape: tuple[int, ...]) -> TensorRef:
    dtype = NUMPY_DTYPES.get(code)
    if dtype is None:
        raise UnsupportedFileError(f"The file is a numpy array of type {code}; only arrays of plain real numbers are read.")
    count = math.prod(shape)
    if len(content) != count * dtype.itemsize:
        raise DamagedFileError("The numpy array's header describes other numbers than the file holds; it is damaged. Copy it again.")
    return TensorRef(Storage(dtype, count, Blob(content), swap=order == ">"), dtype, shape, strides(shape, fortran))


def content(array: Array) -> Any:
    """An array's TensorRef, or its plain values: a single one where it has no dimensions, else their list."""
    if array.items is None:
        return array.ref
    return list(array.items) if array.shape else array.items[0]


def read_npz(path: Path, view: memoryview, budget: Budget) -> dict[str, Any]:
    """The arrays of the ``.npz`` file ``path``, whose bytes are ``view``, by name, packed or not."""
    room = EXPANSION * len(view) + ALLOWANCE
    if count_records(view) > MAX_ARRAYS:
        raise DamagedFileError(f"The file lists more than {MAX_ARRAYS:,} arrays, far more than codes need; it is refused.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [e for e in archive.infolist() if e.filename.endswith(ENDING)]
            if sum(e.file_size for e in entries) > room:
                raise DamagedFileError("The file's arrays unpack to far more than arrays of codes do; it is refused.")
            budget.room += sum(e.file_size for e in entries)  # what the file holds, unpacked
            return {e.filename.removesuffix(ENDING): read_npy(_unpacked(archive, e), budget) for e in entries}
    except _FOREIGN as error:
        raise DamagedFileError(f"{path.name} is damaged, or not a numpy archive. Copy or download it again.") from error


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> memoryview:
    """An entry of the kinds that numpy writes, read no further than it declares: reading it whole would unpack all that follows first."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnsupportedFileError("The file's arrays are packed in a way that numpy does not write; save them again with numpy.")
    with archive.open(entry) as file:
        return memoryview(file.read(entry.file_size))


_FOREIGN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, OSError, UnicodeError, OverflowError)


def is_npz(head: bytes) -> bool:
    """Whether the first bytes are those of a zip archive whose first entry is an array."""
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        return False
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(ENDING.encode())
