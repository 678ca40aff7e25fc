"""Every other way to find a direction, in one table with ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ...avatars.motions import Motion
from ...subspaces import Anchors, fit
from . import anchors, metrics
from .counterfactual import error_of
from .measure import Readings, sweep, typical_length
from .rows import Metric, Row, row, section, spread
from .study import CLEANED, INVERTED, ORACLE, POOLED, SHIPPED, TEXT, Study
from .world import STEP, Faces, factor_of, sign_of

CANDIDATES = 20
SAMPLES = 10_000
PROBES = 8
CLASSIFIER_LABELS = 2000
ESTIMATED = ("secant", "pca", "least_squares", "theil_sen", "rpca", "published")
NAMES = {
    "secant": "secant", "pca": "PCA", "least_squares": "least squares", "theil_sen": "Theil-Sen", "rpca": "robust PCA",
    "published": "published",
}  # fmt: skip
ALL = "all motions"
EFFICIENCY = Metric("efficiency", "Response at the oracle's length, share of the oracle's")
GAIN = Metric("baseline_gain", "Change over what was asked")
LEAKAGE = Metric("baseline_leakage", "Leakage at one sigma")
IDENTITY = Metric("baseline_identity", "Identity cosine at one sigma", "", None, 3)
SUCCESS = Metric("baseline_success", "Transfer success")
EDITED = Metric("baseline_counterfactual", "Counterfactual error")
SECONDS = Metric("seconds", "Seconds to make, anchors included", "", None, 2)
NORM = Metric("unit_norm", "Length of one unit, in spreads of the codes")
RESPONSE_SHARE = Metric("share_of_oracle", "Response, share of the oracle's", ">=", 0.90)
LEAKAGE_RATIO = Metric("leakage_of_oracle", "Leakage over the oracle's", "<=", 1.5)


@dataclass(frozen=True)
class Method:
    """A name, what it was told in words, and how it makes uncalibrated directions ``[S, L, D]`` and the seconds that took."""

    name: str
    told: str
    make: Callable[[Motion], tuple[torch.Tensor, float]]


def run(study: Study) -> dict:
    """The table of all methods: calibrated alike, measured on the same faces."""
    rows: list[Row] = []
    told = {}
    for method in methods(study):
        told[method.name] = method.told
        rows += _method_rows(study, method)
    rows += _against_oracle(study, rows)
    text = (
        "Every direction is scaled on the calibration faces to one unit of the factor per unit (those too weak for it are stopped at three"
        " spreads of the codes), then measured on the same unseen faces. Response at the oracle's length compares directions before"
        " calibration. The first table is the mean over motions; its seconds count text anchors, and take the codes of clips as given. One"
        " face: single-face directions, one per test face in turn."
    )
    chosen = [EFFICIENCY, GAIN, LEAKAGE, IDENTITY, SUCCESS, EDITED, NORM, SECONDS, RESPONSE_SHARE, LEAKAGE_RATIO]
    return section("Baselines", chosen, rows, text, told=told)


def methods(study: Study) -> list[Method]:
    """All that the networks at hand allow."""
    found = [Method("random", "nothing", lambda m: timed(lambda: random_direction(study)))]
    for source in study.sources:
        found += [_estimated(study, source, name) for name in ESTIMATED if source != INVERTED]
        found.append(Method(f"ours, {source}, {POOLED}", _told(source), lambda m, s=source: _pooled(study, s, m)))
        found.append(Method(f"ours, {source}, {CLEANED}", _told(source), lambda m, s=source: _cleaned(study, s, m)))
    if SHIPPED in study.ours:
        found.append(Method(f"ours, {SHIPPED}", "a sentence, or clips", lambda m: timed(lambda: study.shipped(m)[None])))
    if TEXT in study.sources:
        found.append(Method("StyleCLIP, one prompt", _told(TEXT), lambda m: _prompts(study, m)))
    found += [
        Method("GANSpace, best of 20", "labels of the probes", lambda m: timed(lambda: best_of(study, m, ganspace(study)))),
        Method("SeFa, best of 20", "labels of the probes", lambda m: timed(lambda: best_of(study, m, sefa(study)))),
        Method("linear classifier", f"{CLASSIFIER_LABELS} labels", lambda m: timed(lambda: classifier(study, m))),
        Method(ORACLE, f"{study.sizes.labels} faces, every label", lambda m: timed(lambda: study.oracle(m)[None])),
    ]
    return found


def _told(source: str) -> str:
    return {TEXT: "a sentence", INVERTED: "an unlabeled clip"}.get(source, "latents of a clip's true factors")


def _estimated(study: Study, source: str, estimator: str) -> Method:
    """One estimator on the anchors of one face at a time; ours is the default one of the source."""
    ours = estimator == ("theil_sen" if source == TEXT else "rpca")
    label = f"ours, {source}, one face ({NAMES[estimator]})" if ours else f"{NAMES[estimator]}, {source}, one face"
    return Method(label, _told(source), lambda m: singles(study, source, m, estimator))


def singles(study: Study, source: str, motion: Motion, estimator: str) -> tuple[torch.Tensor, float]:
    """A direction for each anchor identity, and the seconds one takes with its anchors."""
    parts = [with_order(study.anchors(source, motion, i), estimator) for i in range(study.sizes.pool)]
    directions, seconds = timed(lambda: torch.stack([_fit(p, estimator) for p in parts]))
    return directions, seconds / len(parts) + study.anchor_seconds(source, motion, range(1))


def with_order(part: Anchors, estimator: str) -> Anchors:
    """Anchors with degrees where an estimator needs them: those of a clip count its frames."""
    if part.degrees is not None or estimator not in ("theil_sen", "least_squares"):
        return part
    return replace(part, degrees=torch.linspace(0, 1, len(part)))


def _fit(part: Anchors, estimator: str) -> torch.Tensor:
    return fit(part, estimator=estimator).direction


def _pooled(study: Study, source: str, motion: Motion) -> tuple[torch.Tensor, float]:
    members = range(study.sizes.pool)
    direction, seconds = timed(lambda: study.fit(source, motion, members).direction[None])
    return direction, seconds + study.anchor_seconds(source, motion, members)


def _cleaned(study: Study, source: str, motion: Motion) -> tuple[torch.Tensor, float]:
    """The orthogonalized direction; its seconds count the anchors of every motion, which it needs."""
    direction, seconds = timed(lambda: study.cleaned(source, motion)[None])
    return direction, seconds + sum(study.anchor_seconds(source, m, range(study.sizes.pool)) for m in study.motions)


def _prompts(study: Study, motion: Motion) -> tuple[torch.Tensor, float]:
    made = [anchors.prompt_only(study.world, study.made, motion, i) for i in range(study.sizes.pool)]
    return torch.stack([d for d, _ in made]), sum(s for _, s in made) / len(made)


def random_direction(study: Study) -> torch.Tensor:
    """A seeded Gaussian direction ``[1, L, D]`` in W."""
    generator = study.world.generator
    d = torch.randn(1, 1, generator.width, generator=torch.Generator().manual_seed(study.world.seed))
    return d.repeat(1, generator.num_layers, 1)


def ganspace(study: Study) -> torch.Tensor:
    """The first principal components ``[K, L, D]`` of W (Haerkoenen et al. 2020)."""
    codes, _ = study.labeled(SAMPLES if study.sizes.labels > 1000 else study.sizes.labels)
    components = torch.linalg.svd(codes - codes.mean(0), full_matrices=False).Vh[:CANDIDATES]
    return components[:, None].repeat(1, study.world.generator.num_layers, 1)


def sefa(study: Study) -> torch.Tensor:
    """The strongest eigenvectors ``[K, L, D]`` of the style layers' weights (Shen and Zhou 2021)."""
    generator = study.world.generator
    weights = [F.normalize(p, dim=0) for name, p in generator.named_parameters() if name.endswith("affine.weight")]
    stacked = torch.cat([w.detach().cpu() for w in weights])  # [sum of channels, D]
    vectors = torch.linalg.svd(stacked, full_matrices=False).Vh[:CANDIDATES]
    return vectors[:, None].repeat(1, generator.num_layers, 1)


def best_of(study: Study, motion: Motion, candidates: torch.Tensor) -> torch.Tensor:
    """The candidate, with its sign, that moves the intended factor the most of all that it moves, on calibration faces."""
    world, k = study.world, factor_of(motion)
    faces = world.calibration(min(PROBES, study.sizes.probes))
    unit = 0.5 * typical_length(world) * F.normalize(candidates.flatten(1), dim=1).reshape(candidates.shape)
    best, chosen = -1.0, unit[:1]
    for direction in torch.cat([unit, -unit]):
        factors = sweep(world, faces, direction[None], [0.0, 1.0]).factors
        change = (factors[:, 1] - factors[:, 0]).mean(0)
        quality = float(sign_of(motion) * change[k] / change.norm().clamp(min=0.02))
        if quality > best:
            best, chosen = quality, direction[None]
    return chosen


def classifier(study: Study, motion: Motion, steps: int = 60) -> torch.Tensor:
    """The normal of a logistic classifier of codes, factor above or below its middle (as InterFaceGAN, Shen et al. 2020)."""
    codes, labels = study.labeled(min(CLASSIFIER_LABELS, study.sizes.labels))
    target = (labels[:, factor_of(motion)] > 0.5).float()
    middle, scale = codes.mean(0), codes.std(0).clamp(min=1e-6)
    x, weights = (codes - middle) / scale, torch.zeros(codes.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(x @ weights[:-1] + weights[-1], target) + 1e-3 * weights[:-1].square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    normal = sign_of(motion) * weights.detach()[:-1] / scale
    return normal.repeat(1, study.world.generator.num_layers, 1)


def timed(make: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float]:
    """What ``make`` gives, and the seconds it took."""
    begun = time.perf_counter()
    return make(), time.perf_counter() - begun


def _method_rows(study: Study, method: Method) -> list[Row]:
    """Figures per motion, then over all motions: each face's mean over motions, with its interval over faces."""
    rows, collected, seconds = [], [], []
    for motion in study.motions:
        directions, took = method.make(motion)
        values, norm = compare(study, method.name, directions, motion)
        rows += [spread(m, method.name, motion.name, v, statistic) for m, v, statistic in values]
        rows += [row(NORM, method.name, motion.name, norm), row(SECONDS, method.name, motion.name, took)]
        collected.append(values)
        seconds.append((norm, took))
    for several in zip(*collected):
        metric, _, statistic = several[0]
        rows.append(spread(metric, method.name, ALL, torch.stack([v for _, v, _ in several]).mean(0), statistic))
    for metric, several in zip((NORM, SECONDS), zip(*seconds)):
        rows.append(row(metric, method.name, ALL, sum(several) / len(several)))
    return rows


def compare(study: Study, name: str, directions: torch.Tensor, motion: Motion) -> tuple[list[tuple], float]:
    """One value per face for every metric of the table, and the length of one unit."""
    world, step = study.world, STEP[motion.name]
    faces = world.tests(study.sizes.compared)
    scaled = study.calibrated(name, motion, lambda: directions)
    readings = sweep(world, faces, scaled, [0.0, metrics.SIGMA, step])
    values = [
        (EFFICIENCY, efficiency(study, directions, motion, faces), metrics.median),
        (GAIN, readings.response(motion)[:, 2] / step, metrics.median),
        (LEAKAGE, readings.leakage(motion, 1), metrics.median),
        (IDENTITY, readings.same(1), metrics.median),
        (SUCCESS, readings.success(motion, step), metrics.mean),
        (EDITED, error_of(world, motion, faces, scaled), metrics.median),
    ]
    return values, float(scaled.flatten(1).norm(dim=1).mean()) / typical_length(world)


def efficiency(study: Study, directions: torch.Tensor, motion: Motion, faces: Faces) -> torch.Tensor:
    """Change of the factor at the length of the oracle's one sigma, over the oracle's own mean change, ``[N]``."""
    change = at_oracle_length(study, directions, motion, faces, metrics.SIGMA).response(motion)[:, 1]
    return change / oracle_change(study, motion, faces, metrics.SIGMA)


def at_oracle_length(study: Study, directions: torch.Tensor, motion: Motion, faces: Faces, coefficient: float) -> Readings:
    """Readings at rest and at ``coefficient``, with every direction brought to the length of the oracle's unit."""
    length = study.directions(ORACLE, motion).flatten().norm()
    same = length * F.normalize(directions.flatten(1), dim=1).reshape(directions.shape)
    return sweep(study.world, faces, same, [0.0, coefficient])


def oracle_change(study: Study, motion: Motion, faces: Faces, coefficient: float) -> float:
    """The oracle's mean change of the factor there."""
    name = f"oracle-change-{motion.name}-{len(faces)}-{coefficient:.3f}"
    made = study.cache.tensors(name, lambda: {"change": _measure_oracle(study, motion, faces, coefficient)})
    return float(made["change"])


def _measure_oracle(study: Study, motion: Motion, faces: Faces, coefficient: float) -> torch.Tensor:
    readings = sweep(study.world, faces, study.directions(ORACLE, motion), [0.0, coefficient])
    return readings.response(motion)[:, 1].mean().clamp(min=1e-3)


def _against_oracle(study: Study, rows: list[Row]) -> list[Row]:
    """The judged lines: ours against the oracle, per motion."""
    value = {(r.metric, r.group, r.motion): r.value for r in rows}
    found = []
    for name in (f"ours, {group}" for group in study.ours):
        for motion in [*(m.name for m in study.motions), ALL]:
            ratio = value[LEAKAGE.key, name, motion] / max(value[LEAKAGE.key, ORACLE, motion], 1e-6)
            found += [row(RESPONSE_SHARE, name, motion, value[EFFICIENCY.key, name, motion]), row(LEAKAGE_RATIO, name, motion, ratio)]
    return found
