"""Where a pasted square counts: soft masks over the aligned square."""

from __future__ import annotations

import functools

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..files import limits
from .crop import Crop
from .errors import FaceError
from .filters import gaussian_blur, smoothstep

SHAPES = ("face", "square")
MASK_SIDE = 256
KEPT = 16  # masks: a slider is dragged over one face, again and again
JAW, BROWS = slice(0, 17), slice(17, 27)
CHIN = 8
FOREHEAD = 0.45  # of the height from chin to brows
# The outline of a face in the FFHQ square when no landmarks are known: (center x, center y, half width, half height), in sides.
AVERAGE_FACE = (0.5, 0.53, 0.27, 0.39)


def square_mask(crop: Crop, shape: str = "face", scale: float = 1.0, softness: float = 0.15) -> torch.Tensor:
    """A mask over the aligned square, ``[256, 256]`` float32 in 0..1, that falls to 0 at its edges.

    ``shape`` "face" is the outline of the face (jaw, brows and forehead; an average one when the crop has no landmarks), "square" the whole
    square. ``scale`` scales the shape about its middle and ``softness`` is the width of the soft edge, both in share of the shape's height.
    """
    if shape not in SHAPES:
        raise FaceError(f"The mask follows the {' or the '.join(SHAPES)}, not {shape!r}.")
    scale = limits.MASK_SIZE.checked(scale, "The size of the mask, in shares of the face, is", FaceError)
    softness = limits.SHARE.checked(softness, "The softness of the mask, in shares of the face, is", FaceError)
    return drawn_mask(crop, shape, scale, softness).clone()


@functools.lru_cache(maxsize=KEPT)
def drawn_mask(crop: Crop, shape: str, scale: float, softness: float) -> torch.Tensor:
    """``square_mask``, checked; to be copied."""
    if crop.empty:
        return torch.zeros(MASK_SIDE, MASK_SIDE)
    if shape == "square":
        return _square(crop, scale, softness)
    outline = face_outline(crop)
    middle, height = (outline.min(axis=0) + outline.max(axis=0)) / 2, float(np.ptp(outline[:, 1]))
    drawn = _draw(middle + (outline - middle) * scale)
    soft = gaussian_blur(drawn[..., None], softness * height * MASK_SIDE / 3)[..., 0]
    return torch.from_numpy(np.ascontiguousarray(soft)) * _square(crop, 1.0, min(softness, 0.1))


def face_outline(crop: Crop) -> np.ndarray:
    """A closed outline ``[n, 2]`` of the face in the square, 0..1: the jaw, and half an ellipse over brows and forehead."""
    if crop.landmarks is None:
        x, y, half_width, half_height = AVERAGE_FACE
        return np.array([x, y]) + _arc(np.array([half_width, 0]), np.array([0, half_height]), 2 * np.pi)
    points = crop.to_square(np.asarray(crop.landmarks))
    left, right, brows = points[JAW][0], points[JAW][-1], points[BROWS].mean(axis=0)
    middle = (left + right) / 2
    forehead = middle + _arc((right - left) / 2, brows - middle + FOREHEAD * (brows - points[CHIN]), np.pi)
    return np.concatenate([points[JAW], forehead])


def _arc(across: np.ndarray, up: np.ndarray, end: float) -> np.ndarray:
    """Points of an ellipse with these half axes, from ``across`` over ``up``, ``[48, 2]``."""
    turn = np.linspace(0, end, 48, endpoint=False)[:, None]
    return across * np.cos(turn) + up * np.sin(turn)


def _draw(outline: np.ndarray, finer: int = 4) -> np.ndarray:
    """A filled polygon, antialiased, ``[MASK_SIDE, MASK_SIDE]`` float32."""
    image = Image.new("L", (MASK_SIDE * finer, MASK_SIDE * finer))
    ImageDraw.Draw(image).polygon([tuple(p) for p in (outline * MASK_SIDE * finer - 0.5).tolist()], fill=255)
    return np.asarray(image.reduce(finer), dtype=np.float32) / 255


def _square(crop: Crop, size: float, softness: float) -> torch.Tensor:
    """1 in the middle, 0 from the edge on; a square that is the whole picture has no edge to hide."""
    if crop.is_whole and size >= 1:
        return torch.ones(MASK_SIDE, MASK_SIDE)
    at = (torch.arange(MASK_SIDE) + 0.5) / MASK_SIDE
    inside = min(size, 1.0) / 2 - (at - 0.5).abs() - 1 / MASK_SIDE
    ramp = smoothstep(inside / max(softness * size, 1e-6))
    return ramp[None, :] * ramp[:, None]
