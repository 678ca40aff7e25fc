"""StyleGAN2: one image <-> one code."""

from .checkpoint import CheckpointError, convert, inspect, load, save
from .errors import MicromotionError
from .generator import Architecture, Generator
from .inversion import load_inverter

__all__ = ["Architecture", "CheckpointError", "Generator", "MicromotionError", "convert", "inspect", "load", "load_inverter", "save"]
