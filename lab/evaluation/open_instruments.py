"""Instruments for generators of which nobody knows the truth: landmark geometry, a face recognizer, and the blendshapes of a tracker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ...faces import FaceError, detect, measure
from ...faces.detection import find_predictor, load_predictor
from ...faces.landmarks import choose
from ...faces.measuring import QUANTITIES
from ...files.budget import border
from ...files.errors import MicromotionError
from ...stylegan2.inversion.identity import load_identity

SIDE = 256  # pictures are brought to at least this side before landmarks are read
BLENDSHAPES = {
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "eyes": ("eyeBlinkLeft", "eyeBlinkRight"),
    "anger": ("browDownLeft", "browDownRight"),
    "mouth_open": ("jawOpen",),
    "brows": ("browInnerUp",),
    "wink_left": ("eyeBlinkLeft",),
    "wink_right": ("eyeBlinkRight",),
}  # ARKit's names, which MediaPipe's face landmarker has too


def _dlib() -> Any:  # compiled, without stubs
    import dlib

    return dlib


def pixels(images: torch.Tensor) -> np.ndarray:
    """Pictures ``[N, 3, H, W]`` in -1..1 -> ``[N, H', W', 3]`` uint8, at least `SIDE` px wide."""
    if images.shape[-1] < SIDE:
        images = F.interpolate(images, size=SIDE, mode="bicubic")
    return ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


@dataclass(frozen=True)
class Geometry:
    """Dlib's landmarks as quantities. A face is found once, at rest; its moved pictures are read in the same box."""

    path: Path
    names: tuple[str, ...] = QUANTITIES

    def boxes(self, images: torch.Tensor) -> list[tuple | None]:
        """Where the largest face of each picture is, None where there is none."""
        found = []
        for picture in pixels(images):
            faces = detect(torch.from_numpy(picture).permute(2, 0, 1) / 127.5 - 1, predictor=self.path, tilted=False)
            found.append(tuple(choose(faces).box) if faces else None)
        return found

    def shapes(self, images: torch.Tensor, boxes: list[tuple]) -> list:
        """Dlib's 68 points of each picture, in the box of its face."""
        predictor = _opened(self.path)
        rectangles = [_dlib().rectangle(*(int(round(v)) for v in box)) for box in boxes]
        return [predictor(picture, rectangle) for picture, rectangle in zip(pixels(images), rectangles, strict=True)]

    def read(self, images: torch.Tensor, boxes: list[tuple]) -> torch.Tensor:
        """Quantities ``[N, Q]``, columns of ``names``."""
        points = np.array([[(p.x, p.y) for p in shape.parts()] for shape in self.shapes(images, boxes)], dtype=np.float64)
        return torch.from_numpy(np.stack([measure(points)[name] for name in self.names], -1)).float()


_opened = lru_cache(maxsize=1)(load_predictor)  # 100 MB


def load_geometry(predictor: Path | None) -> Geometry:
    """The geometry with the predictor's file, or the one of the package face_recognition_models."""
    path = find_predictor(predictor)
    _opened(path)
    return Geometry(path)


Embed = Callable[[torch.Tensor, list[tuple]], torch.Tensor]


def load_recognizer(path: Path, geometry: Geometry) -> Embed:
    """Pictures and boxes -> unit vectors ``[N, D]``: dlib's identity network (``.dat``), or an ArcFace file that the pack loads."""
    if Path(path).suffix.lower() != ".dat":
        network = load_identity(path)
        return lambda images, _boxes: torch.cat([F.normalize(network.embed(part), dim=1).cpu() for part in images.split(16)])
    with border(str(path), MicromotionError):
        network = _dlib().face_recognition_model_v1(str(path))

    def embed(images: torch.Tensor, boxes: list[tuple]) -> torch.Tensor:
        pairs = zip(pixels(images), geometry.shapes(images, boxes))
        return F.normalize(torch.tensor([list(network.compute_face_descriptor(p, shape)) for p, shape in pairs]), dim=1)

    return embed


def read_blendshapes(path: Path, count: int) -> list[dict[str, float]]:
    """What a tracker wrote of ``count`` pictures, as ComfyUI's face landmarks do: ``{"frames": [[{"blendshapes": {name: value}}], ...]}``.

    A picture without a face is an empty list. Raises FaceError.
    """
    with border(str(path), FaceError):
        frames = json.loads(Path(path).read_text(encoding="utf-8"))["frames"]
        found = [{str(k): float(v) for k, v in faces[0]["blendshapes"].items()} if faces else {} for faces in frames]
    if len(found) != count:
        raise FaceError(f"{path} holds the blendshapes of {len(found)} pictures, and {count} were written; let the tracker read them all.")
    return found


def blendshape(frames: list[dict[str, float]], motion: str) -> torch.Tensor | None:
    """The motion's own blendshapes, mean, ``[F]``; NaN where no face was found, None for a motion that has none."""
    names = BLENDSHAPES.get(motion)
    if names is None:
        return None
    return torch.tensor([[frame.get(name, float("nan")) for name in names] for frame in frames]).mean(1)
