"""What a face does, read off its landmarks alone: an instrument for real faces that needs no text scorer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from .crop import LEFT_EYE, RIGHT_EYE
from .detection import detect
from .errors import FaceError
from .landmarks import Face, choose, from_mediapipe

QUANTITIES = ("mouth width", "corner lift", "mouth opening", "eye opening", "brow height", "yaw", "pitch")
CORNERS, LIP_MIDDLES = (48, 54), (51, 57, 62, 66)
INNER_LIPS = ((61, 67), (62, 66), (63, 65))
LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))
EYE_CORNERS = ((36, 39), (42, 45))
OUTER_EYES = (36, 45)
BROWS, NOSE_TIP = slice(17, 27), 30
REST: dict[str, float] = dict(zip(QUANTITIES, (0.87, 0.0, 0.03, 0.31, 0.31, 0.0, 0.47)))  # docs/faces.md says of whom


def measure(landmarks) -> dict[str, np.ndarray]:
    """The QUANTITIES of faces with ``landmarks [..., 68, 2]`` or MediaPipe's ``[..., 478, 2 or 3]``: ``[...]`` float64 each.

    Lengths are in shares of the distance of the eyes, along and across the line through them, so that size, place and roll do not count.
    "corner lift" is how far the corners of the mouth lie above its middle, "eye opening" the aspect ratio of the eyes (Soukupova and Cech
    2016), "brow height" that of the brows over the eyes. "yaw" runs from -1 to 1 and is 0 seen from the front, positive where the nose
    points to the right of the picture; "pitch" is how far down from the eyes to the mouth the tip of the nose lies, 0..1: more when
    the head nods. Turning the head shortens what lies across it. Raises FaceError for landmarks of another shape or of no extent.
    """
    points = _upright(_as_68(landmarks))
    x, y = points[..., 0], points[..., 1]
    mouth = y[..., list(CORNERS)].mean(-1)
    left, right = (np.abs(x[..., NOSE_TIP] - x[..., corner]) for corner in OUTER_EYES)
    values = (
        np.abs(x[..., CORNERS[1]] - x[..., CORNERS[0]]),
        y[..., list(LIP_MIDDLES)].mean(-1) - mouth,
        _mean_distance(points, INNER_LIPS),
        _mean_distance(points, LIDS) / _mean_distance(points, EYE_CORNERS),
        -y[..., BROWS].mean(-1),
        (left - right) / (left + right),
        y[..., NOSE_TIP] / mouth,
    )
    return dict(zip(QUANTITIES, values))


def measure_found(found: Sequence[Sequence[Face]]) -> dict[str, np.ndarray]:
    """``measure`` of the largest face of each frame ``[F]``; frames without a face are not a number."""
    values = {name: np.full(len(found), np.nan) for name in QUANTITIES}
    seen = [i for i, faces in enumerate(found) if faces]
    if seen:
        for name, read in measure(np.stack([choose(found[i]).landmarks for i in seen])).items():
            values[name][seen] = read
    return values


def _as_68(landmarks) -> np.ndarray:
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim >= 2 and points.shape[-2] in (468, 478):
        points = from_mediapipe(points)
    if points.ndim < 2 or points.shape[-2:] != (68, 2):
        raise FaceError(f"Landmarks must be 68 or 478 points (x, y), not an array of shape {list(points.shape)}.")
    return points


def _upright(points: np.ndarray) -> np.ndarray:
    """Points ``[..., 68, 2]`` turned and scaled so that the middles of the eyes lie at (-0.5, 0) and (0.5, 0)."""
    left, right = points[..., LEFT_EYE, :].mean(-2), points[..., RIGHT_EYE, :].mean(-2)
    across = right - left
    square = (across**2).sum(-1)
    if not (np.isfinite(points).all() and (square > 0).all()):
        raise FaceError("The landmarks do not describe a face: both eyes fall on one point, or a value is not a number.")
    placed = points - ((left + right) / 2)[..., None, :]
    along, down = across / square[..., None], np.stack([-across[..., 1], across[..., 0]], -1) / square[..., None]
    return np.stack([(placed * along[..., None, :]).sum(-1), (placed * down[..., None, :]).sum(-1)], -1)


def _mean_distance(points: np.ndarray, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    return np.stack([np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1) for a, b in pairs]).mean(0)


def meter(
    quantity: str, *, predictor: str | Path | None = None, folders: Iterable[str | Path] = (), smallest: float = 40
) -> Callable[[torch.Tensor], torch.Tensor]:
    """An instrument for ``subspaces.calibrate``: images ``[n, 3, H, W]`` in -1..1 -> the ``quantity`` of their largest faces ``[n]``.

    It finds the faces as ``detect`` does. A picture without a face is not a number. Raises FaceError for a quantity that is not known.
    """
    if quantity not in QUANTITIES:
        raise FaceError(f"What is measured of a face is {', '.join(QUANTITIES)}, not {quantity!r}.")
    folders = tuple(folders)

    def values(images: torch.Tensor) -> torch.Tensor:
        found = detect(images.clamp(-1, 1), predictor=predictor, folders=folders, smallest=smallest, steady=True)
        return torch.from_numpy(measure_found(found)[quantity]).float().to(images.device)

    return values
