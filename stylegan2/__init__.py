"""StyleGAN2: one image <-> one code."""

from .errors import MicromotionError
from .generator import Architecture, Generator

__all__ = ["Architecture", "Generator", "MicromotionError"]
