"""Neutral faces: what a motion moves is brought to rest before a face acts, by what is measured or by the code alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..files import limits
from ..stylegan2.frames import shifted, synthesize_frames
from ..stylegan2.generator import Generator
from .calibration import Measure, Progress, direction_only
from .errors import SubspaceError
from .estimators import median
from .reading import read_coefficients
from .subspace import Subspace

POINTS = 25  # coefficients at which each face is looked at
REACH = 1.5  # units
MIN_SIGNAL = 4.0  # of the median error of a single picture
NEAR = 0.05  # of what the motion changes: closer than that a face counts as at rest
SETTLED = 0.005  # the same, of a face that can be brought there


@dataclass(frozen=True)
class Neutral:
    """Codes ``[N, L, D]`` at rest, and the coefficients ``[N]`` of the motion that brought them there.

    ``before`` and ``after [N]`` are what was measured; None where the code alone was read. ``reached [N]``: whether that is at rest.
    """

    codes: torch.Tensor
    coefficients: torch.Tensor
    reached: torch.Tensor
    before: torch.Tensor | None = None
    after: torch.Tensor | None = None

    def describe(self, motion: str, quantity: str = "") -> str:
        """One sentence on the first face, and whether any stayed short of rest."""
        what = f"{motion or 'the motion'} by {float(self.coefficients[0]):+.2f}"
        if self.before is not None and self.after is not None:
            what += f", {quantity or 'the measurement'} from {float(self.before[0]):.2f} to {float(self.after[0]):.2f}"
        short = int((~self.reached).sum())
        several = f"; {short} of {len(self.reached)} faces come no nearer" if short else ""
        return f"Brought to rest: {what}{several if len(self.reached) > 1 else ', as near as this motion leads' if short else ''}."


def neutralize(
    codes: torch.Tensor,
    motion: Subspace,
    generator: Generator,
    measure: Measure | None = None,
    rest: float = 0.0,
    *,
    component: int = 1,
    reach: float = REACH,
    progress: Progress | None = None,
) -> Neutral:
    """Faces ``codes [N, L, D]`` moved along a ``component`` of ``motion``, counted from 1, until what is measured is at ``rest``.

    ``measure(images [n, 3, R, R]) -> values [n]`` reads each face at coefficients up to ``reach`` to both sides. The values are taken as a
    curve that only rises or only falls (the nearest one, by pooling adjacent violators), so that the error of a single picture does not
    count; pictures without a value (NaN) are left out. A face that cannot be brought to rest goes as near as the motion leads, and no
    further than needed. Without ``measure`` the code alone is read: the coefficient of the motion that it holds beyond the generator's
    mean code is taken out, at most ``reach``. Errors: a motion that does not move what is measured, or pictures in which nothing can be
    measured.
    """
    motion.check(generator)
    reach = limits.REACH.checked(reach, "The reach is", SubspaceError)
    one = direction_only(motion, component)
    if measure is None:
        held = read_coefficients(one, codes, reference=generator.w_avg.expand(codes.shape[1:]))
        c = (-held).clamp(-reach, reach)
        return Neutral(_moved(one, codes, c), c, held.abs() <= reach)
    steps = torch.linspace(-reach, reach, POINTS)
    found = []
    for i, code in enumerate(codes):
        told = shifted(progress, i * POINTS, len(codes) * POINTS)
        pictures = synthesize_frames(generator, one.apply(code[None], steps), progress=told)
        values = torch.cat([measure(images).detach().cpu().double().reshape(-1) for images in pictures])
        found.append(_at_rest(steps.double(), values, rest))
    c, before, after, reached = (torch.tensor(column) for column in zip(*found))
    return Neutral(_moved(one, codes, c.float()), c.float(), reached, before, after)


def _moved(motion: Subspace, codes: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    return torch.cat([motion.apply(code[None], c[None]) for code, c in zip(codes, coefficients)])


def _at_rest(c: torch.Tensor, values: torch.Tensor, rest: float) -> tuple[float, float, float, bool]:
    """The coefficient nearest to 0 at which the curve is at rest, the curve at 0 and there, and whether it is at rest."""
    seen = torch.isfinite(values)
    if int(seen.sum()) < 5:
        raise SubspaceError("Nothing could be measured in the pictures along this motion, so the face cannot be brought to rest by it.")
    x, curve = c[seen], _monotone(values[seen])
    span = float((curve[-1] - curve[0]).abs())
    if not span > MIN_SIGNAL * float(median((values[seen] - curve).abs())) + 1e-6 * float(values[seen].abs().max()):
        raise SubspaceError("This motion does not move what is measured, so no face is brought to rest by it; measure something else.")
    fine = torch.linspace(float(x[0]), float(x[-1]), 64 * (POINTS - 1) + 1, dtype=torch.float64)
    fine = fine[fine.abs().argsort(stable=True)]
    off = (_interpolated(fine, x, curve) - rest).abs()
    reached = bool(off.min() <= NEAR * span)
    near = off <= off.min() + span * (SETTLED if reached else NEAR)
    best = fine[int(near.nonzero()[0, 0])]
    before, after = (float(_interpolated(at.reshape(1), x, curve)) for at in (torch.zeros((), dtype=torch.float64), best))
    return float(best), before, after, reached


def _interpolated(at: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Piecewise linear through ``(x, y)``, constant beyond."""
    right = torch.searchsorted(x, at.clamp(x[0], x[-1])).clamp(1, len(x) - 1)
    t = ((at - x[right - 1]) / (x[right] - x[right - 1])).clamp(0, 1)
    return torch.lerp(y[right - 1], y[right], t)


def _monotone(values: torch.Tensor) -> torch.Tensor:
    """The nearest values in the least squares sense that only rise, or only fall, whichever is nearer (pool adjacent violators)."""
    rising, falling = _rising(values.tolist()), [-v for v in _rising((-values).tolist())]
    curves = [torch.tensor(curve, dtype=values.dtype) for curve in (rising, falling)]
    return min(curves, key=lambda curve: float((curve - values).square().sum()))


def _rising(values: list[float]) -> list[float]:
    pools: list[tuple[float, int]] = []  # mean and size
    for value in values:
        mean, size = value, 1
        while pools and pools[-1][0] >= mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    return [mean for mean, size in pools for _ in range(size)]
