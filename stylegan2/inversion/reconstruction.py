"""How well codes reproduce pictures, and the one honest sentence when they cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..frames import synthesize_frames
from ..generator import Generator
from ..resample import area_resize, resize, within
from .checks import Progress, check_images, starting_codes
from .errors import StrangerError
from .identity import Identity
from .inverter import Inverter, InverterCard
from .optimization import code_scale, psnr
from .perceptual import Pyramid

MARGIN_DB = 12.0  # under what is typical: whatever its outlines, such a picture is another one
OUTLINES = 0.33  # of a picture that an inverter knows, in place at least: docs/faces.md says how it was chosen and how often it errs
OUTLINES_SIDE = 64  # px: outlines are compared at this size at most, where grain does not count
PHOTO_FILES = (
    "a FFHQ generator (ffhq.pkl or stylegan2-ffhq-config-f.pt) and its inverter (restyle_psp_ffhq_encode.pt or e4e_ffhq_encode.pt)"
)


@dataclass(frozen=True)
class ReconstructionReport:
    """Per image ``[N]``: ``psnr`` in dB, ``pyramid`` distance (0 is equal), ``identity`` cosine (None without a network),
    ``distance`` of the code from the mean code in spreads of W (1 is usual for the generator's own samples), ``spread`` of the
    rows around their mean in the same unit (0 for codes in W; large ones edit badly), ``outlines``: how much of them is in place, -1..1.
    """

    psnr: torch.Tensor
    pyramid: torch.Tensor
    identity: torch.Tensor | None
    distance: torch.Tensor
    spread: torch.Tensor
    outlines: torch.Tensor

    def at(self, index: int) -> ReconstructionReport:
        """The report of one image."""
        pick = slice(index, index + 1)
        picked: dict[str, Any] = {name: None if value is None else value[pick] for name, value in vars(self).items()}
        return ReconstructionReport(**picked)

    def __str__(self) -> str:
        parts = [f"PSNR {self.psnr.mean():.1f} dB", f"pyramid {self.pyramid.mean():.3f}"]
        if self.identity is not None:
            parts.append(f"identity {self.identity.mean():.3f}")
        return ", ".join([*parts, f"distance {self.distance.mean():.2f}, spread {self.spread.mean():.2f} spreads of W"])


@torch.no_grad()
def reconstruction_report(
    generator: Generator, codes: torch.Tensor, images: torch.Tensor, *, identity: Identity | None = None
) -> ReconstructionReport:
    """Compare the pictures of ``codes [N, L, D]`` with ``images [N, 3, H, W]`` in -1..1, at the smaller of the two sizes.

    ``identity``: a network with ``embed``, or None. Raises InversionError for shapes that do not fit.
    """
    images = check_images(images, generator).to(generator.w_avg.device)
    codes = starting_codes(generator, codes, len(images)).to(images)
    height, width = images.shape[-2:]
    size = min((height, width), generator.size)
    made = torch.cat([area_resize(chunk.clamp(-1, 1), size) for chunk in synthesize_frames(generator, codes)])
    target, rows = resize(images, size).clamp(-1, 1), (codes - generator.w_avg) / code_scale(generator)
    return ReconstructionReport(
        psnr=psnr(made, target).cpu(),
        pyramid=Pyramid()(made, target).cpu(),
        identity=None if identity is None else (identity.embed(made) * identity.embed(target)).sum(1).cpu(),
        distance=rows.square().mean((1, 2)).sqrt().cpu(),
        spread=(rows - rows.mean(1, keepdim=True)).square().mean((1, 2)).sqrt().cpu(),
        outlines=kept_outlines(made, target).cpu(),
    )


def kept_outlines(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """How much of the outlines of pictures ``[N, C, H, W]`` lies in the same places, ``[N]``: the cosine of brightness gradients, at 64 px
    so that it means the same for every size."""
    small = [area_resize(x.float(), within(x.shape[-2:], OUTLINES_SIDE)).mean(1) for x in (first, second)]
    gradients = [torch.cat([x.diff(dim=d).flatten(1) for d in (1, 2)], 1) for x in small]
    return torch.cosine_similarity(*gradients, dim=1)


def out_of_domain(card: InverterCard, report: ReconstructionReport, *, margin: float = MARGIN_DB) -> str | None:
    """One sentence if the inverter does not know one of the pictures, else None.

    That is one of whose outlines fewer than OUTLINES are in place, or that is reproduced ``margin`` dB worse than is typical for the
    inverter. The sentence names what to load for photos. None as well where the inverter does not say what is typical.
    """
    worst, outlines = float(report.psnr.min()), float(report.outlines.min())
    if card.typical_psnr is None or (worst >= card.typical_psnr - margin and outlines >= OUTLINES):
        return None
    domain = card.domain or "other pictures"
    advice = f" For photos load {PHOTO_FILES}." if "photo" not in domain else " Align the face first."
    return (
        f"This inverter was made for {domain}, and this picture is not one, or not framed like one: {max(outlines, 0.0):.0%} of its"
        f" outlines are in place (at least {OUTLINES:.0%}), at {worst:.1f} dB (typical {card.typical_psnr:.1f} dB).{advice}"
    )


def invert_known(
    inverter: Inverter,
    generator: Generator,
    images: torch.Tensor,
    *,
    steps: int | None = None,
    progress: Progress | None = None,
    anyway: bool = False,
) -> tuple[torch.Tensor, str | None]:
    """``inverter.invert``, but pictures that the inverter does not know raise StrangerError before any work beyond its own passes.

    Returns codes ``[N, L, D]`` and, with ``anyway``, the sentence that would have been raised, else None. Nothing is known of
    an inverter whose card states no typical PSNR: it takes every picture.
    """
    if inverter.card.typical_psnr is None:
        return inverter.invert(generator, images, steps=steps, progress=progress).detach(), None
    first = inverter.invert(generator, images, progress=progress).detach()
    sentence = out_of_domain(inverter.card, reconstruction_report(generator, first, images))
    if sentence and not anyway:
        raise StrangerError(sentence)
    return first if steps is None else inverter.invert(generator, images, steps=steps, progress=progress).detach(), sentence
