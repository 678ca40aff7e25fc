"""Read any file of tensors and plain values, executing nothing that it contains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .budget import border
from .containers import plain, read_contents
from .errors import naming


def read_file(path: str | Path, supported: str = "") -> Any:
    """Read a torch, pickle, numpy or safetensors file into plain dicts, lists, numbers, text and CPU tensors, executing nothing.

    Objects (``argparse.Namespace``, modules, TorchScript programs) become dicts of their attributes. Tensors may share the file's
    memory: do not write to them. ``supported``: a sentence that a refusal of the file's kind ends with.
    Raises CheckpointError.
    """
    return read_any(path, supported)[1]


def read_any(path: str | Path, supported: str = "") -> tuple[str, Any]:
    """What ``read_file`` returns, behind the kind of its container: "safetensors", "torch zip", "TorchScript", "pickle", ..."""
    path = Path(path)
    with naming(path.name), border(path.name), torch.inference_mode(False), torch.no_grad():
        contents = read_contents(path, supported)
        return contents.container, plain(contents.tree)
