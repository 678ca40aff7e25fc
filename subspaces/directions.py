"""Importing plain directions: the paper's ``d_latent`` files, boundaries, components, and dicts and lists of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..files import catalog, limits
from ..files import native as files
from ..files.budget import border
from ..files.download import hash_file
from ..files.errors import MicromotionError
from ..files.reading import read_file
from ..stylegan2.codes import ASK, describe, is_style_list, resembles_code
from ..stylegan2.generator import Generator
from .errors import NamedKindError, SubspaceError
from .subspace import MOST_LAYERS, Calibration, Subspace

STRENGTH = 10.0
AUTHORS_SCALE = 5.0  # their program's default: how many of its own lengths a direction moves
LONGEST = 15.0  # in code space: what five of the authors' seven make of that, 5.3 to 12.1; the two others would leave every face behind
IMPORTED = "imported"  # the estimator of what was not fitted here
SUFFIXES = (".pt", ".pth", ".pkl", ".npy", ".npz", ".safetensors")
DEPTH = 4  # of dicts in dicts
SHOWN = 8  # names in a sentence
SINGLE = ("direction", "boundary", "d_latent", "delta")  # names that say nothing of what moves
STYLES = (
    "StyleCLIP's global directions move styles (S space), one number for every channel of every layer, behind the layers that read codes,"
    " so no direction of codes gives them. Use a direction in W or W+, or decode the same text with Text Anchors (`micromotion fit`)"
)


@dataclass(frozen=True)
class Directions:
    """The directions of a file: ``kind`` in words, a name for each ("" for one alone), and the tensors as they were stored."""

    kind: str
    names: tuple[str, ...]
    tensors: tuple[torch.Tensor, ...]

    def pick(self, which: str | int | None, file: str) -> int:
        """The index of the direction with this name or number (from 1), or of the only one. Raises SubspaceError with the choices."""
        if which in (None, ""):
            if len(self.names) == 1:
                return 0
            raise SubspaceError(f"{file} holds {len(self.names)} {self.kind}: {self.listed()}. Choose one by its name or number.")
        text = str(which).strip()
        if text in self.names:
            return self.names.index(text)
        if 1 <= limits.counted(text) <= len(self.names):
            return limits.counted(text) - 1
        close = [i for i, name in enumerate(self.names) if text.lower() in name.lower()]
        if len(close) != 1:
            found = "several" if close else "no"
            raise SubspaceError(f"{file} has {found} {self.kind} named {text[:60]!r}. There are {self.listed()}; or give a number.")
        return close[0]

    def listed(self) -> str:
        """The first names, and how many more there are."""
        more = len(self.names) - SHOWN
        shown = [name[:60] or "one without a name" for name in self.names[:SHOWN]]
        return ", ".join(shown) + (f" and {more} more, to {self.names[-1][:60]}" if more > 0 else "")


def load_direction(
    path: str | Path,
    which: str | int | None = None,
    *,
    strength: float | None = STRENGTH,
    generator: Generator | None = None,
    num_layers: int | None = None,
    name: str = "",
    license: str = "",
) -> Subspace:
    """Read a direction ``[L, D]``, ``[1, L, D]``, ``[D]`` or ``[1, D]`` (the last two: the same in every layer) as a Subspace.

    The file may hold one or many, as `read_directions` finds them; ``which`` chooses by name, or by number from 1. With ``generator``,
    a row as long as a whole code, ``[L * D]`` or ``[1, L * D]``, is read as one, and a face's code is refused; without one, the motion's
    notes say that the two cannot be told apart.

    Published directions differ in length up to eighty-fold under one slider; each is brought to the length ``strength`` for one unit, or
    keeps its own where that is None. The paper's seven files, known by their hashes, have their authors' own default strength for one unit
    at the default ``strength``; the two that this would take 133 and 441 long have STRENGTH. ``generator`` (or ``num_layers``) says how
    many layers a one-row direction fills, and is remembered. Errors: SubspaceError.
    """
    path = Path(path)
    found = read_directions(path)
    index = found.pick(which, path.name)
    raw, chosen = found.tensors[index], found.names[index]
    with border(path.name, SubspaceError):
        direction = _shaped(raw, path, num_layers, generator)
    norm = float(direction.double().norm())
    if not norm > 0:
        raise SubspaceError(f"{path.name} holds a direction of length 0; it moves nothing.")
    if strength is not None:
        strength = limits.STRENGTH.checked(strength, "The length of one unit is", SubspaceError)
    length, meaning = _unit(path, norm, strength)
    subspace = Subspace(
        basis=direction if strength is None else direction * (length / norm),
        name=name or chosen or path.stem,
        fingerprint="" if generator is None else generator.fingerprint,
        layers=tuple(direction.abs().amax(1).nonzero()[:, 0].tolist()),
        source="direction",
        estimator=IMPORTED,
        parameters={"file": path.name, **({"direction": chosen} if chosen else {}), "norm": round(norm, 6), "shape": list(raw.shape)},
        calibration=Calibration(unit=f"length {length:.4g} in code space{meaning}"),
        license=license,
        notes=_notes(direction, raw, path, generator),
    )
    if generator is not None:
        subspace.check(generator)
    return subspace


def _unit(path: Path, norm: float, strength: float | None) -> tuple[float, str]:
    """How long one unit is in code space, and what that means in words."""
    if strength is None:
        return norm, ""
    if strength != STRENGTH or not is_authors(path):
        return strength, ""
    theirs = AUTHORS_SCALE * norm
    if theirs <= LONGEST:
        return theirs, ", the authors' own default strength"
    return strength, f"; the authors' default strength would be {theirs:.0f}; calibrate it to bring it to a measured change"


def is_authors(path: Path) -> bool:
    """Whether a file is one of those that the authors published."""
    known = {entry.size for entry in catalog.ENTRIES if entry.folder == catalog.MOTIONS}
    with border(path.name, SubspaceError):  # others may take the file away meanwhile
        if path.stat().st_size not in known:
            return False
        entry = catalog.by_hash(hash_file(path))
    return entry is not None and entry.folder == catalog.MOTIONS


def _notes(direction: torch.Tensor, raw: torch.Tensor, path: Path, generator: Generator | None) -> tuple[str, ...]:
    """Refuse a face's code where the generator tells it; else remark that nothing did."""
    if generator is None:
        return (f"{path.name} is taken for a motion. {ASK}.",) if raw.shape[-2:].numel() > raw.shape[-1] else ()
    if direction.shape != (generator.num_layers, generator.width):
        return ()
    is_code, cosine = resembles_code(direction, generator)
    if is_code:
        raise SubspaceError(
            f"{path.name} is a face's code, not a direction: its cosine to the generator's mean code is {cosine:.2f}, where that of a"
            " motion is about 0. Load it with Load Face, or give it as --code."
        )
    return (f"Whether {path.name} is a motion or a face's code cannot be told with this generator; it is taken for a motion.",) * (
        is_code is None
    )


def read_directions(path: str | Path) -> Directions:
    """Every direction in a file of any tool; nothing in it is executed.

    ``.pt``, ``.pth``, ``.pkl``, ``.npy``, ``.npz`` or ``.safetensors`` with one tensor, a list, or a dict by name (InterFaceGAN, e4e,
    anycost-gan), GANSpace's components (Härkönen et al. 2020) or SeFa's eigenvectors (Shen and Zhou 2021). Raises SubspaceError.
    """
    path = Path(path)
    with border(path.name, SubspaceError):
        tree = _read(path)
        found = _components(tree) or _eigenvectors(tree) or _named(tree)
        if found is None:
            raise _refusal(tree, path)
    return found


def _read(path: Path) -> Any:
    if path.is_dir():
        raise SubspaceError(f"{path} is a folder; name a file in it.")
    if not path.is_file():
        raise SubspaceError(f"There is no file {str(path)!r}; check the path.")
    if files.is_ours(path):
        raise SubspaceError(
            f"{path.name} is a {files.kind_of(path)} file of micromotion, not a plain direction; Subspace.load reads motions."
        )
    try:
        return read_file(path)
    except MicromotionError as error:
        sentence = str(error).split("\n")[0].split(". ")[0].rstrip(".")
        raise SubspaceError(f"{sentence}. Directions are read from {', '.join(SUFFIXES)} files of any tool.") from error


def _components(tree: Any) -> Directions | None:
    """GANSpace: ``comp`` or ``lat_comp [K, 1, D]``, each as long as the standard deviation along it."""
    if not isinstance(tree, Mapping):
        return None
    for comp, deviation in (("lat_comp", "lat_stdev"), ("comp", "std")):
        components, lengths = tree.get(comp), tree.get(deviation)
        if isinstance(components, torch.Tensor) and components.ndim >= 2 and components.is_floating_point():
            rows = components.reshape(len(components), -1)
            if isinstance(lengths, torch.Tensor) and lengths.numel() == len(rows):
                rows = rows * lengths.reshape(-1, 1)
            return _rows(rows, "GANSpace components", "component")
    return None


def _eigenvectors(tree: Any) -> Directions | None:
    """SeFa's closed-form factors: the columns of ``eigvec [D, D]``, the strongest first."""
    vectors = tree.get("eigvec") if isinstance(tree, Mapping) else None
    if not isinstance(vectors, torch.Tensor) or vectors.ndim != 2 or not vectors.is_floating_point():
        return None
    return _rows(vectors.T, "SeFa eigenvectors", "eigenvector")


def _rows(rows: torch.Tensor, kind: str, word: str) -> Directions:
    return Directions(kind, tuple(f"{word} {i + 1}" for i in range(len(rows))), tuple(rows))


def _named(tree: Any) -> Directions | None:
    if is_style_list(tree):
        return None
    found = list(_walk(tree, "", DEPTH))
    if not found or _is_network(tree):
        return None
    names = [name for name, _ in found]
    if len(found) == 1 and names[0].lower() in SINGLE:
        names = [""]
    if len(found) > 1:
        names = [name or str(i + 1) for i, name in enumerate(names)]
    return Directions("directions", tuple(names), tuple(x for _, x in found))


def _walk(node: Any, name: str, depth: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and tensor of everything that has the shape of a direction."""
    if isinstance(node, torch.Tensor):
        yield from _several(node, name)
    elif isinstance(node, Mapping) and depth:
        for key, value in node.items():
            yield from _walk(value, f"{name}/{key}" if name else str(key), depth - 1)
    elif isinstance(node, (list, tuple)) and depth:
        for i, value in enumerate(node):
            pair = isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], str)
            own = value[0] if pair else str(i + 1) if len(node) > 1 else ""
            yield from _walk(value[1] if pair else value, "/".join(filter(None, (name, own))), depth - 1)


def _several(x: torch.Tensor, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The directions that are stacked in one tensor."""
    if not x.is_floating_point() or not 1 <= x.ndim <= 4 or not x.numel() or x.shape[-1] < 8:
        return
    x = x.reshape(-1, *x.shape[2:]) if x.ndim == 4 and 1 in x.shape[:2] else x
    odd = x.ndim == 2 and len(x) > 1 and len(x) % 2 == 1  # the layers of a generator are even in number
    stacked = x.ndim == 3 and len(x) > 1 or odd or x.ndim == 2 and MOST_LAYERS < len(x) <= x.shape[1]
    if not stacked:
        yield name, x
        return
    for i, part in enumerate(x):
        yield "/".join(filter(None, (name, str(i + 1)))), part


def _is_network(tree: Any) -> bool:
    return any(str(k).endswith((".weight", ".bias")) for k in _keys(tree, DEPTH))


def _keys(tree: Any, depth: int) -> Iterator[Any]:
    """The keys of a tree's dicts."""
    if isinstance(tree, Mapping) and depth:
        yield from tree
        for value in tree.values():
            yield from _keys(value, depth - 1)


def _refusal(tree: Any, path: Path) -> SubspaceError:
    if is_style_list(tree):
        return NamedKindError(f"{path.name}: {STYLES}.")
    if any("mapper." in str(k) for k in _keys(tree, DEPTH)):
        return NamedKindError(
            f"{path.name} is a StyleCLIP mapper, a network that answers differently to each code, not one direction. Give a direction."
        )
    if isinstance(tree, torch.Tensor):
        return SubspaceError(f"{path.name} has shape {tuple(tree.shape)}; a direction is [layers, width], [1, layers, width] or [width].")
    if isinstance(tree, Mapping):
        return SubspaceError(f"{path.name} holds no directions: {describe(tree)}")
    return SubspaceError(
        f"{path.name} holds no directions; give [layers, width], [1, layers, width] or [width], alone, in a list or by name."
    )


def _shaped(raw: torch.Tensor, path: Path, num_layers: int | None, generator: Generator | None) -> torch.Tensor:
    x = raw[0] if raw.ndim == 3 and len(raw) == 1 else raw
    if generator is not None:
        num_layers, width = generator.num_layers, generator.width
        x = x.reshape(num_layers, width) if x.shape in ((num_layers * width,), (1, num_layers * width)) else x
    if x.ndim not in (1, 2):
        raise SubspaceError(f"{path.name} has shape {tuple(raw.shape)}; a direction is [layers, width], [1, layers, width] or [width].")
    if not torch.isfinite(x).all():
        raise SubspaceError(f"{path.name} holds numbers that are not finite (NaN or infinity); get another copy.")
    if x.ndim == 2 and len(x) > MOST_LAYERS:
        why = f" {STYLES}." if x.shape[1] == 512 else ""
        raise SubspaceError(f"{path.name} has shape {tuple(raw.shape)}: {len(x)} rows are more than a StyleGAN2 has layers.{why}")
    if x.ndim == 2 and len(x) > 1:
        return x.float().clone()
    if num_layers is None:
        raise SubspaceError(
            f"{path.name} holds one row for all layers (a boundary or component); give the generator, so that its number of layers is known"
            " (--generator FILE on the command line)."
        )
    return x.reshape(1, -1).float().repeat(num_layers, 1)
