"""M3, M4, M5, M7: what a coefficient does to faces that no direction has seen. One sweep answers all four."""

from __future__ import annotations

import torch

from ...avatars.motions import Motion
from . import metrics
from .measure import Readings, grid, sweep
from .rows import Metric, Row, row, section, spread
from .study import Study
from .world import FACTORS, REACH, STEP, factor_of

ORDER = Metric("spearman", "Spearman (coefficient, factor)", ">=", 0.98)
LINE = Metric("linear_r2", "R² of a straight line", ">=", 0.95)
MONOTONE = Metric("monotone", "Share of steps that do not go back", ">=", 0.97)
VARIATION = Metric("slope_variation", "Slope variation over faces", "<=", 0.25)
SLOPE = Metric("slope", "Factor units per coefficient unit")
LEAKAGE = Metric("leakage", "Leakage at one sigma, median face", "<=", 0.15)
WORST = Metric("worst_leak", "Leakage, worst pair", "<=", 0.30)
IDENTITY = Metric("identity", "Identity cosine at one sigma", ">=", 0.97, 3)
SUCCESS = Metric("success", "Transfer success", ">=", 0.95)


def responses(study: Study) -> dict:
    """All four for every group and motion on the test identities."""
    rows, curves, matrices = [], {}, {}
    for group in study.groups:
        matrix = []
        for motion in study.motions:
            readings = sweep(study.world, study.tests(group), study.directions(group, motion), grid(study.world, motion))
            rows += rows_of(readings, group, motion)
            curves[f"{group}|{motion.name}"] = curve(readings, motion)
            matrix.append(_matrix_row(readings, motion))
        matrices[group] = matrix
    chosen = [ORDER, LINE, MONOTONE, VARIATION, SLOPE, LEAKAGE, WORST, IDENTITY, SUCCESS]
    text = (
        "Every test face starts at rest and is moved from coefficient 0 upward, and the instrument reads each picture. One face: each"
        " test face takes one of the single-face directions in turn. Directions were scaled on other faces, so that one coefficient unit"
        " is one unit of the factor (its whole range); the slope shows how well that holds on unseen faces."
    )
    extra = {"curves": curves, "matrices": matrices, "factors": list(FACTORS), "step": STEP, "reach": REACH}
    return section("M3, M4, M5, M7. Response, leakage, identity, transfer", chosen, rows, text, **extra)


def rows_of(readings: Readings, group: str, motion: Motion) -> list[Row]:
    """The figures of one sweep made on ``grid``."""
    c, response = readings.coefficients[:-2], readings.response(motion)[:, :-2]
    sigma = readings.at(metrics.SIGMA)
    slope = metrics.slopes(c, response)
    name = motion.name
    return [
        spread(ORDER, group, name, metrics.spearman(c, response)),
        spread(LINE, group, name, metrics.linearity(c, response)),
        spread(MONOTONE, group, name, metrics.monotone(response), metrics.mean),
        spread(VARIATION, group, name, slope, metrics.variation),
        spread(SLOPE, group, name, slope),
        spread(LEAKAGE, group, name, readings.leakage(motion, sigma)),
        row(WORST, group, name, worst_pair(readings, motion, sigma)),
        spread(IDENTITY, group, name, readings.same(sigma)),
        spread(SUCCESS, group, name, readings.success(motion, STEP[name]), metrics.mean),
    ]


def worst_pair(readings: Readings, motion: Motion, frame: int) -> float:
    """The largest median size of another factor's change over the intended one's."""
    sizes = metrics.median(readings.leaks(motion, frame).abs(), 0)
    return float(max(s for j, s in enumerate(sizes) if j != factor_of(motion)))


def _matrix_row(readings: Readings, motion: Motion) -> list[float]:
    """Median change of each factor at one sigma, in sigmas; signs as read."""
    frame = readings.at(metrics.SIGMA)
    change = readings.factors[:, frame] - readings.factors[:, 0]
    return (metrics.median(change, 0) / metrics.SIGMA).tolist()


def curve(readings: Readings, motion: Motion) -> dict[str, list[float]]:
    """Median and quartiles of response and identity over the sweep."""
    response = readings.response(motion)[:, :-2]
    same = torch.stack([readings.same(f) for f in range(response.shape[1])], 1)
    quartiles = {f"response{q}": response.quantile(q / 100, 0).tolist() for q in (25, 50, 75)}
    identity = {f"identity{q}": same.quantile(q / 100, 0).tolist() for q in (25, 50, 75)}
    return {"coefficients": readings.coefficients[:-2].tolist(), **quartiles, **identity}
