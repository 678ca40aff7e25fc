"""StyleGAN2: one image <-> one code."""

from ..files.errors import MicromotionError
from .checkpoint import CheckpointError, convert, inspect, load, save
from .codes import load_codes, read_codes, save_codes
from .generator import Architecture, Generator, GeneratorError
from .inversion import load_inverter

__all__ = [
    "Architecture",
    "CheckpointError",
    "Generator",
    "GeneratorError",
    "MicromotionError",
    "convert",
    "inspect",
    "load",
    "load_codes",
    "load_inverter",
    "read_codes",
    "save",
    "save_codes",
]
