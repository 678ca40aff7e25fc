"""Faces in photos and clips: landmarks, FFHQ alignment, paste-back. Imports nothing of ours."""

from .alignment import align, sample
from .blending import shows_two_faces
from .clips import ClipReport, align_clip, find_cuts, follow, key_frames, steady
from .crop import Crop, ffhq_square
from .detection import detect, find_predictor
from .drawing import draw
from .errors import FaceError, MissingToolError
from .framing import frame, is_framed, whole_pictures
from .landmarks import Face, choose, faces_from_mediapipe, from_mediapipe, number_faces
from .masks import square_mask
from .measuring import measure, meter
from .pasting import GHOST_LIMIT, fade, paste, reconstruction_error

__all__ = [
    "GHOST_LIMIT",
    "ClipReport",
    "Crop",
    "Face",
    "FaceError",
    "MissingToolError",
    "align",
    "align_clip",
    "choose",
    "detect",
    "draw",
    "fade",
    "faces_from_mediapipe",
    "ffhq_square",
    "find_cuts",
    "find_predictor",
    "follow",
    "frame",
    "from_mediapipe",
    "is_framed",
    "key_frames",
    "measure",
    "meter",
    "number_faces",
    "paste",
    "reconstruction_error",
    "sample",
    "shows_two_faces",
    "square_mask",
    "steady",
    "whole_pictures",
]
