"""What a bug report needs: versions, devices, model files, optional packages. Nothing is installed, fetched or written."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from . import catalog
from .embedded import PACK, embedded_root

LISTED = 20  # files of one folder
FOLDERS = (
    catalog.GENERATORS,
    catalog.INVERTERS,
    catalog.IDENTITY,
    catalog.SCORERS,
    catalog.MOTIONS,
    "stylegan2_codes",
    "stylegan2_tunings",
    catalog.LANDMARKS,
)


@dataclass(frozen=True)
class Package:
    """One library: its module, the names under which it is installed, what it is for, and whether it is imported or only read."""

    module: str
    names: tuple[str, ...]
    purpose: str
    imported: bool = True


NEEDED = (
    Package("torch", ("torch",), "everything"),
    Package("numpy", ("numpy",), "everything"),
    Package("PIL", ("pillow",), "pictures"),
    Package("safetensors", ("safetensors",), "model and motion files"),
    Package("av", ("av",), "videos"),
)
OPTIONAL = (
    Package("open_clip", ("open_clip_torch",), "motions from a text, calibration by a text"),
    Package("dlib", ("dlib-bin", "dlib"), "finding faces in photos and clips"),
    Package("face_recognition_models", ("face_recognition_models",), "brings dlib's landmark file", imported=False),
    Package("lpips", ("lpips",), "a perceptual distance for Refine Face"),
    Package("tqdm", ("tqdm",), "progress bars on the command line"),
    Package("ray", ("ray",), "training pairs on several processes or machines", imported=False),
    Package("pyarrow", ("pyarrow",), "training pairs on several processes or machines", imported=False),
    Package("fsspec", ("fsspec",), "training pairs in a store such as s3"),
)


def version() -> str:
    """This pack's version."""
    return importlib.import_module(__name__.split(".")[0]).__version__


def comfyui_version() -> str:
    """The version of the ComfyUI that runs this process, or whose ``custom_nodes`` this pack lies in; "" outside of one."""
    if running := getattr(sys.modules.get("comfyui_version"), "__version__", ""):
        return running
    file = PACK.parent.parent / "comfyui_version.py"
    if PACK.parent.name != "custom_nodes" or not file.is_file():
        return ""
    found = re.search(r'__version__ = "([^"]+)"', file.read_text(encoding="utf-8"))
    return found.group(1) if found else "unknown"


def _installed(names: Iterable[str]) -> str:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def state(package: Package, load: bool = True) -> str:
    """A package's version, and with ``load`` whether it can be imported; "missing" where it is not installed."""
    if importlib.util.find_spec(package.module) is None:
        return "missing"
    found = _installed(package.names) or "installed, version unknown"
    if load and package.imported:
        try:
            importlib.import_module(package.module)
        except Exception as reason:  # a broken library may raise anything while it loads
            return f"{found}, but cannot be imported: {' '.join(f'{type(reason).__name__}: {reason}'.split())}"
    return found


def devices() -> list[str]:
    """Every device that torch can compute on, with name, memory in GiB and the build that drives it."""
    import torch

    build = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
    found = []
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        card = torch.cuda.get_device_properties(i)
        found.append(f"cuda:{i} {card.name}, {card.total_memory / 2**30:.1f} GiB, compute {card.major}.{card.minor}, {build}")
    if torch.backends.mps.is_available():
        found.append("mps (Apple)")
    return [*found, f"cpu, {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"]


def model_files(folders: Mapping[str, Iterable[Path]]) -> dict[str, list[str]]:
    """File names and sizes by the name of their folder: what lies in any of that folder's paths, subfolders included."""
    return {name: [line for path in paths for line in _listed(Path(path))] for name, paths in folders.items()}


def _listed(folder: Path) -> list[str]:
    files = sorted(_files(folder))
    lines = [f"{p.relative_to(folder).as_posix()} ({p.stat().st_size:,} bytes)" for p in files[:LISTED]]
    return lines + ([f"and {len(files) - LISTED} more"] if len(files) > LISTED else [])


def count(paths: Iterable[Path]) -> int:
    """How many files lie in any of a folder's paths, subfolders included."""
    return sum(len(_files(Path(path))) for path in paths)


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]


def short(path: Path) -> str:
    """A path without the name of the user: the home folder becomes ``~``."""
    path = path.absolute()
    return f"~/{path.relative_to(Path.home()).as_posix()}" if path.is_relative_to(Path.home()) else path.as_posix()


def report(models: Path, backend: str) -> str:
    """All of it as text. ``models`` is the folder that the model folders lie in, ``backend`` says which operations run and why."""
    comfyui = comfyui_version()
    files = model_files({name: [models / name] for name in FOLDERS})
    embedded = model_files({"embedded": [embedded_root()]})["embedded"]
    blocks = [
        ("", [f"micromotion {version()}", f"Python {platform.python_version()} on {platform.platform()}"]),
        ("ComfyUI", [comfyui or "micromotion does not lie in a ComfyUI's custom_nodes"]),
        ("Packages", [f"{p.names[0]}: {state(p)}" for p in NEEDED]),
        ("Optional packages", [f"{p.names[0]}: {state(p)} ({p.purpose})" for p in OPTIONAL]),
        ("Devices", devices()),
        ("StyleGAN2 operations", [backend]),
        ("Embedded models", embedded or ["none: this copy of the pack is not whole"]),
        (f"Model files in {short(models)}", [f"{name}: {', '.join(found) or 'none'}" for name, found in files.items()]),
    ]
    return "\n".join(line for title, lines in blocks for line in ([title] if title else []) + [("  " if title else "") + x for x in lines])


def summary(backend: str, folders: Mapping[str, Iterable[Path]]) -> str:
    """The same in one line, quickly: nothing is imported for it and files are only counted."""
    versions = ", ".join(f"{p.names[0]} {state(p, load=False)}" for p in (*NEEDED, *OPTIONAL) if state(p, load=False) != "missing")
    missing = ", ".join(p.names[0] for p in OPTIONAL if state(p, load=False) == "missing")
    counted = ", ".join(f"{name} {count(paths)}" for name, paths in folders.items())
    return (
        f"micromotion {version()} on ComfyUI {comfyui_version() or 'unknown'}, Python {platform.python_version()}; {versions};"
        f" not installed: {missing or 'nothing'}; devices: {'; '.join(devices())}; {backend} Model files: {counted}."
    )
