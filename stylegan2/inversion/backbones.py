"""The two bodies under every published StyleGAN2 face encoder: IR-SE50 (Deng et al. 2019, arXiv 1801.07698) and ResNet34.

Parameter names are those of the published files, relative to ``encoder.``; widths and depths are free, so that the same code
loads a full-size file and builds a tiny one.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .errors import InversionError

SE_REDUCTION = 16
SHRINKS = 16  # by how much every published body makes a picture smaller


@dataclass(frozen=True)
class BodySpec:
    """A body: its kind (``irse`` or ``resnet``), image channels, stem width, and the width of every unit."""

    kind: str
    channels_in: int
    stem: int
    widths: tuple[int, ...]

    @property
    def steps(self) -> list[tuple[int, int, int]]:
        """``(in, out, stride)`` of every unit; a change of width halves the size, and so does the first IR-SE unit."""
        pairs = itertools.pairwise((self.stem, *self.widths))
        return [(a, b, 2 if a != b or (i == 0 and self.kind == "irse") else 1) for i, (a, b) in enumerate(pairs)]

    @property
    def shrinks(self) -> int:
        """How much smaller the last feature map is than the picture."""
        return math.prod(stride for _, _, stride in self.steps) * (2 if self.kind == "resnet" else 1)

    @property
    def stage_ends(self) -> list[int]:
        """Index of the last unit of each width."""
        return [i for i, w in enumerate(self.widths) if i + 1 == len(self.widths) or self.widths[i + 1] != w]


class SqueezeExcite(nn.Module):
    """Scale every channel by a gate computed from all channel means (Hu et al. 2018)."""

    def __init__(self, width: int):
        super().__init__()
        hidden = max(width // SE_REDUCTION, 1)
        self.fc1 = nn.Conv2d(width, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class IRSEUnit(nn.Module):
    """Pre-normalized residual unit of IR-SE50."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.stride = stride
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(n_in),
            nn.Conv2d(n_in, n_out, 3, 1, 1, bias=False),
            nn.PReLU(n_out),
            nn.Conv2d(n_out, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
            SqueezeExcite(n_out),
        )
        if n_in != n_out:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = self.shortcut_layer(x) if hasattr(self, "shortcut_layer") else x[:, :, :: self.stride, :: self.stride]
        return self.res_layer(x) + shortcut


class ResNetUnit(nn.Module):
    """Basic block of ResNet34 (He et al. 2016)."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        if n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class Body(nn.Module):
    """Images ``[N, C, S, S]`` -> the feature map at the end of every stage; the last is S/16."""

    def __init__(self, spec: BodySpec):
        super().__init__()
        self.spec = spec
        if spec.kind == "irse":
            stem = nn.Conv2d(spec.channels_in, spec.stem, 3, 1, 1, bias=False)
            self.input_layer = nn.Sequential(stem, nn.BatchNorm2d(spec.stem), nn.PReLU(spec.stem))
        else:
            self.conv1 = nn.Conv2d(spec.channels_in, spec.stem, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(spec.stem)
            self.relu = nn.PReLU(spec.stem)
        unit = IRSEUnit if spec.kind == "irse" else ResNetUnit
        self.body = nn.Sequential(*[unit(*step) for step in spec.steps])

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.input_layer(x) if self.spec.kind == "irse" else self.relu(self.bn1(self.conv1(x)))

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps at the end of each stage, largest first."""
        x, taps, ends = self.stem(x), [], set(self.spec.stage_ends)
        for i, unit in enumerate(self.body):
            x = unit(x)
            if i in ends:
                taps.append(x)
        return taps


def read_spec(shapes: dict[str, tuple[int, ...]]) -> BodySpec:
    """Read a body's sizes off its tensor shapes; KeyError names the first tensor that is missing. Raises InversionError."""
    irse = "input_layer.0.weight" in shapes
    stem = shapes["input_layer.0.weight" if irse else "conv1.weight"]
    last = "body.{}.res_layer.3.weight" if irse else "body.{}.conv2.weight"
    count = 1 + max(int(k.split(".")[1]) for k in shapes if k.startswith("body."))
    widths = tuple(shapes[last.format(i)][0] for i in range(count))
    spec = BodySpec("irse" if irse else "resnet", stem[1], stem[0], widths)
    if spec.shrinks != SHRINKS:
        raise InversionError(
            f"This network makes a picture {spec.shrinks} times smaller, not {SHRINKS} times; it is not one of the published face encoders."
        )
    return spec
