"""Face: 68 points in a photo; from MediaPipe's 478; which of several faces is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..files import limits
from .crop import LEFT_EYE, MOUTH_CORNERS, RIGHT_EYE
from .errors import FaceError

# MediaPipe's face mesh vertex that lies nearest to each of the 68 iBUG points: jaw, brows, nose, eyes, lips.
MEDIAPIPE_TO_68 = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
ORDERS = ("largest", "left to right", "score")
DOUBTED = 0.5  # a score under which a badge or a fold of cloth is as likely as a face


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a photo: ``landmarks [68, 2]`` (x, y) in pixels in iBUG order, ``box`` (left, top, right, bottom), detector ``score``,
    and the ``size`` (width, height) of the photo where it is known: ``align`` refuses a face of another photo's size."""

    landmarks: np.ndarray
    box: tuple[float, float, float, float]
    score: float = 1.0
    size: tuple[int, int] | None = None

    def __post_init__(self):
        object.__setattr__(self, "landmarks", check_landmarks(self.landmarks))

    @property
    def center(self) -> np.ndarray:
        left, top, right, bottom = self.box
        return np.array([left + right, top + bottom]) / 2

    @property
    def extent(self) -> float:
        """The longer side of the box, in pixels."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)


def check_landmarks(landmarks, where: str = "The landmarks") -> np.ndarray:
    """``[68, 2]`` float64, or one sentence."""
    landmarks = np.array(landmarks, dtype=np.float64)
    if landmarks.shape != (68, 2):
        hint = " (use from_mediapipe for MediaPipe's 478 points)" if landmarks.shape[:1] in ((478,), (468,)) else ""
        raise FaceError(f"{where} must be 68 points (x, y), not an array of shape {list(landmarks.shape)}{hint}.")
    if not np.isfinite(landmarks).all():
        raise FaceError(f"{where} contain a value that is not a number: detect the face again.")
    landmarks.setflags(write=False)
    return landmarks


def points_of(face, size: tuple[int, int], where: str) -> np.ndarray:
    """The landmarks ``[68, 2]`` of a ``Face`` or of points, for a picture of ``size`` (width, height)."""
    if isinstance(face, Face) and face.size is not None and tuple(face.size) != tuple(size):
        raise FaceError(
            f"{where} was found in a {face.size[0]} x {face.size[1]} px picture and this one is {size[0]} x {size[1]} px: "
            "find faces in the picture that is aligned."
        )
    return check_landmarks(getattr(face, "landmarks", face), f"The landmarks of {where[0].lower()}{where[1:]}")


def check_inside(landmarks: np.ndarray, size: tuple[int, int], where: str) -> None:
    """Eyes and mouth must lie in a picture of ``size`` (width, height): what is not there cannot be aligned."""
    eyes = [landmarks[LEFT_EYE].mean(axis=0), landmarks[RIGHT_EYE].mean(axis=0)]
    points = np.stack([*eyes, *landmarks[list(MOUTH_CORNERS)]])
    if ((points < -0.5) | (points > np.asarray(size) - 0.5)).any():
        raise FaceError(f"{where} is cut by the border: eyes and mouth must lie inside the {size[0]} x {size[1]} px picture.")


def from_mediapipe(points) -> np.ndarray:
    """MediaPipe's face mesh ``[..., 478, 2 or 3]`` (also 468 points; pixels) -> the 68 iBUG points ``[..., 68, 2]``, float64."""
    points = np.asarray(points, dtype=np.float64)
    if points.ndim < 2 or points.shape[-2] not in (468, 478) or points.shape[-1] not in (2, 3):
        raise FaceError(f"MediaPipe landmarks must be 478 points (x, y), not an array of shape {list(points.shape)}.")
    return points[..., list(MEDIAPIPE_TO_68), :2]


def faces_from_mediapipe(value: dict, size: tuple[int, int] | None = None) -> list[list[Face]]:
    """ComfyUI's FACE_LANDMARKS -> the faces of each frame, left to right. ``size`` (width, height) of the photo is checked when given."""
    if not isinstance(value, dict) or "frames" not in value:
        raise FaceError("face_landmarks must be the output of Detect Face Landmarks (MediaPipe).")
    if size is not None and "image_size" in value:
        height, width = (int(v) for v in value["image_size"])
        if (width, height) != tuple(size):
            found, given = f"{width} x {height} px", f"{size[0]} x {size[1]} px"
            raise FaceError(f"face_landmarks were found in a {found} picture and this one is {given}: detect them in this picture.")
    try:
        return [number_faces([_mediapipe_face(face, size) for face in frame]) for frame in value["frames"]]
    except (KeyError, TypeError) as reason:
        raise FaceError(
            "face_landmarks must be the output of Detect Face Landmarks (MediaPipe), and a face in it lacks a part."
        ) from reason


def _mediapipe_face(face: dict, size: tuple[int, int] | None) -> Face:
    # MediaPipe's picture runs from 0 to width; here the center of the first pixel is 0.
    landmarks = from_mediapipe(face["landmarks_xy"]) - 0.5
    left, top, right, bottom = (float(v) for v in face["bbox_xyxy"])
    return Face(landmarks, (left, top, right, bottom), float(face.get("score", 1.0)), size)


def number_faces(faces: Sequence[Face]) -> list[Face]:
    """The order in which faces are numbered: left to right, then top to bottom."""
    return sorted(faces, key=lambda face: (face.center[0], face.center[1]))


def choose(faces: Sequence[Face], by: str = "largest", *, index: int = 0, point=None, box=None, where: str = "the picture") -> Face:
    """The face that is meant.

    ``by`` is "largest" (those that the detector doubts come last, whatever their size), "left to right" (counted from 0 at the left, like
    the drawn numbers) or "score", and ``index`` the place in that order. ``point`` (x, y) or ``box`` (left, top, right, bottom), in
    pixels, choose the nearest face instead.
    """
    if not faces:
        raise FaceError(f"No face was found in {where}: use a larger or more frontal face, or give landmarks.")
    if box is not None:
        left, top, right, bottom = _numbers("box", box, 4)
        point = ((left + right) / 2, (top + bottom) / 2)
    if point is not None:
        target = _numbers("point", point, 2)
        return min(faces, key=lambda face: float(np.hypot(*(face.center - target))))
    index = limits.INDEX.checked(index, "The index of the face is", FaceError)
    if index >= len(faces):
        raise FaceError(f"Face {index} was asked for and {where} has {len(faces)} (counted from 0).")
    return _ordered(faces, by)[index]


def _numbers(name: str, value, count: int) -> np.ndarray:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise FaceError(f"{name} must be {count} numbers in pixels, not {value!r}.")
    return numbers


def _ordered(faces: Sequence[Face], by: str) -> list[Face]:
    if by not in ORDERS:
        raise FaceError(f"Faces are ordered by {', '.join(ORDERS)}, not by {by!r}.")
    if by == "left to right":
        return number_faces(faces)
    if by == "score":
        return sorted(faces, key=lambda face: -face.score)
    return sorted(faces, key=lambda face: (face.score < DOUBTED, -face.extent, -face.score))
