"""Anchors: codes known to show degrees of a motion, from text or from video."""

from .base import Anchors, pool
from .scorer import Scorer, load_scorer

__all__ = ["Anchors", "Scorer", "load_scorer", "pool"]
