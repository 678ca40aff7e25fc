"""From canonical tensors to an :class:`Architecture`: sizes are read from shapes, never from names or presets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from ...files.errors import DamagedFileError, UnsupportedFileError
from ..generator import Architecture

MAX_RESOLUTION = 4096
MAX_MAPPING = 64
MAX_BASE = 32  # of the constant that pictures grow from: 4 x 4, and others for oblong pictures
MAX_WIDTH = 16_384  # of codes and labels; published networks have 512, and up to 1000 classes
MAX_IMAGE_CHANNELS = 4
ACTIVATIONS = ("lrelu", "linear")
OLD_LABELS = "This is a class-conditional StyleGAN2 from before ADA; its labels work differently and are not supported."


def infer_architecture(state: Mapping[str, Any], hints: Mapping[str, Any]) -> Architecture:
    """Read the sizes from the shapes in ``state`` (canonical names) and the rest from ``hints``.

    ``hints`` may hold architecture, conv_clamp, resample_filter, lr_multiplier, activation. Raises DamagedFileError where tensors are
    missing or do not fit together.
    """
    try:
        return Architecture(**_sizes(state), **_mapping_sizes(state), **_checked_hints(state, hints))
    except (KeyError, IndexError) as e:
        raise DamagedFileError(f"The generator lacks the tensor {e.args[0]}; the file is incomplete.") from e


def _sizes(state: Mapping[str, Any]) -> dict[str, Any]:
    resolutions = sorted({int(m[1]) for k in state if (m := re.match(r"synthesis\.b(\d{1,6})\.", k))})
    expected = [4 << i for i in range(len(resolutions))]
    if not resolutions or resolutions != expected or resolutions[-1] > MAX_RESOLUTION:
        raise DamagedFileError(f"The generator has blocks of {resolutions} px; expected 4, 8, 16, ... without a gap.")
    last = resolutions[-1]
    side = _shape(state, "synthesis.b4.const", 3)[1:]
    if max(side) > MAX_BASE:
        raise DamagedFileError(f"The generator's pictures grow from {side[0]} x {side[1]}, more than any StyleGAN2's; the file is damaged.")
    colors = _shape(state, f"synthesis.b{last}.torgb.weight", 4)[0]
    if colors > MAX_IMAGE_CHANNELS:
        raise UnsupportedFileError(
            f"The generator draws {colors} channels, no pictures: it is a part of a larger network (EG3D, for example), not a StyleGAN2."
        )
    return {
        "resolution": last,
        "base": (side[0], side[1]),
        "channels": {r: _shape(state, f"synthesis.b{r}.conv1.weight", 4)[0] for r in resolutions},
        "w_dim": _shape(state, "synthesis.b4.conv1.affine.weight", 2)[1],
        "img_channels": colors,
        "use_noise": "synthesis.b4.conv1.noise_strength" in state,
    }


def _mapping_sizes(state: Mapping[str, Any]) -> dict[str, Any]:
    layers = 0
    while f"mapping.fc{layers}.weight" in state:
        layers += 1
    if layers > MAX_MAPPING:
        raise DamagedFileError(f"The generator's mapping has {layers} layers, far more than any StyleGAN2; the file is refused.")
    hidden, n_in = _shape(state, "mapping.fc0.weight", 2)
    w_dim = _shape(state, "synthesis.b4.conv1.affine.weight", 2)[1]
    embed, classes = _shape(state, "mapping.embed.weight", 2) if "mapping.embed.weight" in state else (0, 0)
    if max(hidden, n_in, w_dim, embed, classes) > MAX_WIDTH:
        raise DamagedFileError(f"The generator's mapping is wider than {MAX_WIDTH:,}, far more than any StyleGAN2; the file is refused.")
    if not embed and n_in == 2 * w_dim:
        raise DamagedFileError(
            f"The generator's first mapping layer takes {n_in} numbers, twice the width of its codes: it is class-conditional, and its"
            " label embedding was lost when the file was converted. Load the original file."
        )
    return {
        "mapping_layers": layers,
        "z_dim": n_in - embed,
        "c_dim": classes,
        "embed_dim": 0 if embed == w_dim else embed,
        "hidden_dim": 0 if layers == 1 or hidden == w_dim else hidden,
    }


def _shape(state: Mapping[str, Any], key: str, dimensions: int) -> tuple[int, ...]:
    shape = tuple(state[key].shape)
    if len(shape) != dimensions or not all(shape):
        raise DamagedFileError(f"The tensor {key} has shape {list(shape)}; expected {dimensions} dimensions. The file is damaged.")
    return shape


def _checked_hints(state: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    architecture = hints.get("architecture") or _layout(state)
    if architecture not in ("skip", "orig", "resnet"):
        raise UnsupportedFileError(f"The generator's architecture is {architecture!r}; supported are skip, orig and resnet.")
    return {
        "architecture": architecture,
        "conv_clamp": _number(hints, "conv_clamp", None),
        "resample_filter": _taps(hints.get("resample_filter") or _taps_in(state) or (1, 3, 3, 1)),
        "lr_multiplier": _number(hints, "lr_multiplier", 0.01),
        "activation": _activation(hints.get("activation") or "lrelu"),
    }


def _layout(state: Mapping[str, Any]) -> str:
    if any(k.endswith(".skip.weight") for k in state):
        return "resnet"
    return "skip" if "synthesis.b4.torgb.weight" in state else "orig"


def _number(hints: Mapping[str, Any], key: str, default: float | None) -> float | None:
    value = hints.get(key, default)
    if value is not None and (type(value) not in (int, float) or not 0 < value < 1e9):
        raise DamagedFileError(f"The file gives {key} the value {str(value)[:40]}; expected a positive number.")
    return value


def _activation(name: Any) -> str:
    if name not in ACTIVATIONS:
        raise UnsupportedFileError(f"The generator's activation is {str(name)[:40]!r}; supported are {', '.join(ACTIVATIONS)}.")
    return name


def _taps(values: Any) -> tuple[float, ...]:
    values = tuple(values) if isinstance(values, (list, tuple)) else ()
    if not 1 <= len(values) <= 64 or not all(type(v) in (int, float) and abs(v) < 1e6 for v in values) or not sum(values):
        raise DamagedFileError("The file describes its low-pass filter by something other than a short list of numbers.")
    return values


def _taps_in(state: Mapping[str, Any]) -> tuple[float, ...] | None:
    """The taps of a stored separable kernel, in the customary whole numbers where they are such."""
    kernel = state.get("synthesis.b4.resample_filter")
    if kernel is None or len(kernel.shape) != 2 or not 1 <= kernel.shape[0] == kernel.shape[1] <= 64:
        return None
    rows = kernel.double().sum(1)
    if not 1e-6 < rows.sum().abs() < 1e6:
        return None
    whole = rows / rows.abs().min().clamp(min=1e-12)
    nice = (whole - whole.round()).abs().max() < 1e-4
    return tuple(int(v) for v in whole.round().tolist()) if nice else tuple(rows.tolist())


def shaped(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in the shape of its canonical name: the strength of noise is a number, noise is ``[H, W]``, the constant ``[C, H, W]``."""
    if name.endswith("noise_strength"):
        return tensor.reshape(())
    if name.endswith("noise_const"):
        return tensor.reshape(tensor.shape[-2:])
    return tensor.squeeze(0) if name.endswith("b4.const") and tensor.ndim == 4 else tensor
