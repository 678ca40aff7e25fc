"""What suits the embedded models, read by every door."""

from __future__ import annotations

from ..subspaces.anchors.text import Weights
from .captions import Motion

ANCHOR_OPTIONS = {"weights": Weights(l2=0.001, prior=0.05), "space": "w"}
ANGER_OPTIONS = {"weights": Weights(l2=0.0002, prior=0.1), "space": "w", "views": 2}


def anchor_options(motion: Motion) -> dict:
    """How the text anchors of a motion are optimised. The scorer knows anger least well, so that codes please it by accident: anger is
    scored over altered views and may move farther."""
    return ANGER_OPTIONS if motion.name == "anger" else ANCHOR_OPTIONS
