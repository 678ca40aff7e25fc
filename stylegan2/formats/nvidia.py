"""NVIDIA's PyTorch networks (stylegan2-ada-pytorch and the stylegan3 repository's StyleGAN2): their names are the canonical ones."""

from __future__ import annotations

from typing import Any

SIGNATURE = "synthesis.b4.const"


def hints(attributes: dict[str, dict[str, Any]], prefix: str = "") -> dict[str, Any]:
    """What the modules say of themselves that no tensor shape shows; empty for a bare state dict.

    Attributes of the layers come first (they hold the defaults of the version that wrote the file), constructor arguments second.
    """
    layer = attributes.get(f"{prefix}synthesis.b4.conv1", {})
    block = attributes.get(f"{prefix}synthesis.b8", {}) or attributes.get(f"{prefix}synthesis.b4", {})
    fc = attributes.get(f"{prefix}mapping.fc0", {})
    found = {
        "conv_clamp": layer.get("conv_clamp"),
        "activation": layer.get("activation"),
        "architecture": block.get("architecture"),
        "lr_multiplier": fc.get("bias_gain"),
        "resample_filter": (block.get("_init_kwargs") or {}).get("resample_filter"),
    }
    arguments = _arguments(attributes, prefix)
    found = {k: arguments[k] if v is None else v for k, v in found.items()}
    return {k: v for k, v in found.items() if v is not None}


def _arguments(attributes: dict[str, dict[str, Any]], prefix: str) -> dict[str, Any]:
    """Constructor arguments, nested (ada) or flat (stylegan3 repository)."""
    top = attributes.get(prefix.rstrip("."), {}).get("_init_kwargs")
    top = top if isinstance(top, dict) else {}
    nested = top.get("synthesis_kwargs")
    flat = {**top, **(nested if isinstance(nested, dict) else {})}
    mapping = top.get("mapping_kwargs")
    lr = mapping.get("lr_multiplier") if isinstance(mapping, dict) else None
    return {**{k: flat.get(k) for k in ("conv_clamp", "activation", "architecture", "resample_filter")}, "lr_multiplier": lr}
