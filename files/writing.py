"""Write files so that whoever looks sees the old one or the whole new one, never half of it; what killed runs leave is used again."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .budget import short
from .errors import MicromotionError, UnwritableError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

STEM = 50  # characters of the name that a part is known by: with what is added, it fits where the name itself fits
FAR = 1 << 40  # Windows locks ranges of bytes: one that no file reaches
PAUSES = (0.05, 0.2, 0.5, 1.0)  # seconds: on Windows, what looks for viruses or makes previews holds a new file for moments


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside ``path`` to write to; it takes the name ``path`` if all goes well and vanishes otherwise.

    The ending stays, because many writers choose their format by it. The part of one target has one name, so that the next run takes the
    one that a killed run left; a part that another run is writing is locked, and passed by. What the system refuses inside becomes
    UnwritableError.
    """
    with writable(path):
        part, handle = _claim(path)
        try:
            yield part
            if sys.platform == "win32":  # which renames no open file
                os.close(handle)
                handle = -1
            _take_place(part, path)
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


@contextmanager
def writable(path: str | Path, kind: type[MicromotionError] = UnwritableError) -> Iterator[None]:
    """What the system refuses while the file or folder ``path`` is written becomes UnwritableError, or ``kind``."""
    try:
        yield
    except OSError as error:
        raise kind(f"{printable(path)} cannot be written ({refused(error)}).") from error


def _take_place(part: Path, path: Path) -> None:
    """Rename ``part`` to ``path``. Windows refuses where a program holds one of the two open: wait a little for it."""
    for pause in PAUSES if sys.platform == "win32" else ():
        with contextlib.suppress(PermissionError):
            os.replace(part, path)
            return
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        time.sleep(pause)
    try:
        os.replace(part, path)
    except PermissionError as error:
        if sys.platform == "win32" and path.is_file():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY)) from error
        raise


def refused(error: Exception) -> str:
    """Why a file cannot be written, as its user can mend it."""
    code = getattr(error, "errno", None)
    return REASONS.get(code or 0) or f"{getattr(error, 'strerror', None) or short(error)}; choose another place"


REASONS = {
    **dict.fromkeys((errno.EINVAL, errno.EILSEQ), "its name holds characters that no file system takes; give another name"),
    errno.ENAMETOOLONG: "its name is too long; give a shorter one",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "the disk is full; make room on it"),
    errno.EROFS: "its folder is on a read-only file system; choose another folder",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "its folder may not be written to; choose another, or allow it"),
    errno.EBUSY: "another program has it open; close it there, or give another name",
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "its folder does not exist; choose one that does"),
    errno.EISDIR: "a folder has that name; give another name",
    errno.EFBIG: "the file system takes no file that large; choose another place",
    errno.EIO: "the disk does not answer as it should; choose another place, and look after it",
}


def printable(path: str | Path) -> str:
    """A path for a sentence: no characters that a terminal would act on, and not endlessly long."""
    return "".join(c if c.isprintable() else "?" for c in str(path))[-300:]


def _claim(path: Path) -> tuple[Path, int]:
    """An empty part of ``path`` that is ours alone, and the handle that holds its lock."""
    try:
        return _claimed(path)
    except ValueError as error:  # a NUL, or half a character
        raise OSError(errno.EINVAL, "Invalid name") from error


def _claimed(path: Path) -> tuple[Path, int]:
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
