"""Crop: where in a photo a square came from. The geometry is that of FFHQ (Karras et al. 2019, arXiv 1812.04948, appendix)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .errors import FaceError

LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)
MOUTH_CORNERS = (48, 54)


@dataclass(frozen=True)
class Crop:
    """A square in a photo, and the size it was sampled at.

    ``size`` is the photo's (width, height); ``quad`` its corners north-west, south-west, south-east, north-east as (x, y) in photo pixels,
    the center of pixel i lying at i; ``side`` the pixels along an edge of the aligned square. ``shrink`` is the whole factor by which the
    photo was reduced before sampling (it moves the samples by half a pixel per unit). ``landmarks`` are the 68 points in photo pixels when
    they are known: the face mask follows them. ``empty`` says that the photo shows no face there: pasting leaves it as it is.
    """

    size: tuple[int, int]
    quad: tuple[tuple[float, float], ...]
    side: int
    shrink: int = 1
    landmarks: tuple[tuple[float, float], ...] | None = None
    empty: bool = False

    def __post_init__(self):
        corners = np.asarray(self.quad, dtype=np.float64)
        if corners.shape != (4, 2) or not np.isfinite(corners).all():
            raise FaceError("A crop needs four finite corners (x, y); align the photo again.")
        nw, sw, se, ne = corners
        edge = np.linalg.norm(sw - nw)
        if edge <= 0 or np.abs(se - ne - (sw - nw)).max() > 1e-3 * edge:
            raise FaceError("The corners of a crop must form a parallelogram of some size; align the photo again.")
        if self.side < 1:
            raise FaceError(f"The side of an aligned square must be at least 1 px, not {self.side}.")

    @classmethod
    def from_landmarks(cls, landmarks, size: tuple[int, int], side: int) -> Crop:
        """The FFHQ square around 68 ``landmarks`` (x, y) of a photo of ``size`` (width, height)."""
        landmarks = np.asarray(landmarks, dtype=np.float64)
        center, x = ffhq_square(landmarks)
        points = tuple((float(px), float(py)) for px, py in landmarks)
        return cls.from_square(center, x, size, side, landmarks=points).at(side)

    @classmethod
    def from_square(cls, center, x, size: Sequence[int], side: int, **more) -> Crop:
        """The square around ``center`` whose half side towards the right is the vector ``x``, both in photo pixels."""
        center, x = np.asarray(center, dtype=np.float64), np.asarray(x, dtype=np.float64)
        y = np.array([-x[1], x[0]])
        corners = (center - x - y, center - x + y, center + x + y, center + x - y)
        width, height = size
        return cls((width, height), tuple((float(a), float(b)) for a, b in corners), int(side), **more)

    @classmethod
    def aligned(cls, size: tuple[int, int], side: int | None = None) -> Crop:
        """The whole of a picture of ``size`` (width, height) that already is an aligned square."""
        width, height = size
        if width != height:
            raise FaceError(f"An already aligned picture must be square, and this one is {width} x {height} px: align it by its landmarks.")
        quad = ((-0.5, -0.5), (-0.5, height - 0.5), (width - 0.5, height - 0.5), (width - 0.5, -0.5))
        return cls((width, height), quad, int(side or width))

    def at(self, side: int) -> Crop:
        """The same square sampled at ``side`` px, the photo reduced first as the official procedure does."""
        shrink = 1 if self.is_whole else max(int(np.floor(self.length / side * 0.5)), 1)
        return replace(self, side=int(side), shrink=shrink)

    @property
    def corners(self) -> np.ndarray:
        """``[4, 2]`` corners as the samples see them: with the half-pixel shift of the reduction."""
        return np.asarray(self.quad, dtype=np.float64) + (self.shrink - 1) / 2

    @property
    def center(self) -> np.ndarray:
        return np.asarray(self.quad, dtype=np.float64).mean(axis=0)

    @property
    def x(self) -> np.ndarray:
        """Half a side, towards the right of the face, in photo pixels."""
        nw, _, _, ne = np.asarray(self.quad, dtype=np.float64)
        return (ne - nw) / 2

    @property
    def length(self) -> float:
        """The side of the square in photo pixels."""
        return 2 * float(np.hypot(*self.x))

    @property
    def is_whole(self) -> bool:
        """Whether the square is exactly the picture."""
        return self.size[0] == self.size[1] and self.quad == Crop.aligned(self.size).quad

    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the pixels that can lie inside the square, clipped to the photo; right and bottom exclusive."""
        low = np.maximum(np.floor(self.corners.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(self.corners.max(axis=0)).astype(int) + 1, self.size)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def to_square(self, points) -> np.ndarray:
        """Photo pixels ``[..., 2]`` -> position in the square, 0..1 from its north-west corner."""
        nw, sw, _, ne = self.corners
        basis = np.stack([ne - nw, sw - nw], axis=1)
        return np.linalg.solve(basis, (np.asarray(points, dtype=np.float64) - nw)[..., None])[..., 0]

    def to_photo(self, points) -> np.ndarray:
        """Position in the square, 0..1 ``[..., 2]`` -> photo pixels."""
        nw, sw, _, ne = self.corners
        return nw + np.asarray(points, dtype=np.float64) @ np.stack([ne - nw, sw - nw])


def ffhq_square(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Center and half side towards the right, both (x, y), of the FFHQ square around landmarks ``[68, 2]``."""
    left_eye, right_eye = landmarks[LEFT_EYE].mean(axis=0), landmarks[RIGHT_EYE].mean(axis=0)
    eyes, across = (left_eye + right_eye) / 2, right_eye - left_eye
    down = landmarks[list(MOUTH_CORNERS)].mean(axis=0) - eyes
    x = across + np.array([down[1], -down[0]])
    norm = np.hypot(*x)
    if not norm > 0:
        raise FaceError("The landmarks do not describe a face: eyes and mouth fall on one point.")
    return eyes + 0.1 * down, x / norm * max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
