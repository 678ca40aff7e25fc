"""M1 and M2: is a motion one direction, and is it the same one for everybody?"""

from __future__ import annotations

import torch

from ...avatars.motions import Motion
from . import metrics
from .rows import Metric, Row, row, section, spread
from .study import TEXT, Study
from .world import factor_of, sign_of

VIDEO_TARGETS = {"smile": 0.90, "eyes": 0.90, "anger": 0.90, "turn": 0.85, "age": 0.85}
TEXT_TARGET = 0.75
STILL = 0.05
FIRST = Metric("evr1", "Variance in the first component", ">=", None)
SECOND = Metric("evr2", "Variance in the first two components")
RANK = Metric("effective_rank", "Effective rank", "", None, 1)
FORM = Metric("rank1_response", "Response kept by rank 1", ">=", 0.95)
WITHIN = Metric("cosine_one", "Cosine, two faces", ">=", 0.60)
BETWEEN = Metric("cosine_pooled", "Cosine, two pools", ">=", 0.90)
ACROSS = Metric("cosine_other", "Cosine with other motions, largest", "<=", 0.15)


def low_rank(study: Study) -> dict:
    """M1: share of variance per anchor identity, beside what noise and a random walk of as many points would show."""
    rows, spectra = [], {}
    for source in study.sources:
        for motion in study.motions:
            found, shares = _spectrum_rows(study, source, motion)
            rows += found
            spectra[f"{source}, {motion.name}"] = shares
        rows += _nulls(study, source)
    text = (
        "Anchors of one face, centered per face. The nulls are as many points in as many dimensions that hold no motion: independent"
        " noise, and a random walk, which any smooth path resembles. Intervals are over anchor identities."
    )
    return section("M1. Low rank", [FIRST, SECOND, RANK, FORM], rows, text, spectra=spectra)


def _spectrum_rows(study: Study, source: str, motion: Motion) -> tuple[list[Row], list[float]]:
    anchors = [study.anchors(source, motion, i).codes for i in range(study.sizes.pool)]
    shares = torch.stack([metrics.shares(a) for a in anchors])
    target = TEXT_TARGET if source == TEXT else VIDEO_TARGETS[motion.name]
    ranks = torch.tensor([metrics.effective_rank(s) for s in shares])
    kept = torch.tensor([rank_one_response(study, a, motion) for a in anchors])
    rows = [
        spread(FIRST, source, motion.name, shares[:, 0], target=target),
        spread(SECOND, source, motion.name, shares[:, :2].sum(1)),
        spread(RANK, source, motion.name, ranks),
        spread(FORM, source, motion.name, kept),
    ]
    return rows, shares.median(0).values[:10].tolist()


def rank_one_response(study: Study, anchors: torch.Tensor, motion: Motion) -> float:
    """How much of the factor's slope along the anchors is left when only their first component is kept; 0 where they do not move it."""
    flat = anchors.flatten(1)
    middle = flat.mean(0)
    U, s, V = torch.linalg.svd(flat - middle, full_matrices=False)
    kept = (middle + U[:, :1] * s[:1] @ V[:1]).reshape(anchors.shape)
    order = torch.linspace(0, 1, len(anchors))
    full, rank1 = (float(metrics.slopes(order, _factor(study, codes, motion)[None])[0]) for codes in (anchors, kept))
    return rank1 / full if abs(full) >= STILL else 0.0


def _factor(study: Study, codes: torch.Tensor, motion: Motion) -> torch.Tensor:
    factors = study.world.factors(study.world.show(codes))
    return sign_of(motion) * factors[:, factor_of(motion)]


def _nulls(study: Study, source: str) -> list[Row]:
    codes = study.anchors(source, study.motions[0], 0).codes
    width = codes[0].numel() if source == TEXT else codes.shape[2]
    kinds = {"noise": "null: independent noise", "walk": "null: random walk"}
    found = {label: metrics.null_shares(len(codes), width, kind) for kind, label in kinds.items()}
    return [row(FIRST, f"{source}, {label}", m.name, float(v), judged=False) for label, v in found.items() for m in study.motions]


def alignment(study: Study) -> dict:
    """M2: cosines of directions of one motion from different faces and pools, and of different motions."""
    rows, tables = [], {}
    for source in study.sources:
        pools = {m.name: study.pools(source, m) for m in study.motions}
        for motion in study.motions:
            singles = metrics.pair_cosines(study.singles(source, motion, 2 * study.sizes.pool))
            others = torch.stack([metrics.cosine(pools[motion.name][:1], pools[o.name][:1])[0] for o in study.motions if o != motion])
            rows += [
                spread(WITHIN, source, motion.name, singles),
                row(BETWEEN, source, motion.name, float(metrics.pair_cosines(pools[motion.name])[0])),
                row(ACROSS, source, motion.name, float(others.abs().max())),
            ]
        tables[source] = _cosine_table(study, pools)
    text = (
        "Absolute cosines of whole directions (all layers). One face against another: median over all pairs of anchor identities, the"
        " interval over pairs; two disjoint pools of anchor identities against each other; pooled directions of different motions."
    )
    return section("M2. Alignment", [WITHIN, BETWEEN, ACROSS], rows, text, cosines=tables)


def _cosine_table(study: Study, pools: dict[str, torch.Tensor]) -> list[list[float]]:
    first = [pools[m.name][:1] for m in study.motions]
    return [[float(metrics.cosine(a, b)) for b in first] for a in first]
