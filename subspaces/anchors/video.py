"""Video anchors: the codes of a clip's frames, put in the order of the motion that they show.

The paper describes them and its authors published no code for them. A clip has no degrees: robust PCA finds the motion that most of
its frames share, and the frames are ordered by how far along it they are. Frames that do not fit, and frames that only repeat a
standstill, are named and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from ...files import limits
from ...stylegan2.generator import Generator
from ..decomposition import robust_pca
from ..errors import SubspaceError
from ..estimators import Problem, center, median, motion_scores
from .base import Anchors, pool

MAX_FRAMES = 96
OUTLIER_SIGMAS = 6.0
STILL_RANGE = 0.02
MIN_FRAMES = 3


def video_anchors(
    clips: torch.Tensor | Sequence[torch.Tensor],
    *,
    degrees: Sequence[float] | torch.Tensor | None = None,
    positive: int | None = None,
    generator: Generator | None = None,
    max_frames: int = MAX_FRAMES,
    crop_policy: str = "",
    description: str = "",
) -> Anchors:
    """Anchors from the codes ``[T, L, D]`` of one clip's frames, or of several clips.

    ``degrees``: how far along each frame is, where that is known (of a single clip). ``positive``: the frame that shows the motion most (in
    each clip); None: the positive end is the one farther from the clip's beginning, and further clips are turned to the first one's side.
    Long clips are thinned evenly to ``max_frames``. ``generator``: checked and remembered; ``crop_policy`` and ``description`` are kept
    with the anchors. ``labels`` name the frames, ``notes`` say which were left out. Errors: fewer than three frames, no motion, numbers
    that are not finite.
    """
    clips = [clips] if isinstance(clips, torch.Tensor) else list(clips)
    if not clips:
        raise SubspaceError("There are no clips; give the codes of at least one.")
    limits.ANCHOR_FRAMES.checked(max_frames, "The most frames are", SubspaceError)
    if degrees is not None and len(clips) > 1:
        raise SubspaceError("Degrees can be given for one clip at a time; make anchors of each and pool them.")
    parameters = {"crop_policy": crop_policy, "clip": description, "positive": "away from the beginning" if positive is None else positive}
    parts = []
    for number, codes in enumerate(clips):
        _check(codes, generator)
        prefix = f"clip {number + 1}, " if len(clips) > 1 else ""
        part = _one_clip(codes, degrees, positive, max_frames, prefix)
        parts.append(_like_the_first(part, parts[0], prefix) if parts and positive is None else part)
    return replace(pool(parts), parameters=parameters, fingerprint="" if generator is None else generator.fingerprint)


def _one_clip(codes: torch.Tensor, degrees, positive: int | None, max_frames: int, prefix: str) -> Anchors:
    frames = torch.linspace(0, len(codes) - 1, min(len(codes), max_frames)).round().long()
    chosen = codes[frames].detach().cpu()
    labels = tuple(f"{prefix}frame {f}" for f in frames.tolist())
    if degrees is not None:
        values = torch.as_tensor(degrees)
        if len(values) != len(codes):
            raise SubspaceError(f"The clip has {len(codes)} frames but {len(values)} degrees came with it; give one for each frame.")
        return Anchors(chosen, degrees=values[frames], labels=labels, source="video")
    scores, outlier = _scores(chosen.double())
    scores = scores * _sign(scores, outlier, frames, positive)
    still = standstill(scores) & ~outlier
    order = scores.argsort()
    return Anchors(
        chosen[order],
        labels=tuple(labels[i] for i in order.tolist()),
        used=~(outlier | still)[order],
        source="video",
        notes=_notes(frames, outlier, still, prefix),
    )


def _like_the_first(part: Anchors, first: Anchors, prefix: str) -> Anchors:
    """The anchors of a clip, turned round where they run against the first clip's: a clip may begin at either end of the motion."""
    if (_run(part) * _run(first)).sum() >= 0:
        return part
    note = f"Turned round, {prefix}so that it runs as the first clip does."
    return replace(part, codes=part.codes.flip(0), used=part.used.flip(0), labels=part.labels[::-1], notes=(*part.notes, note))


def _run(anchors: Anchors) -> torch.Tensor:
    """What the ordered anchors do ``[L, D]``: the median of their last third less that of their first."""
    codes = anchors.kept().codes
    third = max(1, len(codes) // 3)
    return median(codes[-third:]) - median(codes[:third])


def _scores(codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far along the shared motion each frame is ``[T]`` (a range of about 1), and which frames do not fit ``[T]``."""
    group = torch.zeros(len(codes), dtype=torch.long)
    centered = center(codes, group)
    if not centered.abs().max() > 0:
        raise SubspaceError("All frames of the clip have the same code, so nothing moves in it; use another clip.")
    low = robust_pca(centered.flatten(1))[0].reshape(centered.shape)
    scores, keep = motion_scores(low, Problem(codes, None, group))
    misfit = (centered - low).flatten(1).norm(dim=1)
    spread = 1.4826 * (misfit - misfit.median()).abs().median() + 0.05 * misfit.median()
    return scores, ~keep | (misfit > misfit.median() + OUTLIER_SIGMAS * spread)


def _sign(scores: torch.Tensor, outlier: torch.Tensor, frames: torch.Tensor, positive: int | None) -> int:
    """+1 where the positive end lies at high scores, else -1."""
    good = scores[~outlier]
    if positive is not None:
        if not 0 <= positive <= int(frames[-1]):
            raise SubspaceError(f"The positive frame {positive} is not in the clip; its frames are 0 to {int(frames[-1])}.")
        return 1 if scores[(frames - positive).abs().argmin()] >= good.median() else -1
    beginning = good[: max(1, len(good) // 20)].median()
    return 1 if good.max() - beginning >= beginning - good.min() else -1


def standstill(scores: torch.Tensor) -> torch.Tensor:
    """Frames ``[T]`` that stand still and are not the first of their run: a window around them covers 2 % of the motion or less."""
    half = max(2, len(scores) // 40)
    if len(scores) < 4 * half:
        return torch.zeros(len(scores), dtype=torch.bool)
    windows = scores.unfold(0, 2 * half + 1, 1)
    calm = windows.amax(1) - windows.amin(1) <= STILL_RANGE * (scores.amax() - scores.amin())
    still = torch.zeros(len(scores), dtype=torch.bool)
    for start in calm.nonzero()[:, 0].tolist():
        still[start + 1 : start + 2 * half + 1] = True
    return still


def _notes(frames: torch.Tensor, outlier: torch.Tensor, still: torch.Tensor, prefix: str) -> tuple[str, ...]:
    notes = []
    if outlier.any():
        notes.append(f"Left out, {prefix}frames that do not fit the motion: {_ranges(frames[outlier].tolist())}.")
    if still.any():
        notes.append(f"Left out, {prefix}frames that repeat a standstill: {_ranges(frames[still].tolist())}.")
    return tuple(notes)


def _ranges(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:12])) + (f" and {len(numbers) - 12} more" if len(numbers) > 12 else "")


def _check(codes: torch.Tensor, generator: Generator | None) -> None:
    if codes.ndim != 3 or len(codes) < MIN_FRAMES:
        raise SubspaceError(
            f"A clip's codes have shape {tuple(codes.shape)}; [frames, layers, width] with at least {MIN_FRAMES} frames are needed."
        )
    if generator is not None and codes.shape[1:] != (generator.num_layers, generator.width):
        raise SubspaceError(
            f"A clip's codes have {codes.shape[1]} layers of {codes.shape[2]}; this {generator.resolution} px generator has"
            f" {generator.num_layers} of {generator.width}. Invert the clip with this generator."
        )
    if not torch.isfinite(codes).all():
        raise SubspaceError("A clip's codes hold numbers that are not finite (NaN or infinity); invert those frames again.")
