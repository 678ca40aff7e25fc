"""The table of contents of a PyTorch zip file: stored records only, each where it says and none twice."""

from __future__ import annotations

import struct

from .errors import DamagedFileError, UnsupportedFileError
from .values import Blob

MAX_RECORDS = 100_000
END, END64, LOCATOR64, ENTRY, LOCAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02", b"PK\x03\x04"
_DAMAGED = "The file's table of contents is missing, damaged, or points outside of it; download it again."


def records(view: memoryview) -> dict[str, Blob]:
    """Record name, without the archive's own folder -> its bytes in the file (APPNOTE.TXT 4.3).

    PyTorch compresses nothing but the source text of TorchScript programs (``code/``), which is left out here. Raises
    UnsupportedFileError for any other compressed record, DamagedFileError for a table of contents that is not sound.
    """
    try:
        return _records(view)
    except (struct.error, UnicodeDecodeError, IndexError, OverflowError) as e:
        raise DamagedFileError(_DAMAGED) from e


def count_records(view: memoryview) -> int:
    """How many records the table of contents declares. Raises DamagedFileError where there is none."""
    try:
        return _directory(view)[0]
    except (struct.error, IndexError, OverflowError) as e:
        raise DamagedFileError(_DAMAGED) from e


def _records(view: memoryview) -> dict[str, Blob]:
    count, position = _directory(view)
    if count > MAX_RECORDS:
        raise DamagedFileError(f"The file declares {count:,} records, far more than any checkpoint; it is refused.")
    found, total = {}, 0
    for _ in range(count):
        name, blob, position = _entry(view, position)
        total += len(blob)
        found[name] = blob
    if total > len(view):
        raise DamagedFileError("The file's table of contents lists more than the file holds; it is refused.")
    return found


def _directory(view: memoryview) -> tuple[int, int]:
    """Number of entries and position of the first, from the end of the file."""
    tail = max(0, len(view) - 65_557)
    at = bytes(view[tail:]).rfind(END) + tail
    if at < tail:
        raise DamagedFileError(_DAMAGED)
    count, _, position = struct.unpack_from("<HII", view, at + 10)
    if at >= 20 and bytes(view[at - 20 : at - 16]) == LOCATOR64:
        (at,) = struct.unpack_from("<Q", view, at - 12)
        if bytes(view[at : at + 4]) != END64:
            raise DamagedFileError(_DAMAGED)
        count, _, position = struct.unpack_from("<QQQ", view, at + 32)
    return count, position


def _entry(view: memoryview, position: int) -> tuple[str, Blob, int]:
    if bytes(view[position : position + 4]) != ENTRY:
        raise DamagedFileError(_DAMAGED)
    method, crc, packed, size, names, extras, comment = struct.unpack_from("<H4xIIIHHH", view, position + 10)
    (start,) = struct.unpack_from("<I", view, position + 42)
    name = bytes(view[position + 46 : position + 46 + names]).decode()
    name = name.partition("/")[2] or name
    extra = view[position + 46 + names : position + 46 + names + extras]
    size, packed, start = _wide(extra, size, packed, start)
    after = position + 46 + names + extras + comment
    if name.startswith("code/"):
        return name, Blob(view[:0]), after
    if method or size != packed:
        raise UnsupportedFileError(
            f"The file is a compressed archive ({packed:,} bytes that unpack to {size:,}); PyTorch never writes one, so it is not unpacked."
        )
    return name, Blob(_body(view, start, size), aligned=True, crc=crc), after


def _wide(extra: memoryview, *values: int) -> tuple[int, ...]:
    """Take from the zip64 field every value that does not fit 32 bits."""
    wide = iter(_zip64(extra))
    return tuple(next(wide, v) if v == 0xFFFFFFFF else v for v in values)


def _zip64(extra: memoryview) -> tuple[int, ...]:
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            return struct.unpack_from(f"<{length // 8}Q", extra, 4)
        extra = extra[4 + length :]
    return ()


def _body(view: memoryview, start: int, size: int) -> memoryview:
    if bytes(view[start : start + 4]) != LOCAL:
        raise DamagedFileError(_DAMAGED)
    start += 30 + sum(struct.unpack_from("<HH", view, start + 26))
    if start + size > len(view):
        raise DamagedFileError(_DAMAGED)
    return view[start : start + size]
