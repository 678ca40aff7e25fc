"""Where the pack's own small models lie."""

from __future__ import annotations

import os
from pathlib import Path

PAPER = ("smile", "eyes", "anger", "turn", "age")  # the paper's motions
MOTIONS = (*PAPER, "mouth_open", "brows", "gaze", "nod", "tilt", "wink_left", "wink_right")
PACK = Path(__file__).resolve().parent.parent


def embedded_root() -> Path:
    """Where the shipped weights are; ``MICROMOTION_WEIGHTS`` names another folder."""
    return Path(os.environ.get("MICROMOTION_WEIGHTS") or PACK / "avatars" / "weights")
