"""rosinality/stylegan2-pytorch state dicts, also inside pSp, e4e and ReStyle files, to canonical names and back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from .architecture import shaped

SIGNATURE = "input.input"
MAX_BLOCKS = 12


def canonical(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename and reshape; no number changes except the low-pass kernels, which are stored times 4."""
    resolution = 4 << min(sum(1 for k in state if re.fullmatch(r"to_rgbs\.\d+\.conv\.weight", k)), MAX_BLOCKS)
    named = {theirs: ours for ours, theirs in names(resolution)}
    named.update(
        {f"style.{m[1]}.{m[2]}": f"mapping.fc{int(m[1]) - 1}.{m[2]}" for k in state if (m := re.fullmatch(r"style\.(\d{1,3})\.(\w+)", k))}
    )
    return {named[k]: _reshape(named[k], v) for k, v in state.items() if k in named}


def names(resolution: int) -> Iterator[tuple[str, str]]:
    """Pairs (canonical, rosinality) of every synthesis tensor up to ``resolution``."""
    yield "synthesis.b4.const", "input.input"
    for k in range(2, resolution.bit_length()):
        block = f"synthesis.b{2**k}"
        yield from _layer(f"{block}.conv1", "conv1" if k == 2 else f"convs.{2 * k - 5}", 0 if k == 2 else 2 * k - 4)
        yield from _rgb(f"{block}.torgb", "to_rgb1" if k == 2 else f"to_rgbs.{k - 3}")
        if k > 2:
            yield from _layer(f"{block}.conv0", f"convs.{2 * k - 6}", 2 * k - 5)
            yield f"{block}.conv0.resample_filter", f"convs.{2 * k - 6}.conv.blur.kernel"
            yield f"{block}.resample_filter", f"to_rgbs.{k - 3}.upsample.kernel"


def _layer(ours: str, theirs: str, noise: int) -> Iterator[tuple[str, str]]:
    yield from _affine(ours, theirs)
    yield f"{ours}.bias", f"{theirs}.activate.bias"
    yield f"{ours}.noise_strength", f"{theirs}.noise.weight"
    yield f"{ours}.noise_const", f"noises.noise_{noise}"


def _rgb(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    yield from _affine(ours, theirs)
    yield f"{ours}.bias", f"{theirs}.bias"


def _affine(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    yield f"{ours}.weight", f"{theirs}.conv.weight"
    yield f"{ours}.affine.weight", f"{theirs}.conv.modulation.weight"
    yield f"{ours}.affine.bias", f"{theirs}.conv.modulation.bias"


def _reshape(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if name.endswith("resample_filter"):
        return tensor / 4
    if name.endswith("torgb.bias"):
        return tensor.reshape(-1)
    return tensor.squeeze(0) if tensor.ndim == 5 else shaped(name, tensor)
