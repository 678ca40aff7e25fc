"""ArcFace identity (model_ir_se50): the cosine between two faces' unit vectors (Deng et al. 2019, arXiv 1801.07698)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ...files.budget import border
from ..resample import area_resize
from .backbones import Body, BodySpec, read_spec
from .encoder_files import filled, in_a_line, read_tensors
from .errors import InversionError

POOLED, FACE = 256, 112
ROWS, COLUMNS = slice(35, 223), slice(32, 220)  # the face inside an aligned 256 px square


class Identity(Body):
    """Aligned face squares -> unit identity vectors.

    Any module with ``embed(images [N, 3, H, W] in -1..1) -> [N, E]`` unit vectors can stand in its place.
    """

    def __init__(self, spec: BodySpec, face: int = FACE, width: int = 512):
        super().__init__(spec)
        last = spec.widths[-1]
        cells = (face // 16) ** 2
        self.face = face
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(last), nn.Dropout(), nn.Flatten(), nn.Linear(last * cells, width), nn.BatchNorm1d(width)
        )

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Tight face crops ``[N, 3, 112, 112]`` in -1..1 -> unit vectors ``[N, 512]``."""
        return F.normalize(self.output_layer(self.features(faces)[-1]))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Aligned squares ``[N, 3, H, W]`` in -1..1 -> unit vectors ``[N, 512]``; differentiable."""
        return self(crop_face(images, self.face))


def crop_face(images: torch.Tensor, size: int = FACE) -> torch.Tensor:
    """Cut the face out of aligned squares ``[N, 3, H, W]`` -> ``[N, 3, size, size]``: pool to 256, crop 188, pool.

    Raises InversionError for oblong pictures.
    """
    if images.shape[-2] != images.shape[-1]:
        raise InversionError(
            f"The picture is {images.shape[-1]} x {images.shape[-2]} px, and a face recognizer looks at aligned squares. Leave identity"
            " out, or align the face first."
        )
    return area_resize(area_resize(images, POOLED)[..., ROWS, COLUMNS], size)


def load_identity(path: str | Path) -> Identity:
    """Load ``model_ir_se50.pth`` (or the facexlib copy of it), frozen, float32, on the CPU.

    Raises InversionError when the file holds something else.
    """
    with border(Path(path).name, InversionError):
        return identity_from_state(read_tensors(path), str(path))


def identity_from_state(state: dict[str, torch.Tensor], name: str = "This file") -> Identity:
    """Build the network from a bare state dict of 397 tensors; sizes are read from them."""
    try:
        spec = read_spec({k: tuple(v.shape) for k, v in state.items()})
        width, cells = state["output_layer.3.weight"].shape
        face = 16 * round((cells / spec.widths[-1]) ** 0.5)
    except (KeyError, ValueError, ArithmeticError) as error:
        raise InversionError(
            f"{name} is not an ArcFace IR-SE50 identity network (tensor {error} is missing). Give model_ir_se50.pth."
        ) from None
    try:
        with torch.device("meta"):  # sizes are the file's word until its tensors fit them
            network = Identity(spec, face, width)
        network = filled(network, state)
    except (RuntimeError, ValueError, ArithmeticError) as error:
        raise InversionError(f"{name} is not a complete ArcFace IR-SE50 identity network: {in_a_line(error)}") from None
    return network.eval().requires_grad_(False)
