"""Which square of a picture is its face: the one that landmarks give, or the whole picture where it is framed or drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .crop import Crop
from .errors import FaceError
from .landmarks import Face, check_inside, choose

NO_FACE = ("stop", "whole picture")
FRAMED = 0.06  # of the side: how far corners move when dlib reads a framed picture again
SURE = 1.5  # the detector's score of most photos of today; it gives avatars less, where it sees them at all
LIKELY, SMALL = 1.0, 0.5  # a score, and a share of the side: avatars fill their squares (1.05 of them), so a small face is a photo's


def is_framed(face: Face, size: tuple[int, int]) -> bool:
    """Whether a picture of ``size`` (width, height) already is the FFHQ square of its ``face``, measured at the corners."""
    return size[0] == size[1] and _distance(face, size) <= FRAMED


def _distance(face: Face, size: tuple[int, int]) -> float:
    """How far the corners of the face's square lie from those of the picture, in shares of its side."""
    quads = [np.asarray(crop.quad) for crop in (Crop.from_landmarks(face.landmarks, size, size[0]), Crop.aligned(size))]
    return float(np.linalg.norm(quads[0] - quads[1], axis=1).max()) / size[0]


def whole_pictures(found: Sequence[Sequence[Face]], size: tuple[int, int], no_face: str) -> bool:
    """Whether frames of ``size`` (width, height) with these faces go in whole although their landmarks do not say so.

    With ``no_face`` "whole picture" square frames do when none shows a face that is likely a photo's: avatars and drawings, in which
    it sees nothing, or something in the wrong place. With "stop" they never do.
    """
    if no_face not in NO_FACE:
        raise FaceError(f"Without a face there is {' or '.join(NO_FACE)}, not {no_face!r}.")
    doubtful = not any(_is_of_a_photo(face, size) for faces in found for face in faces)
    return no_face == "whole picture" and size[0] == size[1] and doubtful


def _is_of_a_photo(face: Face, size: tuple[int, int]) -> bool:
    """Whether the detector is sure of a face, or likely right about one that is far from filling the picture."""
    return face.score >= SURE or (face.score >= LIKELY and Crop.from_landmarks(face.landmarks, size, size[0]).length < SMALL * size[0])


def frame(
    found: Sequence[Face], size: tuple[int, int], side: int, *, no_face: str = "stop", where: str = "the picture"
) -> tuple[Crop, str]:
    """The square of a picture of ``size`` (width, height) in which ``found`` are the faces, and a sentence on which one it is.

    The largest face counts. A picture that is framed like FFHQ already goes in whole, and so does what ``whole_pictures`` says. ``side``
    is that of the aligned square in pixels. Raises FaceError when there is no face and none is needed.
    """
    if whole_pictures([found], size, no_face):
        return Crop.aligned(size, side), "The whole picture was taken: it shows no face that the detector is sure of."
    if not found:
        raise FaceError(f"No face was found in {where}. {_advice(size, no_face)}")
    face = choose(found, where=where)
    check_inside(face.landmarks, size, f"The face in {where}")
    if is_framed(face, size):
        return Crop.aligned(size, side), f"The whole picture was taken: it is framed like FFHQ ({100 * _distance(face, size):.1f} % off)."
    crop = Crop.from_landmarks(face.landmarks, size, side)
    return crop, f"The face was cut out: {crop.length:.0f} of {min(size)} px{_others(found)}."


def _others(found: Sequence[Face]) -> str:
    return f", the largest of {len(found)} faces" if len(found) > 1 else ""


def _advice(size: tuple[int, int], no_face: str) -> str:
    frontal = "It has to be seen from the front, not in profile, and not too small"
    if no_face == "whole picture":
        return f"{frontal}; only a square picture can be taken whole, and this one is {size[0]} x {size[1]} px: crop it to a square."
    return f"{frontal}; a drawing or an avatar is taken as a whole square, or framed by hand."
