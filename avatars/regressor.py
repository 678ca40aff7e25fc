"""The measuring instrument: reads the renderer's parameters off a picture."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..stylegan2 import MicromotionError
from ..stylegan2.inversion.compact import Residual
from .renderer import FACTORS, MOVES, PARAMETERS

SIZE = 64
READ = (*PARAMETERS, *MOVES)
WEIGHTS = Path(__file__).parent / "weights" / "regressor.safetensors"


class Member(nn.Module):
    """One residual network: images ``[N, 3, 64, 64]`` -> parameters and moves ``[N, P + M]``."""

    def __init__(self, outputs: int = len(READ), widths: tuple[int, ...] = (32, 64, 128, 192)):
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Residual(a, b) for a, b in zip((widths[0], *widths), widths))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 16, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, outputs))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        for i, block in enumerate(self.blocks):
            x = block(x if i == 0 else F.max_pool2d(x, 2))
        return self.head(x) + 0.5


class Regressor(nn.Module):
    """The mean of several members trained apart. Frozen once trained; never used as an objective."""

    def __init__(self, members: int = 2, outputs: int = len(READ)):
        super().__init__()
        self.members = nn.ModuleList(Member(outputs) for _ in range(members))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Read parameters and moves ``[N, P + M]`` (about 0..1, columns of ``READ``) off images ``[N, 3, H, W]`` in -1..1, H = W >= 64."""
        if images.shape[-1] != SIZE:
            images = F.adaptive_avg_pool2d(images, SIZE)
        images = images.clamp(-1, 1)
        return torch.stack([member(images) for member in self.members]).mean(0)

    @torch.no_grad()
    def factors(self, images: torch.Tensor) -> torch.Tensor:
        """The five motion factors ``[N, 5]``, columns of ``FACTORS``."""
        return self(images)[:, : len(FACTORS)]

    @torch.no_grad()
    def identity(self, images: torch.Tensor) -> torch.Tensor:
        """The identity parameters ``[N, P - 5]``, centered on 0, to be compared by their cosine."""
        return self(images)[:, len(FACTORS) : len(PARAMETERS)] - 0.5


def load_regressor(path: Path = WEIGHTS) -> Regressor:
    """Load a regressor, of the file that its training wrote (``lab/train_regressor.py``)."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    if not Path(path).is_file():
        raise MicromotionError(f"There is no factor regressor at {path}; it ships in avatars/weights.")
    with safe_open(path, "pt") as f:
        metadata = json.loads((f.metadata() or {}).get("micromotion", "{}"))
    if metadata.get("kind") != "regressor":
        raise MicromotionError(f"{Path(path).name} is not a factor regressor.")
    regressor = Regressor(metadata["members"], len(metadata["parameters"]))
    regressor.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()})
    return regressor.eval().requires_grad_(False)
