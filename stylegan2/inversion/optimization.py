"""Inversion by optimizing the code itself, in W or W+ (Abdal et al. 2019, arXiv 1904.03189; Karras et al. 2020, section 5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ...files import limits
from ..colors import as_rgb
from ..generator import Generator
from ..gradients import frozen, plain, with_gradients
from ..makers import made_by
from ..resample import area_resize, resize
from ..sampling import sample_w
from .checks import Progress, check_images, report_steps, starting_codes
from .errors import InversionError
from .identity import Identity
from .inverter import Inverter, InverterCard
from .perceptual import Perceptual, load_perceptual

SPACES = ("w+", "w")
STEPS = 300
LEARNING_RATE = 0.1
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps (Karras et al. 2020)
SCALE_SAMPLES = 4096
BACKWARD_BYTES = 2400 << 20  # kept for the backward pass of one 1024 px picture
Observe = Callable[[int, torch.Tensor, torch.Tensor], None]


@dataclass(frozen=True)
class Weights:
    """What each term counts: ``pixel`` mean squared error, ``perceptual`` distance, ``identity`` 1 - cosine, ``prior`` mean
    squared distance of the code rows from the mean code in units of the spread of W (editability)."""

    pixel: float = 1.0
    perceptual: float = 0.5
    identity: float = 0.1
    prior: float = 1e-4


def optimize(
    generator: Generator,
    images: torch.Tensor,
    start: torch.Tensor | None = None,
    *,
    space: str = "w+",
    steps: int = STEPS,
    lr: float = LEARNING_RATE,
    weights: Weights = Weights(),
    perceptual: str | Perceptual = "auto",
    identity: Identity | None = None,
    jitter: float = 0.0,
    patience: int | None = 60,
    tolerance: float = 2e-3,
    target_psnr: float | None = None,
    seed: int = 0,
    batch: int | None = None,
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> torch.Tensor:
    """Find codes ``[N, L, D]`` whose pictures match aligned squares ``images [N, 3, H, W]`` in -1..1, or oblong ones as it draws them.

    ``start``: codes ``[N, L, D]`` or ``[1, L, D]`` to begin from (an encoder's), None for the mean code. ``space``: ``w+`` moves
    every row, ``w`` one row for all layers. ``lr`` is in units of the spread of W, so it fits any generator.
    ``perceptual``: a kind for ``load_perceptual``, or any distance ``(images, images) -> [N]``. ``identity``: a network with
    ``embed``, or None. ``jitter``: seeded noise on the codes in units of the spread, fading over the first three quarters.
    The noise pictures of the generator stay as they are, so that the codes alone hold the face.

    Each image keeps its best code. A batch ends early when ``patience`` steps bring no image's best error down by ``tolerance``
    (relative), or when every image reached ``target_psnr`` dB. The generator is not changed; the same seed on the same device
    gives the same bits. ``progress(done, total, reconstructions)`` is called in every step and may raise to cancel;
    ``observe(step, codes, errors [n])`` sees the inner state. Works under ``torch.inference_mode``. Raises InversionError.
    """
    images = check_images(images, generator)
    _check_request(space, steps, lr)
    start = starting_codes(generator, start, len(images))
    batch = batch or default_batch(generator)
    starts = start.split(batch)
    device = generator.w_avg.device
    with with_gradients(device):
        twin = frozen(generator)
        objective = Objective(twin, weights, perceptual, identity)
        results = []
        for i, chunk in enumerate(images.split(batch)):
            run = _Run(objective, plain(chunk, device), plain(starts[i], device), space, lr, steps)
            run.seed(seed + i, jitter)
            run.stop_when(patience, tolerance, target_psnr)
            results.append(run(progress, observe, i * steps, len(starts) * steps))
        return made_by(torch.cat(results), generator)


def default_batch(generator: Generator) -> int:
    """Images optimized at once, at most 16: what fits into half of a GPU's free memory, one 1024 px picture's worth elsewhere."""
    device = generator.w_avg.device
    memory = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else BACKWARD_BYTES
    return max(1, min(16, memory // backward_bytes(generator)))


def backward_bytes(generator: Generator) -> int:
    """Bytes that the backward pass of one picture takes."""
    return BACKWARD_BYTES * math.prod(generator.size) // 1024**2


def optimization_calls(generator: Generator, images: int, steps: int) -> int:
    """How often ``optimize`` reports progress, if it does not stop early."""
    return -(-images // default_batch(generator)) * steps


def code_scale(generator: Generator) -> float:
    """Standard deviation of a coordinate of W over 4096 seeded samples."""
    w = sample_w(generator, SCALE_SAMPLES)
    return float((w - w.mean(0)).square().mean().sqrt().clamp(min=1e-6))


class Objective:
    """The weighted error of codes against target pictures."""

    def __init__(self, generator: Generator, weights: Weights, perceptual: str | Perceptual, identity: Identity | None):
        self.generator, self.weights = generator, weights
        self.scale = code_scale(generator)
        device = generator.w_avg.device
        self.perceptual = _loaded(perceptual, min(generator.size), device) if weights.perceptual else None
        self.identity = frozen(identity).to(device) if identity is not None and weights.identity else None

    def __call__(self, codes: torch.Tensor, target: Target) -> tuple[torch.Tensor, torch.Tensor]:
        """Errors ``[N]`` of codes ``[N, L, D]``, and their pictures."""
        images = as_rgb(self.generator.synthesize(codes))
        seen = target.view(images)
        error = self.weights.pixel * (seen - target.images).square().mean((1, 2, 3))
        if self.perceptual is not None:
            error = error + self.weights.perceptual * self.perceptual(seen, target.images)
        if self.identity is not None and target.identity is not None:
            error = error + self.weights.identity * (1 - (self.identity.embed(images) * target.identity).sum(1))
        return error + self.weights.prior * self.prior(codes), images

    def prior(self, codes: torch.Tensor) -> torch.Tensor:
        """Mean squared distance of the rows from the mean code, in spreads: about 1 for the generator's own samples."""
        return ((codes - self.generator.w_avg) / self.scale).square().mean((1, 2))


class Target:
    """Pictures to match, at the generator's size or, if they are smaller, at their own."""

    def __init__(self, images: torch.Tensor, objective: Objective):
        self.size = min(tuple(images.shape[-2:]), objective.generator.size)
        with torch.no_grad():
            self.images = resize(images, self.size)
            self.identity = objective.identity.embed(images) if objective.identity is not None else None

    def view(self, images: torch.Tensor) -> torch.Tensor:
        """Reconstructions at the size at which they are compared."""
        return area_resize(images, self.size)


def _loaded(perceptual: str | Perceptual, size: int, device: torch.device) -> Perceptual:
    chosen = load_perceptual(perceptual, size=size) if isinstance(perceptual, str) else perceptual
    return frozen(chosen).to(device) if isinstance(chosen, nn.Module) else chosen


def _check_request(space: str, steps: int, lr: float) -> None:
    if space not in SPACES:
        raise InversionError(f"Unknown space {space!r}; choose one of {', '.join(SPACES)}.")
    limits.STEPS.checked(steps, "The steps are", InversionError)
    limits.LEARNING_RATE.checked(lr, "The learning rate is", InversionError)


def learning_rate(t: float) -> float:
    """Factor of the learning rate at ``t`` in 0..1: up over the first twentieth, a cosine down over the last quarter."""
    return min(1.0, t / RAMP_UP) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / RAMP_DOWN)))


class _Run:
    """The optimization of one batch."""

    def __init__(self, objective: Objective, images: torch.Tensor, start: torch.Tensor, space: str, lr: float, steps: int):
        self.objective, self.target = objective, Target(images, objective)
        self.start = start.mean(1, keepdim=True) if space == "w" else start
        self.layers = start.shape[1]
        self.offset = torch.zeros_like(self.start, requires_grad=True)  # in spreads
        self.lr, self.steps = lr, steps
        self.adam = torch.optim.Adam([self.offset], lr=lr, betas=(0.9, 0.99))
        self.best = torch.full((len(images),), math.inf, device=images.device)
        self.best_codes = self.codes().detach()

    def seed(self, seed: int, jitter: float) -> None:
        self.random, self.jitter = torch.Generator().manual_seed(seed), jitter

    def stop_when(self, patience: int | None, tolerance: float, target_psnr: float | None) -> None:
        self.patience, self.tolerance, self.target_psnr = patience, tolerance, target_psnr
        self.mark, self.marked_at = self.best.clone(), 0

    def codes(self) -> torch.Tensor:
        return (self.start + self.offset * self.objective.scale).expand(-1, self.layers, -1)

    def __call__(self, progress: Progress | None, observe: Observe | None, before: int, total: int) -> torch.Tensor:
        for step in range(self.steps):
            errors, images = self._step(step)
            if observe is not None:
                observe(step, self.codes().detach(), errors)
            report_steps(progress, before + step + 1, total, images)
            if self._enough(step, images):
                report_steps(progress, before + self.steps, total, images)
                return self.best_codes
        self._keep(*self._look())
        return self.best_codes

    def _step(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        codes = self.codes() + self._noise(step)
        errors, images = self.objective(codes, self.target)
        (gradient,) = torch.autograd.grad(errors.sum(), self.offset)
        self._keep(errors.detach(), codes.detach())
        self.offset.grad = gradient
        self.adam.param_groups[0]["lr"] = self.lr * learning_rate((step + 1) / (self.steps + 1))
        self.adam.step()
        return errors.detach(), images.detach()

    def _look(self) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            codes = self.codes()
            return self.objective(codes, self.target)[0], codes

    def _noise(self, step: int) -> torch.Tensor | float:
        fade = max(0.0, 1 - step / self.steps / 0.75) ** 2
        if not self.jitter * fade:
            return 0.0
        noise = torch.randn(self.start.shape, generator=self.random).to(self.start)
        return noise * (self.jitter * fade * self.objective.scale)

    def _keep(self, errors: torch.Tensor, codes: torch.Tensor) -> None:
        if not errors.isfinite().all():
            raise InversionError("The optimization diverged (NaN). Lower the learning rate.")
        better = errors < self.best
        self.best = torch.where(better, errors, self.best)
        self.best_codes = torch.where(better[:, None, None], codes, self.best_codes)

    def _enough(self, step: int, images: torch.Tensor) -> bool:
        """Whether every image is good enough, or none has got better for a while."""
        if self.target_psnr is not None and (psnr(self.target.view(images), self.target.images) >= self.target_psnr).all():
            return True
        if self.patience is None:
            return False
        if (self.best < self.mark * (1 - self.tolerance)).any():
            self.mark, self.marked_at = self.best.clone(), step
        return step - self.marked_at >= self.patience


def psnr(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Peak signal to noise ratio in dB ``[N]`` of pictures in -1..1, clamped to that range."""
    mse = (images.clamp(-1, 1) - others.clamp(-1, 1)).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / mse.clamp(min=1e-10))


class OptimizingInverter(Inverter):
    """The inverter that needs no file: every code is found by ``optimize`` from the mean code, for pictures of any proportions."""

    def __init__(self):
        note = f"Codes are found by optimization from the mean code, in {STEPS} steps unless said."
        super().__init__(InverterCard(encoder_type="optimization", notes=(note,)))

    def invert(self, generator, images, steps=None, progress=None):
        return optimize(generator, images, steps=steps or STEPS, progress=progress)
