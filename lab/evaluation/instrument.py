"""The gate of the instrument, and how faithful the generator is to the renderer."""

from __future__ import annotations

import torch

from ...avatars import renderer as rendering
from .. import sampling
from ..train_regressor import TEST_SEED, batch_of
from . import metrics
from .rows import Metric, Row, row, section, spread
from .study import Study
from .world import FACTORS, STYLE_COORDINATES, World

R2 = Metric("r2", "R²", ">=", 0.98, 3)
ERROR = Metric("mae", "Mean absolute error, share of the range", "<=", 0.03, 3)
RENDERS = "held-out renders, all styles"
PSNR = Metric("psnr", "PSNR on unseen renders, dB", ">=", 30.0, 1)
CHUNK = 256


def gate(study: Study) -> dict:
    """The instrument on renders that its training never drew.

    ``passed``: for every factor, on all styles together and on photos; without it nothing is published. ``styles``: those in which
    it passes by itself.
    """
    world, rows, styles = study.world, _quality(RENDERS, *_read_renders(study.world, study.sizes.gate)), []
    together = all(r.met for r in rows)
    for style in rendering.STYLES:
        parameters = sampling.sample_parameters(max(64, study.sizes.gate // 2), TEST_SEED + 7)
        found = _quality(f"renders, {style}", world.factors(world.draw(parameters, style)), parameters)
        rows += found
        styles += [style] if all(r.met for r in found) else []
    text = (
        "The instrument reads factors of renders with seeds that its training never used: all styles together, as it was trained, then"
        f" each alone. It passes alone in {', '.join(styles) or 'none'}; figures of other styles are shown without a verdict."
    )
    return section("Gate: the instrument", [R2, ERROR], rows, text, styles=styles, passed=together and "photo" in styles)


def _read_renders(world: World, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    batches = [batch_of(CHUNK, TEST_SEED + 10 * i, active=0) for i in range(max(1, count // CHUNK))]
    return torch.cat([world.factors(p) for p, _ in batches]), torch.cat([t for _, t in batches])


def _quality(group: str, read: torch.Tensor, truth: torch.Tensor, judged: bool = True) -> list[Row]:
    truth = truth[:, : len(FACTORS)]
    score, error = metrics.r2(read, truth), (read - truth).abs()
    rows = []
    for i, name in enumerate(FACTORS):
        rows += [row(R2, group, name, float(score[i]), judged=judged), spread(ERROR, group, name, error[:, i], metrics.mean, judged=judged)]
    return rows


def fidelity(study: Study) -> dict:
    """How well the generator draws what its latents stand for, read by the instrument: the ceiling of all that follows."""
    rows = []
    for style in STYLE_COORDINATES:
        parameters = sampling.sample_parameters(study.sizes.identities, TEST_SEED + 11)
        faces = study.world.faces(parameters, style)
        images = study.world.show(faces.codes)
        rows += _quality(f"generator, {style}", study.world.factors(images), faces.parameters, judged=False)
        truth = study.world.draw(faces.parameters, style)
        rows.append(spread(PSNR, f"generator, {style}", "", metrics.psnr(images, truth), judged=False))
    text = "The generator's own faces, factors over their whole range: what the instrument reads against what the latents stand for."
    return section("The generator", [R2, ERROR, PSNR], rows, text)
