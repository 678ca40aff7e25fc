"""Landmarks as an instrument: what a motion does to the geometry of a real face, with no network that anything was decoded with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..faces import MissingToolError, detect
from ..faces.measuring import QUANTITIES, measure_found
from ..stylegan2 import Generator
from ..stylegan2.colors import as_rgb
from ..stylegan2.inversion import load_identity

SIDE = 256  # px at which landmarks are read; smaller squares are enlarged
SMALLEST = 80  # px of a face in such a square; one takes about half of it
SPREAD = (0.118, 0.062, 0.060, 0.062, 0.049, 0.423, 0.085)  # of QUANTITIES among portraits: lab/benchmarks/pairs.py --spread
MEANT = {  # what a motion of this name is meant to change; any other is held to all that it does to the mean face
    "smile": ("mouth width", "corner lift", "mouth opening"),
    "eyes": ("eye opening",),
    "turn": ("yaw",),
    "nod": ("pitch",),
    "mouth": ("mouth opening",),
    "brows": ("brow height",),
}


class LandmarkInstrument:
    """Reads ``faces.measuring.QUANTITIES`` in units of their spread among people, and identity with the network of ``identity``, if any."""

    quantities: tuple[str, ...] = QUANTITIES

    def __init__(self, identity: str = "", folders: tuple[str, ...] = (), device: str = "cpu"):
        """``identity``: an ArcFace file. ``folders``: where dlib's landmark file may lie (see `faces.detect`)."""
        self.folders = folders
        self.network = load_identity(Path(identity)).to(device) if identity else None

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """``[N, 7]`` of the largest faces; a row that is not a number where none is found."""
        images = images.clamp(-1, 1).cpu()
        if images.shape[-1] < SIDE:
            size = round(SIDE * images.shape[-2] / images.shape[-1]), SIDE
            images = torch.nn.functional.interpolate(images, size=size, mode="bicubic").clamp(-1, 1)
        values = measure_found(detect(images, folders=self.folders, smallest=SMALLEST, tilted=False))
        return torch.from_numpy(np.stack([values[name] for name in QUANTITIES], 1)).float() / torch.tensor(SPREAD)

    def identity(self, images: torch.Tensor) -> torch.Tensor | None:
        """What the identity network says ``[N, E]``; None without one."""
        return None if self.network is None else self.network.embed(images.to(next(self.network.parameters()).device))

    def meant_by(self, motion: str) -> dict[str, float | None]:
        """The quantities of a motion by its name; by how much, the mean face tells."""
        return dict.fromkeys(MEANT.get(motion, QUANTITIES))


def why_not(generator: Generator, folders: tuple[str, ...] = ()) -> str:
    """Why the faces of a generator cannot be measured by landmarks, or an empty string."""
    try:
        with torch.no_grad():
            mean = generator.synthesize(generator.w_avg.expand(1, generator.num_layers, -1))
        seen = LandmarkInstrument(folders=folders).read(as_rgb(mean))
    except MissingToolError as error:
        return str(error)
    return "" if torch.isfinite(seen).all() else "No face is found in the mean picture that this generator draws."
