"""Finding and loading what a command works with: the embedded avatars, or the user's own files; and where it may write."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

import torch

from ..files.containers import require
from ..files.embedded import MOTIONS, PACK, embedded_root
from ..files.native import kind_of
from ..files.writing import writable
from ..stylegan2 import Generator, load, load_inverter
from ..stylegan2.inversion import Inverter, OptimizingInverter
from ..stylegan2.sampling import unchosen
from ..subspaces import Subspace
from ..subspaces.anchors import Scorer, draw_faces, load_scorer
from ..subspaces.opening import open_motion
from .terminal import UsageError, note


def models_folder() -> Path:
    """ComfyUI's models folder when the pack lies in its custom_nodes, else ``models`` where the command runs."""
    return PACK.parent.parent / "models" if PACK.parent.name == "custom_nodes" else Path("models")


def embedded(name: str) -> Path:
    """The path of an embedded model, or a sentence where this copy of the pack lacks it."""
    path = embedded_root() / f"{name}.safetensors"
    if not path.is_file():
        raise UsageError(
            f"This copy of micromotion lacks its embedded {name} ({path}); get a whole copy, or give your own with --{name} FILE."
        )
    return path


def embedded_motions() -> list[str]:
    """Names of the ready motions: the paper's five, the further ones, then others."""
    names = sorted(p.stem for p in (embedded_root() / "motions").glob("*.safetensors"))
    return sorted(names, key=lambda n: MOTIONS.index(n) if n in MOTIONS else len(MOTIONS))


def split_choice(text: str) -> tuple[str, str | None]:
    """``FILE:NAME`` chooses one of a file of many; a file's own name may hold a colon, and a drive does."""
    file, colon, which = text.rpartition(":")
    return (file, which) if colon and not Path(text).exists() and Path(file).is_file() else (text, None)


def open_named(name: str, generator: Generator | None = None) -> Subspace:
    """A motion by ``FILE``, ``FILE:NAME`` or the name of an embedded one; what was remarked of a plain direction is said."""
    file, which = split_choice(name)
    path = find_motion(file)
    motion = open_motion(path, generator, which=which)
    note(*(motion.notes if kind_of(path) is None else ()))
    return motion


def find_motion(name: str) -> Path:
    """A motion's file, by ``FILE``, ``FILE:NAME`` or the name of an embedded one."""
    name = split_choice(name)[0]
    path = Path(name)
    if path.is_file():
        return path
    ready = embedded_root() / "motions" / f"{name}.safetensors"
    if ready.is_file():
        return ready
    known = ", ".join(embedded_motions()) or "(none is embedded in this copy)"
    raise UsageError(f"There is no motion {name!r}: give a file, or one of {known}.")


@dataclass(frozen=True)
class Models:
    """The networks of one command, each loaded when it is first asked for. None stands for the embedded file."""

    generator_file: Path | None = None
    inverter_file: Path | None = None
    scorer_file: str | None = None
    device: str = "auto"

    @cached_property
    def generator(self) -> Generator:
        return load_generator(self.generator_file or embedded("generator")).to(self.torch_device).eval().requires_grad_(False)

    @cached_property
    def inverter(self) -> Inverter:
        searches = self.inverter_file is None and self.generator.is_oblong  # no encoder is known for oblong pictures
        inverter = OptimizingInverter() if searches else load_inverter(self._own(self.inverter_file, "inverter"))
        note(*inverter.card.notes)
        return inverter.to(self.torch_device)

    @cached_property
    def scorer(self) -> Scorer:
        return load_scorer(self._own(self.scorer_file, "scorer")).to(self.torch_device)

    @property
    def is_embedded(self) -> bool:
        """Whether the generator is the embedded one."""
        return self.generator_file is None

    def _own(self, file: Path | str | None, name: str) -> Path | str:
        if file is None and not self.is_embedded:
            raise UsageError(f"The embedded {name} knows the embedded avatars only; with --generator give its own with --{name} FILE.")
        return file or embedded(name)

    @cached_property
    def torch_device(self) -> torch.device:
        if self.device != "auto":
            return _checked_device(self.device)
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _checked_device(name: str) -> torch.device:
    try:
        torch.zeros(1, device=name).tolist()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"The device {name!r} is not available here; leave --device out, or say cpu.") from None
    return torch.device(name)


@overload
def load_generator(file: Path) -> Generator: ...
@overload
def load_generator(file: None) -> None: ...
def load_generator(file: Path | None) -> Generator | None:
    """The generator of ``--generator``, with what is remarked of it; None where none was given."""
    if file is None:
        return None
    generator = load(file)
    note(*(generator.provenance.notes if kind_of(file) is None else ()))
    return generator


def drawn_faces(generator: Generator, seeds: Iterable[int], truncation: float = 0.7, **which) -> torch.Tensor:
    """Codes ``[G, L, D]`` of `draw_faces`; that no class was chosen, where there are any, is said."""
    if sentence := unchosen(generator, which.get("category")):
        note(sentence)
    return draw_faces(generator, seeds, truncation, **which)


def check_files(*paths: Path | None) -> None:
    """Refuse missing files before anything slow is done."""
    for path in paths:
        if path is not None:
            require(path)


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
