"""Baselines that move something else than a code along a line: channels of the styles, and a flow that knows the face's labels."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ...avatars.motions import Motion
from ...stylegan2 import Generator
from ...subspaces.anchors.degrees import DEGREES, fill
from . import metrics
from .baselines import ALL, EDITED, GAIN, IDENTITY, LEAKAGE, SECONDS, SUCCESS
from .counterfactual import _asked
from .measure import LONGEST, ROUNDS, Readings, read
from .rows import Row, row, section, spread
from .study import Study
from .world import FACTORS, STEP, Faces, World, factor_of, sign_of

PROBES, PUSH = 4, 5.0  # faces that every channel is pushed on, and how far, in its spreads
FLOW_LABELS, FLOW_RIDGE = 2000, 1e-3
STYLECLIP, STYLESPACE, FLOW = "StyleCLIP, global (styles)", "StyleSpace, best channel", "linear conditional flow (as StyleFlow)"
TOLD = {STYLECLIP: "a sentence", STYLESPACE: "labels of the probes", FLOW: f"{FLOW_LABELS} faces, five labels; the edited face's own"}
SHARES = (0.05, 0.02, 0.01)  # of the channels, that the global direction may keep; the one that fits the text best is taken


@dataclass(frozen=True)
class Channels:
    """Every style channel pushed alone: ``spreads [C]``, and the mean change of pictures' vectors ``[C, E]`` and factors ``[C, 5]``."""

    spreads: torch.Tensor
    vectors: torch.Tensor | None
    factors: torch.Tensor


def convolutions(generator: Generator) -> list[tuple[int, int]]:
    """(block, place in it) of the styles of all convolutions; those of toRGB are left alone, as in StyleCLIP."""
    synthesis = generator.synthesis
    return [(r, k) for r in synthesis.resolutions for k, layer in enumerate(synthesis.block(r).layers[:2]) if layer is not None]


@contextlib.contextmanager
def shifted(generator: Generator, offsets: torch.Tensor) -> Iterator[None]:
    """Within, ``offsets [C]`` are added to the styles of the convolutions, whatever the codes."""
    synthesis, places = generator.synthesis, convolutions(generator)
    plain: Callable = type(synthesis).styles

    def styles(codes: torch.Tensor) -> dict:
        found, start = {r: list(s) for r, s in plain(synthesis, codes).items()}, 0
        for r, k in places:
            width = found[r][k].shape[1]
            found[r][k] = found[r][k] + offsets[start : start + width].to(codes.device)
            start += width
        return {r: tuple(s) for r, s in found.items()}

    synthesis.__dict__["styles"] = styles
    try:
        yield
    finally:
        del synthesis.__dict__["styles"]


def styles_of(generator: Generator, codes: torch.Tensor) -> torch.Tensor:
    """Styles of the convolutions, ``[N, C]``."""
    with torch.no_grad():
        found = generator.synthesis.styles(codes.to(generator.w_avg.device))
    return torch.cat([found[r][k] for r, k in convolutions(generator)], 1).cpu()


def channels(study: Study) -> Channels:
    """Push every channel by ``PUSH`` spreads up and down on the first calibration faces; once for a study."""
    made = study.cache.tensors("style-channels", lambda: _push(study.world))
    return Channels(made["spreads"], made.get("vectors"), made["factors"])


@torch.no_grad()
def _push(world: World) -> dict[str, torch.Tensor]:
    faces = world.calibration().codes[:PROBES]
    codes, _ = _random_codes(world, 500)
    spreads = styles_of(world.generator, codes).std(0)
    moved: dict[str, list[torch.Tensor]] = {"vectors": [], "factors": []}
    for channel in range(len(spreads)):
        pair = []
        for sign in (1.0, -1.0):
            offsets = torch.zeros(len(spreads))
            offsets[channel] = sign * PUSH * spreads[channel]
            with shifted(world.generator, offsets):
                pair.append(world.show(faces))
        moved["factors"].append((world.factors(pair[0]) - world.factors(pair[1])).mean(0))
        if world.scorer is not None:
            up, down = (world.scorer.encode_images(p.to(world.device)).cpu() for p in pair)
            moved["vectors"].append((up - down).mean(0))
    return {"spreads": spreads, **{k: torch.stack(v) for k, v in moved.items() if v}}


def _random_codes(world: World, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.randn(count, world.generator.architecture.z_dim, generator=torch.Generator().manual_seed(world.seed))
    return world.generator.map(z.to(world.device)).cpu(), z


def global_direction(study: Study, motion: Motion) -> torch.Tensor:
    """Offsets ``[C]``: the channels that change pictures as the sentence changes (Patashnik et al. 2021, section 6)."""
    found, scorer = channels(study), study.world.scorer
    assert found.vectors is not None
    with torch.no_grad():
        full, none = scorer.encode_texts([fill(motion.template, DEGREES[-1]), fill(motion.template, DEGREES[0])]).cpu()
    text = torch.nn.functional.normalize(full - none, dim=0)
    relevance = torch.nn.functional.normalize(found.vectors, dim=1) @ text
    candidates = [torch.where(relevance.abs() >= relevance.abs().quantile(1 - share), relevance, 0.0) for share in SHARES]
    fits = [float(torch.nn.functional.cosine_similarity(c @ found.vectors, text, dim=0)) for c in candidates]
    return candidates[max(range(len(fits)), key=fits.__getitem__)] * found.spreads


def best_channel(study: Study, motion: Motion) -> torch.Tensor:
    """Offsets ``[C]`` of the one channel that moves the factor the most of all that it moves (as StyleSpace, Wu et al. 2021)."""
    found, column = channels(study), factor_of(motion)
    change = found.factors / found.factors.norm(dim=1, keepdim=True).clamp(min=0.02)
    best = int(change[:, column].abs().argmax())
    offsets = torch.zeros(len(found.spreads))
    offsets[best] = sign_of(motion) * change[best, column].sign() * found.spreads[best]
    return offsets


def sweep_styles(world: World, faces: Faces, offsets: torch.Tensor, coefficients: list[float]) -> Readings:
    """What the instrument reads of faces whose styles move along ``offsets``."""
    parts = []
    for c in coefficients:
        with shifted(world.generator, c * offsets):
            parts.append(read(world, world.show(faces.codes)))
    return Readings(torch.tensor(coefficients), *(torch.stack(p, 1) for p in zip(*parts)))


def calibrated_offsets(study: Study, offsets: torch.Tensor, motion: Motion) -> torch.Tensor:
    """Offsets of which one unit is one factor unit, as `measure.calibrate` does it; stopped at ``LONGEST`` large pushes."""
    world, spreads = study.world, channels(study).spreads
    faces, steps = world.calibration(), [0.0, 0.5 * STEP[motion.name], STEP[motion.name]]
    usual = PUSH / float((offsets / spreads).abs().max())
    scale = usual
    for _ in range(ROUNDS):
        readings = sweep_styles(world, faces, scale * offsets, steps)
        slope = float(metrics.slopes(readings.coefficients, readings.response(motion)).mean())
        scale = min(scale / min(max(slope, 0.25), 4.0), LONGEST * usual)
    return scale * offsets


@dataclass(frozen=True)
class Flow:
    """p(w | labels) as a normal distribution, mean and log scale linear in the labels and their squares: the linear conditional flow."""

    basis: torch.Tensor  # [D, D], principal axes of codes
    middle: torch.Tensor  # [D]
    mean: torch.Tensor  # [1 + 2 * 5, D]
    scale: torch.Tensor  # [1 + 2 * 5, D]

    def edit(self, codes: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Codes ``[N, L, D]`` of faces with labels ``before [N, 5]`` as those of the same faces with labels ``after``."""
        x = (codes.double() - self.middle) @ self.basis
        old, new = _features(before), _features(after)
        ratio = (0.5 * (new - old) @ self.scale).clamp(-1, 1).exp()
        own = (x - (old @ self.mean)[:, None]) * ratio[:, None] + (new @ self.mean)[:, None]
        return (own @ self.basis.T + self.middle).float()


def _features(labels: torch.Tensor) -> torch.Tensor:
    labels = labels.double()
    return torch.cat([torch.ones(len(labels), 1, dtype=torch.float64), labels, labels.square()], 1)


def fit_flow(codes: torch.Tensor, labels: torch.Tensor) -> Flow:
    """The flow of codes ``[N, D]`` and labels ``[N, 5]``: least squares of the codes, then of the log of what is left."""
    middle = codes.double().mean(0)
    _, _, axes = torch.linalg.svd(codes.double() - middle, full_matrices=False)
    x, features = (codes.double() - middle) @ axes.T, _features(labels)
    gram = features.T @ features + FLOW_RIDGE * len(x) * torch.eye(features.shape[1], dtype=torch.float64)
    mean = torch.linalg.solve(gram, features.T @ x)
    left = (x - features @ mean).square().clamp(min=1e-12).log()
    return Flow(axes.T.contiguous(), middle, mean, torch.linalg.solve(gram, features.T @ left))


def sweep_flow(world: World, flow: Flow, faces: Faces, motion: Motion, coefficients: list[float]) -> tuple[Readings, torch.Tensor]:
    """Readings along the motion, and the last pictures ``[N, 3, R, R]``."""
    before = faces.parameters[:, : len(FACTORS)]
    parts, images = [], torch.empty(0)
    for c in coefficients:
        after = before.clone()
        after[:, factor_of(motion)] += sign_of(motion) * c
        images = world.show(flow.edit(faces.codes, before, after))
        parts.append(read(world, images))
    return Readings(torch.tensor(coefficients), *(torch.stack(p, 1) for p in zip(*parts))), images


def run(study: Study) -> dict:
    """The rows of the table of methods for these three, on the same unseen faces and by the same metrics."""
    rows: list[Row] = []
    makers = {STYLESPACE: best_channel} | ({STYLECLIP: global_direction} if study.world.scorer is not None else {})
    for name, make in makers.items():
        rows += _summed(name, [_style_values(study, make, motion) for motion in study.motions], study)
    codes, labels = study.labeled(FLOW_LABELS)
    begun = time.perf_counter()
    flow = fit_flow(codes, labels[:, : len(FACTORS)])
    took = (time.perf_counter() - begun) / len(study.motions)
    rows += _summed(FLOW, [(*_flow_values(study, flow, motion), took) for motion in study.motions], study)
    text = (
        "As the table of methods, for what does not move a code along one line. Styles: offsets to the styles of all convolutions, scaled"
        " on the calibration faces. The flow is asked in factor units and told the labels of the face that it edits."
    )
    return section("Baselines in other spaces", [GAIN, LEAKAGE, IDENTITY, SUCCESS, EDITED, SECONDS], rows, text, told=TOLD)


def _style_values(study: Study, make: Callable, motion: Motion) -> tuple[Readings, torch.Tensor, float]:
    channels(study)
    begun = time.perf_counter()
    raw = make(study, motion)
    took = time.perf_counter() - begun
    offsets, faces = calibrated_offsets(study, raw, motion), study.world.tests(study.sizes.compared)
    readings = sweep_styles(study.world, faces, offsets, [0.0, metrics.SIGMA, STEP[motion.name]])
    with shifted(study.world.generator, STEP[motion.name] * offsets):
        return readings, study.world.show(faces.codes), took


def _flow_values(study: Study, flow: Flow, motion: Motion) -> tuple[Readings, torch.Tensor]:
    faces = study.world.tests(study.sizes.compared)
    return sweep_flow(study.world, flow, faces, motion, [0.0, metrics.SIGMA, STEP[motion.name]])


def _summed(name: str, found: list[tuple[Readings, torch.Tensor, float]], study: Study) -> list[Row]:
    """Figures per motion, then over all of them, as for every other method."""
    rows, collected = [], []
    for motion, (readings, images, took) in zip(study.motions, found):
        step = STEP[motion.name]
        truth, before = _asked(study.world, motion, study.world.tests(study.sizes.compared))
        values = [
            (GAIN, readings.response(motion)[:, 2] / step, metrics.median),
            (LEAKAGE, readings.leakage(motion, 1), metrics.median),
            (IDENTITY, readings.same(1), metrics.median),
            (SUCCESS, readings.success(motion, step), metrics.mean),
            (EDITED, metrics.residual(images, truth) / before, metrics.median),
        ]
        rows += [spread(m, name, motion.name, v, s) for m, v, s in values] + [row(SECONDS, name, motion.name, took)]
        collected.append(values)
    rows += [spread(s[0][0], name, ALL, torch.stack([v for _, v, _ in s]).mean(0), s[0][2]) for s in zip(*collected)]
    return [*rows, row(SECONDS, name, ALL, sum(took for *_, took in found) / len(found))]
