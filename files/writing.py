"""Write files so that whoever looks sees the old one or the whole new one, never half of it; what killed runs leave is used again."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

STEM = 50  # characters of the name that a part is known by: with what is added, it fits where the name itself fits
FAR = 1 << 40  # Windows locks ranges of bytes: one that no file reaches


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside ``path`` to write to; it takes the name ``path`` if all goes well and vanishes otherwise.

    The ending stays, because many writers choose their format by it. The part of one target has one name, so that the next run takes the
    one that a killed run left; a part that another run is writing is locked, and passed by. OSError passes, ValueError too (a name
    that holds a NUL or half a character).
    """
    part, handle = _claim(path)
    try:
        yield part
        if sys.platform == "win32":  # which renames no open file
            os.close(handle)
            handle = -1
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            if sys.platform == "win32" and handle >= 0:
                os.close(handle)
                handle = -1
            part.unlink(missing_ok=True)
        raise
    finally:
        if handle >= 0:
            os.close(handle)


def _claim(path: Path) -> tuple[Path, int]:
    """An empty part of ``path`` that is ours alone, and the handle that holds its lock."""
    own = path.with_name(f".{path.stem[:STEM]}.part{path.suffix}")
    other = path.with_name(f".{path.stem[:STEM]}-{secrets.token_hex(4)}.part{path.suffix}")
    handle = lock(own)
    part = own
    if handle is None:
        part, handle = other, lock(other)
    if handle is None:
        raise BlockingIOError(f"{other} is in use")
    os.ftruncate(handle, 0)
    return part, handle


def lock(path: Path) -> int | None:
    """A handle that keeps the file ``path`` (made if need be) for this run; None while another holds it. Closing it gives it back.

    The system closes it when a run is killed. Where a file system knows no locks, everyone gets one.
    """
    if path.is_symlink():  # somebody else's, which may lead anywhere
        return None
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        if _is_held(handle) or not _is_at(handle, path):
            os.close(handle)
            return None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _is_held(handle: int) -> bool:
    """Whether another run holds the lock; if not, this one does now."""
    try:
        if sys.platform == "win32":
            os.lseek(handle, FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:  # a file system without locks
        return False
    return False


def _is_at(handle: int, path: Path) -> bool:
    """Whether the file is still under its name: another run may have renamed it meanwhile."""
    try:
        there, ours = os.stat(path), os.fstat(handle)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)
