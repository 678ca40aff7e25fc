"""Sweeps: coefficients over frames."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

import torch

from ..files import limits
from .errors import SubspaceError

POSITION = limits.Limit(-limits.FRAMES.high, limits.FRAMES.high)  # of a keyframe, which may lie outside the frames
EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "ease": lambda t: t * t * (3 - 2 * t),
    "ease_in": lambda t: t * t,
    "ease_out": lambda t: t * (2 - t),
    "smoother": lambda t: t * t * t * (t * (6 * t - 15) + 10),
    "sine": lambda t: 0.5 - 0.5 * math.cos(math.pi * t),
}


def sweep(
    frames: int = 48,
    start: float = 0.0,
    end: float = 1.0,
    *,
    easing: str = "linear",
    ping_pong: bool = False,
    hold_start: int = 0,
    hold_end: int = 0,
    cycles: int = 1,
) -> torch.Tensor:
    """Coefficients ``[frames]`` from ``start`` to ``end``.

    ``easing``: one of ``EASINGS``. ``ping_pong`` returns to ``start`` and ends one frame before it, so that the clip loops exactly with
    no frame doubled. ``hold_start`` and ``hold_end`` keep the first and the last value for that many frames more; ``cycles`` repeats the
    whole. All of them count inside ``frames``.
    """
    frames, cycles, ease = _frames(frames), limits.CYCLES.checked(cycles, "The cycles are", SubspaceError), _easing(easing)
    start, end = _coefficient(start), _coefficient(end)
    hold_start, hold_end = (limits.HOLD.checked(h, "The frames of a hold are", SubspaceError) for h in (hold_start, hold_end))
    if frames < cycles:
        raise SubspaceError(f"{frames} frames cannot hold {cycles} cycles; ask for more frames or fewer cycles.")
    bounds = [frames * k // cycles for k in range(cycles + 1)]
    parts = [_fractions(b - a, ping_pong, hold_start, hold_end) for a, b in zip(bounds, bounds[1:])]
    return torch.tensor([_between(start, end, ease(t)) for part in parts for t in part])


def keyframes(points: Sequence[tuple[float, float]] | str, frames: int, *, easing: str = "linear", loop: bool = False) -> torch.Tensor:
    """Coefficients ``[frames]`` through ``points``: pairs of frame number (from 0, in any order) and value, eased between neighbors.

    A text holds them as ``"0: 0, 12: 1, 47: 0"``. Before the first and after the last point its value holds; with ``loop`` the last point
    leads on to the first one of the next round, so that the clip loops exactly. Errors: two values at one frame, no pairs, no numbers.
    """
    frames, ease = _frames(frames), _easing(easing)
    points = sorted((POSITION.checked(f, "The keyframe's frame is", SubspaceError), _coefficient(v)) for f, v in _pairs(points))
    if not points:
        raise SubspaceError("There are no keyframes; give at least one pair of frame and value.")
    if twice := [f for (f, _), (g, _) in zip(points, points[1:]) if f == g]:
        raise SubspaceError(f"Two keyframes lie at frame {twice[0]:g}; give each frame one value.")
    if loop:
        outside = [f for f, _ in points if not 0 <= f < frames]
        if outside:
            raise SubspaceError(f"A keyframe at {outside[0]:g} lies outside a loop of {frames} frames; they count from 0 to {frames - 1}.")
        (first, begin), (last, end) = points[0], points[-1]
        points = [(last - frames, end), *points, (first + frames, begin)]
    return torch.tensor([_at(points, f, ease) for f in range(frames)])


def from_samples(samples: Sequence[float] | torch.Tensor, frames: int, start: float = 0.0, end: float = 1.0) -> torch.Tensor:
    """Coefficients ``[frames]`` from a curve given by evenly spaced ``samples``, of which 0 means ``start`` and 1 means ``end``."""
    values = [_coefficient(v, "The curve's sample is") for v in (samples.flatten().tolist() if torch.is_tensor(samples) else samples)]
    if not values:
        raise SubspaceError("The curve has no samples; give at least one.")
    frames = _frames(frames)
    step = (len(values) - 1) / max(1, frames - 1)
    points = list(enumerate(values))
    start, end = _coefficient(start), _coefficient(end)
    return torch.tensor([_between(start, end, _at(points, f * step, EASINGS["linear"])) for f in range(frames)])


def from_measured(values: Sequence[float] | torch.Tensor, unit: float | None = None) -> torch.Tensor:
    """Coefficients ``[F]`` from what was measured in a clip's frames: the change since the first, of which ``unit`` makes 1.

    Without ``unit`` the largest change does. Frames without a value (NaN) lie on the line between their neighbors. Errors: no value at all.
    """
    track = torch.as_tensor(values).double().flatten().tolist()
    points = [(float(i), value) for i, value in enumerate(track) if math.isfinite(value)]
    if not points:
        raise SubspaceError("Nothing was measured in any frame, so there is nothing to go by: no frame shows a face that is seen.")
    change = torch.tensor([_at(points, f, EASINGS["linear"]) - points[0][1] for f in range(len(track))])
    return change / (_coefficient(unit, "The unit is") if unit else float(change.abs().max()) or 1.0)


def close_loop(track: torch.Tensor, overlap: int) -> torch.Tensor:
    """A track ``[F]`` or ``[F, K]`` as an exact loop of ``F - overlap`` frames: its first ``overlap`` frames are faded in from its last."""
    if overlap not in range(1, len(track) // 2 + 1):
        raise SubspaceError(f"A track of {len(track)} frames cannot overlap itself by {overlap}; give 1 to {len(track) // 2} frames.")
    fade = torch.linspace(0, 1, overlap + 1)[:-1].reshape(-1, *[1] * (track.ndim - 1))
    head = fade * track[:overlap] + (1 - fade) * track[len(track) - overlap :]
    return torch.cat([head, track[overlap : len(track) - overlap]])


def _pairs(points: Sequence[tuple[float, float]] | str) -> list[tuple[float, float]]:
    if not isinstance(points, str):
        if any(not isinstance(p, (tuple, list)) or len(p) != 2 for p in points):
            raise SubspaceError("Every keyframe is a pair of frame and value.")
        return [(frame, value) for frame, value in points]
    parts = [part for part in points.replace(";", ",").replace("\n", ",").split(",") if part.strip()]
    return [_pair(part) for part in parts]


def _pair(text: str) -> tuple[float, float]:
    frame, _, value = text.partition(":")
    try:
        return float(frame), float(value)
    except ValueError as error:
        raise SubspaceError(f"{text.strip()!r} is not a keyframe; write frame: value, for example 0: 0, 12: 1, 47: 0.") from error


def _fractions(frames: int, ping_pong: bool, hold_start: int, hold_end: int) -> list[float]:
    """How far along each frame of a cycle is, 0 to 1, before easing."""
    moving = frames - hold_start - hold_end
    if moving < 1:
        raise SubspaceError(
            f"{frames} frames cannot hold {hold_start + hold_end} still ones and a motion; ask for more frames or shorter holds."
        )
    if not ping_pong:
        return [0.0] * hold_start + [i / max(1, moving - 1) for i in range(moving)] + [1.0] * hold_end
    up = moving // 2
    down = moving - up
    if not up:
        return [0.0] * frames
    return [0.0] * hold_start + [i / up for i in range(up)] + [1.0] * hold_end + [(down - i) / down for i in range(down)]


def _at(points: Sequence[tuple[float, float]], x: float, ease: Callable[[float], float]) -> float:
    i = bisect_right(points, x, key=lambda point: point[0])
    if not 0 < i < len(points):
        return points[0][1] if i == 0 else points[-1][1]
    (x0, y0), (x1, y1) = points[i - 1 : i + 1]
    return _between(y0, y1, ease((x - x0) / (x1 - x0)))


def _between(a: float, b: float, t: float) -> float:
    """a at 0 and b at 1, both exactly."""
    return a * (1 - t) + b * t


def _easing(name: str) -> Callable[[float], float]:
    if name not in EASINGS:
        raise SubspaceError(f"There is no easing {name!r}; choose one of {', '.join(EASINGS)}.")
    return EASINGS[name]


def _frames(value: int) -> int:
    return limits.FRAMES.checked(value, "The frames are", SubspaceError)


def _coefficient(value: float, what: str = "The coefficient is") -> float:
    return limits.COEFFICIENT.checked(value, what, SubspaceError)
