"""A picture that shows which faces were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..files.pictures import font as load_font
from .errors import FaceError
from .landmarks import Face
from .pictures import as_pictures

COLORS = ((255, 196, 0), (0, 200, 255), (255, 90, 150), (120, 220, 80), (190, 140, 255), (255, 140, 60))


def draw(image, faces: Sequence[Face] | Sequence[Sequence[Face]], *, value_range: tuple[float, float] = (-1, 1)) -> Any:
    """``image`` with the box, number and 68 landmarks of every face, in the form that came in; RGB.

    The numbers are places in ``faces``: what ``choose(..., by="left to right", index=n)`` takes. For a batch give a list for each frame.
    """
    pictures = as_pictures(image, "image", value_range)
    per_frame: Sequence[Any] = [faces] if pictures.single else faces
    if len(per_frame) != len(pictures):
        raise FaceError(f"image has {len(pictures)} frames and faces {len(per_frame)}: give a list of faces for each frame.")
    drawn = [_draw_one(pictures.rgb(i), found) for i, found in zip(range(len(pictures)), per_frame)]
    return pictures.give_back(pictures.from_8bit(np.stack(drawn)))


def _draw_one(photo: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
    image = Image.fromarray(photo)
    pen = ImageDraw.Draw(image)
    for number, face in enumerate(faces):
        _draw_face(pen, face, number, COLORS[number % len(COLORS)], max(1, round(max(image.size) / 500)))
    return np.asarray(image)


def _draw_face(pen: ImageDraw.ImageDraw, face: Face, number: int, color: tuple[int, int, int], thick: int) -> None:
    pen.rectangle(face.box, outline=color, width=thick)
    dot = max(0.75, min(thick, face.extent / 80))
    for x, y in face.landmarks:
        pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=color)
    font = load_font(max(12, face.extent / 5))
    width, height = pen.textbbox((0, 0), str(number), font=font, anchor="lt")[2:]
    # Above the box, where it hides nothing of the face; inside the picture in any case.
    left, top = max(face.box[0], 0), max(face.box[1] - height - 6, 0)
    pen.rectangle((left, top, left + width + 8, top + height + 6), fill=color)
    pen.text((left + 4, top + 3), str(number), font=font, fill=(0, 0, 0), anchor="lt")
