"""Preview strips: a face along a motion, as a small PNG that travels in the motion's file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import torch

from ..stylegan2.frames import synthesize_frames
from ..stylegan2.generator import Generator
from ..stylegan2.resample import resized, within
from .subspace import Subspace

FACES = 5
SIZES = (96, 72, 48, 32)
MAX_BYTES = 90_000
FILE_BYTES = 190_000  # of basis and preview together, so that a file stays small for as long as its rank allows


def with_preview(
    subspace: Subspace, generator: Generator, code: torch.Tensor | None = None, coefficients: Sequence[float] | torch.Tensor | None = None
) -> Subspace:
    """The same subspace with a preview: ``code [L, D]`` (None: the mean face) at ``coefficients`` (None: five over the safe range)."""
    return replace(subspace, preview=preview_strip(subspace, generator, code, coefficients))


def preview_strip(
    subspace: Subspace, generator: Generator, code: torch.Tensor | None = None, coefficients: Sequence[float] | torch.Tensor | None = None
) -> bytes:
    """PNG bytes of one row of pictures, as large as fits into a small file; none where the basis alone is too large for one."""
    subspace.check(generator)
    code = generator.w_avg.expand(generator.num_layers, -1) if code is None else code
    c = default_coefficients(subspace) if coefficients is None else torch.as_tensor(coefficients)
    images = torch.cat(list(synthesize_frames(generator, subspace.apply(code.detach(), c))))
    strips = (_png(images, min(size, generator.resolution)) for size in SIZES)
    room = min(MAX_BYTES, FILE_BYTES - 4 * subspace.basis.numel())
    return next((strip for strip in strips if len(strip) <= room), b"")


def default_coefficients(subspace: Subspace) -> torch.Tensor:
    """Five coefficients over the safe range, or from -1 to 1 where none was measured."""
    low, high = subspace.safe_range or (-1.0, 1.0)
    return torch.linspace(low, high, FACES)


def _png(images: torch.Tensor, size: int) -> bytes:
    from PIL import Image

    strip = torch.cat(list(resized(images, within(tuple(images.shape[-2:]), size))), 2)  # [3, size, N * size]; oblong ones are smaller
    pixels = (strip.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8).permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels.cpu().numpy()).save(file, "PNG", optimize=True)
    return file.getvalue()
