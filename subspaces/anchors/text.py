"""Text anchors: codes optimized until their pictures fit a sentence, degree by degree (Wu et al. 2024, after StyleCLIP's optimizer).

Every degree is optimized by itself from the code of the same face. All degrees and faces share one batch: the loss is a sum and Adam
works coordinate by coordinate, so each anchor takes the same path as it would alone.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...files import limits
from ...files import native as files
from ...files.errors import CheckpointError, DamagedFileError
from ...stylegan2.colors import as_rgb
from ...stylegan2.frames import Progress
from ...stylegan2.generator import Generator
from ...stylegan2.gradients import frozen, plain, with_gradients
from ...stylegan2.inversion.optimization import default_batch, learning_rate
from ...stylegan2.low_resolution import SkipSynthesis
from ...stylegan2.makers import made_by
from ...stylegan2.memory import is_out_of_memory
from ...stylegan2.sampling import class_labels, random_z, sample_w
from ..errors import SubspaceError
from ..layers import layer_mask, parse_layers
from .base import Anchors
from .degrees import FEWER_DEGREES, fill, parse_degrees
from .scorer import PUBLISHED, SPACES, Scorer, Settings
from .views import view

log = logging.getLogger(__name__)
Embed = Callable[[torch.Tensor], torch.Tensor]
PRIOR_SAMPLES = 4096
STATE = "text-anchors"
MOST_FACES = 100_000  # drawn at once
QUALITIES = ("exact", "fast")
FAST_SIDE = 256  # pixels
EXACT_STEPS = 8  # of the ``fast`` quality, at the end
LARGE = 2 * FAST_SIDE  # pixels: from here on fewer degrees and ``fast`` are the default


@dataclass(frozen=True)
class Weights:
    """What each term of the loss counts beside 1 - cosine: ``l2`` the squared distance from the start, ``identity`` 1 - cosine of the
    identity network, ``prior`` the mean squared distance from the start in units of the spread of W along its own axes (it keeps small
    generators away from codes they never draw). None: what the scorer's file recommends, else 0.008 and 0, as published."""

    l2: float | None = None
    identity: float = 0.005
    prior: float | None = None

    def given(self, settings: Settings) -> Weights:
        """With what ``settings`` recommend where nothing is said."""
        l2, prior = (mine if mine is not None else its for mine, its in ((self.l2, settings.l2), (self.prior, settings.prior)))
        return Weights(l2, self.identity, prior)


def text_anchors(
    generator: Generator,
    scorer: Scorer,
    template: str,
    *,
    degrees: Sequence[str | float] | None = None,
    seeds: Iterable[int] = (0,),
    start: torch.Tensor | None = None,
    negative: str = "",
    neutral: str = "",
    steps: int = 40,
    lr: float = 0.1,
    truncation: float = 0.7,
    weights: Weights = Weights(),
    identity: nn.Module | Callable | None = None,
    layers: str | Iterable[int] | None = None,
    space: str | None = None,
    views: int | None = None,
    quality: str | None = None,
    category: int | str | None = None,
    batch: int | None = None,
    state: str | Path | None = None,
    progress: Progress | None = None,
) -> Anchors:
    """Find anchors of the motion that ``template`` names ("a person with {degree} smile").

    For ``degrees``, ``space``, ``views`` and the two of `Weights`, None takes what the scorer's own file recommends
    (`Scorer.settings`), else the published values. ``degrees``: words, percentages or numbers (published: "no", "10%" to "100%";
    for generators of 512 px and more, where the published way takes most of an hour on a processor, five: "no", "25%" to "100%").
    ``seeds``: one face each, drawn at ``truncation`` (psi), of the class ``category`` where there are any (number or name); or
    ``start``: codes ``[G, L, D]`` to begin from. ``negative``: a second template for the opposite motion ("a person with {degree}
    frown"), whose degrees count below 0. ``neutral``: a sentence that every picture fits ("a person"); only what a degree adds to it
    is asked for. ``identity``: a network with ``embed(images) -> unit vectors``, or such a function. ``layers``: rows to
    move (see ``parse_layers``). ``lr`` follows the published ramp. ``space``: "w+" lets every row go its own way, as published;
    "w" gives all rows one displacement, which has far fewer ways to please the scorer without showing the motion. ``views``: so
    many altered looks at each picture are scored in its place (shift, contrast, color, noise), anew in every step; 0 as published.
    ``quality``: "exact", or "fast", which looks at pictures of at most 256 px and half the generator's size (`SkipSynthesis`) in all
    but the last 8 steps: quicker, with slightly other anchors. None: "fast" at 512 px and above where that is possible, else "exact".

    ``batch`` anchors are optimized at once (None: by memory; halved when memory runs out). Finished ones are kept in the file
    ``state``, from which the same call goes on after it was canceled. ``progress(done, total, pictures)`` counts anchor steps,
    comes once per step and may raise to cancel. The same seeds give the same anchors; neither network is changed; works under
    ``torch.inference_mode``. Errors: a template without ``{degree}``, bad degrees, no seeds, an optimization that diverges.
    """
    settings: Settings = getattr(scorer, "settings", PUBLISHED)
    space = settings.space if space is None else space
    views = settings.views if views is None else views
    weights, degrees = weights.given(settings), settings.degrees if degrees is None else degrees
    degrees, quality = _by_size(generator, degrees, quality)
    task = _Task(template, negative, neutral, degrees)
    _check_numbers(steps, lr, views, space, weights, batch)
    _check_quality(quality, generator)
    start, faces = _faces(generator, seeds, start, truncation, category)
    rows = parse_layers(layers, generator.num_layers)
    parameters = {"l2": weights.l2, "identity": 0.0 if identity is None else weights.identity, "prior": weights.prior, "steps": steps}
    parameters |= {"lr": lr, "neutral": neutral, "negative": negative, "scorer": scorer.name}
    parameters |= {"space": space, "views": views, "quality": quality, "layers": list(rows), **faces}
    with with_gradients(generator.w_avg.device):
        schedule = _Schedule(steps, lr, space == "w", views, quality == "fast")
        optimizer = _Optimizer(generator, scorer, task, start, weights, identity, rows, schedule)
        store = _Store(state, optimizer.key(parameters), len(optimizer), start.shape[1:])
        codes = _run(optimizer, store, batch or default_batch(generator), progress)
    return Anchors(
        codes=codes,
        degrees=torch.tensor(task.values).repeat(len(start)),
        group=torch.arange(len(start)).repeat_interleave(len(task)),
        start=start,
        template=template,
        fingerprint=generator.fingerprint,
        source="text",
        labels=task.labels * len(start),
        parameters=parameters,
    )


def _by_size(generator: Generator, degrees: Sequence[str | float] | None, quality: str | None) -> tuple[Sequence[str | float] | None, str]:
    """Degrees and quality where nobody said any: the published ones, and for large pictures those that a processor makes in minutes."""
    large = generator.resolution >= LARGE
    degrees = FEWER_DEGREES if degrees is None and large else degrees
    return degrees, quality or ("fast" if large and _draws_every_size(generator) else "exact")


def _draws_every_size(generator: Generator) -> bool:
    return generator.architecture.architecture == "skip"


def _faces(
    generator: Generator, seeds: Iterable[int], start: torch.Tensor | None, truncation: float, category: int | str | None
) -> tuple[torch.Tensor, dict]:
    """Codes ``[G, L, D]`` to begin from, and what is recorded of them."""
    if start is not None:
        start = _checked_start(generator, start)
        return start, {"start": f"{len(start)} given code{'s' if len(start) > 1 else ''}"}
    seeds = as_seeds(seeds)
    record = {"seeds": list(seeds), "truncation": truncation} | ({} if category in (None, "") else {"class": str(category)})
    return draw_faces(generator, seeds, truncation, category=category), record


def as_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    """Seeds as whole numbers. Raises SubspaceError for a single number, which could be a seed or a count."""
    if isinstance(seeds, int):
        raise SubspaceError(f"seeds is {seeds}; give several in a row: [{seeds}] for that one face, range({seeds}) for {seeds} faces.")
    try:
        given = tuple(itertools.islice(seeds, MOST_FACES + 1))
    except TypeError:
        raise SubspaceError("The seeds are not whole numbers; give for example range(3).") from None
    if not 0 < len(given) <= MOST_FACES:
        raise SubspaceError(f"There are {'too many' if given else 'no'} seeds; give 1 to {MOST_FACES}, each is a face.")
    return tuple(limits.SEED.checked(seed, "A seed is", SubspaceError) for seed in given)


def draw_faces(
    generator: Generator, seeds: Iterable[int], truncation: float = 0.7, *, seeds_of: str = "micromotion", category: int | str | None = None
) -> torch.Tensor:
    """Codes ``[G, L, D]`` of random faces, on the CPU; a seed names the same face on every machine.

    ``seeds_of`` as in `sampling.random_z`; ``category``: of which class, by number or name, for generators that have classes.
    """
    seeds = as_seeds(seeds)
    limits.TRUNCATION.checked(truncation, "The truncation is", SubspaceError)
    z = random_z(seeds, generator.architecture.z_dim, seeds_of)
    labels = class_labels(generator, category, len(seeds))
    with torch.no_grad():
        return made_by(plain(generator.map(z.to(generator.w_avg.device), truncation, labels=labels), torch.device("cpu")), generator)


class _Task:
    """Sentences with their degree words and values, for one face."""

    def __init__(self, template: str, negative: str, neutral: str, degrees):
        words, values = parse_degrees(degrees)
        self.sentences = [fill(template, w) for w in words]
        self.labels, self.values, self.neutral = words, values, neutral
        if negative:
            pairs = [(w, v) for w, v in zip(words, values) if v > 0]
            self.sentences += [fill(negative, w) for w, _ in pairs]
            self.labels += tuple(f"-{w}" for w, _ in pairs)
            self.values += tuple(-v for _, v in pairs)

    def __len__(self) -> int:
        return len(self.sentences)


@dataclass(frozen=True)
class _Schedule:
    """How the codes are moved: ``tied`` gives all rows of a code one displacement; ``views`` altered looks are scored, 0 the picture;
    ``fast`` ones are smaller in all but the last steps."""

    steps: int
    lr: float
    tied: bool
    views: int
    fast: bool

    def is_fast(self, step: int) -> bool:
        return self.fast and step < self.steps - EXACT_STEPS


class _Optimizer:
    """The optimization of any subset of the anchors; anchor ``a`` is degree ``a % T`` of face ``a // T``."""

    def __init__(self, generator, scorer, task: _Task, start, weights: Weights, identity, rows, schedule: _Schedule):
        device = generator.w_avg.device
        self.fingerprint = generator.fingerprint
        self.generator, self.scorer = frozen(generator), _frozen(scorer)
        self.task, self.weights, self.schedule, self.steps = task, weights, schedule, schedule.steps
        self.start = start.to(device).repeat_interleave(len(task), 0)  # [A, L, D]
        self.mask = layer_mask(rows, generator.num_layers).to(device)
        with torch.no_grad():
            self.texts = self._text_features().repeat(len(start), 1).to(device)  # [A, E]
            self.embed: Embed | None = getattr(_frozen(identity), "embed", identity) if weights.identity else None
            self.faces = None if self.embed is None else self._face_features(self.embed, start.to(device))
            self.whitening = prior_whitening(self.generator) if weights.prior else None
            self.residuals = self._residuals(start.to(device)) if schedule.fast else None

    def __len__(self) -> int:
        return len(self.start)

    def key(self, parameters: dict) -> str:
        """Names everything that the result depends on; of scorer and identity network by what they say of these texts and faces."""
        facts = json.dumps([self.fingerprint, self.task.sentences, parameters], sort_keys=True)
        seen = [self.start, self.texts] if self.faces is None else [self.start, self.texts, self.faces]
        return hashlib.sha256(facts.encode() + b"".join(x.cpu().numpy().tobytes() for x in seen)).hexdigest()

    def __call__(self, chosen: torch.Tensor, progress: Callable[[int, torch.Tensor], None]) -> torch.Tensor:
        """Codes ``[n, L, D]`` of the anchors ``chosen [n]``."""
        codes = self.start[chosen].clone().requires_grad_(True)
        adam = torch.optim.Adam([codes], lr=self.schedule.lr)
        for i in range(self.steps):
            adam.param_groups[0]["lr"] = self.schedule.lr * learning_rate(i / self.steps)
            loss, images = self._loss(codes, chosen, i)
            codes.grad = self._step_of(torch.autograd.grad(loss, codes)[0])
            adam.step()
            progress(i, images.detach())
        if not torch.isfinite(codes).all():
            raise SubspaceError(f"The optimization of the text anchors diverged; lower lr ({self.schedule.lr}).")
        return codes.detach()

    def _step_of(self, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient ``[n, L, D]`` on the rows that may move, the same for all of them where they are tied."""
        if self.schedule.tied:
            gradient = (gradient * self.mask).sum(1, keepdim=True) / self.mask.sum()
        return gradient * self.mask

    def _loss(self, codes: torch.Tensor, chosen: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        residuals = self.residuals if self.schedule.is_fast(step) else None
        synthesize = self.generator.synthesize if residuals is None else SkipSynthesis(self.generator, residuals[chosen])
        images, moved = as_rgb(synthesize(codes)), codes - self.start[chosen]
        loss = sum(self._unlikeness(look, chosen) for look in self._looks(images, step)) / max(1, self.schedule.views)
        loss = loss + self.weights.l2 * moved.square().sum()
        if self.embed is not None and self.faces is not None:
            loss = loss + self.weights.identity * (1 - (self.embed(images) * self.faces[chosen]).sum(1)).sum()
        if self.whitening is not None:
            loss = loss + self.weights.prior * (moved @ self.whitening).square().mean((1, 2)).sum()
        return loss, images

    def _looks(self, images: torch.Tensor, step: int) -> list[torch.Tensor]:
        """The pictures, or altered looks at them, the same for every anchor of a step."""
        n = self.schedule.views
        return [view(images, n * step + i) for i in range(n)] if n else [images]

    def _unlikeness(self, images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return (1 - (self.scorer.encode_images(images) * self.texts[chosen]).sum(1)).sum()

    def _residuals(self, start: torch.Tensor) -> torch.Tensor:
        """What the layers above the fast size add to the picture of each anchor's face, ``[A, C, r, r]``."""
        size = min(FAST_SIDE, self.generator.resolution // 2)
        residuals = torch.cat([SkipSynthesis.around(self.generator, code[None], size).residual for code in start])
        return residuals.repeat_interleave(len(self.task), 0)

    def _text_features(self) -> torch.Tensor:
        features = self.scorer.encode_texts(self.task.sentences)  # [T, E]
        return features - self.scorer.encode_texts([self.task.neutral]) if self.task.neutral else features

    def _face_features(self, embed: Embed, start: torch.Tensor) -> torch.Tensor:
        features = torch.cat([embed(as_rgb(self.generator.synthesize(code[None]))) for code in start])
        return features.repeat_interleave(len(self.task), 0)  # [A, I]


def prior_whitening(generator: Generator) -> torch.Tensor:
    """Matrix ``[D, D]`` that turns displacements in W into units of its spread along each principal axis, from seeded samples."""
    w = sample_w(generator, PRIOR_SAMPLES).cpu().double()  # some devices have no float64
    values, axes = torch.linalg.eigh(torch.cov(w.T))
    spread = values.clamp_min(1e-3 * values.mean()).sqrt()
    return (axes / spread).float().to(generator.w_avg)


class _Store:
    """Finished anchors in a file, so that a canceled run goes on; without a path, in memory only."""

    def __init__(self, path: str | Path | None, key: str, count: int, shape: torch.Size):
        self.path, self.key = None if path is None else Path(path), key
        self.codes, self.done = torch.zeros(count, *shape), torch.zeros(count, dtype=torch.bool)
        if self.path is not None and self.path.is_file():
            self._resume(self.path)

    def add(self, chosen: torch.Tensor, codes: torch.Tensor) -> None:
        self.codes[chosen], self.done[chosen] = codes.cpu(), True
        if self.path is None:
            return
        try:
            files.write(self.path, STATE, {"key": self.key}, {"codes": self.codes, "done": self.done})
        except CheckpointError as error:
            log.warning("%s A canceled run will begin again.", error)
            self.path = None

    def _resume(self, path: Path) -> None:
        try:
            header, tensors = files.read(path, STATE, {"codes": True, "done": True})
        except DamagedFileError as error:
            log.warning("%s The anchors are made again.", error)
            return
        if header.get("key") != self.key or tensors["codes"].shape != self.codes.shape or tensors["done"].shape != self.done.shape:
            log.info("%s holds anchors of another run; they are made again.", path)
            return
        self.codes, self.done = tensors["codes"].float(), tensors["done"].bool()


def _run(optimizer: _Optimizer, store: _Store, batch: int, progress: Progress | None) -> torch.Tensor:
    total = len(optimizer) * optimizer.steps
    while not store.done.all():
        chosen = (~store.done).nonzero()[:batch, 0]
        before = int(store.done.sum()) * optimizer.steps
        codes = None
        try:
            codes = optimizer(chosen, partial(_report, progress, before, total))
        except (RuntimeError, MemoryError) as error:
            if len(chosen) == 1 or not is_out_of_memory(error):
                raise
        if codes is not None:
            store.add(chosen, codes)
            continue
        batch = len(chosen) // 2  # outside of the handler, whose traceback would keep the failed batch alive
        log.info("Memory ran out; going on with %d anchors at once.", batch)
    return store.codes


def _report(progress: Progress | None, before: int, total: int, step: int, images: torch.Tensor) -> None:
    if progress is not None:
        progress(before + (step + 1) * len(images), total, images)


def _checked_start(generator: Generator, start: torch.Tensor) -> torch.Tensor:
    start = plain(start[None] if start.ndim == 2 else start, torch.device("cpu"))
    if start.ndim != 3 or start.shape[1:] != (generator.num_layers, generator.width) or not len(start):
        raise SubspaceError(
            f"The start codes have shape {tuple(start.shape)}; this {generator.resolution} px generator takes"
            f" [faces, {generator.num_layers}, {generator.width}]."
        )
    if not torch.isfinite(start).all():
        raise SubspaceError("The start codes hold numbers that are not finite (NaN or infinity); invert or draw the faces again.")
    return start


def _check_numbers(steps: int, lr: float, views: int, space: str, weights: Weights, batch: int | None) -> None:
    limits.STEPS.checked(steps, "The steps are", SubspaceError)
    limits.LEARNING_RATE.checked(lr, "The learning rate lr is", SubspaceError)
    limits.VIEWS.checked(views, "The views are", SubspaceError)
    limits.MANY.checked(batch or 1, "The batch is", SubspaceError)
    for name in ("l2", "identity", "prior"):
        limits.WEIGHT.checked(getattr(weights, name), f"The weight {name} is", SubspaceError)
    if space not in SPACES:
        raise SubspaceError(f"Text anchors were asked for in the space {space!r}; it must be {' or '.join(SPACES)}.")


def _check_quality(quality: str, generator: Generator) -> None:
    if quality not in QUALITIES:
        raise SubspaceError(f"Unknown quality {quality!r} of text anchors; choose one of {', '.join(QUALITIES)}.")
    if quality == "fast" and not _draws_every_size(generator):
        raise SubspaceError(
            f"The quality 'fast' needs a generator that draws at every size; this one is built as {generator.architecture.architecture!r}."
            " Choose 'exact'."
        )


def _frozen(network: Any) -> Any:
    return frozen(network) if isinstance(network, nn.Module) else network
