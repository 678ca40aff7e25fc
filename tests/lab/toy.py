"""A world whose answers are known: codes hold parameters on orthogonal axes, pictures hold codes, the instrument reads them back."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from micromotion.avatars import renderer as rendering
from micromotion.avatars.regressor import READ
from micromotion.lab.evaluation.world import Faces, Sizes, World

LAYERS, WIDTH, SIDE = 4, len(READ), 8
SIZES = Sizes(
    identities=10, coefficients=6, calibration=5, pool=3, frames=8, degrees=6, many=8, labels=200, compared=5, ablated=5, domains=4,
    inverted=4, inversion_steps=(1, 2), pictures=2, gate=64,
)  # fmt: skip


class LinearGenerator(torch.nn.Module):
    """Codes ``[N, L, D]`` whose mean row is an orthogonal turn of parameters and moves; pictures ``[N, 3, 8, 8]`` that list them."""

    num_layers, width, resolution, size, fingerprint = LAYERS, WIDTH, SIDE, (SIDE, SIDE), "toy"

    def __init__(self):
        super().__init__()
        self.turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(5)))[0]
        self.affine = torch.nn.Linear(WIDTH, 12)
        self.w_avg = torch.zeros(WIDTH)
        self.architecture = SimpleNamespace(img_channels=3)

    def codes(self, parameters: torch.Tensor) -> torch.Tensor:
        """Of parameters ``[N, P]``, the moves at rest, or with moves ``[N, P + M]``."""
        rest = rendering.rest_moves(len(parameters))
        values = parameters if parameters.shape[1] == WIDTH else torch.cat([parameters, rest], 1)
        return (values @ self.turn)[:, None].repeat(1, LAYERS, 1)

    def check_codes(self, codes: torch.Tensor) -> None:
        assert codes.shape[1:] == (LAYERS, WIDTH)

    def synthesize(self, codes: torch.Tensor, noise: str = "const", **_) -> torch.Tensor:
        values = codes.mean(1) @ self.turn.T
        flat = torch.zeros(len(codes), 3 * SIDE * SIDE)
        flat[:, :WIDTH] = values
        return flat.reshape(-1, 3, SIDE, SIDE)


class PerfectInstrument(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :WIDTH]


@dataclass(frozen=True)
class ToyWorld(World):
    """A world without a renderer: the truth is what the generator draws."""

    def faces(self, parameters: torch.Tensor, style: str = "photo") -> Faces:
        return Faces(parameters, self.generator.codes(parameters), style)

    def draw(self, parameters: torch.Tensor, style: str = "photo") -> torch.Tensor:
        return self.generator.synthesize(self.generator.codes(parameters))


class ExactInverter:
    """Reads the code back off a toy picture."""

    def __init__(self, error: float = 0.0):
        self.error = error

    def invert(self, generator: LinearGenerator, images: torch.Tensor, steps: int | None = None) -> torch.Tensor:
        return generator.codes(images.flatten(1)[:, :WIDTH]) + self.error


def toy(**options) -> ToyWorld:
    return ToyWorld(**{"generator": LinearGenerator(), "regressor": PerfectInstrument(), "sizes": SIZES, **options})
