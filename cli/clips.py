"""A clip of a moving face -> the codes of its frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ..media.clips import read_clip, thinned
from .models import Models
from .portrait import Framing
from .terminal import Clock, UsageError, progress_bar


@dataclass(frozen=True)
class ClipCodes:
    """Codes ``[T, L, D]`` of a clip; ``frames`` says which frames they are, of which every ``spacing``-th was looked at."""

    codes: torch.Tensor
    frames: tuple[int, ...]
    spacing: int

    def nearest(self, frame: int) -> int:
        """The code whose frame is nearest to ``frame``."""
        return min(range(len(self.frames)), key=lambda i: abs(self.frames[i] - frame))


def codes_of_clip(path: Path, models: Models, framing: Framing, most: int, clock: Clock) -> ClipCodes:
    """Align and invert at most ``most`` evenly spaced frames of a clip; frames without a face are left out."""
    with clock.stage("read and align the clip"):
        frames, spacing = thinned(read_clip(path), most)
        if len({frame.shape for frame in frames}) != 1:
            raise UsageError(f"The pictures in {path} have different sizes; one clip has one size.")
        squares, kept = framing.frame_clip(torch.stack(frames), path)
    with clock.stage("invert the clip"), progress_bar("Invert") as progress:
        codes = models.inverter.invert(models.generator, squares, progress=progress)
    return ClipCodes(codes.detach().cpu(), tuple(k * spacing for k in kept), spacing)
