"""Feed-forward inverters: one pass, or ReStyle's few passes over the error that is left (Alaluf et al. 2021, arXiv 2104.02699)."""

from __future__ import annotations

import logging
import weakref

import torch
from torch import nn

from ...files import limits
from ..frames import shifted, synthesize_frames
from ..generator import Generator
from ..makers import made_by
from ..resample import area_resize, resize
from .checks import Progress, check_fit, check_images, check_square, report_steps
from .errors import InversionError
from .inverter import Inverter, InverterCard
from .optimization import optimization_calls, optimize

log = logging.getLogger(__name__)

RESTYLE_PASSES = 5
DEFAULT_BATCH = 4
SIZES = ("channels_in", "input_size", "num_layers", "width")
LARGEST_SIZE = 4096
STARTS = ("file", "generator", "zero")


class EncoderInverter(Inverter):
    """A feed-forward encoder.

    ``encoder``: images ``[N, 3 or 6, S, S]`` -> code offsets ``[N, L, D]``, with a ``config`` (a dict or an object) that has
    ``channels_in``, ``input_size`` (S), ``num_layers`` (L) and ``width`` (D); the first two may be given here instead. With 6
    channels the last three are the reconstruction so far (ReStyle). ``start``: what the offsets are added to: a mean code
    ``[D]`` or ``[L, D]``, ``"generator"`` for the generator's own, or ``"zero"``. ``passes``: None for 5 (ReStyle) or 1.
    Raises InversionError if these do not fit.
    """

    w_avg: torch.Tensor | None

    def __init__(
        self,
        encoder: nn.Module,
        *,
        input_size: int | None = None,
        channels_in: int | None = None,
        start: torch.Tensor | str = "generator",
        passes: int | None = None,
        card: InverterCard | None = None,
    ):
        super().__init__(card)
        self.encoder = encoder.eval().requires_grad_(False)
        given = {"input_size": input_size, "channels_in": channels_in}
        self.channels_in, self.input_size, self.num_layers, self.width = (_read(encoder.config, given, name) for name in SIZES)
        if self.channels_in not in (3, 6):
            raise InversionError(f"This encoder takes {self.channels_in} image channels; inverters take 3, or 6 (ReStyle).")
        self.passes = passes or (RESTYLE_PASSES if self.iterative else 1)
        self.start = start if isinstance(start, str) else "file"
        self.register_buffer("w_avg", None if isinstance(start, str) else self._mean_code(start))
        if self.start not in STARTS or (self.start == "file") != (self.w_avg is not None):
            raise InversionError(f"An encoder's offsets are added to one of {', '.join(STARTS)}, not to {start!r}.")
        self._means: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
        self._warned: weakref.WeakSet = weakref.WeakSet()

    def _mean_code(self, code: torch.Tensor) -> torch.Tensor:
        if tuple(code.shape) not in ((self.width,), (1, self.width), (self.num_layers, self.width)):
            raise InversionError(
                f"The inverter's mean code has shape {tuple(code.shape)}; its encoder writes codes of {self.num_layers} x {self.width}."
            )
        return code.detach().float().reshape(-1, self.width)

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

        ``steps`` up to the encoder's own number (5 for ReStyle, else 1) are passes; what goes beyond is spent on optimization
        in W+ from the code of the last pass. The synthesis after the last pass, which nothing reads, is left out, so previews
        show the reconstruction before each pass, and encoders of a single pass have none.
        """
        check_square(generator)
        images = check_images(images, generator)
        if steps is not None:
            limits.STEPS.checked(steps, "The steps are", InversionError)
        self._check_sibling(generator)
        steps = steps or self.passes
        passes, chunks, codes = min(steps, self.passes), images.split(batch), []
        first = len(chunks) * passes
        total = first + optimization_calls(generator, len(images), steps - passes)
        for i, chunk in enumerate(chunks):
            codes.append(self._invert_chunk(generator, chunk, passes, shifted(progress, i * passes, total)))
        codes = made_by(_finite(torch.cat(codes)), generator)
        if steps == passes:
            return codes
        return optimize(generator, images, codes, steps=steps - passes, progress=shifted(progress, first, total))

    def base(self, generator: Generator) -> torch.Tensor:
        """The code ``[L, D]`` that the offsets are added to, on the generator's device."""
        like = generator.w_avg
        base = torch.zeros_like(like) if self.start == "zero" else like if self.w_avg is None else self.w_avg
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

    def _check_sibling(self, generator: Generator) -> None:
        check_fit(self.num_layers, self.width, generator)
        if generator in self._warned:
            return
        self._warned.add(generator)
        if sentence := self.mismatch(generator):
            log.warning("%s", sentence)


def _read(config: object, given: dict, name: str) -> int:
    """A size that was given, or else is in an encoder's ``config``."""
    value = given.get(name) or (config.get(name) if isinstance(config, dict) else getattr(config, name, None))
    if type(value) is not int or not 1 <= value <= LARGEST_SIZE:
        raise InversionError(f"The encoder's {name} is {str(value)[:40]!r}; it should be a number from 1 to {LARGEST_SIZE}.")
    return value


def _version(generator: Generator) -> int:
    """Grows whenever a weight is changed in place; inference tensors do not count, and cannot be trained."""
    return sum(p._version for p in generator.parameters() if not p.is_inference())


def _finite(codes: torch.Tensor) -> torch.Tensor:
    if not codes.isfinite().all():
        raise InversionError("The inverter gave NaN for this image: its file is damaged, or it does not belong to this generator.")
    return codes
