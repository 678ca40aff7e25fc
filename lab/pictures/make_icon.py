"""The registry's icon and banner, drawn from an embedded avatar: ``python -m micromotion.lab.pictures.make_icon``.

Writes ``docs/icon.png`` (400 x 400) and ``docs/banner.png`` (21:9).
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from ...files.embedded import embedded_root
from ...media import to_bytes
from ...stylegan2 import load
from ...subspaces import Subspace

DOCS = Path(__file__).resolve().parents[2] / "docs"
SEED, TRUNCATION = 78, 0.7
STOPS = (0.0, 0.25, 0.5, 0.75)
ICON, BANNER = 400, (1680, 720)
NIGHT, LINE, KNOB = (24, 26, 33), (96, 102, 120), (255, 184, 76)


def faces() -> list[Image.Image]:
    """One avatar along its smile."""
    generator = load(embedded_root() / "generator.safetensors")
    smile = Subspace.load(embedded_root() / "motions" / "smile.safetensors")
    z = torch.randn(1, generator.architecture.z_dim, generator=torch.Generator().manual_seed(SEED))
    with torch.inference_mode():
        codes = smile.apply(generator.map(z, truncation=TRUNCATION), torch.tensor(STOPS))
        drawn = to_bytes(generator.synthesize(codes))
    return [Image.fromarray(picture) for picture in drawn]


def rounded(face: Image.Image, side: int) -> Image.Image:
    """A face of ``side`` pixels with round corners."""
    mask = Image.new("L", (2 * side, 2 * side))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 2 * side - 1, 2 * side - 1), side // 4, fill=255)
    picture = face.resize((side, side), Image.Resampling.LANCZOS).convert("RGBA")
    picture.putalpha(mask.resize((side, side), Image.Resampling.LANCZOS))
    return picture


def slider(draw: ImageDraw.ImageDraw, left: int, right: int, y: int, at: float, size: int) -> None:
    """A coefficient: a line, and a knob at a share of it."""
    x = left + at * (right - left)
    draw.rounded_rectangle((left, y - size // 5, right, y + size // 5), size // 5, fill=LINE)
    draw.rounded_rectangle((left, y - size // 5, x, y + size // 5), size // 5, fill=KNOB)
    draw.ellipse((x - size, y - size, x + size, y + size), fill=KNOB)


def icon(face: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", (ICON, ICON), NIGHT)
    picture = rounded(face, 296)
    canvas.paste(picture, ((ICON - 296) // 2, 28), picture)
    slider(ImageDraw.Draw(canvas), 60, ICON - 60, 362, 0.8, 15)
    return canvas


def banner(row: list[Image.Image]) -> Image.Image:
    canvas = Image.new("RGB", BANNER, NIGHT)
    draw = ImageDraw.Draw(canvas)
    side, gap = 340, 50
    left = (BANNER[0] - len(row) * side - (len(row) - 1) * gap) // 2
    for i, (face, stop) in enumerate(zip(row, STOPS)):
        x = left + i * (side + gap)
        picture = rounded(face, side)
        canvas.paste(picture, (x, 190), picture)
        slider(draw, x + 20, x + side - 20, 595, stop / STOPS[-1], 15)
    draw.text((left, 60), "micromotion", font=ImageFont.load_default(84), fill=(240, 240, 245))
    words = "one face, one coefficient, one short motion"
    draw.text((BANNER[0] - left, 92), words, font=ImageFont.load_default(40), fill=(170, 176, 192), anchor="ra")
    return canvas


def main() -> None:
    row = faces()
    icon(row[-1]).save(DOCS / "icon.png", optimize=True)
    banner(row).save(DOCS / "banner.png", optimize=True)


if __name__ == "__main__":
    main()
