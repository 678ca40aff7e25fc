"""adriansahlman/stylegan2_pytorch (``Gs.pth``): nested models that name their class, their arguments and their tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from ...files.errors import DamagedFileError, UnsupportedFileError
from .architecture import OLD_LABELS, shaped
from .candidates import loaded, tensor_in

PARTS = ("G_mapping", "G_synthesis")
SHORTCUTS = (
    "This is an adriansahlman network of the resnet layout, whose shortcuts that project stores with inputs and outputs exchanged or not,"
    " depending on where they came from. Load the original network from NVIDIA's .pkl."
)
SHIFT = "Its own code displaces the coarse layers of the picture by one pixel; here they lie where NVIDIA's code puts them."
# Arguments that change the network, and the one value of each that is StyleGAN2's.
_FIXED = {
    "conv_block_size": (2,),
    "kernel_size": (3,),
    **dict.fromkeys(("demodulate", "modulate_data_out", "normalize_input", "weight_scale"), (True,)),
    "conv_resample_mode": ("FIR",),
    **dict.fromkeys(("conv_pad_mode", "filter_pad_mode"), ("constant",)),
    "activation": ("lrelu", "leaky:0.2", "linear"),
}
_TAILS = {
    "bias": "bias",
    "layer.weight": "noise_strength",
    "layer.noise_storage": "noise_const",
    "layer.layer.weight": "weight",
    "layer.layer.dense.layer.weight": "affine.weight",
    "layer.layer.dense.bias": "affine.bias",
}
_QUIET = {  # of a network without noise, and of toRGB
    "bias": "bias",
    "layer.weight": "weight",
    "layer.dense.layer.weight": "affine.weight",
    "layer.dense.bias": "affine.bias",
}


def is_model(tree: Any) -> bool:
    """Whether a tree of values is such a generator."""
    return isinstance(tree, Mapping) and all(isinstance(tree.get(p), Mapping) and "state_dict" in tree[p] for p in PARTS)


def canonical(tree: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Canonical tensors and hints. Raises UnsupportedFileError for labels and for arguments that make another network of it."""
    mapping, synthesis = (_arguments(tree[p]) for p in PARTS)
    if mapping.get("label_size"):
        raise UnsupportedFileError(OLD_LABELS)
    if any(".projection." in k for k in _tensors(tree["G_synthesis"])):
        raise UnsupportedFileError(SHORTCUTS)
    for name, allowed in _FIXED.items():
        for arguments in (mapping, synthesis):
            if name in arguments and arguments[name] not in allowed:
                raise UnsupportedFileError(f"The network's {name} is {str(arguments[name])[:40]!r}; a StyleGAN2 has {allowed[0]!r} there.")
    top = _tensors(tree)
    state = {"mapping.w_avg": top["dlatent_avg"]} if "dlatent_avg" in top else {}
    state |= {f"mapping.fc{m[1]}.{m[2]}": v for k, v in _tensors(tree["G_mapping"]).items() if (m := _MAPPING.fullmatch(k))}
    named = ((_name(k, synthesis.get("noise", True)), v) for k, v in _tensors(tree["G_synthesis"]).items())
    state |= {name: shaped(name, v) for name, v in named if name}
    return state, _hints(mapping, synthesis)


_MAPPING = re.compile(r"main\.(\d{1,2})\.(?:layer\.)?(weight|bias)")


def _arguments(model: Mapping[str, Any]) -> dict[str, Any]:
    found = model.get("kwargs")
    return dict(found) if isinstance(found, Mapping) else {}


def _tensors(model: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    state = model.get("state_dict")
    if not isinstance(state, Mapping):
        raise DamagedFileError("A part of the network has no tensors; the file is damaged.")
    return {str(k): loaded(t) for k, v in state.items() if (t := tensor_in(v)) is not None}


def _name(key: str, noise: bool) -> str | None:
    if key == "const":
        return "synthesis.b4.const"
    if match := re.fullmatch(r"conv_blocks\.(\d{1,2})\.conv_block\.([01])\.(.+)", key):
        block = int(match[1])
        tail = (_TAILS if noise else _QUIET).get(match[3])
        return f"synthesis.b{4 << block}.conv{1 if block == 0 else match[2]}.{tail}" if tail else None
    if match := re.fullmatch(r"to_data_layers\.(\d{1,2})\.(.+)", key):
        return f"synthesis.b{4 << int(match[1])}.torgb.{_QUIET[match[2]]}" if match[2] in _QUIET else None
    return None


def _hints(mapping: dict[str, Any], synthesis: dict[str, Any]) -> dict[str, Any]:
    taps = synthesis.get("conv_filter")
    activation = synthesis.get("activation")
    found = {
        "lr_multiplier": mapping.get("lr_mul"),
        "activation": "lrelu" if activation in (None, "leaky:0.2") else activation,
        "resample_filter": tuple(taps) if isinstance(taps, (list, tuple)) else None,
    }
    return {k: v for k, v in found.items() if v is not None}
