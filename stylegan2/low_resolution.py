"""Synthesis at a lower resolution, close to a given code: a fast stand-in for the full generator in optimization loops."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .generator import Generator, GeneratorError


@dataclass(frozen=True)
class SkipSynthesis:
    """codes ``[N, L, D]`` -> images ``[N, C, r, r]`` (or oblong): the generator's skip output at r px plus a constant residual.

    An approximation: the layers above r px are left out. What they add to the picture of one code is added to the pictures of all:
    exact at that code, first-order close around it. Differentiable in the codes. Only for the ``skip`` architecture.
    """

    generator: Generator
    residual: torch.Tensor  # [N or 1, C, r, r]
    noise: str = "const"

    @classmethod
    def around(cls, generator: Generator, code: torch.Tensor, resolution: int = 256, noise: str = "const") -> SkipSynthesis:
        """Prepare for codes near ``code [N or 1, L, D]``. Raises `GeneratorError` for a resolution that has no skip output."""
        known = generator.architecture.resolutions if generator.architecture.architecture == "skip" else (generator.resolution,)
        if resolution not in known:
            raise GeneratorError(f"This generator has no image at {resolution} px; choose one of {', '.join(map(str, known))}.")
        with torch.no_grad():
            full = generator.synthesize(code, noise)
            small = generator.synthesis(code, noise, resolution=resolution)
            return cls(generator, F.avg_pool2d(full, generator.resolution // resolution) - small, noise)

    @property
    def resolution(self) -> int:
        return self.residual.shape[-1] * self.generator.resolution // self.generator.size[1]

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """Images of ``codes [N, L, D]``, float32, about -1..1: comparable to the full images shrunk by area."""
        return self.generator.synthesis(codes, self.noise, resolution=self.resolution) + self.residual
