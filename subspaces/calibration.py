"""Calibration: what one coefficient does to pictures, measured, and between which coefficients that holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..files import limits
from ..stylegan2.frames import Progress, synthesize_frames
from ..stylegan2.generator import Generator
from .errors import SubspaceError
from .estimators import median, pair_slopes
from .subspace import Calibration, Subspace

Measure = Callable[[torch.Tensor], torch.Tensor]
MIN_SLOPE_SHARE = 0.25
MIN_IDENTITY = 0.9
MIN_SIGNAL = 2.0
POINTS = 13  # at which a motion is measured


def calibrate(
    subspace: Subspace,
    measure: Measure,
    generator: Generator,
    codes: torch.Tensor,
    *,
    coefficients: Sequence[float] | torch.Tensor | None = None,
    reach: float = 1.5,
    component: int = 1,
    unit: str = "",
    instrument: str = "",
    rescale: bool = True,
    change: float | None = None,
    identity: Measure | None = None,
    min_identity: float = MIN_IDENTITY,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Subspace:
    """The same motion with its response on faces ``codes [N, L, D]`` measured by ``measure(images [n, 3, R, R]) -> values [n]``.

    The faces are moved by ``coefficients`` (None: 13 from -``reach`` to ``reach`` units) along the ``component``, counted from 1. The
    middle slope of the response over faces says what one unit does now. With ``rescale`` the unit becomes one unit of what is measured,
    or ``change`` of it (a negative response turns the motion round); else only the safe range is found. It goes from 0 outward, as long
    as the median response keeps a quarter of its slope in the middle and, with ``identity(images) -> unit vectors``, the median cosine
    with the unmoved face stays above ``min_identity``. Scale, range and the measured curve are stored in the result. Where ``measure``
    has no value (NaN) the range ends; faces that it loses near 0 do not count. Errors: a motion that does not move what is measured.
    """
    subspace.check(generator)
    c = _coefficients(coefficients, reach)
    one = direction_only(subspace, component)
    c, values, cosines = _seen(c, *_measure_all(one, measure, identity, generator, codes, c, batch, progress))
    return _calibrated(subspace, c, values, cosines, component, unit, instrument, rescale, change, min_identity)


def calibrate_track(
    subspace: Subspace,
    coefficients: Sequence[float] | torch.Tensor,
    values: Sequence[float] | torch.Tensor,
    *,
    identity: Sequence[float] | torch.Tensor | None = None,
    component: int = 1,
    unit: str = "",
    instrument: str = "",
    rescale: bool = True,
    change: float | None = None,
    min_identity: float = MIN_IDENTITY,
) -> Subspace:
    """``calibrate`` with what another instrument read from finished frames, such as the blendshapes of a face tracker.

    ``coefficients [F]`` of the frames, in any order and as often as a sweep repeats them; ``values [F]``, or ``[N * F]`` of N faces one
    after another; ``identity``: as many cosines with the unmoved face. Frames whose value is NaN (no face was found) do not count. The
    coefficients must hold 0. Errors: as ``calibrate``, or too few frames that were read.
    """
    direction_only(subspace, component)
    c, order = _track_coefficients(coefficients)
    read = _by_coefficient(values, order, len(c), "values")
    likeness = None if identity is None else _by_coefficient(identity, order, len(c), "identity cosines")
    seen = torch.isfinite(read).all(1) if likeness is None else torch.isfinite(read).all(1) & torch.isfinite(likeness).all(1)
    if not seen[c == 0].any() or len(c[seen]) < 3:
        raise SubspaceError(
            f"A face was read at {int(seen.sum())} of {len(c)} coefficients; calibration needs three or more, 0 among them. Sweep less far."
        )
    likeness = None if likeness is None else likeness[seen]
    return _calibrated(subspace, c[seen], read[seen], likeness, component, unit, instrument, rescale, change, min_identity)


def _calibrated(subspace, c, values, cosines, component, unit, instrument, rescale, change, min_identity) -> Subspace:
    """The motion with its calibration from values ``[C, N]`` and identity cosines ``[C, N]`` or None at coefficients ``c [C]``."""
    if change is not None:
        values = values / limits.CHANGE.checked(change, "The change of one unit is", SubspaceError)
        unit = unit or f"a change of {change:g} in {instrument or 'the measurement'}"
    slope = _central_slope(values, c)
    factor = 1 / slope if rescale else 1.0
    response = median(values.T)  # [C]
    cosine = None if cosines is None else median(cosines.T)
    safe = _safe_range(response, cosine, c, slope, min_identity)
    curve = {"coefficients": _list(c / factor), "response": _list(response), "spread": _list(_spread(values))}
    if cosine is not None:
        curve["identity"] = _list(cosine)
    return replace(subspace, calibration=_updated(subspace, component, factor, safe, unit, instrument, curve))


def _track_coefficients(coefficients) -> tuple[torch.Tensor, torch.Tensor]:
    """The different coefficients ``[C]``, rising, and which of them each frame has ``[F]``."""
    track = torch.as_tensor(coefficients).cpu().double()
    if track.ndim != 1 or not torch.isfinite(track).all():
        raise SubspaceError(f"Calibration takes one finite coefficient for each frame; these have shape {tuple(track.shape)}.")
    c, order = track.unique(return_inverse=True)
    if len(c) < 3 or not (c == 0).any():
        raise SubspaceError("Calibration needs frames at three or more coefficients, 0 among them; sweep from 0, or through it.")
    return c, order


def _by_coefficient(values, order: torch.Tensor, count: int, what: str) -> torch.Tensor:
    """Values of N faces ``[C, N]``: the mean of the frames that share a coefficient."""
    values = torch.as_tensor(values).cpu().double().reshape(-1)
    if not len(values) or len(values) % len(order):
        raise SubspaceError(f"There are {len(order)} coefficients and {len(values)} {what}; give one for each frame.")
    faces = values.reshape(-1, len(order)).T  # [F, N]
    known = torch.isfinite(faces)
    total = torch.zeros(count, faces.shape[1], dtype=torch.float64).index_add(0, order, faces.where(known, 0.0))
    return total / torch.zeros_like(total).index_add(0, order, known.double())


def _coefficients(coefficients, reach: float) -> torch.Tensor:
    if coefficients is None:
        reach = limits.REACH.checked(reach, "The reach is", SubspaceError)
        coefficients = torch.linspace(-reach, reach, POINTS)
    c = torch.as_tensor(coefficients, dtype=torch.float32).sort().values
    if len(c.unique()) < 3 or not c.min() < 0 < c.max() or not torch.isfinite(c).all():
        raise SubspaceError("Calibration needs at least three coefficients, some below and some above 0.")
    return torch.cat([c, torch.zeros(1)]).unique().double()


def direction_only(subspace: Subspace, component: int) -> Subspace:
    """One component, counted from 1, as a motion of its own. Raises SubspaceError where there is none."""
    component = limits.COMPONENT.checked(component, "The component is", SubspaceError)
    if component > subspace.rank:
        raise SubspaceError(f"There is no component {component}; this subspace has {subspace.rank}, counted from 1.")
    return Subspace(subspace.directions[component - 1], layers=subspace.layers)


def _measure_all(one, measure, identity, generator, codes, c, batch, progress) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Values ``[C, N]`` and identity cosines ``[C, N]`` of every face at every coefficient."""
    codes = codes[None] if codes.ndim == 2 else codes
    values, cosines, origin = [], [], int((c == 0).nonzero()[0, 0])
    for done, code in enumerate(codes):
        faces = list(synthesize_frames(generator, one.apply(code, c), batch=batch))
        with torch.no_grad():
            values.append(torch.cat([measure(x).detach().cpu().double().reshape(len(x)) for x in faces]))
            if identity is not None:
                vectors = torch.cat([identity(x).detach().cpu().double() for x in faces])
                cosines.append(torch.cosine_similarity(vectors, vectors[origin : origin + 1]))
        if progress is not None:
            progress(done + 1, len(codes), faces[-1])
    return torch.stack(values, 1), torch.stack(cosines, 1) if cosines else None


def _seen(c: torch.Tensor, values: torch.Tensor, cosines: torch.Tensor | None):
    """Coefficients, values and cosines without what could not be read (NaN): faces that are lost in the inner half of the
    coefficients do not count, and from where another is lost on outward nothing does."""
    known = torch.isfinite(values)
    faces = known[_inner(c)].all(0)
    if not faces.any():
        raise SubspaceError("The measurement gave no number on any of the faces (is a face to be seen?); check the measure.")
    good, origin = known[:, faces].all(1), int((c == 0).nonzero()[0, 0])
    kept = torch.cat([good[: origin + 1].flip(0).cumprod(0).flip(0)[:-1], good[origin:].cumprod(0)]).bool()
    return c[kept], values[kept][:, faces], None if cosines is None else cosines[kept][:, faces]


def _inner(c: torch.Tensor) -> torch.Tensor:
    """The inner half of the coefficients, three at least."""
    return c.abs() <= max(c.abs().max().item() / 2, c.abs().sort().values[2].item())


def _central_slope(values: torch.Tensor, c: torch.Tensor) -> float:
    """Median over faces of the Theil-Sen slope of the response in the inner half of the coefficients."""
    inner = _inner(c)
    group = torch.zeros(int(inner.sum()), dtype=torch.long)
    slopes = pair_slopes(values[inner], c[inner], group)  # [N]
    slope = float(median(slopes))
    rest = (values[inner] - c[inner, None] * slopes).diff(dim=0).abs().median()
    reach = abs(slope) * float(c[inner].max() - c[inner].min())
    if not reach > MIN_SIGNAL * float(rest) or not reach > 1e-6 * float(values.abs().max()):
        raise SubspaceError("This motion does not move what is measured, so it cannot be calibrated by it; measure something else.")
    return slope


def _safe_range(response: torch.Tensor, cosine: torch.Tensor | None, c: torch.Tensor, slope: float, min_identity: float):
    """The outermost coefficients, in units before rescaling, that every step from 0 on leads to safely."""
    good = response.diff() / c.diff() * (1 if slope > 0 else -1) >= MIN_SLOPE_SHARE * abs(slope)  # [C - 1]
    kept = torch.ones(len(c), dtype=torch.bool) if cosine is None else cosine >= min_identity
    origin = int((c == 0).nonzero()[0, 0])
    first = last = origin
    while last + 1 < len(c) and good[last] and kept[last + 1]:
        last += 1
    while first > 0 and good[first - 1] and kept[first - 1]:
        first -= 1
    return float(c[first]), float(c[last])


def _updated(s: Subspace, component: int, factor: float, safe: tuple[float, float], unit, instrument, curve) -> Calibration:
    old = s.calibration
    scale = tuple(v * factor if k == component else v for k, v in enumerate(old.scale, 1))
    ranges = list(old.safe) or [None] * s.rank
    low, high = sorted(x / factor for x in safe)
    ranges[component - 1] = (low, high)
    measured = f"one unit of {instrument or 'the measurement'}"
    return Calibration(unit or (old.unit if factor == 1 else measured), scale, tuple(ranges), instrument, curve)


def _spread(values: torch.Tensor) -> torch.Tensor:
    """Robust spread over faces of the change from the unmoved face's own level."""
    centered = values - values.mean(0)
    return 1.4826 * (centered - centered.median(1, keepdim=True).values).abs().median(1).values


def _list(x: torch.Tensor) -> list[float]:
    return [round(float(v), 6) for v in x]
