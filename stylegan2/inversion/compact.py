"""A small residual encoder for small generators: the inverter that ships with the embedded avatars."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

MAX_STAGES = 12


class CompactEncoder(nn.Module):
    """Images ``[N, channels_in, S, S]`` -> code offsets ``[N, L, D]``, to be added to the mean code.

    ``config``: ``input_size`` (S, a multiple of 16), ``channels_in`` (3, or 6 with the current reconstruction behind the
    image, ReStyle style), ``widths`` of the four stages, ``hidden``, ``num_layers`` (L) and ``width`` (D).
    """

    def __init__(self, config: dict):
        super().__init__()
        self.config = dict(config)
        widths = [int(w) for w in config["widths"][:MAX_STAGES]]
        last = int(config["input_size"]) // 2 ** len(widths)
        self.stem = nn.Conv2d(int(config["channels_in"]), widths[0], 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Residual(a, b) for a, b in zip((widths[0], *widths), widths))
        self.neck = nn.Linear(widths[-1] * last * last, int(config["hidden"]))
        self.head = nn.Linear(int(config["hidden"]), int(config["num_layers"]) * int(config["width"]))

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps at the end of each stage, largest first."""
        x, maps = self.stem(images), []
        for i, block in enumerate(self.blocks):
            x = block(x if i == 0 else F.max_pool2d(x, 2))
            maps.append(x)
        return maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = F.leaky_relu(self.neck(self.features(images)[-1].flatten(1)), 0.2)
        return self.head(x).unflatten(1, (int(self.config["num_layers"]), int(self.config["width"])))  # [N, L, D]


class Residual(nn.Module):
    """Two normalized 3x3 convolutions beside a shortcut: ``[N, n_in, H, W]`` -> ``[N, n_out, H, W]``."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.norm0, self.norm1 = nn.BatchNorm2d(n_in), nn.BatchNorm2d(n_out)
        self.conv0 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.conv1 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(n_in, n_out, 1, bias=False) if n_in != n_out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm0(x))
        return self.skip(x) + self.conv1(F.relu(self.norm1(self.conv0(y))))
