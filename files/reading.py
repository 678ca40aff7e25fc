"""Read any file of tensors and plain values, executing nothing that it contains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .containers import plain, read_contents
from .errors import naming


def read_file(path: str | Path) -> Any:
    """Read a torch, pickle or safetensors file into plain dicts, lists, numbers, text and CPU tensors, executing nothing.

    Objects (``argparse.Namespace``, modules, TorchScript programs) become dicts of their attributes. Tensors may share the file's
    memory: do not write to them.
    Raises CheckpointError.
    """
    with naming(Path(path).name), torch.inference_mode(False), torch.no_grad():
        return plain(read_contents(path).tree)
