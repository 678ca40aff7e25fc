"""Anchors: codes known to show degrees of a motion, from text or from video."""

from .scorer import Scorer, load_scorer

__all__ = ["Scorer", "load_scorer"]
