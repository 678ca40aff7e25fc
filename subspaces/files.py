"""Our small ``.safetensors`` files: a header in JSON under the metadata key ``micromotion``, validated field by field."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from .errors import SubspaceError

METADATA_KEY = "micromotion"
VERSION = 1
PNG = b"\x89PNG\r\n\x1a\n"
Check = Callable[[Any], Any]


def write(path: str | Path, kind: str, header: dict, tensors: dict[str, torch.Tensor]) -> None:
    """Write a file of ``kind``; whoever reads ``path`` meanwhile sees the old file or the whole new one."""
    path = Path(path)
    if not path.parent.is_dir():
        raise SubspaceError(f"{path} cannot be written: there is no folder {str(path.parent)!r}. Choose a folder that exists.")
    metadata = {METADATA_KEY: json.dumps({"kind": kind, "version": VERSION, **header})}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # Bytes through an ordinary file: save_file would give it to its owner alone, and these files are there to be shared.
        temporary.write_bytes(save({k: v.contiguous() for k, v in tensors.items()}, metadata))
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise SubspaceError(f"{path} cannot be written: {_reason(error)}. Choose a folder that exists and may be written to.") from error
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | Path, kind: str, names: dict[str, bool] | None = None) -> tuple[dict, dict[str, torch.Tensor]]:
    """Header and tensors of a file of ``kind``; ``names`` says of each tensor whether it must be there (None: all)."""
    path = Path(path)
    if not path.is_file():
        raise SubspaceError(f"There is no file {str(path)!r}; check the path.")
    try:
        with torch.inference_mode(False), safe_open(str(path), framework="pt") as file:
            header = _header((file.metadata() or {}).get(METADATA_KEY), kind, path)
            present = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in present if names is None or name in names}
    except (SafetensorError, OSError) as error:
        raise damaged(path, "it cannot be read as .safetensors") from error
    missing = [name for name, needed in (names or {}).items() if needed and name not in tensors]
    if missing:
        raise damaged(path, f"its {missing[0]} is missing")
    return header, tensors


def _header(raw: str | None, kind: str, path: Path) -> dict:
    if raw is None:
        raise SubspaceError(f"{path.name} is a .safetensors file, but holds no {kind} of micromotion; load another file.")
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "its header is no JSON") from error
    if not isinstance(header, dict) or header.get("kind") != kind:
        found = header.get("kind") if isinstance(header, dict) else None
        raise SubspaceError(f"{path.name} is a {found}, and a {kind} is needed here; load another file.")
    if header.get("version") != VERSION:
        raise SubspaceError(
            f"{path.name} is a {kind} of version {header.get('version')}; this micromotion reads version {VERSION}. Update micromotion."
        )
    return header


def is_ours(path: Path) -> bool:
    """Whether a file is a ``.safetensors`` with a header of micromotion, of whatever kind; damaged ones that end so count as ours."""
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(str(path), framework="pt") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return True


def take(header: dict, checks: dict[str, Check], path: Path) -> dict:
    """The known fields of a header, each checked; unknown fields are left, absent ones keep their defaults."""
    fields = {}
    for name, check in checks.items():
        if name in header:
            try:
                fields[name] = check(header[name])
            except (TypeError, ValueError, AttributeError, OverflowError) as error:
                raise damaged(path, f"its {name} is not what it should be") from error
    return fields


def damaged(path: Path, why: str) -> SubspaceError:
    return SubspaceError(f"{Path(path).name} is damaged: {why}. Copy or download it again.")


def plain(x: torch.Tensor) -> torch.Tensor:
    """A float32 CPU tensor of its own memory order, without gradients, usable outside inference mode too."""
    with torch.inference_mode(False):
        x = x.detach().to("cpu", torch.float32).contiguous()
        return x.clone() if x.is_inference() else x


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError
    return float(value)


def integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def mapping(value: Any) -> dict:
    if not isinstance(value, dict):
        raise TypeError
    return value


def sequence_of(check: Check) -> Check:
    def checked(value: Any) -> tuple:
        if not isinstance(value, list):
            raise TypeError
        return tuple(check(v) for v in value)

    return checked


def optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def interval(value: Any) -> tuple[float, float]:
    low, high = numbers(value)
    if low > high:
        raise ValueError
    return low, high


def curves(value: Any) -> dict[str, list[float]]:
    return {text(k): list(numbers(v)) for k, v in mapping(value).items()}


texts, numbers, integers, ranges = sequence_of(text), sequence_of(number), sequence_of(integer), sequence_of(optional(interval))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
