"""rosinality's network under other projects' names: mmgeneration and MMagic, BasicSR and GFPGAN's priors, PaddleGAN."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from ...files.errors import UnsupportedFileError
from . import rosinality

MMGEN, BASICSR = "constant_input.input", "constant_input.weight"  # signatures
PADDLE = "StructuredToParameterName@@"  # what paddle.save adds to a state dict
BGR = (
    "The network draws blue before red, as mmgeneration's do: the mean face showed it, so its channels were exchanged to red, green, blue."
)
_MMGEN = (
    (r"style_mapping\.(\d{1,3})\.linear\.weight_orig", r"style.\1.weight"),
    (r"style_mapping\.(\d{1,3})\.bias", r"style.\1.bias"),
    (r"constant_input\.input", "input.input"),
    (r"injected_noise_(\d{1,3})", r"noises.noise_\1"),
    (r"(.+)\.conv\.style_modulation\.(?:linear\.weight_orig|linear\.weight)", r"\1.conv.modulation.weight"),
    (r"(.+)\.conv\.style_modulation\.bias", r"\1.conv.modulation.bias"),
    (r"(.+)\.noise_injector\.weight", r"\1.noise.weight"),
    (r"(.+)\.conv\.weight_orig", r"\1.conv.weight"),
)
_BASICSR = (
    (r"style_mlp\.(.+)", r"style.\1"),
    (r"constant_input\.weight", "input.input"),
    (r"noises\.noise(\d{1,3})", r"noises.noise_\1"),
    (r"style_(conv1|convs\.\d{1,3})\.weight", r"\1.noise.weight"),
    (r"(?:style_)?(conv1|convs\.\d{1,3}|to_rgb1|to_rgbs\.\d{1,3})\.modulated_conv\.(.+)", r"\1.conv.\2"),
    (r"style_(conv1|convs\.\d{1,3})\.(.+)", r"\1.\2"),
)


def from_mmgen(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """mmgeneration's and MMagic's names (StyleGANv2Generator) to canonical ones."""
    return rosinality.canonical(_renamed(state, _MMGEN))


def from_basicsr(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """BasicSR's names (StyleGAN2Generator) to canonical ones; raises UnsupportedFileError for GFPGAN's later decoder."""
    if "style_conv1.bias" in state:
        raise UnsupportedFileError(
            "This is the decoder of a GFPGAN of version 1.2 or later (its 'clean' variant), which enlarges in another way than a StyleGAN2"
            " and draws from a photo's features. Load the prior it was made from, StyleGAN2_512_Cmul1_FFHQ_B12G4_scratch_800k.pth."
        )
    return rosinality.canonical(_renamed(state, _BASICSR))


def _renamed(state: dict[str, torch.Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, torch.Tensor]:
    return {_rename(key, rules): value for key, value in state.items()}


def _rename(key: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        if match := re.fullmatch(pattern, key):
            return match.expand(replacement)
    return key


def is_paddle(part: Mapping[str, Any], tree: Any) -> bool:
    """Whether rosinality's names come with PaddlePaddle's linear weights, which are stored as [in, out]."""
    if isinstance(tree, Mapping) and any(PADDLE in node for node in (tree, *tree.values()) if isinstance(node, Mapping)):
        return True
    weight, first = part.get("to_rgb1.conv.modulation.weight"), part.get("style.1.weight")
    width = 0 if first is None else first.shape[0]
    uneven = [v for k, v in part.items() if k.endswith("modulation.weight") and len(v.shape) == 2 and v.shape[0] != v.shape[1]]
    return weight is not None and bool(uneven) and all(v.shape[0] == width for v in uneven)


def from_paddle(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """PaddleGAN's names, which are rosinality's, to canonical ones."""
    linear = re.compile(r"style\.\d{1,3}\.weight|.*\.modulation\.weight")
    return rosinality.canonical({k: v.T if v.ndim == 2 and linear.fullmatch(k) else v for k, v in state.items()})
