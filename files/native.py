"""Our small ``.safetensors`` files: a header in JSON under the metadata key ``micromotion``, validated field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from .containers import opened, parse_json
from .errors import CheckpointError, DamagedFileError, MissingFileError, UnsupportedFileError
from .writing import whole_file

KEY = "micromotion"
VERSION = 1
PNG = b"\x89PNG\r\n\x1a\n"
WORDS = {"codes": "a file of face codes", "clip": "a file of a clip's codes", "subspace": "a motion"}  # kinds that the user knows otherwise
Check = Callable[[Any], Any]


def write(path: str | Path, kind: str, header: dict, tensors: dict[str, torch.Tensor]) -> Path:
    """Write a file of ``kind`` whole or not at all, and return its path. Raises CheckpointError, also for a name without .safetensors."""
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise CheckpointError(f"{path.name} should end in .safetensors, the one format that {_a(kind)} is written in.")
    metadata = {KEY: json.dumps({"kind": kind, "version": VERSION, **header}, sort_keys=True)}
    with whole_file(path) as part:  # not through save_file, which writes to a file of its own beside it, for its owner's eyes only
        part.write_bytes(save({k: v.detach().to("cpu").contiguous() for k, v in tensors.items()}, metadata))
    return path


def read(path: str | Path, kind: str, names: dict[str, bool] | None = None, advice: str = "") -> tuple[dict, dict[str, torch.Tensor]]:
    """Header and tensors of a file of ``kind``; ``names`` says of each tensor whether it must be there (None: all).

    Raises MissingFileError, DamagedFileError, or UnsupportedFileError, which ends in ``advice``.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"There is no file {str(path)!r}; check the path.")
    if path.suffix.lower() != ".safetensors":
        raise UnsupportedFileError(
            f"{path.name} should end in .safetensors, as {_a(kind)} of micromotion does. {advice or f'Load {_a(kind)}.'}"
        )
    with torch.inference_mode(False), opened(path) as file:
        header = _header((file.metadata() or {}).get(KEY), kind, path, advice or f"Load {_a(kind)}.")
        tensors = {name: file.get_tensor(name) for name in file.keys() if names is None or name in names}
    missing = [name for name, needed in (names or {}).items() if needed and name not in tensors]
    if missing:
        raise damaged(path, f"its {missing[0]} is missing")
    return header, tensors


def _header(raw: str | None, kind: str, path: Path, advice: str) -> dict:
    if raw is None:
        raise UnsupportedFileError(f"{path.name} is a .safetensors file of another program, not {_a(kind)} of micromotion. {advice}")
    try:
        header = parse_json(raw)
    except DamagedFileError as error:
        raise damaged(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise damaged(path, "its header is not what it should be")
    found, version = str(header.get("kind", "generator"))[:40], str(header.get("version"))[:20]
    if found != kind:
        raise UnsupportedFileError(f"{path.name} is {_a(found)}, not {_a(kind)}. {advice}")
    if header.get("version") != VERSION:
        reads = f"this micromotion reads version {VERSION}"
        raise UnsupportedFileError(f"{path.name} is {_a(kind)} of version {version}; {reads}. Update micromotion.")
    return header


def _a(kind: str) -> str:
    if not kind.replace(" ", "").isalpha() or kind == "None":
        return "a file of an unknown kind"
    return WORDS.get(kind) or (f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}")


def kind_of(path: Path) -> str | None:
    """The kind that a file of ours says it is ("subspace", "codes", ...); None for every other file, "damaged" where it cannot be told."""
    if path.suffix.lower() != ".safetensors":
        return None
    try:
        with opened(path) as file:
            raw = (file.metadata() or {}).get(KEY)
        header = None if raw is None else parse_json(raw)
    except CheckpointError:
        return "damaged"
    if header is None:
        return None
    kind = header.get("kind", "generator") if isinstance(header, dict) else None
    return kind[:40] if isinstance(kind, str) else "damaged"


def is_ours(path: Path) -> bool:
    """Whether a file is a ``.safetensors`` with a header of micromotion, of whatever kind; damaged ones that end so count as ours."""
    return kind_of(path) is not None


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


def damaged(path: Path, why: str) -> DamagedFileError:
    return DamagedFileError(f"{Path(path).name} is damaged: {why}. Copy or download it again.")


def plain(x: torch.Tensor) -> torch.Tensor:
    """A float32 CPU tensor of its own memory order, without gradients, usable outside inference mode too."""
    with torch.inference_mode(False):
        x = x.detach().to("cpu", torch.float32).contiguous()
        return x.clone() if x.is_inference() else x


def narrowed(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A weight in ``dtype``; vectors (biases, normalization statistics) stay as they are, and so does what would overflow."""
    return x if x.ndim < 2 or x.abs().max() > torch.finfo(dtype).max else x.to(dtype)


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
