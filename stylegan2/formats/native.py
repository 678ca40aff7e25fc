"""The native format: safetensors with canonical names, and the architecture as JSON under the metadata key ``micromotion``."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ...files.containers import parse_json
from ...files.errors import CheckpointError, DamagedFileError, UnsupportedFileError
from ...files.native import KEY, VERSION, narrowed, write
from ..generator import Generator

KIND = "generator"
FORMAT = "micromotion safetensors"
HINTS = ("architecture", "conv_clamp", "resample_filter", "lr_multiplier", "activation")


def save(generator: Generator, path: str | Path, dtype: torch.dtype = torch.float32) -> Path:
    """Write ``generator`` to ``path`` (``.safetensors``), atomically; ``dtype`` float16 or bfloat16 halves the file.

    In the 16-bit forms only tensors of two or more dimensions are narrowed, and none whose values would overflow.
    """
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise CheckpointError(f"Generators are stored as float32, float16 or bfloat16, not {dtype}.")
    tensors = {k: narrowed(v.detach().to("cpu", torch.float32), dtype) for k, v in generator.state_dict().items()}
    return write(path, KIND, {**_description(generator), "crc32": checksum(tensors)}, tensors)


def checksum(tensors: dict[str, torch.Tensor]) -> int:
    """CRC-32 over the tensors' bytes in the order of their names."""
    crc = 0
    for _, tensor in sorted(tensors.items()):
        crc = zlib.crc32(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data, crc)
    return crc


def _description(generator: Generator) -> dict[str, Any]:
    source = generator.provenance
    return {
        "architecture": asdict(generator.architecture),
        "source": {"format": source.format.removeprefix(FORMAT).removeprefix(", from "), "notes": list(source.notes)},
        "classes": list(source.classes),
    }


def description(metadata: dict[str, str]) -> dict[str, Any] | None:
    """The parsed metadata of a native generator file; None where the file is not one of ours."""
    if KEY not in metadata:
        return None
    found = parse_json(metadata[KEY])
    kind = found.get("kind", KIND) if isinstance(found, dict) else None
    if kind != KIND:
        raise UnsupportedFileError(f"This is a micromotion file of another kind ({str(kind)[:40]!r}), not a generator.")
    if not isinstance(found.get("architecture"), dict):
        raise DamagedFileError("The file does not describe its architecture; it is damaged.")
    if found.get("version") != VERSION:
        raise UnsupportedFileError("This generator was written by a newer micromotion; update micromotion to load it.")
    return found


def verify(found: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Compare the tensors with the checksum that was written with them, where there is one."""
    if "crc32" in found and found["crc32"] != checksum(tensors):
        raise DamagedFileError("The tensors do not fit the checksum that was written with them; the file is damaged. Download it again.")


def hints(found: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k in HINTS if (v := found["architecture"].get(k)) is not None}


def source(found: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The format and notes of the file that this one was converted from."""
    origin = found.get("source", {})
    notes = origin.get("notes", []) if isinstance(origin, dict) else None
    if not isinstance(notes, list) or not all(isinstance(n, str) for n in notes) or not isinstance(origin.get("format", ""), str):
        raise DamagedFileError("The file's metadata are of the wrong type; it is damaged.")
    return origin.get("format", ""), tuple(notes)
