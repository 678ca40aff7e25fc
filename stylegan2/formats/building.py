"""From canonical tensors to a Generator that holds them, with what formats leave out filled in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.overrides import TorchFunctionMode

from ...files.errors import DamagedFileError
from ..generator import Architecture, Generator, Provenance
from ..ops import fir_kernel
from ..sampling import one_hot
from . import dialects
from .architecture import infer_architecture
from .recognize import Found

MEAN_CODE_SAMPLES = 10_000
MEAN_CODE = "mapping.w_avg"
SMALL = 64  # px: enough to see a color
BLUER = 0.1  # of the range -1..1


def build(found: Found, path: str, size: int, *, shared: bool) -> Generator:
    """Return the generator of ``found``, from a file of ``size`` bytes.

    ``found.state`` is consumed, tensor by tensor. ``shared``: its tensors are views of the open file and must be copied.
    """
    if 2 * sum(v.numel() for v in found.state.values()) > size + (1 << 20):
        raise DamagedFileError("The file describes more numbers than it holds; it is damaged.")
    architecture = infer_architecture(found.state, found.hints)
    generator = _empty(architecture)
    expected, notes, has_mean = generator.state_dict(), list(found.notes), MEAN_CODE in found.state
    state = _owned(found.state, expected, shared)
    _fill(state, expected, architecture, notes)
    _check(state, expected)
    generator.load_state_dict(state, assign=True)
    generator.eval().requires_grad_(False)
    if not has_mean:
        generator.mapping.w_avg = _mean_code(generator)
        notes.append(f"The file has no mean code; it was estimated from {MEAN_CODE_SAMPLES:,} samples (seed 0).")
    if found.any_order and draws_blue_first(generator):
        _exchange_colors(generator)
        notes.append(dialects.BGR)
    generator.provenance = Provenance(found.format, path, tuple(notes), found.classes if len(found.classes) == architecture.c_dim else ())
    return generator


class _Shapes(TorchFunctionMode):
    """Initial values become shapes without memory behind them: sizes are the file's word until its tensors are compared with them.

    (On the meta device PyTorch would import its compiler.)
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (torch.randn, torch.zeros, torch.full):
            return torch.empty(()).expand(args if isinstance(args[0], int) else tuple(args[0]))
        if func in (torch.Tensor.__truediv__, torch.Tensor.div):
            return args[0]
        return func(*args, **(kwargs or {}))


def _empty(architecture: Architecture) -> Generator:
    try:
        with _Shapes():
            return Generator(architecture)
    except (RuntimeError, MemoryError) as e:
        raise DamagedFileError("The file describes a generator that is too large for this machine; it is damaged.") from e


def _owned(state: dict[str, torch.Tensor], expected: Mapping[str, torch.Tensor], copy: bool) -> dict[str, torch.Tensor]:
    """Move the expected tensors out of ``state``, float32 and contiguous, so that no two copies of all of them exist at once."""
    owned = {}
    for key in expected:
        if key in state:
            tensor = _float(state.pop(key))
            owned[key] = tensor.clone(memory_format=torch.contiguous_format) if copy else tensor.contiguous()
    return owned


def _float(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        raise DamagedFileError(f"The file holds a weight of type {tensor.dtype}; expected floating point numbers.")
    return tensor.to(torch.float32)


def _fill(state: dict[str, torch.Tensor], expected: Mapping[str, torch.Tensor], architecture: Architecture, notes: list[str]) -> None:
    """Add what formats leave out: filters, noise pictures, the mean code."""
    taps = fir_kernel(architecture.resample_filter)
    noise = [k for k in expected if k.endswith("noise_const") and k not in state]
    state.update({k: taps.clone() for k in expected if k.endswith("resample_filter") and k not in state})
    state.update({k: torch.zeros(expected[k].shape) for k in noise})
    state.setdefault(MEAN_CODE, torch.zeros(architecture.w_dim))
    if noise:
        notes.append("The file has no noise pictures; constant noise is zero, like noise 'none'.")


def _check(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    missing = [k for k in expected if k not in state]
    if missing:
        raise DamagedFileError(f"The generator lacks {len(missing)} of its tensors, the first {missing[0]}; the file is incomplete.")
    for key, tensor in expected.items():
        found, right = list(state[key].shape), list(tensor.shape)
        if found != right:
            raise DamagedFileError(f"The tensor {key} has shape {found}; expected {right}. The file is damaged.")
        if not state[key].isfinite().all():
            raise DamagedFileError(f"The tensor {key} holds numbers that are not finite; the file is damaged.")


@torch.no_grad()
def draws_blue_first(generator: Generator) -> bool:
    """Whether the middle of the mean picture is bluer than red, which no face in red, green, blue is."""
    if generator.architecture.img_channels != 3:
        return False
    resolution = min(generator.resolution, SMALL) if generator.architecture.architecture == "skip" else generator.resolution
    code = generator.w_avg.expand(1, generator.num_layers, -1)
    height, width = (picture := generator.synthesis(code, "none", resolution=resolution)[0].clamp(-1, 1)).shape[-2:]
    red, _, blue = picture[:, height // 4 : height - height // 4, width // 4 : width - width // 4].mean((1, 2)).tolist()
    return blue - red > BLUER


def _exchange_colors(generator: Generator) -> None:
    for name, parameter in generator.synthesis.named_parameters():
        if name.endswith(("torgb.weight", "torgb.bias")):
            parameter.data = parameter.data.flip(0).contiguous()


def _mean_code(generator: Generator) -> torch.Tensor:
    """The mean of w over seeded z, ``[D]``; for class-conditional networks over seeded classes too."""
    rng = torch.Generator().manual_seed(0)
    arch, total = generator.architecture, torch.zeros(generator.width, dtype=torch.float64)
    for start in range(0, MEAN_CODE_SAMPLES, 1000):
        n = min(1000, MEAN_CODE_SAMPLES - start)
        z = torch.randn(n, arch.z_dim, generator=rng)
        labels = one_hot(torch.randint(arch.c_dim, (n,), generator=rng), arch.c_dim) if arch.c_dim else None
        total += generator.mapping(z, labels).double().sum(0)
    return (total / MEAN_CODE_SAMPLES).float()
