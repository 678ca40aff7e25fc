"""Pictures as files and sheets: reading, rounding to bytes, enlarging, contact sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..files import limits
from ..files.pictures import font, read_picture
from .errors import MediaError


def read_image(path: str | Path) -> torch.Tensor:
    """Read a picture as ``[1, 3, H, W]``, float32, -1..1, upright by its EXIF orientation, transparency laid on white."""
    image = read_picture(path)
    if image.shape[1] == 3:
        return image
    color, alpha = image[:, :3], (image[:, 3:] + 1) / 2
    return color * alpha + (1 - alpha)


def to_bytes(images: torch.Tensor) -> np.ndarray:
    """Images ``[N, 3, H, W]`` in -1..1 -> uint8 ``[N, H, W, 3]``, rounded, so that a picture read comes out unchanged."""
    scaled = images.detach().float().mul(127.5).add_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def enlarge(images: torch.Tensor, size: int) -> torch.Tensor:
    """Enlarge images to at least ``size`` px on the shorter side (bicubic); larger ones stay as they are."""
    shorter, size = min(images.shape[-2:]), limits.SIZE.checked(size, "The size in pixels is", MediaError)
    if shorter >= size:
        return images
    target = [round(side * size / shorter) for side in images.shape[-2:]]
    return torch.nn.functional.interpolate(images, size=target, mode="bicubic", antialias=True)


def contact_sheet(rows: list[tuple[str, list[tuple[str, Image.Image]]]], cell: int) -> Image.Image:
    """Lay pictures, none larger than ``cell`` px, out in labeled rows: ``[(row label, [(caption, picture), ...]), ...]``."""
    margin, caption = 8, 22
    label_width = 12 + max(int(font(16).getlength(label)) for label, _ in rows)
    columns = max(len(cells) for _, cells in rows)
    sheet = Image.new("RGB", (label_width + columns * (cell + margin) + margin, len(rows) * (cell + caption + margin) + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for r, (label, cells) in enumerate(rows):
        top = margin + r * (cell + caption + margin)
        draw.text((margin, top + cell / 2), label, fill="black", font=font(16), anchor="lm")
        for c, (text, picture) in enumerate(cells):
            left = margin + label_width + c * (cell + margin)
            sheet.paste(picture, (left + (cell - picture.width) // 2, top + (cell - picture.height) // 2))
            draw.text((left + cell / 2, top + cell + 3), text, fill="#555555", font=font(13), anchor="ma")
    return sheet
