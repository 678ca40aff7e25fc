"""genforce / GenForce state dicts to canonical names: TensorFlow's conventions in PyTorch clothes."""

from __future__ import annotations

import re

import torch

from ...files.errors import UnsupportedFileError
from .architecture import OLD_LABELS, shaped

SIGNATURE = "synthesis.early_layer.const"


def canonical(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename, flip the up-sampling kernels, and add the 1 that the style biases leave out.

    Raises UnsupportedFileError for labels of the kind from before ADA, and for the resnet layout: that code writes its shortcuts under
    the names of its convolutions, so that half of the weights are missing.
    """
    if "mapping.label_weight" in state:
        raise UnsupportedFileError(OLD_LABELS)
    if state.get("synthesis.layer1.weight", torch.empty(0)).shape[2:] == (1, 1):
        raise UnsupportedFileError(
            "This is a genforce network of the resnet layout, which genforce itself cannot draw with: it lacks layers."
        )
    out = {}
    for key, tensor in state.items():
        name = _name(key)
        if name:
            out[name] = _transform(name, tensor)
    return out


def _name(key: str) -> str | None:
    if key == SIGNATURE:
        return "synthesis.b4.const"
    if key == "truncation.w_avg":
        return "mapping.w_avg"
    if match := re.fullmatch(r"mapping\.dense(\d{1,3})\.(weight|bias)", key):
        return f"mapping.fc{match[1]}.{match[2]}"
    if match := re.fullmatch(r"mapping\.LabelEmbed\.(weight|bias)", key):
        return f"mapping.embed.{match[1]}"
    match = re.fullmatch(r"synthesis\.(layer|output)(\d{1,2})\.(.+)", key)
    if match is None or (tail := _TAILS.get(match[3])) is None:
        return None
    return f"synthesis.{_part(match[1], int(match[2]))}.{tail}"


_TAILS = {
    "weight": "weight",
    "bias": "bias",
    "style.weight": "affine.weight",
    "style.bias": "affine.bias",
    "noise": "noise_const",
    "noise_strength": "noise_strength",
}


def _part(kind: str, index: int) -> str:
    if kind == "output":
        return f"b{4 << index}.torgb"
    return f"b{2 ** ((index + 5) // 2)}.conv{0 if index % 2 else 1}"


def _transform(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if name.endswith("w_avg"):
        return tensor.reshape(-1, tensor.shape[-1])[0]
    if name.endswith("affine.bias"):
        return tensor + 1
    return tensor.flip(2, 3) if name.endswith("conv0.weight") else shaped(name, tensor)
