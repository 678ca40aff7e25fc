"""Names that people type, or that a workflow brings, as names of files: inside their folder, of letters that every system takes, short."""

from __future__ import annotations

import re

from .errors import MicromotionError

MAX_BYTES = 120  # of one part of a name; systems take 255, and a counter and an ending come behind it
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}  # what Windows keeps for itself
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f\ud800-\udfff]')


def clean_name(name: str, fallback: str, ending: str = ".safetensors") -> str:
    """``name`` as subfolders and a file's name without ``ending``, joined by "/"; ``fallback`` where nothing of it is left.

    Raises MicromotionError where it leads out of the folder that it is meant for.
    """
    name = name.strip()
    if re.match(r"[/\\]|[a-zA-Z]:[/\\]", name) or ".." in (parts := re.split(r"[/\\]", name)):
        raise MicromotionError(f"{ascii(name)[:80]} leads out of its folder; give a plain name, or a subfolder and a name.")
    *folders, last = parts
    last = last[: -len(ending)] if last.lower().endswith(ending) else last
    kept = [part for part in map(_clean_part, folders) if part]
    return "/".join([*kept, _clean_part(last) or fallback])


def _clean_part(part: str) -> str:
    part = _FORBIDDEN.sub("_", part).strip().strip(".").strip()  # hidden on some systems, impossible at the end on others
    part = part.encode()[:MAX_BYTES].decode(errors="ignore").rstrip(" .")
    return f"_{part}" if part.partition(".")[0].lower() in DEVICES else part
