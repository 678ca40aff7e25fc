"""Pictures in, pictures and videos out; what is written appears whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..files.writing import writable
from .terminal import UsageError


def check_output(path: Path, suffixes: tuple[str, ...]) -> Path:
    """Refuse an output path before any work is done: wrong ending, a folder, or a place where nothing can be written."""
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} should end in {' or '.join(suffixes)}.")
    with writable(path):
        if path.is_dir():
            raise UsageError(f"{path} is a folder; give the name of a file in it.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            return path
