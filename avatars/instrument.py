"""The factor regressor as an instrument: what a motion of the avatars is meant to change, and by how much."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from .motions import FURTHER, MOTIONS
from .regressor import READ, WEIGHTS, load_regressor
from .renderer import FACTORS, MOVES

KNOWN = (*MOTIONS, *FURTHER)


class AvatarInstrument:
    """Reads the factors, moves and identity of avatars. One coefficient of a ready motion is its whole range: degree 0 to 1."""

    quantities: tuple[str, ...] = (*FACTORS, *MOVES)

    def __init__(self, path: Path = WEIGHTS, device: torch.device | str = "cpu"):
        self.regressor = load_regressor(path).to(device)

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """Factors and moves ``[N, Q]`` of images ``[N, 3, R, R]`` in -1..1, columns of ``quantities``."""
        with torch.no_grad():
            return self.regressor(images)[:, [READ.index(name) for name in self.quantities]]

    def identity(self, images: torch.Tensor) -> torch.Tensor:
        """Identity parameters ``[N, E]``, centered on 0."""
        return self.regressor.identity(images)

    def meter(self, quantity: str) -> tuple[Callable[[torch.Tensor], torch.Tensor], float]:
        """What reads one of ``quantities`` of images ``[N, 3, R, R]``, and its value in a face at rest."""
        column = self.quantities.index(quantity)
        return lambda images: self.read(images)[:, column], next(m.low for m in KNOWN if m.parameter == quantity)

    def meant_by(self, motion: str) -> dict[str, float]:
        """The factor or move that a ready motion changes, and its change for one unit; of any other motion none is known."""
        return {m.parameter: m.high - m.low for m in KNOWN if m.name == motion}
