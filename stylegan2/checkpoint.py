"""Load, save, convert and inspect generator files of any supported kind, executing nothing that they contain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ..files import catalog
from ..files.budget import border
from ..files.containers import read_contents
from ..files.download import hash_file
from ..files.errors import CheckpointError, DamagedFileError, MissingFileError, UnsafeFileError, UnsupportedFileError, naming
from ..files.reading import read_file
from .formats import native
from .formats.building import build
from .formats.native import save
from .formats.recognize import find_generator
from .formats.refusals import SUPPORTED
from .generator import Architecture, Generator
from .sampling import described

__all__ = [
    "CheckpointError",
    "DamagedFileError",
    "MissingFileError",
    "Report",
    "UnsafeFileError",
    "UnsupportedFileError",
    "convert",
    "inspect",
    "load",
    "read_file",
    "save",
]


def load(path: str | Path) -> Generator:
    """Load a StyleGAN2 generator from any supported file, on the CPU, float32, in evaluation mode, without gradients.

    What could not be read from the file (a missing mean code, missing noise pictures) is stated in ``generator.provenance.notes``.
    Raises CheckpointError: MissingFileError, DamagedFileError, UnsafeFileError or UnsupportedFileError.
    """
    path = Path(path)
    _require(path)
    with naming(path.name), border(path.name), torch.inference_mode(False), torch.no_grad():
        contents = read_contents(path, SUPPORTED)
        found, container = find_generator(contents, path.name), contents.container
        del contents  # the rest of the file, before memory is taken for the generator
        return build(found, str(path), path.stat().st_size, shared=container == "torch zip")


def convert(source: str | Path, target: str | Path, dtype: torch.dtype = torch.float32) -> Generator:
    """Load any supported file and write it as native ``.safetensors``; in float32 the tensors stay bit for bit the same."""
    generator = load(source)
    save(generator, target, dtype)
    return generator


def _require(path: Path) -> None:
    """Say where a missing file comes from."""
    if path.is_file():
        return
    if path.is_dir():
        raise MissingFileError(f"{path} is a folder; name a file in it. {catalog.advice()}")
    known = next((e for e in catalog.ENTRIES if e.file == path.name), None)
    where = f"It is a public file: {known}. `micromotion download {known.name} --accept` fetches it." if known else catalog.advice()
    raise MissingFileError(f"There is no file {path}. {where}")


@dataclass(frozen=True)
class Report:
    """What :func:`inspect` finds out about a file; ``str(report)`` is made for people."""

    path: str
    format: str
    resolution: int
    layers: int
    width: int
    channels: dict[int, int]
    parameters: int
    sha256: str
    size: int
    architecture: Architecture
    license: str
    notes: tuple[str, ...] = ()
    classes: str = ""

    def __str__(self) -> str:
        widths = ", ".join(f"{r} px: {c}" for r, c in self.channels.items())
        rows = {
            "format": self.format,
            "resolution": f"{self.resolution} px",
            "layers": f"{self.layers} x {self.width}",
            "channels": widths,
            "classes": self.classes,
            "parameters": f"{self.parameters:,}",
            "size": f"{self.size:,} bytes",
            "sha256": self.sha256,
            "license": self.license,
        }
        lines = [self.path, *(f"  {k:<11}{v}" for k, v in rows.items() if v), *(f"  {'note':<11}{n}" for n in self.notes)]
        return "\n".join(lines)


def inspect(path: str | Path) -> Report:
    """Load ``path`` and report its format, sizes, hash and license. Raises CheckpointError like :func:`load`."""
    path = Path(path)
    generator = load(path)
    arch = generator.architecture
    digest = hash_file(path)
    return Report(
        path=str(path),
        format=generator.provenance.format,
        resolution=arch.resolution,
        layers=arch.num_layers,
        width=arch.w_dim,
        channels=dict(arch.channels),
        parameters=sum(p.numel() for p in generator.parameters()),
        sha256=digest,
        size=path.stat().st_size,
        architecture=arch,
        license=_license(generator.provenance.format, digest),
        notes=generator.provenance.notes,
        classes=f"{described(generator)}; one is chosen with --class" if arch.c_dim else "",
    )


def _license(form: str, digest: str) -> str:
    """The license of a known file, else what its format suggests."""
    known = catalog.by_hash(digest)
    if known:
        return f"{known.license} (this is {known.name} of the catalog)"
    if "NVIDIA" in form:
        return f"unknown file; weights published by NVIDIA are under the {catalog.NVIDIA}"
    if any(word in form for word in ("rosinality", "pSp", "genforce")):
        return "unknown file; if it was converted or tuned from NVIDIA's weights, their terms apply: research and evaluation only"
    if form == native.FORMAT:
        return "made with micromotion, not converted; its maker decides (the embedded avatars are MIT, like this project)"
    return "unknown file; its maker decides"
