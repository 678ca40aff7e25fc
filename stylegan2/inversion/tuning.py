"""Pivotal tuning: bend the generator a little so that fixed codes show their pictures exactly (Roich et al. 2021, arXiv 2106.05744)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from ...files import limits, native
from ...files.budget import border
from ..generator import ConvLayer, Generator
from ..gradients import frozen, plain, thawed, with_gradients
from .checks import Progress, check_images, report_steps, starting_codes
from .encoder_files import in_a_line
from .errors import InversionError
from .identity import Identity
from .optimization import Objective, Target, Weights, code_scale, default_batch, psnr
from .perceptual import Perceptual

KIND = "tuning"
STEPS = 150
LEARNING_RATE = 3e-4
TUNING_WEIGHTS = Weights(pixel=1.0, perceptual=1.0, prior=0.0)


def tune(
    generator: Generator,
    images: torch.Tensor,
    codes: torch.Tensor,
    *,
    steps: int = STEPS,
    lr: float = LEARNING_RATE,
    locality: float = 0.1,
    weights: Weights = TUNING_WEIGHTS,
    perceptual: str | Perceptual = "auto",
    identity: Identity | None = None,
    noise_regularization: float | None = None,
    target_psnr: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Generator:
    """A copy of ``generator`` whose synthesis shows ``images [N, 3, H, W]`` at ``codes [N, L, D]``; the given one is not changed.

    ``locality``: weight of keeping the pictures of random codes near the pivots as they were. ``lr`` is Adam's, in the
    generator's own weight units. Mapping and mean code stay, and the noise pictures too unless ``noise_regularization`` gives the
    weight (1e5 in Karras et al. 2020) that keeps them noise while they are bent as well. Ends early when every image reached
    ``target_psnr`` dB. Same seed, same device: same bits. ``progress`` as in ``optimize``. Raises InversionError.
    """
    images = check_images(images, generator)
    codes = starting_codes(generator, codes, len(images))
    limits.STEPS.checked(steps, "The steps are", InversionError)
    limits.LEARNING_RATE.checked(lr, "The learning rate is", InversionError)
    device = generator.w_avg.device
    with with_gradients(device):
        tuned = thawed(generator)
        run = _Tuning(frozen(generator), tuned, lr=lr, locality=locality, noise=noise_regularization, seed=seed, target_psnr=target_psnr)
        run.aim(Objective(tuned, weights, perceptual, identity), plain(images, device), plain(codes, device))
        run(steps, progress)
    _freeze(tuned)
    tuned.provenance = replace(generator.provenance, notes=(*generator.provenance.notes, f"tuned to {len(images)} picture(s)"))
    return tuned


def _freeze(tuned: Generator) -> None:
    tuned.requires_grad_(False)
    for layer in noisy_layers(tuned):
        layer.noise_const = layer.noise_const.detach()


class _Tuning:
    def __init__(
        self, base: Generator, tuned: Generator, *, lr: float, locality: float, noise: float | None, seed: int, target_psnr: float | None
    ):
        self.base, self.tuned, self.locality, self.noise, self.target_psnr = base, tuned, locality, noise, target_psnr
        self.weights = [p.requires_grad_(True) for p in tuned.synthesis.parameters()]
        self.noises = [] if noise is None else [_trainable(layer) for layer in noisy_layers(tuned)]
        self.adam = torch.optim.Adam([*self.weights, *self.noises], lr=lr)
        self.random = torch.Generator().manual_seed(seed)
        self.scale = code_scale(base)

    def aim(self, objective: Objective, images: torch.Tensor, codes: torch.Tensor) -> None:
        self.objective, self.codes = objective, codes
        batch = default_batch(self.base)
        self.chunks = [(Target(x, objective), w) for x, w in zip(images.split(batch), codes.split(batch))]

    def __call__(self, steps: int, progress: Progress | None) -> None:
        total = steps * len(self.chunks)
        for step in range(steps):
            self.adam.zero_grad(set_to_none=True)
            worst = float("inf")
            for i, (target, codes) in enumerate(self.chunks):
                images = self._backward(target, codes)
                worst = min(worst, float(psnr(target.view(images), target.images).min()))
                report_steps(progress, step * len(self.chunks) + i + 1, total, images)
            if self.target_psnr is not None and worst >= self.target_psnr:
                return
            self._hold()
            if self.noise is not None and self.noises:
                (self.noise * sum(map(autocorrelation, self.noises), self.noises[0].new_zeros([]))).backward()
            self.adam.step()

    def _backward(self, target: Target, codes: torch.Tensor) -> torch.Tensor:
        errors, images = self.objective(codes, target)
        if not errors.isfinite().all():
            raise InversionError("The tuning diverged (NaN). Lower the learning rate.")
        (errors.sum() / len(self.codes)).backward()
        return images.detach()

    def _hold(self) -> None:
        """Add the gradient of the locality term: one random code near a pivot must look as it did."""
        if not self.locality:
            return
        pivot = self.codes[torch.randint(len(self.codes), (1,), generator=self.random)]
        step = torch.randn(1, 1, self.codes.shape[-1], generator=self.random).to(pivot) * self.scale
        with torch.no_grad():
            before = self.base.synthesize(pivot + step)
        difference = self.tuned.synthesize(pivot + step) - before
        (self.locality * difference.square().mean()).backward()


def noisy_layers(generator: Generator) -> list[ConvLayer]:
    """The layers that add a stored noise picture."""
    return [m for m in generator.synthesis.modules() if isinstance(m, ConvLayer) and m.use_noise]


def _trainable(layer: ConvLayer) -> torch.Tensor:
    layer.noise_const = layer.noise_const.detach().clone().requires_grad_(True)
    return layer.noise_const


def autocorrelation(noise: torch.Tensor) -> torch.Tensor:
    """Squared correlation of ``noise [r, r]`` with itself shifted by one, over all halvings down to 8 px: about 0 for white noise
    (Karras et al. 2020, appendix D)."""
    total = noise.new_zeros([])
    while True:
        for axis in (0, 1):
            total = total + (noise * noise.roll(1, axis)).mean().square()
        if noise.shape[0] <= 8:
            return total
        noise = F.avg_pool2d(noise[None], 2)[0] * 2  # times 2 keeps the variance of white noise


def save_tuning(tuned: Generator, base: Generator, path: str | Path, *, half: bool = False) -> None:
    """Write what ``tune`` changed, as differences to ``base``; ``half`` stores them in 16 bits (half the size, not bit-exact).

    Raises InversionError if the two are not of one architecture.
    """
    ours, theirs = tuned.state_dict(), base.state_dict()
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        raise InversionError("The tuned generator is not of the same architecture as its base, so no difference can be stored.")
    changed = {k: (v.detach().cpu(), theirs[k].detach().cpu()) for k, v in ours.items() if not torch.equal(v.cpu(), theirs[k].cpu())}
    if not changed:
        raise InversionError("The generator is equal to its base: it was not tuned, so there is no difference to store.")
    header = {"base": base.fingerprint, "tuned": tuned.fingerprint, "half": half}
    tensors = {}
    for name, (new, old) in changed.items():
        tensors[name] = _halved(new - old) if half else new.clone().contiguous()
        if half:
            tensors[f"{name}.scale"] = (new - old).abs().max().reshape(1).float()
    native.write(path, KIND, header, tensors)


def _halved(difference: torch.Tensor) -> torch.Tensor:
    """Scaled to -1..1, so that small differences keep their digits in float16."""
    return (difference / difference.abs().max().clamp(min=1e-30)).half().contiguous()


def load_tuning(path: str | Path, base: Generator) -> Generator:
    """The tuned generator stored in ``path``, on its base (which is not changed). Raises InversionError if the base is another one."""
    path = Path(path)
    with border(path.name, InversionError):
        header, tensors = native.read(path, KIND, advice="Give a .safetensors file that save_tuning wrote.")
        if header.get("base") != base.fingerprint:
            raise InversionError(
                f"This tuning was made on generator {str(header.get('base'))[:60]}; generator {base.fingerprint} is loaded."
                " Load the generator it was made on, or refine the face again on this one."
            )
        return _tuned(base, tensors, path)


def _tuned(base: Generator, tensors: dict[str, torch.Tensor], path: Path) -> Generator:
    tuned = thawed(base)
    state = tuned.state_dict()
    for name, tensor in tensors.items():
        if name.removesuffix(".scale") not in state:
            raise InversionError(f"The tuning file {path} is damaged: it names {name[:60]!r}, which the generator does not have.")
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise InversionError(f"The tuning file {path} is damaged: {name} does not hold finite numbers.")
        if name in state:
            state[name] = _restored(name, state[name], tensor, tensors.get(f"{name}.scale"))
    try:
        tuned.load_state_dict(state)
    except RuntimeError as error:
        raise InversionError(f"The tuning file {path} does not fit its generator: {in_a_line(error)}") from None
    tuned.requires_grad_(False)
    tuned.provenance = replace(base.provenance, notes=(*base.provenance.notes, f"tuned by {path.name}"))
    return tuned


def _restored(name: str, old: torch.Tensor, stored: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    if stored.shape != old.shape or (scale is not None and scale.numel() != 1):
        raise InversionError(f"The tuning file does not fit its generator: {name} has shape {list(stored.shape)[:8]} in it.")
    stored = stored.to(old.device)
    return stored if scale is None else old + stored.float() * scale.to(old.device)
