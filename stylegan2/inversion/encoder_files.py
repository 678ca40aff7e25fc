"""Encoders out of files: tensors checked against the size of the file, networks of the sizes found in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard, TypeVar

import torch

from ...files import native
from ...files.reading import read_file
from .compact import CompactEncoder
from .encoders import ENCODER_TYPES, StyleEncoder, read_config
from .errors import InversionError

Network = TypeVar("Network", bound=torch.nn.Module)

KIND = "inverter"
LARGEST_COUNT = 100  # of passes and of code rows
SMALLEST_NUMBER = 2  # bytes of a stored weight
SLACK = 1 << 20
SUPPORTED = (
    "Supported are pSp, e4e, ReStyle-pSp and ReStyle-e4e checkpoints (.pt with encoder.* tensors) and .safetensors inverters of this pack."
)


def read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that is one flat state dict, also under ``state_dict``, also of parallel training; raises InversionError."""
    data = read_file(path)
    data = data.get("state_dict", data) if isinstance(data, Mapping) else data
    if not isinstance(data, Mapping) or not data or not all(isinstance(v, torch.Tensor) for v in data.values()):
        raise InversionError(f"{path} is not a plain file of tensors.")
    tensors = {str(k).removeprefix("module."): v for k, v in data.items()}
    check_size(tensors, str(path), Path(path).stat().st_size)
    return tensors


def check_size(tensors: Mapping[str, torch.Tensor], path: str, size: int) -> None:
    """Raise InversionError where ``tensors`` share their numbers so that copies of them would be much larger than the file."""
    if SMALLEST_NUMBER * sum(v.numel() for v in tensors.values()) > size + SLACK:
        raise InversionError(f"{path} describes more numbers than it holds; it is damaged. Download it again.")


def build_encoder(state: dict[str, torch.Tensor], encoder_type: str | None, path: str = "", num_layers: int | None = None) -> StyleEncoder:
    """A StyleEncoder of the sizes found in ``state`` (no prefix), holding its tensors as float32 without a second copy."""
    try:
        config = read_config(state, encoder_type, num_layers)
        with torch.device("meta"):
            network = StyleEncoder(config)
        return filled(network, state)
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        if isinstance(error, InversionError):
            raise
        raise InversionError(f"The encoder in {path} is incomplete or of an unknown kind: {in_a_line(error)}. {SUPPORTED}") from None


def read_native_encoder(path: Path) -> tuple[dict, dict[str, torch.Tensor], StyleEncoder | CompactEncoder]:
    """Header, tensors and network of a native inverter file. Raises CheckpointError, or InversionError where the encoder is damaged."""
    header, tensors = native.read(path, KIND, advice=SUPPORTED)
    encoder = {k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")}
    with described(path):
        return header, tensors, _native_encoder(header, encoder, str(path))


@contextmanager
def described(path: Path) -> Iterator[None]:
    """Say of whatever a header of a wrong shape raises that the file is damaged."""
    try:
        yield
    except InversionError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise InversionError(f"The inverter file {path} is damaged: {in_a_line(error)}. Load or download it again.") from None


def filled(network: Network, state: dict[str, torch.Tensor]) -> Network:
    """``network`` holding the tensors of ``state`` as float32; only counters of batches may be missing."""
    counters = {k: torch.zeros([], dtype=torch.long) for k in network.state_dict() if k.endswith("num_batches_tracked")}
    network.load_state_dict({**counters, **{k: v.float() if v.is_floating_point() else v for k, v in state.items()}}, assign=True)
    return network


def _native_encoder(header: dict, state: dict[str, torch.Tensor], path: str) -> StyleEncoder | CompactEncoder:
    config = header["config"]
    if header["encoder"] == "compact":
        with torch.device("meta"):
            network = CompactEncoder(config)
        return filled(network, state)
    return build_encoder(state, known_type(config["encoder_type"]), path, checked_count(config["num_layers"]))


def known_type(encoder_type: object) -> str:
    if not isinstance(encoder_type, str) or encoder_type not in ENCODER_TYPES:
        raise InversionError(f"This file's encoder is of type {str(encoder_type)[:40]!r}; known types: {', '.join(ENCODER_TYPES)}.")
    return encoder_type


def is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= LARGEST_COUNT


def checked_count(value: object) -> int:
    if not is_count(value):
        raise TypeError(f"{str(value)[:40]!r} where a number from 1 to {LARGEST_COUNT} belongs")
    return value


def in_a_line(error: Exception) -> str:
    """What a library says of an error, without its line breaks and not endlessly long."""
    return " ".join(str(error).split())[:200]
