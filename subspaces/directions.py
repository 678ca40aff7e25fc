"""Importing plain directions: the paper's ``d_latent`` files, InterFaceGAN's, and any other tensor of displacements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..files import native as files
from ..files.errors import MicromotionError
from ..files.reading import read_file
from ..stylegan2.generator import Generator
from .errors import SubspaceError
from .subspace import MOST_LAYERS, Calibration, Subspace

STRENGTH = 10.0
SUFFIXES = (".pt", ".pth", ".npy", ".safetensors")


def load_direction(
    path: str | Path,
    *,
    strength: float | None = STRENGTH,
    generator: Generator | None = None,
    num_layers: int | None = None,
    name: str = "",
    licence: str = "",
) -> Subspace:
    """Read a direction ``[L, D]``, ``[1, L, D]``, ``[D]`` or ``[1, D]`` (the last two: the same in every layer) as a Subspace.

    With ``generator``, a row as long as a whole code, ``[L * D]`` or ``[1, L * D]``, is read as one.

    ``.pt`` (nothing in it is executed), ``.npy`` (no objects) or ``.safetensors``. Published directions differ in length up to eighty-fold
    under one slider; each is brought to the length ``strength`` for one unit (10 is about what the paper's own scale makes of its
    smile), or keeps its own where that is None. ``generator`` (or ``num_layers``) says how many layers a one-row direction fills, and
    is remembered. Errors: SubspaceError.
    """
    path = Path(path)
    raw = _read(path)
    direction = _shaped(raw, path, num_layers, generator)
    norm = float(direction.double().norm())
    if not norm > 0:
        raise SubspaceError(f"{path.name} holds a direction of length 0; it moves nothing.")
    if strength is not None and not (0 < strength < float("inf")):
        raise SubspaceError(f"A strength of {strength} was asked for; give a number above 0, or None to keep the file's own length.")
    subspace = Subspace(
        basis=direction if strength is None else direction * (strength / norm),
        name=name or path.stem,
        fingerprint="" if generator is None else generator.fingerprint,
        layers=tuple(direction.abs().amax(1).nonzero()[:, 0].tolist()),
        source="direction",
        estimator="imported",
        parameters={"file": path.name, "norm": round(norm, 6), "shape": list(raw.shape)},
        calibration=Calibration(unit=f"length {norm if strength is None else strength:g} in code space"),
        licence=licence,
    )
    if generator is not None:
        subspace.check(generator)
    return subspace


def _read(path: Path) -> torch.Tensor:
    if not path.is_file():
        raise SubspaceError(f"There is no file {str(path)!r}; check the path.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SubspaceError(f"{path.name} is no direction that can be read; give one of {', '.join(SUFFIXES)}.")
    if files.is_ours(path):
        raise SubspaceError(f"{path.name} is a file of micromotion, not a plain direction; Subspace.load reads motions.")
    try:
        with torch.inference_mode(False):
            content = _READERS.get(suffix, read_file)(path)
    except (MicromotionError, SafetensorError, OSError, ValueError, EOFError, MemoryError) as error:
        raise SubspaceError(f"{path.name} cannot be read as a plain tensor: {_first_sentence(error)}.") from error
    tensors = _tensors(content)
    if len(tensors) != 1:
        raise SubspaceError(f"{path.name} holds {len(tensors)} tensors; a direction file holds one.")
    return tensors[0].detach().clone()


def _read_npy(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float32))


_READERS = {".npy": _read_npy, ".safetensors": load_file}


def _tensors(content) -> list[torch.Tensor]:
    if isinstance(content, torch.Tensor):
        return [content]
    if isinstance(content, np.ndarray):
        return [torch.from_numpy(content)]
    values = content.values() if isinstance(content, dict) else content if isinstance(content, (list, tuple)) else ()
    return [v for v in values if isinstance(v, torch.Tensor)]


def _shaped(raw: torch.Tensor, path: Path, num_layers: int | None, generator: Generator | None) -> torch.Tensor:
    x = raw[0] if raw.ndim == 3 and len(raw) == 1 else raw
    num_layers = num_layers if generator is None else generator.num_layers
    if generator is not None and x.shape in ((num_layers * generator.width,), (1, num_layers * generator.width)):
        x = x.reshape(num_layers, generator.width)
    if not x.is_floating_point() or x.ndim not in (1, 2) or not x.numel():
        raise SubspaceError(f"{path.name} has shape {tuple(raw.shape)}; a direction is [layers, width], [1, layers, width] or [width].")
    if not torch.isfinite(x).all():
        raise SubspaceError(f"{path.name} holds numbers that are not finite (NaN or infinity); get another copy.")
    if x.ndim == 2 and len(x) > MOST_LAYERS:
        raise SubspaceError(
            f"{path.name} has shape {tuple(raw.shape)}: {len(x)} rows are more than a StyleGAN2 has layers; a direction is [layers, width]."
        )
    if x.ndim == 2 and len(x) > 1:
        return x.float()
    if num_layers is None:
        raise SubspaceError(f"{path.name} holds one row for all layers; give the generator, so that its number of layers is known.")
    return x.reshape(1, -1).float().repeat(num_layers, 1)


def _first_sentence(error: Exception) -> str:
    return str(error).split("\n")[0].split(". ")[0].rstrip(".")
