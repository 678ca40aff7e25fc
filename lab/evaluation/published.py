"""The paper's own code against ours on the same anchors."""

from __future__ import annotations

import time

import torch

from ...avatars.motions import Motion
from ...subspaces import Anchors, fit
from . import anchors, metrics
from .baselines import singles
from .counterfactual import error_of
from .measure import grid, sweep
from .response import IDENTITY, LEAKAGE, LINE, MONOTONE, ORDER, SUCCESS, worst_pair
from .rows import Metric, Row, row, section, spread
from .study import ORACLE, TEXT, TEXTS, Study
from .world import STEP

ERROR = Metric("versus_counterfactual", "Counterfactual error")
RAW = Metric("raw_slope", "Factor units per unit as fitted")
RAW_SPREAD = Metric("raw_slope_variation", "Its variation over anchor faces")
TRUE = Metric("cosine_oracle", "Cosine to the oracle's direction")
WORST = Metric("versus_worst", "Leakage, worst pair")
SECONDS = Metric("fit_seconds", "Seconds to fit", "", None, 3)
ANCHOR_SECONDS = Metric("anchor_seconds", "Seconds to make the anchors", "", None, 1)
REPEATS = 3
PUBLISHED_TEXT = f"{TEXT} {anchors.PUBLISHED}"
COMPARED = (ORDER, LINE, MONOTONE, LEAKAGE, IDENTITY, SUCCESS)


def run(study: Study) -> dict:
    """Both estimators on the anchors of single faces, calibrated alike; all as published; and as fitted, without any calibration."""
    rows = []
    for source in study.sources:
        for label, estimator in (("published", "published"), ("ours", None)):
            for motion in study.motions:
                rows += _rows(study, f"{label}, {source}", source, motion, estimator)
    if TEXT in study.sources:
        for motion in study.motions:
            rows += _rows(study, f"published throughout, {TEXT}", PUBLISHED_TEXT, motion, "published")
    text = (
        "The same anchors of single faces, one estimator against the other; each test face takes one of the directions in turn. Published"
        " throughout: the text anchors too are optimized with the published settings (every row free, no prior, one look), in our"
        " implementation and without the identity network, which avatars do not have. As fitted:"
        " what one unit does before calibration, and how much that differs between anchor faces."
    )
    chosen = [*_unjudged(), WORST, ERROR, TRUE, RAW, RAW_SPREAD, SECONDS, ANCHOR_SECONDS]
    return section("Published against ours", chosen, rows, text)


def _unjudged() -> list[Metric]:
    return [Metric(f"versus_{m.key}", m.title, "", None, m.decimals) for m in COMPARED]


def _rows(study: Study, group: str, source: str, motion: Motion, estimator: str | None) -> list[Row]:
    world, name = study.world, motion.name
    estimator = estimator or ("theil_sen" if study.anchors(source, motion, 0).degrees is not None else "rpca")
    directions, _ = singles(study, source, motion, estimator)
    scaled = study.calibrated(f"{source} {estimator} one", motion, lambda: directions)
    faces = world.tests(study.sizes.compared)
    readings = sweep(world, faces, scaled, grid(world, motion))
    c, response = readings.coefficients[:-2], readings.response(motion)[:, :-2]
    sigma = readings.at(metrics.SIGMA)
    values = (
        metrics.spearman(c, response),
        metrics.linearity(c, response),
        metrics.monotone(response),
        readings.leakage(motion, sigma),
        readings.same(sigma),
        readings.success(motion, STEP[name]),
    )
    statistics = (metrics.median, metrics.median, metrics.mean, metrics.median, metrics.median, metrics.mean)
    rows = [spread(m, group, name, v, s) for m, v, s in zip(_unjudged(), values, statistics)]
    rows.append(row(WORST, group, name, worst_pair(readings, motion, sigma)))
    rows.append(spread(ERROR, group, name, error_of(world, motion, faces, scaled)))
    return rows + _raw_rows(study, group, motion, directions, scaled) + _seconds(study, group, source, motion, estimator)


def _raw_rows(study: Study, group: str, motion: Motion, directions: torch.Tensor, scaled: torch.Tensor) -> list[Row]:
    oracle = study.directions(ORACLE, motion).expand_as(directions)
    raw = directions.flatten(1).norm(dim=1) / scaled.flatten(1).norm(dim=1)
    return [
        spread(TRUE, group, motion.name, metrics.cosine(directions, oracle)),
        spread(RAW, group, motion.name, raw),
        spread(RAW_SPREAD, group, motion.name, raw, metrics.variation),
    ]


def _seconds(study: Study, group: str, source: str, motion: Motion, estimator: str) -> list[Row]:
    part, members = study.anchors(source, motion, 0), range(study.sizes.pool)
    rows = [row(SECONDS, group, motion.name, min(_once(part, estimator) for _ in range(REPEATS)))]
    if source in TEXTS:
        rows.append(row(ANCHOR_SECONDS, group, motion.name, study.anchor_seconds(source, motion, members) / len(members)))
    return rows


def _once(part: Anchors, estimator: str) -> float:
    begun = time.perf_counter()
    fit(part, estimator=estimator)
    return time.perf_counter() - begun
