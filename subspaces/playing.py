"""Playing motions: codes moved frame by frame and synthesized, a block at a time, so that memory stays flat for any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ..stylegan2.frames import Progress, shifted, synthesize_frames
from ..stylegan2.generator import Generator
from .subspace import Subspace, apply_motions, frames_of

BLOCK = 1024  # frames whose codes exist at once


def play(
    generator: Generator,
    codes: torch.Tensor,
    motions: Sequence[tuple[Subspace, torch.Tensor | Sequence[float] | float]],
    *,
    half: int = 0,
    progress: Progress | None = None,
) -> Iterator[torch.Tensor]:
    """Yield the images of ``codes``, one or one per frame, moved along all ``motions`` (see `apply_motions`), as chunks ``[n, C, R, R]``.

    ``half`` and ``progress(done, F, chunk)`` as in `synthesize_frames`. Errors: SubspaceError before anything is synthesized.
    """
    codes = codes[None] if codes.ndim == 2 else codes
    tracks = [(motion, motion.coefficients(c)) for motion, c in motions]
    total = frames_of(codes, [c for _, c in tracks])
    for start in range(0, total, BLOCK):
        part = [x if len(x) == 1 else x[start : start + BLOCK] for x in (codes, *(c for _, c in tracks))]
        moved = apply_motions(part[0], [(motion, c) for (motion, _), c in zip(tracks, part[1:])])
        yield from synthesize_frames(generator, moved, half=half, progress=shifted(progress, start, total))
