"""Feed-forward encoders, image -> code offsets: pSp (arXiv 2008.00951), e4e (2102.02766), ReStyle (2104.02699).

They differ in four facts, all of them in ``EncoderConfig``: the body, where the style heads tap it, whether the rows are
offsets to the first row (progressive), and whether the input carries the current reconstruction (6 channels, ReStyle).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .backbones import Body, BodySpec, read_spec
from .errors import InversionError

# encoder_type as written in the files' opts -> (taps, progressive)
ENCODER_TYPES = {
    "BackboneEncoder": ("last", False),
    "ProgressiveBackboneEncoder": ("last", True),
    "ResNetBackboneEncoder": ("last", False),
    "ResNetProgressiveBackboneEncoder": ("last", True),
    "GradualStyleEncoder": ("pyramid", False),
    "Encoder4Editing": ("pyramid", True),
    "ResNetGradualStyleEncoder": ("pyramid", False),
    "BackboneEncoderUsingLastLayerIntoW": ("w", False),
    "SingleStyleCodeEncoder": ("w", False),
    "WEncoder": ("w", False),  # HyperStyle's (Alaluf et al. 2022, arXiv 2111.15666)
    "BackboneEncoderUsingLastLayerIntoWPlus": ("joint", False),
}
COARSE, MIDDLE = 3, 7  # first rows of the middle and fine taps of the pyramid
POOLED = 7  # side of the last map before the joint head


@dataclass(frozen=True)
class EncoderConfig:
    """Everything that shapes an encoder. ``taps`` is ``last``, ``pyramid``, ``w`` (one row for all layers) or
    ``joint`` (one head for all rows); ``head_convs`` counts the strided
    convolutions of the first style head, so the last feature map is ``2 ** head_convs`` and the image 16 times that."""

    body: BodySpec
    taps: str
    progressive: bool
    num_layers: int
    width: int
    head_convs: int = 4
    encoder_type: str = ""

    @property
    def input_size(self) -> int:
        return 16 * 2**self.head_convs

    @property
    def channels_in(self) -> int:
        return self.body.channels_in


class EqualLinear(nn.Module):
    """Fully connected layer, weight over sqrt(in) at run time."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight / self.weight.shape[1] ** 0.5, self.bias)


class StyleHead(nn.Module):
    """A feature map ``[N, C, S, S]`` -> one code row ``[N, D]``: log2(S) strided convolutions, then a linear layer."""

    def __init__(self, n_in: int, width: int, convs: int):
        super().__init__()
        layers = []
        for i in range(convs):
            layers += [nn.Conv2d(width if i else n_in, width, 3, 2, 1), nn.LeakyReLU()]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.convs(x).flatten(1))


class StyleEncoder(Body):
    """Images ``[N, C, S, S]`` in -1..1 -> code offsets ``[N, L, D]``; S is 256 in the published files."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config.body)
        self.config = config
        if config.taps == "w":
            self.linear = EqualLinear(config.body.widths[-1], config.width)
            return
        if config.taps == "joint":
            self.output_layer_2 = _joint_neck(config.body.widths[-1], config.width)
            self.linear = EqualLinear(config.width, config.width * config.num_layers)
            return
        if config.taps == "pyramid":
            fine, middle, coarse = (config.body.widths[i] for i in config.body.stage_ends[-3:])
            self.latlayer1 = nn.Conv2d(middle, coarse, 1)
            self.latlayer2 = nn.Conv2d(fine, coarse, 1)
        heads = (StyleHead(config.body.widths[-1], config.width, config.head_convs + self._level(i)) for i in range(config.num_layers))
        self.styles = nn.ModuleList(heads)

    def _level(self, row: int) -> int:
        """Which map feeds this row: 0 the last, 1 and 2 the larger ones of the pyramid."""
        return (row >= COARSE) + (row >= MIDDLE) if self.config.taps == "pyramid" else 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.features(images)
        if self.config.taps == "w":
            code = self.linear(maps[-1].mean((2, 3)))
            return code[:, None].repeat(1, self.config.num_layers, 1)
        if self.config.taps == "joint":
            return self.linear(self.output_layer_2(maps[-1])).unflatten(1, (self.config.num_layers, self.config.width))  # [N, L, D]
        maps = self._pyramid(maps) if self.config.taps == "pyramid" else maps[-1:]
        rows = torch.stack([head(maps[self._level(i)]) for i, head in enumerate(self.styles)], 1)  # [N, L, D]
        return torch.cat([rows[:, :1], rows[:, :1] + rows[:, 1:]], 1) if self.config.progressive else rows

    def _pyramid(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        fine, middle, coarse = maps[-3:]
        p2 = _grow(coarse, middle) + self.latlayer1(middle)
        return [coarse, p2, _grow(p2, fine) + self.latlayer2(fine)]


def _joint_neck(n_in: int, width: int) -> nn.Sequential:
    pool = nn.AdaptiveAvgPool2d((POOLED, POOLED))
    return nn.Sequential(nn.BatchNorm2d(n_in), pool, nn.Flatten(), nn.Linear(n_in * POOLED**2, width))


def _grow(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


def read_config(state: dict[str, torch.Tensor], encoder_type: str | None, num_layers: int | None = None) -> EncoderConfig:
    """Read an encoder's sizes from its tensors; ``encoder_type`` settles only what no tensor shows (progressive or not).

    ``num_layers`` is needed by the kinds with one head, whose tensors do not show it.
    """
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    taps = _read_taps(shapes)
    expected, progressive = ENCODER_TYPES.get(encoder_type or "", (taps, False))
    if expected != taps:
        raise InversionError(
            f"This file calls its encoder {encoder_type}, but its tensors are those of a {_describe(taps)};"
            " it is damaged or was edited. Use the file as its authors published it."
        )
    body = read_spec(shapes)
    if taps == "w":
        width, size_in = shapes["linear.weight"]
        return EncoderConfig(body, taps, False, num_layers or 18, width, 4, encoder_type or "")
    if taps == "joint":
        size_out, width = shapes["linear.weight"]
        return EncoderConfig(body, taps, False, size_out // width, width, 4, encoder_type or "")
    rows = len({k.split(".")[1] for k in shapes if k.startswith("styles.")})
    convs = sum(k.startswith("styles.0.convs.") and k.endswith(".weight") for k in shapes)
    width = shapes["styles.0.linear.weight"][0]
    return EncoderConfig(body, taps, progressive, rows, width, convs, encoder_type or "")


def _read_taps(shapes: dict) -> str:
    if "latlayer1.weight" in shapes:
        return "pyramid"
    if "output_layer_2.3.weight" in shapes:
        return "joint"
    return "last" if "styles.0.linear.weight" in shapes else "w"


def _describe(taps: str) -> str:
    return {
        "last": "plain style encoder",
        "pyramid": "feature-pyramid encoder",
        "w": "single-code (W) encoder",
        "joint": "encoder of all rows at once",
    }[taps]
