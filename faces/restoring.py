"""Copies of a picture in which a detector made for good photos sees faces in poor light, in halftone prints, and small ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFilter, ImageOps

BASE = 750  # px: the longer side of the picture that is restored; larger ones were searched as they are
LARGEST = 1200  # px: the longer side of a copy
SMOOTHINGS = (1.0, 0.0, 2.0)  # px of the base, a standard deviation: halftones need some, small faces none
ZOOMS = (2.0, 4.0)
NARROWEST = 80  # px: below, a copy cannot hold a face that a detector sees
CLIPPED = 1  # percent of the darkest and of the lightest values that a stretched copy loses
NEIGHBOURHOOD = 1 / 8  # of the longer side, over which light is evened
CONTRAST, NOISE = 40.0, 4.0  # gray levels: the spread that an evened copy has, and the one below which nothing is made louder


def restored(photo: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Copies ``[H, W]`` uint8 of a photo ``[H, W, 3]`` uint8, the most promising first, and pixels of the copy for one of the photo."""
    base = Image.fromarray(photo).convert("L")
    base.thumbnail((BASE, BASE), Image.Resampling.BOX)
    side = max(base.size)
    for smoothing in SMOOTHINGS:
        smooth = base.filter(ImageFilter.GaussianBlur(smoothing)) if smoothing else base
        for zoom in sorted({min(zoom, LARGEST / side) for zoom in ZOOMS}):
            copy = smooth.resize([max(1, round(edge * zoom)) for edge in base.size], Image.Resampling.BICUBIC)
            if min(copy.size) < NARROWEST:
                continue
            scale = copy.width / photo.shape[1]
            yield np.asarray(ImageOps.autocontrast(copy, CLIPPED)), scale
            yield evened(copy), scale


def evened(gray: Image.Image) -> np.ndarray:
    """A gray picture with the same mean and the same contrast everywhere, ``[H, W]`` uint8."""
    soft = ImageFilter.GaussianBlur(max(gray.size) * NEIGHBOURHOOD)
    detail = np.asarray(gray, np.float32) - np.asarray(gray.filter(soft), np.float32)
    doubled = Image.fromarray(np.clip(np.abs(detail) * 2, 0, 255).astype(np.uint8))
    spread = np.asarray(doubled.filter(soft), np.float32) / 2
    return np.clip(128 + detail / (spread + NOISE) * CONTRAST, 0, 255).astype(np.uint8)
