"""Opening a motion, whoever wrote it: one of our files, or a plain direction of another program."""

from __future__ import annotations

from pathlib import Path

import torch

from ..files import limits
from ..files.errors import MicromotionError
from ..files.native import kind_of
from ..stylegan2.codes import read_codes
from ..stylegan2.generator import Generator
from .directions import STRENGTH, is_authors, load_direction, read_directions
from .errors import SubspaceError
from .subspace import Subspace

OTHERS = {  # kinds of our files -> what to say of one
    "codes": "face codes, not a motion; use it where a face is asked for",
    "generator": "a generator, not a motion; load it as the generator",
    "inverter": "an inverter, not a motion; load it as the inverter",
    "scorer": "a scorer, not a motion; load it as the scorer",
}


def open_motion(
    path: str | Path, generator: Generator | None = None, *, which: str | int | None = None, strength: float | None = STRENGTH
) -> Subspace:
    """A motion from a file of `Subspace.save`, or a plain direction (see `load_direction`), of ``strength`` for one unit.

    ``which`` chooses one of a file of many, by name or by number from 1.
    ``generator``: whose motion it must be; it also says how many layers a direction of one row fills. Errors: SubspaceError and
    CheckpointError, for files of ours that are not motions too.
    """
    path = Path(path)
    if strength is not None:
        limits.STRENGTH.checked(strength, "The length of one unit is", SubspaceError)
    kind = kind_of(path)
    if kind in OTHERS:
        raise SubspaceError(f"{path.name} holds {OTHERS[kind]}.")
    with torch.inference_mode(False):
        if kind is None:
            return load_direction(path, which, strength=strength, generator=generator)
        motion = Subspace.load(path)
    if generator is not None:
        motion.check(generator)
    return motion


def face_or_motion(path: str | Path, generator: Generator | None = None) -> str:
    """What a file without a network holds: "face" (codes), "motion" (directions), or "either" where nothing tells the two apart.

    Raises MicromotionError where it holds neither.
    """
    kind = kind_of(Path(path))
    if kind in ("codes", "subspace"):
        return "face" if kind == "codes" else "motion"
    if Path(path).is_file() and is_authors(Path(path)):
        return "motion"
    refusals = [_refusal(read_codes, path, generator), _refusal(_open_first, path, generator)]
    if refusals[0] and refusals[1]:
        raise refusals[1]
    return "motion" if refusals[0] else "face" if refusals[1] else "either"


def _open_first(path: str | Path, generator: Generator | None) -> None:
    """Read the directions, and where the generator is known, the first of them as its motion."""
    found = read_directions(path)
    if generator is not None:
        load_direction(path, found.names[0] or 1, generator=generator)


def _refusal(read, path: str | Path, generator: Generator | None) -> MicromotionError | None:
    try:
        read(path, generator)
    except MicromotionError as error:
        return error
    return None
