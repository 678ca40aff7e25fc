"""Pictures that explain: curves, bars, contact sheets; drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..files.pictures import font
from . import host

PAPER, INK, PALE, GRID = "#ffffff", "#1d2433", "#8a94a6", "#e3e7ee"
COLORS = ("#2f6fdf", "#e4572e", "#2a9d5c", "#8e5bd6", "#d39b00", "#0f9fb0", "#c0398f", "#5a6472")
MARGIN = 56
FONT = 15


def to_image(picture: Image.Image) -> torch.Tensor:
    """A picture as IMAGE ``[1, H, W, 3]``."""
    return host.to_host(torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255)[None])


def from_image(image: torch.Tensor) -> Image.Image:
    """The first picture of an IMAGE."""
    return Image.fromarray(image[0, ..., :3].detach().float().mul(255).round().clamp(0, 255).to(torch.uint8).cpu().numpy())


def plot(curves: Mapping[str, Sequence[float]], x: Sequence[float], title: str, x_name: str, size=(720, 420)) -> Image.Image:
    """Lines over common ``x`` with a grid, their names below the title, and round numbers at the axes."""
    picture, draw = _sheet(size, title)
    below = _legend(draw, list(curves), size[0])
    values = [v for curve in curves.values() for v in curve if np.isfinite(v)]
    box = _Axes(draw, size, (min(x), max(x)), (min(values, default=0), max(values, default=1)), x_name, top=below)
    for i, curve in enumerate(curves.values()):
        points = [box.at(a, b) for a, b in zip(x, curve) if np.isfinite(b)]
        draw.line(points, fill=COLORS[i % len(COLORS)], width=3, joint="curve")
    return picture


def bars(values: Sequence[float], title: str, x_name: str, size=(720, 420)) -> Image.Image:
    """One bar for each value, from 0, numbered below."""
    picture, draw = _sheet(size, title)
    box = _Axes(draw, size, (-0.5, len(values) - 0.5), (min(0.0, *values), max(values)), x_name, ticks=False)
    for i, value in enumerate(values):
        (left, zero), (right, top) = box.at(i - 0.4, 0), box.at(i + 0.4, value)
        draw.rectangle((left, min(zero, top), right, max(zero, top)), fill=COLORS[0])
        if len(values) <= 24:
            draw.text(((left + right) / 2, size[1] - MARGIN + 6), str(i), fill=PALE, font=font(13), anchor="ma")
    return picture


def table(rows: Sequence[Sequence[str]], title: str, size=(720, 420)) -> Image.Image:
    """Rows of text in even columns."""
    picture, draw = _sheet(size, title)
    width = (size[0] - 2 * 24) / max(len(row) for row in rows)
    for i, row in enumerate(rows):
        for j, text in enumerate(row):
            draw.text((24 + j * width, 64 + 24 * i), text, fill=INK, font=font(FONT))
    return picture


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one width, one below the other."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), PAPER)
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet


def contact_sheet(image: torch.Tensor, labels: Sequence[str], title: str, width: int = 720) -> Image.Image:
    """The pictures of an IMAGE in one row, each with its label."""
    side = width // len(image)
    sheet, draw = _sheet((width, side + 44 + 24), title)
    for i, label in enumerate(labels):
        sheet.paste(from_image(image[i : i + 1]).resize((side, side), Image.Resampling.LANCZOS), (i * side, 44))
        draw.text((i * side + side / 2, 44 + side + 4), label, fill=INK, font=font(13), anchor="ma")
    return sheet


def _legend(draw, names: Sequence[str], width: int) -> int:
    """Names in their colors from the left, in as many rows as they need; where the axes may begin."""
    left, top = MARGIN, MARGIN - 12
    for i, name in enumerate(names):
        length = font(FONT).getlength(name) + 24
        if left > MARGIN and left + length > width:
            left, top = MARGIN, top + 20
        draw.text((left, top), name, fill=COLORS[i % len(COLORS)], font=font(FONT))
        left += length
    return top + 28


def _sheet(size: tuple[int, int], title: str):
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((24, 14), title, fill=INK, font=font(18))
    return picture, draw


class _Axes:
    """A frame with a grid; ``at`` turns values into pixels."""

    def __init__(self, draw, size, x_range, y_range, x_name: str, ticks: bool = True, top: int = MARGIN):
        self.size, self.top = size, top
        self.x0, self.x1 = _widened(*x_range)
        self.y0, self.y1 = _widened(*y_range)
        for y in _round_numbers(self.y0, self.y1):
            draw.line([self.at(self.x0, y), self.at(self.x1, y)], fill=GRID)
            draw.text((MARGIN - 8, self.at(self.x0, y)[1]), f"{y:g}", fill=PALE, font=font(13), anchor="rm")
        for x in _round_numbers(self.x0, self.x1) if ticks else ():
            draw.text((self.at(x, self.y0)[0], size[1] - MARGIN + 6), f"{x:g}", fill=PALE, font=font(13), anchor="ma")
        draw.text((size[0] / 2, size[1] - 20), x_name, fill=PALE, font=font(13), anchor="mm")

    def at(self, x: float, y: float) -> tuple[float, float]:
        width, height = self.size[0] - 2 * MARGIN, self.size[1] - MARGIN - self.top
        return MARGIN + (x - self.x0) / (self.x1 - self.x0) * width, self.top + (self.y1 - y) / (self.y1 - self.y0) * height


def _round_numbers(low: float, high: float, wanted: int = 5) -> list[float]:
    """About as many numbers as wanted between the two, whole multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _widened(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)
