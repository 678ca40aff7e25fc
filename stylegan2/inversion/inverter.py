"""Inverters: images -> codes. A feed-forward network in one pass or, ReStyle style, in a few passes over its own error."""

from __future__ import annotations

import hashlib
import logging
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from ..frames import synthesize_frames
from ..generator import Generator
from .errors import InversionError
from .resample import area_resize, resize

log = logging.getLogger(__name__)

Progress = Callable[[int, int, "torch.Tensor | None"], None]
RESTYLE_PASSES = 5
DEFAULT_BATCH = 4
LARGEST_VALUE = 100  # images are about -1..1; random networks reach 20, 8-bit values 255


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
        if not self.card.generator and self.card.generator_mark and self.card.generator_mark != _mark(generator):
            return (
                f"This {self.card.encoder_type} inverter was trained with another generator than the one that is loaded: the codes"
                " will be off. Load the generator that is stored in the inverter's own file, or the one it was published with."
            )
        return None


def _mark(generator: Generator) -> str:
    return generator_mark(generator.synthesis.b4.const)


def check_images(images: torch.Tensor) -> torch.Tensor:
    """Return ``images`` as float32 ``[N, 3, H, W]``; raise InversionError with the reason if they cannot be inverted."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise InversionError(f"Images have shape {tuple(images.shape)}; inversion takes [N, 3, H, W] with RGB values in -1..1.")
    if not len(images):
        raise InversionError("There is no image to invert. Connect at least one aligned face.")
    if images.shape[-1] != images.shape[-2]:
        raise InversionError(
            f"The image is {images.shape[-1]} x {images.shape[-2]} px; inversion takes aligned squares. Align the face first."
        )
    images = images.detach().float()
    if not images.isfinite().all():
        raise InversionError("The image contains NaN or infinite values. Check the node that made it.")
    if images.abs().max() > LARGEST_VALUE:
        raise InversionError(f"The image has values up to {images.abs().max():.0f}; inversion takes -1..1.")
    return images


def check_fit(num_layers: int, width: int, generator: Generator) -> None:
    """Raise InversionError unless the generator takes codes ``[N, num_layers, width]``."""
    if (num_layers, width) == (generator.num_layers, generator.width):
        return
    raise InversionError(
        f"This inverter writes codes of {num_layers} layers x {width}; the loaded {generator.resolution} px generator takes"
        f" {generator.num_layers} x {generator.width}. Load the generator that belongs to the inverter, or an inverter made for it."
    )


def report_steps(progress: Progress | None, done: int, total: int, images: torch.Tensor | None) -> None:
    if progress is not None:
        progress(done, total, images)


class EncoderInverter(Inverter):
    """A feed-forward encoder.

    ``encoder``: images ``[N, 3 or 6, S, S]`` -> code offsets ``[N, L, D]``; the second three channels are the reconstruction
    so far (ReStyle). ``start``: what the offsets are added to: ``w_avg`` given here ``[D]`` or ``[L, D]``, ``"generator"`` for
    the generator's own mean code, or ``"zero"``.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        input_size: int,
        channels_in: int = 3,
        start: torch.Tensor | str = "generator",
        passes: int | None = None,
        card: InverterCard | None = None,
    ):
        super().__init__(card)
        self.encoder = encoder.eval().requires_grad_(False)
        self.input_size, self.channels_in = input_size, channels_in
        self.passes = passes or (RESTYLE_PASSES if channels_in == 6 else 1)
        self.start = start if isinstance(start, str) else "file"
        self.register_buffer("w_avg", None if isinstance(start, str) else start.detach().float())
        self._means: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
        self._warned: weakref.WeakSet = weakref.WeakSet()

    @property
    def iterative(self) -> bool:
        """Whether each pass looks at the reconstruction of the pass before (ReStyle)."""
        return self.channels_in == 6

    @property
    def device(self) -> torch.device:
        return next(self.encoder.parameters()).device

    @torch.no_grad()
    def invert(self, generator, images, steps=None, progress=None, *, batch: int = DEFAULT_BATCH):
        """See ``Inverter.invert``. ``batch`` faces go through the encoder at a time.

        ``steps`` up to the encoder's own number (5 for ReStyle, else 1) are passes; what goes beyond is spent on optimisation
        in W+ from the code of the last pass. The synthesis after the last pass, which nothing reads, is left out, so previews
        show the reconstruction before each pass, and encoders of a single pass have none.
        """
        images = check_images(images)
        if steps is not None and steps < 1:
            raise InversionError(f"An inversion of {steps} steps is none at all; give 1 or more, or leave the inverter its own number.")
        self._check_sibling(generator)
        steps = steps or self.passes
        passes = min(steps, self.passes)
        chunks, codes = images.split(batch), []
        for i, chunk in enumerate(chunks):
            codes.append(self._invert_chunk(generator, chunk, passes, _shifted(progress, i * passes, len(chunks) * passes)))
        codes = _finite(torch.cat(codes))
        return codes if steps == passes else self._refine(generator, images, codes, steps - passes, progress)

    def base(self, generator: Generator) -> torch.Tensor:
        """The code ``[L, D]`` that the offsets are added to, on the generator's device."""
        like = generator.w_avg
        base = {"generator": like, "zero": torch.zeros_like(like)}.get(self.start, self.w_avg)
        return base.to(like.device, torch.float32).expand(generator.num_layers, generator.width)

    def _invert_chunk(self, generator: Generator, images: torch.Tensor, passes: int, progress: Progress | None) -> torch.Tensor:
        x = resize(images.to(self.device), self.input_size)
        codes = self.base(generator).expand(len(x), -1, -1)
        for i in range(passes):
            seen = self._reconstruction(generator, codes, first=i == 0) if self.iterative else None
            offsets = self.encoder(x if seen is None else torch.cat([x, seen.to(x)], 1))
            codes = codes + offsets.to(codes)
            report_steps(progress, i + 1, passes, seen)
        return codes

    def _reconstruction(self, generator: Generator, codes: torch.Tensor, first: bool) -> torch.Tensor:
        """The pictures ``[N, 3, S, S]`` of these codes; those of the mean code are made once per generator."""
        if not first:
            return self._synthesize(generator, codes)
        stamp = (str(generator.w_avg.device), _version(generator))
        known = self._means.get(generator)
        if known is None or known[0] != stamp:
            known = self._means[generator] = (stamp, self._synthesize(generator, codes[:1]))
        return known[1].expand(len(codes), -1, -1, -1)

    def _synthesize(self, generator: Generator, codes: torch.Tensor) -> torch.Tensor:
        return torch.cat([area_resize(images, self.input_size) for images in synthesize_frames(generator, codes)])

    def _refine(self, generator: Generator, images: torch.Tensor, codes: torch.Tensor, steps: int, progress: Progress | None):
        from .optimize import optimize

        return optimize(generator, images, codes, steps=steps, progress=progress)

    def _check_sibling(self, generator: Generator) -> None:
        layers, width = self.code_shape or (generator.num_layers, generator.width)
        check_fit(layers, width, generator)
        if generator in self._warned:
            return
        self._warned.add(generator)
        if sentence := self.mismatch(generator):
            log.warning("%s", sentence)

    @property
    def code_shape(self) -> tuple[int, int] | None:
        """``(L, D)`` of the codes that the encoder writes, or None where it does not say."""
        config = self.encoder.config
        read = config.get if isinstance(config, dict) else lambda key: getattr(config, key, None)
        layers, width = read("num_layers"), read("width") or read("w_dim")
        return (layers, width) if layers and width else None


def _version(generator: Generator) -> int:
    """Grows whenever a weight is changed in place; inference tensors do not count, and cannot be trained."""
    return sum(p._version for p in generator.parameters() if not p.is_inference())


def _shifted(progress: Progress | None, offset: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _, images: progress(offset + done, total, images)


def _finite(codes: torch.Tensor) -> torch.Tensor:
    if not codes.isfinite().all():
        raise InversionError("The inverter gave NaN for this image: its file is damaged, or it does not belong to this generator.")
    return codes
