"""What every inverter is: images -> codes, and a card that says where it comes from."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import nn

from ..generator import Generator
from .checks import Progress


@dataclass(frozen=True)
class InverterCard:
    """What is known of an inverter beside its weights.

    ``domain``: the pictures it was trained on, in words. ``typical_psnr``: dB on held-out pictures of that domain.
    ``generator``: fingerprint of the generator it was trained with; ``generator_mark``: a cheaper mark of the same (see
    ``generator_mark``), for files that carry a decoder. Empty or None where unknown.
    """

    encoder_type: str = ""
    format: str = "new"
    path: str = ""
    domain: str = ""
    typical_psnr: float | None = None
    generator: str = ""
    generator_mark: str = ""
    notes: tuple[str, ...] = ()
    extra: dict = field(default_factory=dict)


def generator_mark(const: torch.Tensor) -> str:
    """16 hex digits of the 4 px constant ``[C, 4, 4]``: names a trained generator across file formats."""
    data = const.detach().to("cpu", torch.float32).contiguous()
    return hashlib.sha256(data.numpy().tobytes()).hexdigest()[:16]


class Inverter(nn.Module, ABC):
    """Images -> codes of one generator."""

    def __init__(self, card: InverterCard | None = None):
        super().__init__()
        self.card = card or InverterCard()

    @abstractmethod
    def invert(
        self, generator: Generator, images: torch.Tensor, steps: int | None = None, progress: Progress | None = None
    ) -> torch.Tensor:
        """Invert aligned squares ``images [N, 3, H, W]`` in -1..1 to codes ``[N, L, D]``, float32, on the generator's device.

        ``steps``: None for the inverter's own number. ``progress(done, total, reconstructions or None)`` is called at least
        once per step and may raise to cancel. Raises InversionError.
        """

    def mismatch(self, generator: Generator) -> str | None:
        """One sentence if this generator is not the one the inverter was trained with, None if it is or nothing is known."""
        if self.card.generator and self.card.generator != generator.fingerprint:
            return (
                f"This inverter was trained with generator {self.card.generator}, but generator {generator.fingerprint} is loaded:"
                " the codes will be off. Load the generator that belongs to it."
            )
        mark = self.card.generator_mark
        if mark and not self.card.generator and mark != generator_mark(generator.synthesis.block(4).const):
            return (
                f"This {self.card.encoder_type} inverter was trained with another generator than the one that is loaded: the codes"
                " will be off. Load the generator that is stored in the inverter's own file, or the one it was published with."
            )
        return None
