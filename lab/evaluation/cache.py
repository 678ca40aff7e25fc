"""Intermediate results on disk, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch


class Cache:
    """A folder per setting: whatever changes a figure (sizes, seed, weights) is part of ``setting`` and so of its name."""

    def __init__(self, folder: Path, setting: str):
        self.folder = Path(folder) / hashlib.sha256(setting.encode()).hexdigest()[:12]
        self.folder.mkdir(parents=True, exist_ok=True)

    def tensors(self, name: str, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Tensors by name, read from disk or made and kept."""
        path = self.folder / f"{name}.pt"
        if path.is_file():
            return torch.load(path, weights_only=True, map_location="cpu")
        made = make()
        self._keep(path, lambda temporary: torch.save(made, temporary))
        return made

    def kept(self, prefix: str) -> Iterator[dict[str, torch.Tensor]]:
        """All tensors on disk whose name begins so."""
        for path in sorted(self.folder.glob(f"{prefix}*.pt")):
            yield torch.load(path, weights_only=True, map_location="cpu")

    def json(self, name: str, make: Callable[[], dict]) -> dict:
        """A JSON document, read from disk or made and kept."""
        path = self.folder / f"{name}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        made = make()
        self._keep(path, lambda temporary: temporary.write_text(json.dumps(made, indent=1), encoding="utf-8"))
        return made

    def forget(self, name: str) -> None:
        """Drop a document, so that it is made again."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)

    def _keep(self, path: Path, write: Callable[[Path], object]) -> None:
        temporary = path.with_suffix(f".{os.getpid()}.partial")
        write(temporary)
        os.replace(temporary, path)
