"""Faces in photos and clips: landmarks, FFHQ alignment, paste-back. Imports nothing of ours."""

from .alignment import align, sample
from .crop import Crop, ffhq_square
from .errors import FaceError
from .landmarks import Face, choose, faces_from_mediapipe, from_mediapipe, number_faces
from .pictures import read

__all__ = [
    "Crop",
    "Face",
    "FaceError",
    "align",
    "choose",
    "faces_from_mediapipe",
    "ffhq_square",
    "from_mediapipe",
    "number_faces",
    "read",
    "sample",
]
