"""The factor regressor as an instrument: what a motion of the avatars is meant to change, and by how much."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from .motions import MOTIONS
from .regressor import WEIGHTS, load_regressor
from .renderer import FACTORS


class AvatarInstrument:
    """Reads the factors and the identity of avatars. One coefficient of a ready motion is its whole range: degree 0 to 1."""

    quantities: tuple[str, ...] = FACTORS

    def __init__(self, path: Path = WEIGHTS, device: torch.device | str = "cpu"):
        self.regressor = load_regressor(path).to(device)

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """Factors ``[N, 5]`` of images ``[N, 3, R, R]`` in -1..1, columns of ``quantities``."""
        return self.regressor.factors(images)

    def identity(self, images: torch.Tensor) -> torch.Tensor:
        """Identity parameters ``[N, E]``, centered on 0."""
        return self.regressor.identity(images)

    def meter(self, quantity: str) -> tuple[Callable[[torch.Tensor], torch.Tensor], float]:
        """What reads one of ``quantities`` of images ``[N, 3, R, R]``, and its value in a face at rest."""
        column = self.quantities.index(quantity)
        return lambda images: self.read(images)[:, column], next(m.low for m in MOTIONS if m.parameter == quantity)

    def meant_by(self, motion: str) -> dict[str, float]:
        """The factor that a ready motion changes, and its change for one unit; of any other motion none is known."""
        return {m.parameter: m.high - m.low for m in MOTIONS if m.name == motion}
