"""Weights derived from tensor names, as the reference encoders of data/encoders_keyed_fullsize.npz were given theirs."""

from __future__ import annotations

import zlib

import numpy as np
import torch

SLOPES = ("res_layer.2", "input_layer.2.weight", "relu.weight")


def keyed(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The keyed tensor of this name (without prefix) and shape."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    noise = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(int(np.prod(shape))).astype(np.float32)
    return torch.from_numpy(np.asarray(_shaped(key, noise, shape), dtype=np.float32).reshape(shape))


def _shaped(key: str, a: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if key.endswith("running_var"):
        return 0.1 * np.abs(a) + 0.9
    if key.endswith(("running_mean", "bias")):
        return 0.05 * a
    if len(shape) == 4:
        return a / np.sqrt(np.prod(shape[1:]))
    if len(shape) == 2:
        return a if "styles" in key or key == "linear.weight" else a / np.sqrt(shape[1])
    return 0.25 + 0.01 * a if any(s in key for s in SLOPES) else 1 + 0.05 * a


def fill(module: torch.nn.Module) -> torch.nn.Module:
    """Overwrite every tensor of ``module`` with its keyed value."""
    state = module.state_dict()
    module.load_state_dict({k: keyed(k, tuple(v.shape)) for k, v in state.items()}, assign=True)
    return module.eval()
