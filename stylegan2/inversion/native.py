"""Our own ``.safetensors`` files of this room: tensors, and a JSON header under the metadata key ``micromotion``."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ..checkpoint import read_file, read_metadata
from ..checkpoints.native import KEY, write
from .errors import InversionError

VERSION = 1


def read_native(path: Path, kind: str, advice: str) -> tuple[dict, dict[str, torch.Tensor]]:
    """Header and tensors of a file of this ``kind``; InversionError, ending in ``advice``, for any other."""
    header = _parsed(read_metadata(path).get(KEY, "null"))
    found = header.get("kind", "generator") if isinstance(header, dict) else "file of another program"
    if found != kind:
        raise InversionError(f"{path.name} is a {str(found)[:40]}, no {kind}. {advice}")
    if header.get("version") != VERSION:
        raise InversionError(f"{path.name} was written by a newer micromotion; update micromotion to load it.")
    return header, read_file(path)


def write_native(path: str | Path, kind: str, header: dict, tensors: dict[str, torch.Tensor]) -> None:
    """Write atomically; raise InversionError for a name that does not end in .safetensors."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InversionError(f"{path.name} should end in .safetensors, the one format that a {kind} is written in.")
    text = json.dumps({"kind": kind, "version": VERSION, **header}, sort_keys=True)
    write(path, {k: v.detach().cpu().contiguous() for k, v in tensors.items()}, {KEY: text})


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
