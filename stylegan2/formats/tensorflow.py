"""NVIDIA's TensorFlow pickles (StyleGAN2 and StyleGAN2-ADA): (G, D, Gs), read without TensorFlow."""

from __future__ import annotations

import re
from typing import Any, TypeGuard

import torch

from ...files.errors import DamagedFileError, UnsupportedFileError
from ...files.values import Instance
from .architecture import OLD_LABELS, shaped
from .candidates import loaded, tensor_in


def network(tree: Any) -> Instance | None:
    """Gs, the averaged generator, if ``tree`` is a TensorFlow snapshot."""
    if isinstance(tree, (tuple, list)) and len(tree) == 3 and all(_is_network(n) for n in tree):
        tree = tree[2]
    return tree if _is_network(tree) else None


def _is_network(node: Any) -> TypeGuard[Instance]:
    return isinstance(node, Instance) and node.module == "dnnlib.tflib.network"


def canonical(gs: Instance) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Canonical tensors and hints (architecture, clamp, filter, ...) of ``gs``."""
    variables = _variables(gs)
    _refuse_others(variables, gs)
    state = {name: _transform(name, loaded(value)) for key, value in variables.items() if (name := _name(key))}
    return state, _hints(gs.state.get("static_kwargs") or {})


def _variables(node: Instance) -> dict[str, Any]:
    """Own variables, then each component's under its name."""
    found = {k: t for k, v in _pairs(node.state.get("variables")) if (t := tensor_in(_scalar(v))) is not None}
    components = node.state.get("components") or {}
    for name, part in components.items() if isinstance(components, dict) else ():
        if _is_network(part):
            found.update({f"{name}/{k}": t for k, v in _pairs(part.state.get("variables")) if (t := tensor_in(_scalar(v))) is not None})
    return found


def _pairs(variables: Any) -> list[tuple]:
    pairs = isinstance(variables, (list, tuple)) and all(isinstance(v, (list, tuple)) and len(v) == 2 for v in variables)
    if not pairs or not all(isinstance(name, str) for name, _ in variables):
        raise DamagedFileError("The TensorFlow network lists no variables; the file is damaged.")
    return [tuple(v) for v in variables]


def _scalar(value: Any) -> Any:
    return torch.tensor(value, dtype=torch.float32) if isinstance(value, float) else value


def _refuse_others(variables: dict[str, Any], gs: Instance) -> None:
    if any("/StyleMod/" in k or k.endswith("ToRGB_lod0/weight") for k in variables):
        raise UnsupportedFileError(
            "This is a TensorFlow StyleGAN1 network (or an early StyleGAN2 configuration A to D). Only StyleGAN2 is supported."
        )
    if "mapping/LabelConcat/weight" in variables:
        raise UnsupportedFileError(OLD_LABELS)
    if not any(k.endswith("4x4/Const/const") for k in variables):
        name = str(gs.state.get("name"))[:40]
        raise UnsupportedFileError(f"The TensorFlow network {name!r} in this file is not a StyleGAN2 generator.")


_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}
_TAILS = {"weight": "weight", "bias": "bias", "mod_weight": "affine.weight", "mod_bias": "affine.bias", "noise_strength": "noise_strength"}


def _name(key: str) -> str | None:
    if key == "dlatent_avg":
        return "mapping.w_avg"
    if key == "synthesis/4x4/Const/const":
        return "synthesis.b4.const"
    if m := re.fullmatch(r"mapping/Dense(\d{1,3})/(weight|bias)", key):
        return f"mapping.fc{m[1]}.{m[2]}"
    if m := re.fullmatch(r"mapping/LabelEmbed/(weight|bias)", key):
        return f"mapping.embed.{m[1]}"
    if m := re.fullmatch(r"synthesis/noise(\d{1,2})", key):
        j = int(m[1])
        return f"synthesis.b{2 ** ((j + 5) // 2)}.conv{j % 2 ^ 1}.noise_const"
    m = re.fullmatch(r"synthesis/(\d{1,5})x\1/(\w+)/(\w+)", key)
    return f"synthesis.b{m[1]}.{_LAYERS[m[2]]}.{_TAILS[m[3]]}" if m and m[2] in _LAYERS and m[3] in _TAILS else None


def _transform(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """TensorFlow stores [kh, kw, in, out] and [in, out], flips up-sampling kernels, and leaves 1 out of the style biases."""
    if name.endswith("affine.bias"):
        return tensor + 1
    if not name.endswith("weight"):
        return shaped(name, tensor)
    if name.endswith(("conv0.weight", "skip.weight")):
        tensor = tensor.flip(0, 1)
    return tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.t() if tensor.ndim == 2 else tensor


_KEYWORDS = {
    "architecture": "architecture",
    "conv_clamp": "conv_clamp",
    "resample_kernel": "resample_filter",
    "nonlinearity": "activation",
    "mapping_lrmul": "lr_multiplier",
}


def _hints(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {ours: kwargs[theirs] for theirs, ours in _KEYWORDS.items() if isinstance(kwargs, dict) and kwargs.get(theirs) is not None}
