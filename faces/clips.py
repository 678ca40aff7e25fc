"""Clips: one face followed through the frames, a steady crop path, and frames without a face."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..files import limits
from .alignment import check_sizes, density, sample_one
from .crop import Crop, ffhq_square
from .errors import FaceError
from .landmarks import Face, check_inside, choose, points_of
from .pictures import Pictures, Progress, as_pictures, check_finite

log = logging.getLogger(__name__)

PATHS = ("smooth", "fixed", "each")
MISSING = ("interpolate", "hold", "skip", "error", "keep")
WIDTHS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
PATIENCE = 8  # frames without the face after which another may be followed
THUMBNAIL = 16  # px: cuts are looked for at this size, where a pan changes little
CUT = 0.08  # of the value range: the least mean change of a cut
SHAPE_WIDTH = 4.0  # frames over which the outline of the face is averaged
DRIFT = 0.05  # of the side: from here on the report tells how far the face left its crop
FILLED_WEIGHT = 0.01  # of a frame without a face, in the smoothing


@dataclass(frozen=True)
class ClipReport:
    """What happened to a clip of ``frames`` frames: those that were ``kept`` (they have a square), those in which no face was found
    (``missing``), the first frames of new shots (``cuts``), and how far the face left a fixed crop (``drift``, share of the side)."""

    frames: int
    kept: tuple[int, ...]
    missing: tuple[int, ...] = ()
    cuts: tuple[int, ...] = ()
    policy: str = "interpolate"
    drift: float = 0.0

    def __str__(self) -> str:
        shots = f"{len(self.cuts) + 1} shots (cuts at {_listed(self.cuts)})" if self.cuts else "1 shot"
        lost = f"no face in {len(self.missing)} frame{'s' if len(self.missing) > 1 else ''} ({_listed(self.missing)}): {self.policy}"
        faces = lost if self.missing else "a face in every frame"
        drift = f", the face up to {100 * self.drift:.0f} % of the side off the middle" if self.drift >= DRIFT else ""
        return f"{len(self.kept)} of {self.frames} frames kept, {shots}, {faces}{drift}"


def align_clip(
    frames,
    landmarks: Sequence,
    size: int,
    *,
    path: str = "smooth",
    missing: str = "interpolate",
    smoothing: float | None = None,
    cuts: Sequence[int] | None = None,
    jumps: bool | None = None,
    progress: Progress | None = None,
    value_range: tuple[float, float] = (-1, 1),
) -> tuple[Any, tuple[Crop, ...], ClipReport]:
    """Squares along one steady crop path: ``squares, crops, ClipReport``.

    ``frames`` is a clip ``[F, C, H, W]`` in any form ``align`` takes. ``landmarks`` holds for each frame a ``Face``, 68 points, or None
    where no face was found (``follow`` makes it); a face whose eyes or mouth leave the picture counts as none.

    ``path`` "smooth" follows the face: position, size and tilt are smoothed forwards and backwards at once, so nothing lags. "fixed" holds
    one crop for each shot: what the head does stays visible in the squares. "each" aligns every frame for itself. To learn a motion from
    a clip use "fixed" when the head turns, nods or tilts (a crop that follows eyes and mouth takes part of that out), "smooth" when it
    walks through the picture.

    ``smoothing`` is the reach of the smoothing in frames (a standard deviation); None chooses it from the clip by leaving one frame out.
    ``missing`` says what to do without a face: "interpolate" or "hold" the crop within the shot, "skip" the frame (``report.kept`` says
    which stayed), "error", or "keep" it as it is: it gets a square near by, and its crop is ``empty``, so that pasting changes nothing, in
    shots without any face too. ``cuts`` are the first frames of new shots; None finds them. ``jumps``: whether a
    face that is suddenly elsewhere begins a shot too (None: where cuts are looked for). Nothing is smoothed or filled across a cut.

    Squares come from ``sample``: continuous in the crop, in the form, dtype and range of ``frames``. ``progress(done, F)`` is called after
    each square and may raise to cancel.
    """
    clip = as_pictures(frames, "frames", value_range)
    check_finite(clip.frames, "frames")
    _check_choice("path", path, PATHS)
    _check_choice("missing", missing, MISSING)
    size, _ = check_sizes(size)
    if smoothing is not None and not smoothing >= 0:
        raise FaceError(f"smoothing must be a number of frames, 0 or more, or None to choose it from the clip, not {smoothing!r}.")
    points = _usable(landmarks, clip)
    boundaries = tuple(find_cuts(frames, value_range=value_range) if cuts is None else cuts)
    states = np.array([_state(p) for p in points])  # [F, 4]
    if jumps or (jumps is None and cuts is None):
        boundaries = tuple(sorted({*boundaries, *_jumps(states)}))
    shots = _shots(boundaries, len(clip))
    lost = tuple(int(i) for i in np.flatnonzero(np.isnan(states[:, 0])))
    kept = _kept(states, shots, missing)
    planned = np.concatenate([_plan(states[shot], path, missing, smoothing) for shot in shots])
    if missing == "keep":
        planned = _near_by(planned)
    crops = _crops(planned, points, shots, clip.size, size, kept)
    if missing == "keep":
        crops = [replace(crop, empty=i in lost) for i, crop in zip(kept, crops)]
    squares = _sampled(clip, kept, crops, size, progress)
    report = ClipReport(len(clip), kept, lost, tuple(shot.start for shot in shots[1:]), missing, _drift(states, planned))
    log.info("%s", report)
    return clip.give_back(squares), tuple(crops), report


def follow(
    faces: Sequence[Sequence[Face]], by: str = "largest", *, cuts: Sequence[int] = (), index: int = 0, point=None, box=None
) -> list[Face | None]:
    """One face through a clip: chosen like ``choose``, then in every frame before and after it the nearest to where it was.

    The choice is made in the frame of each shot that shows the most faces (``key_frames``), so that a face which the detector misses now
    and then does not hand its number to another; in a shot of fewer faces the last of them is taken. None where the face is gone: one
    further away than its own size, or twice as large, is somebody else's. After eight frames without it the choice is made again. ``cuts``
    are the first frames of new shots (``find_cuts``). Raises FaceError when no frame of the clip shows as many faces.
    """
    most = max((len(found) for found in faces), default=0)
    index = limits.INDEX.checked(index, "The index of the face is", FaceError)
    if point is None and box is None and most and index >= most:
        raise FaceError(f"Face {index} was asked for and no frame shows more than {most} (counted from 0).")

    def pick(found):
        return choose(found, by, index=min(index, len(found) - 1), point=point, box=box) if found else None

    path: list[Face | None] = []
    for shot, key in zip(_shots(cuts, len(faces)), key_frames(faces, cuts)):
        after = _track(faces[key : shot.stop], pick, None)
        path += _track(faces[shot.start : key][::-1], pick, after[0])[::-1] + after
    return path


def key_frames(faces: Sequence[Sequence[Face]], cuts: Sequence[int] = ()) -> list[int]:
    """The frame of each shot in which faces are counted: the first that shows the most."""
    return [max(range(shot.start, shot.stop), key=lambda i: len(faces[i])) for shot in _shots(cuts, len(faces))]


def _track(faces: Sequence[Sequence[Face]], pick, last: Face | None) -> list[Face | None]:
    path: list[Face | None] = []
    absent = 0
    for found in faces:
        if last is None or absent >= PATIENCE:
            face = pick(found)
        else:
            face = next((f for f in _by_distance(found, last) if _is_same(f, last)), None)
        last, absent = (face, 0) if face is not None else (last, absent + 1)
        path.append(face)
    return path


def _by_distance(found: Sequence[Face], last: Face) -> list[Face]:
    return sorted(found, key=lambda face: float(np.hypot(*(face.center - last.center))))


def _is_same(face: Face, last: Face) -> bool:
    near = np.hypot(*(face.center - last.center)) <= last.extent
    return bool(near) and 0.5 <= face.extent / last.extent <= 2


def find_cuts(frames, *, value_range: tuple[float, float] = (-1, 1)) -> tuple[int, ...]:
    """First frames of new shots in a clip: a change far above what the frames around it do, and not undone one frame later (a flash)."""
    clip = as_pictures(frames, "frames", value_range)
    small = [F.adaptive_avg_pool2d(frame[:3].float(), THUMBNAIL) for frame in clip.frames]
    small = torch.stack(small).cpu() / (clip.high - clip.low)  # [F, 3, s, s]
    change = (small[1:] - small[:-1]).abs().mean((1, 2, 3)).numpy()  # of frame i + 1
    return tuple(i + 1 for i in range(len(change)) if _is_cut(small, change, i))


def _is_cut(small: torch.Tensor, change: np.ndarray, i: int) -> bool:
    around = np.delete(change, i)[max(i - 8, 0) : i + 8]
    usual = float(np.median(around)) if len(around) else 0.0
    if change[i] < max(CUT, 2 * usual):
        return False
    # After a cut the next frame is still new; after a flash it is the old picture again.
    if i + 2 < len(small) and float((small[i + 2] - small[i]).abs().mean()) < 0.5 * change[i]:
        return False
    return not (i > 0 and float((small[i + 1] - small[i - 1]).abs().mean()) < 0.5 * change[i])


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise FaceError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")


def _usable(landmarks: Sequence, clip: Pictures) -> list[np.ndarray | None]:
    """Landmarks of each frame, None where there is no whole face."""
    if len(landmarks) != len(clip):
        raise FaceError(f"frames has {len(clip)} frames and landmarks {len(landmarks)}: give one face, or None, for each frame.")
    return [_whole_face(one, i, clip.size) for i, one in enumerate(landmarks)]


def _whole_face(landmarks, number: int, size: tuple[int, int]) -> np.ndarray | None:
    if landmarks is None:
        return None
    where = f"The face in frame {number} of frames"
    points = points_of(landmarks, size, where)
    try:
        check_inside(points, size, where)
    except FaceError as reason:
        log.info("%s It counts as missing.", reason)
        return None
    return points


def _sampled(clip: Pictures, kept: Sequence[int], crops: Sequence[Crop], side: int, progress: Progress | None) -> torch.Tensor:
    squares, dense = clip.frames.new_empty(len(kept), 3, side, side), density(crops, side)
    for done, (number, crop) in enumerate(zip(kept, crops)):
        squares[done] = clip.cast(sample_one(clip.frames[number, :3], crop, side, dense))
        if progress is not None:
            progress(done + 1, len(kept))
    return squares


def _state(points: np.ndarray | None) -> np.ndarray:
    """Center x, center y, log of the half side, tilt in radians; not a number without a face."""
    if points is None:
        return np.full(4, np.nan)
    center, x = ffhq_square(points)
    return np.array([*center, np.log(np.hypot(*x)), np.arctan2(x[1], x[0])])


def _jumps(states: np.ndarray) -> list[int]:
    """Frames whose face cannot be where the one before went: half a square away, or half as large again."""
    seen = np.flatnonzero(~np.isnan(states[:, 0]))
    before, after = states[seen[:-1]], states[seen[1:]]
    far = np.hypot(*(after - before)[:, :2].T) > np.exp(before[:, 2]) * np.sqrt(np.diff(seen))
    resized = np.abs(after[:, 2] - before[:, 2]) > 0.5
    return [int(i) for i in seen[1:][far | resized]]


def _shots(cuts: Sequence[int], frames: int) -> list[slice]:
    edges = [0, *sorted({int(c) for c in cuts if 0 < c < frames}), frames]
    return [slice(a, b) for a, b in zip(edges, edges[1:]) if a < b]


def _kept(states: np.ndarray, shots: Sequence[slice], missing: str) -> tuple[int, ...]:
    """Frames that get a square; one sentence where the policy has no answer."""
    lost = np.isnan(states[:, 0])
    if lost.all():
        raise FaceError(f"No face was found in any of the {len(lost)} frames: use a clip with a larger or more frontal face.")
    if missing == "skip":
        return tuple(int(i) for i in np.flatnonzero(~lost))
    if missing == "error" and lost.any():
        raise FaceError(
            f"No face was found in frame {_listed(np.flatnonzero(lost).tolist())}: interpolate, hold, skip or keep such frames."
        )
    for shot in shots if missing != "keep" else ():
        if lost[shot].all():
            last = shot.stop - 1
            span = f"from frame {shot.start} to {last}"
            raise FaceError(f"The shot {span} shows no face at all, so there is nothing to {missing}: skip it, or keep it as it is.")
    return tuple(range(len(lost)))


def _plan(states: np.ndarray, path: str, missing: str, smoothing: float | None) -> np.ndarray:
    """Crop states of one shot, ``[F, 4]``; a shot without a face stays empty."""
    seen = ~np.isnan(states[:, 0])
    if not seen.any():
        return states
    states = states.copy()
    states[seen, 3] = np.unwrap(states[seen, 3])
    if path == "fixed":
        return np.broadcast_to(np.median(states[seen], axis=0), states.shape)
    filled = _fill(states, seen, missing)
    return filled if path == "each" else steady(filled, np.where(seen, 1.0, FILLED_WEIGHT), smoothing)


def _near_by(planned: np.ndarray) -> np.ndarray:
    """Crop states in which a shot without a face has those of the nearest frame that has some."""
    known = np.flatnonzero(~np.isnan(planned[:, 0]))
    nearest = [known[np.abs(known - i).argmin()] for i in range(len(planned))]
    return planned[nearest]


def _fill(states: np.ndarray, seen: np.ndarray, missing: str) -> np.ndarray:
    at, known = np.arange(len(states)), np.flatnonzero(seen)
    if missing in ("hold", "keep"):
        return states[known[np.maximum(np.searchsorted(known, at, "right") - 1, 0)]]
    return np.stack([np.interp(at, known, column[known]) for column in states.T], axis=1)


def steady(values: np.ndarray, weights: np.ndarray, width: float | None = None) -> np.ndarray:
    """Smooth paths ``values [F, P]`` without lag: robust local lines under a Gaussian of ``width`` frames (LOWESS, Cleveland 1979).

    Looking as far ahead as back, a steady movement passes unchanged; two further rounds weigh outliers down. ``width`` None takes, for
    each column, the widest that predicts a left-out frame as well as the best does, to one standard error; the widest of all is a
    constant, so that a face that does not move gets a crop that does not move.
    """
    if len(values) < 3 or width == 0:
        return values
    return np.stack([_steady_column(column, weights, width) for column in values.T], axis=1)


def _steady_column(column: np.ndarray, weights: np.ndarray, width: float | None) -> np.ndarray:
    widths = [width] if width is not None else [*(w for w in WIDTHS if w <= len(column) / 2), None]
    robust = weights
    for _ in range(3):
        fits = [_constant(column, robust) if w is None else _local_line(column, robust, w) for w in widths]
        fitted = _smoothest(fits, weights)
        residual = np.abs(column - fitted)
        robust = weights * np.clip(1 - (residual / max(_limit(residual), 1e-12)) ** 2, 1e-3, 1) ** 2
    return fitted


def _smoothest(fits: list[tuple[np.ndarray, np.ndarray]], weights: np.ndarray) -> np.ndarray:
    """The last of ``fits`` (ever smoother) whose left-out error is within one standard error of the least."""
    errors = np.array([np.minimum(left_out**2, _limit(left_out) ** 2) for _, left_out in fits])
    means = np.average(errors, axis=1, weights=weights)
    best = int(np.argmin(means))
    allowed = means[best] + errors[best].std() / np.sqrt(weights.sum())
    return fits[int(np.flatnonzero(means <= allowed)[-1])][0]


def _limit(residual: np.ndarray) -> float:
    """Six median deviations: Cleveland's limit of what still counts."""
    return 6 * float(np.median(np.abs(residual)))


def _constant(y: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean, and what each frame differs from the mean of the others."""
    mean = np.average(y, weights=w)
    return np.full_like(y, mean), (y - mean) / np.maximum(1 - w / w.sum(), 1e-6)


def _local_line(y: np.ndarray, w: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """A weighted line through the neighbors of each frame, and what each frame differs from the line through the others."""
    radius = min(int(4 * width + 0.5), len(y) - 1)
    t = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (t / width) ** 2)

    def moment(signal, power):
        return np.convolve(signal, (kernel * t**power)[::-1])[radius : radius + len(y)]

    s0, s1, s2 = (moment(w, power) for power in range(3))
    t0, t1 = moment(w * y, 0), moment(w * y, 1)
    spread = np.maximum(s0 * s2 - s1**2, 1e-9 * s0**2)
    fitted = (s2 * t0 - s1 * t1) / spread
    return fitted, (y - fitted) / np.maximum(1 - w * s2 / spread, 1e-6)


def _crops(planned: np.ndarray, points: list, shots: Sequence[slice], photo_size, side: int, kept: Sequence[int]) -> list[Crop]:
    crops = {i: _crop(planned[i], photo_size, side) for i in kept}
    for shot in shots:
        numbers = [i for i in range(shot.start, shot.stop) if i in crops and points[i] is not None]
        for i, outline in _outlines(crops, points, numbers, range(shot.start, shot.stop)).items():
            crops[i] = replace(crops[i], landmarks=outline)
    return [crops[i] for i in kept]


def _crop(state: np.ndarray, photo_size: tuple[int, int], side: int) -> Crop:
    half = np.exp(state[2])
    return Crop.from_square(state[:2], half * np.array([np.cos(state[3]), np.sin(state[3])]), photo_size, side)


def _outlines(crops: dict, points: list, seen: list[int], shot: range) -> dict[int, tuple]:
    """Landmarks of all crops of a shot, averaged over neighboring frames in the square, so that a mask made from them does not flicker."""
    if not seen:
        return {}
    shapes = np.stack([crops[i].to_square(points[i]).ravel() for i in seen])
    at = np.array([i for i in shot if i in crops])
    shapes = np.stack([np.interp(at, seen, column) for column in shapes.T], axis=1)
    shapes = steady(shapes, np.ones(len(at)), SHAPE_WIDTH).reshape(-1, 68, 2)
    return {int(i): tuple(map(tuple, crops[int(i)].to_photo(shape).tolist())) for i, shape in zip(at, shapes)}


def _drift(states: np.ndarray, planned: np.ndarray) -> float:
    """The furthest that a face lies from the middle of its crop, in share of the side."""
    away = np.hypot(*(states - planned)[:, :2].T) / (2 * np.exp(planned[:, 2]))
    return float(np.nanmax(away))


def _listed(numbers: Sequence[int], most: int = 8) -> str:
    shown = ", ".join(str(int(n)) for n in numbers[:most])
    return f"{shown} and {len(numbers) - most} more" if len(numbers) > most else shown
