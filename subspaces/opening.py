"""Opening a motion, whoever wrote it: one of our files, or a plain direction of another program."""

from __future__ import annotations

from pathlib import Path

import torch

from ..files.native import kind_of
from ..stylegan2.generator import Generator
from .directions import STRENGTH, load_direction
from .errors import SubspaceError
from .subspace import Subspace

OTHERS = {  # kinds of our files -> what to say of one
    "codes": "face codes, not a motion; use it where a face is asked for",
    "generator": "a generator, not a motion; load it as the generator",
    "inverter": "an inverter, not a motion; load it as the inverter",
    "scorer": "a scorer, not a motion; load it as the scorer",
}


def open_motion(path: str | Path, generator: Generator | None = None, *, strength: float | None = STRENGTH) -> Subspace:
    """A motion from a file of `Subspace.save`, or a plain direction (see `load_direction`), of ``strength`` for one unit.

    ``generator``: whose motion it must be; it also says how many layers a direction of one row fills. Errors: SubspaceError and
    CheckpointError, for files of ours that are not motions too.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind in OTHERS:
        raise SubspaceError(f"{path.name} holds {OTHERS[kind]}.")
    with torch.inference_mode(False):
        if kind is None:
            return load_direction(path, strength=strength, generator=generator)
        motion = Subspace.load(path)
    if generator is not None:
        motion.check(generator)
    return motion
