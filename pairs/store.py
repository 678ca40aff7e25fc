"""Where a set is written: a folder, or any place that fsspec knows by its address. Every file appears whole or not at all."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from ..files.errors import UnwritableError
from ..files.writing import whole_file, writable
from .errors import PairsError

KEPT = "What is there already is kept; run it again to go on."


def is_address(out: str) -> bool:
    """Whether ``out`` is an address such as ``s3://bucket/set`` and not a folder of this machine."""
    return "://" in out


class Store:
    """The files of a set by their names relative to ``out``, with forward slashes. Raises PairsError where the place does not answer."""

    def __init__(self, out: str):
        self.out = out.rstrip("/")
        self._remote: Any = None
        if is_address(out):
            self._remote, self._root = _filesystem(out)

    def path(self, name: str) -> str:
        """The whole path or address of a file, as trainers open it."""
        return f"{self.out}/{name}" if self._remote else str(Path(self.out).absolute() / name)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, replacing an older one of the same name."""
        try:
            if self._remote:
                self._write_remote(name, content)
                return
            path = Path(self.out) / name
            with writable(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as part:
                part.write_bytes(content)
        except UnwritableError as error:
            raise PairsError(f"{error} {KEPT}") from error
        except Exception as error:  # every filesystem of fsspec has errors of its own; all of them mean this one thing
            raise PairsError(f"{self.path(name)} cannot be written ({_reason(error)}). {KEPT}") from error

    def _write_remote(self, name: str, content: bytes) -> None:
        path = posixpath.join(self._root, name)
        self._remote.makedirs(posixpath.dirname(path), exist_ok=True)
        part = posixpath.join(posixpath.dirname(path), f".{posixpath.basename(path)}.part")
        self._remote.pipe_file(part, content)
        self._remote.mv(part, path)

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None where there is none."""
        try:
            if self._remote:
                path = posixpath.join(self._root, name)
                return self._remote.cat_file(path) if self._remote.exists(path) else None
            path = Path(self.out) / name
            return path.read_bytes() if path.is_file() else None
        except Exception as error:
            raise PairsError(f"{self.path(name)} cannot be read ({_reason(error)}).") from error

    def is_free(self) -> bool:
        """Whether nothing is there yet, but what systems put into folders of their own accord."""
        return not set(self.names()) - {"Thumbs.db", "desktop.ini"}

    def names(self, folder: str = "") -> list[str]:
        """The names of what is in a folder, sorted, without parts of killed runs; none where the folder is missing."""
        if self._remote:
            path = posixpath.join(self._root, folder) if folder else self._root
            found = [posixpath.basename(f) for f in self._remote.ls(path, detail=False)] if self._remote.exists(path) else []
        else:
            path = Path(self.out) / folder
            found = [p.name for p in path.iterdir()] if path.is_dir() else []
        return sorted(name for name in found if not name.startswith("."))


def _filesystem(out: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise PairsError(f"Writing to {out} needs fsspec: pip install 'micromotion[cluster]'.") from error
    try:
        return fsspec.core.url_to_fs(out)
    except Exception as error:
        raise PairsError(f"{out} is not an address that can be written to ({_reason(error)}).") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
