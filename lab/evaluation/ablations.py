"""What each choice is worth: every variant against the same choice made otherwise, at one length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from ...avatars.motions import Motion
from ...subspaces import Anchors, SubspaceError, fit, robust_pca
from ...subspaces.estimators import Problem, center, median, motion_scores, pair_slopes
from . import metrics
from .baselines import ALL, at_oracle_length, oracle_change
from .rows import Metric, Row, section, spread
from .study import CLEANED, ONE, ORACLE, POOLED, TEXT, TEXTS, VIDEO, Study
from .world import STEP

SHARE = Metric("ablation_response", "Response at the oracle's length, share of the oracle's")
LEAK = Metric("ablation_leakage", "Leakage there")
TRUE = Metric("ablation_cosine", "Cosine to the oracle's direction")
BAD = (0.0, 0.1, 0.2, 0.3)
COUNTS = (4, 6, 12, 24, 48)
SEEDS = (1, 3, 5, 10)
SPARSITIES = (0.5, 1.0, 1.5, 2.0, 3.0)
BANDS = ("all", "coarse", "middle", "fine")


@dataclass(frozen=True)
class Variant:
    """A question, one of its answers, and the uncalibrated directions ``[S, L, D]`` it gives."""

    question: str
    answer: str
    make: Callable[[Motion], torch.Tensor]


def run(study: Study) -> dict:
    """All variants on the same faces; each direction is brought to the oracle's length, so no calibration hides anything."""
    rows = [r for variant in variants(study) for r in _variant_rows(study, variant)]
    text = (
        "Directions as fitted, all brought to the length of the oracle's transfer step and applied to the same unseen faces: how much of"
        " the oracle's change they reach, and what else they change, over the change they make."
    )
    return section("Ablations", [SHARE, LEAK, TRUE], rows, text)


def variants(study: Study) -> Iterator[Variant]:
    """Every variant that the networks at hand allow."""
    for source in [s for s in (VIDEO, TEXT) if s in study.sources]:
        yield from _estimators(study, source)
        yield from _amounts(study, source)
    if TEXT in study.sources:
        for source in TEXTS:
            yield Variant("how text anchors are made, one face", source, _fitted(study, source, 1))
            yield Variant(f"how text anchors are made, {study.sizes.pool} faces", source, _fitted(study, source, study.sizes.pool))
    for source in study.sources:
        yield Variant("source", f"{source}, {ONE}", _fitted(study, source, 1))
        yield Variant("source", f"{source}, {POOLED}", lambda m, s=source: study.directions(f"{s}, {POOLED}", m))
        yield Variant("source", f"{source}, {CLEANED}", lambda m, s=source: study.directions(f"{s}, {CLEANED}", m))


def _estimators(study: Study, source: str) -> Iterator[Variant]:
    for how in ("none", "mean", "median"):
        for bad in (0.0, 0.1):
            yield Variant(f"centering, {source}, {bad:.0%} bad", how, _each(study, source, lambda a, h=how: centered_rpca(a, h), bad))
    for c in SPARSITIES:
        yield Variant(f"lambda, {source}", f"c = {c:g}", _each(study, source, lambda a, c=c: _sparse(a, c)))
    for answer, joint in (("each layer for itself", False), ("all layers as one matrix", True)):
        yield Variant(f"decomposition, {source}", answer, _each(study, source, _fitting(estimator="rpca", joint=joint)))
    for band in BANDS:
        yield Variant(f"layers, {source}", band, _each(study, source, _fitting(layers=band)))
    for bad in BAD:
        for name in (None, "pca", "secant", "published"):
            yield Variant(f"bad anchors, {source}", f"{bad:.0%} bad, {name or 'ours'}", _each(study, source, _fitting(estimator=name), bad))


def _fitting(**options) -> Callable[[Anchors], torch.Tensor]:
    return lambda part: fit(part, **options).direction


def _amounts(study: Study, source: str) -> Iterator[Variant]:
    largest = study.sizes.many if source == TEXT else max(COUNTS)
    for count in (c for c in COUNTS if c <= largest):
        yield Variant(f"anchors, {source}, first face", str(count), lambda m, c=count: _fewer(study, source, m, c))
    for seeds in (s for s in SEEDS if s <= 2 * study.sizes.pool):
        yield Variant(f"faces, {source}", str(seeds), _fitted(study, source, seeds))


def _each(study: Study, source: str, estimate: Callable[[Anchors], torch.Tensor], bad: float = 0.0) -> Callable[[Motion], torch.Tensor]:
    """An estimate per anchor identity, ``bad`` of its anchors replaced by other faces."""

    def make(motion: Motion) -> torch.Tensor:
        parts = [spoil(study, study.anchors(source, motion, i), bad, i) for i in range(study.sizes.pool)]
        return torch.stack([estimate(p) for p in parts])

    return make


def _fitted(study: Study, source: str, seeds: int) -> Callable[[Motion], torch.Tensor]:
    """Our estimator on pools of so many faces; as many pools as the first pool holds, or the one of more faces than that."""

    def make(motion: Motion) -> torch.Tensor:
        starts = range(max(1, study.sizes.pool - seeds + 1))
        return torch.stack([study.fit(source, motion, range(i, i + seeds)).direction for i in starts])

    return make


def _fewer(study: Study, source: str, motion: Motion, count: int) -> torch.Tensor:
    """A direction from ``count`` anchors of the first face, evenly over the range."""
    many = study.anchors(source, motion, 0, study.sizes.many if source == TEXT else max(COUNTS))
    keep = torch.linspace(0, len(many) - 1, count).round().long()
    chosen = replace(many, codes=many.codes[keep], degrees=None if many.degrees is None else many.degrees[keep], group=None, used=None)
    return fit(chosen).direction[None]


def spoil(study: Study, part: Anchors, share: float, seed: int) -> Anchors:
    """Anchors of which a share, chosen by ``seed``, is replaced by other faces' codes."""
    count = round(share * len(part))
    if not count:
        return part
    g = torch.Generator().manual_seed(seed)
    others, _ = study.labeled()
    rows = torch.randperm(len(part), generator=g)[:count]
    codes = part.codes.clone()
    codes[rows] = others[torch.randint(len(others), (count,), generator=g)][:, None].expand(-1, codes.shape[1], -1)
    return replace(part, codes=codes)


def centered_rpca(part: Anchors, how: str) -> torch.Tensor:
    """Robust PCA per layer after another centering (``none``, ``mean``, ``median``), then the Theil-Sen slope: ``[L, D]``."""
    group = torch.zeros(len(part), dtype=torch.long)
    codes = part.codes.double()
    middle = {"none": lambda x, _: torch.zeros_like(x[0]), "mean": torch.mean, "median": lambda x, _: median(x)}[how]
    low, _ = robust_pca(center(codes, group, middle).transpose(0, 1))
    low = low.transpose(0, 1)
    degrees = part.degrees
    if degrees is None:
        degrees, _ = motion_scores(low, Problem(codes, None, group), robust=how == "median")
    return pair_slopes(low, degrees.double(), group).float()


def _sparse(part: Anchors, c: float) -> torch.Tensor:
    largest = max(len(part), part.codes.shape[-1])
    return fit(part, estimator="rpca", sparsity=c / largest**0.5).direction


def _variant_rows(study: Study, variant: Variant) -> list[Row]:
    rows, collected = [], []
    for motion in study.motions:
        try:
            values = [*_judge(study, variant.make(motion), motion)]
        except SubspaceError:
            continue
        collected.append(values)
        group = f"{variant.question} | {variant.answer}"
        rows += [spread(m, group, motion.name, v) for m, v in zip((SHARE, LEAK, TRUE), values)]
    if collected:
        for metric, several in zip((SHARE, LEAK, TRUE), zip(*collected)):
            rows.append(spread(metric, f"{variant.question} | {variant.answer}", ALL, torch.stack(several).mean(0)))
    return rows


def _judge(study: Study, directions: torch.Tensor, motion: Motion) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Share of the oracle's change and leakage per test face, ``[N]``, and the cosine of that face's direction to the oracle's."""
    faces, step = study.world.tests(study.sizes.ablated), STEP[motion.name]
    readings = at_oracle_length(study, directions, motion, faces, step)
    oracle, own = study.directions(ORACLE, motion), directions[torch.arange(len(faces)) % len(directions)]
    share = readings.response(motion)[:, 1] / oracle_change(study, motion, faces, step)
    return share, readings.leakage(motion, 1), metrics.cosine(own, oracle.expand_as(own))
