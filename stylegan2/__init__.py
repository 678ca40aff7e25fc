"""StyleGAN2: one image <-> one code."""

from ..files.errors import MicromotionError
from .checkpoint import CheckpointError, convert, inspect, load, save
from .generator import Architecture, Generator
from .inversion import load_inverter

__all__ = ["Architecture", "CheckpointError", "Generator", "MicromotionError", "convert", "inspect", "load", "load_inverter", "save"]
