"""Anchors: codes known to show degrees of a motion, from text or from video."""

from .base import Anchors, pool
from .degrees import DEGREES
from .scorer import SPACES, Scorer, Settings, contrast
from .scorer_files import load_scorer
from .text import QUALITIES, Weights, draw_faces, text_anchors
from .video import video_anchors

__all__ = [
    "DEGREES",
    "QUALITIES",
    "SPACES",
    "Anchors",
    "Scorer",
    "Settings",
    "Weights",
    "contrast",
    "draw_faces",
    "load_scorer",
    "pool",
    "text_anchors",
    "video_anchors",
]
