"""Train the avatar generator: a true StyleGAN2, distilled from the renderer, then finished adversarially.

Distillation: a normalized latent z, turned by a fixed random rotation and passed through the Gaussian distribution
function, *is* a parameter vector of the renderer, so every z has a picture to regress to. The picture grows through the
partial sums of the skip architecture: 16, 32, then 64 px. The block of 128 px is trained alone on all that is below it, whose
pictures stay bit for bit as they are. Finish: a discriminator that never sees a parameter takes over beside the regression,
which keeps every latent at its picture. ``--start`` trains a finished generator further, or gives it that block.
``python -m micromotion.lab.train_generator --help``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..avatars import renderer as rendering
from ..stylegan2 import Architecture, Generator, load, save
from . import sampling
from .muon import Muon, convolutions
from .training import Average, Checkpoint, autocast, learning_rate, save_sheet, steps

Z_DIM = len(rendering.PARAMETERS) + 1 + len(rendering.MOVES)
ROTATION_SEED = 20240
STAGES = ((16, 32_000), (32, 64_000), (64, 192_000), (128, 96_000))
TRUNK = 64  # px: blocks above it are trained alone
SEEDS, FURTHER_SEEDS = 1_000_000, 7_000_000
FURTHER_RATE = 0.5  # of layers that were trained before
RATES = {"mapping": 1.0, "mapping_biases": 0.3, "convolutions": 0.004, "others": 0.006}
SAVED = 250  # steps between checkpoints
FINISH = 0
ADVERSARIAL = 0.03
FEATURES = {"eyes": 2.4, "brows": 4.0, "mouth": 2.4}  # how much more their pixels weigh
PHOTO = 0.7  # share of faces in photo style
SPREAD = 1.8  # of the entries of W
END = 2.4  # standard deviations of z at which a move is at its end
STYLES_OFTEN, MOVES_OFTEN = 0.22, 0.4  # how often training draws another style, and each move, on purpose


def architecture() -> Architecture:
    """128 px, W of 128, four mapping layers; 2 million parameters."""
    channels = {4: 160, 8: 160, 16: 160, 32: 96, 64: 48, 128: 32}
    return Architecture(resolution=128, channels=channels, w_dim=128, z_dim=Z_DIM, mapping_layers=4, hidden_dim=256)


@lru_cache(maxsize=1)
def rotation() -> torch.Tensor:
    """The fixed orthogonal ``[Z, Z]`` that hides the parameters' axes in z, made on the CPU so that it is the same for every device."""
    noise = torch.randn(Z_DIM, Z_DIM, generator=torch.Generator().manual_seed(ROTATION_SEED), device="cpu")
    return torch.linalg.qr(noise)[0]


def parameters_of(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The renderer's parameters ``[N, P]``, styles ``[N]`` and moves ``[N, M]`` that latents ``z [N, Z]`` stand for."""
    z = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
    axes = z @ rotation().to(z)
    u = torch.special.ndtr(axes[:, : -len(rendering.MOVES)])
    share = (u[:, -1] - PHOTO) / (1 - PHOTO) * 3
    return u[:, :-1], torch.where(share < 0, 0, 1 + share.long().clamp(0, 2)), moves_of(axes[:, -len(rendering.MOVES) :])


def edges() -> tuple[torch.Tensor, torch.Tensor]:
    """Of each move ``[1, M]``: whether it goes both ways from rest, and how far from 0 on its axis of z it begins."""
    both = rendering.rest_moves(1) > 0
    return both, torch.where(both, 1.28, 0.84)


def moves_of(axes: torch.Tensor) -> torch.Tensor:
    """Moves ``[N, M]`` of their axes ``[N, M]`` of z: eight of ten are at rest, from the edge to ``END`` they grow evenly."""
    both, edge = edges()
    amount = ((torch.where(both, axes.abs(), axes) - edge) / (END - edge)).clamp(0, 1)
    return rendering.rest_moves(1) + amount * torch.where(both, 0.5 * axes.sign(), 1.0)


def axes_of(moves: torch.Tensor) -> torch.Tensor:
    """Axes ``[N, M]`` of z for ``moves [N, M]``: the inverse of ``moves_of``; 0 at rest."""
    both, edge = edges()
    away = (moves - rendering.rest_moves(1)) * torch.where(both, 2.0, 1.0)
    return away.sign() * (edge + away.abs() * (END - edge))


def latents_of(parameters: torch.Tensor, style: float = 0.35, moves: torch.Tensor | None = None) -> torch.Tensor:
    """Latents ``[N, Z]`` for parameters ``[N, P]`` (0..1), all of one style coordinate, and moves ``[N, M]`` (None: at rest): the inverse
    of ``parameters_of``."""
    u = torch.cat([parameters, torch.full((len(parameters), 1), style)], 1)
    axes = axes_of(rendering.rest_moves(len(parameters)) if moves is None else moves)
    return torch.cat([torch.special.ndtri(u.clamp(1e-3, 1 - 1e-3)), axes], 1) @ rotation().T


def training_latents(count: int, seed: int) -> torch.Tensor:
    """Latents ``[count, Z]`` as they are drawn, but that other styles and moves, of any strength, come more often."""
    g = torch.Generator().manual_seed(seed)
    axes, n = torch.randn(count, Z_DIM, generator=g) @ rotation(), 1 + len(rendering.MOVES)
    drawn, chance, sides = torch.rand(3, count, n, generator=g)
    often = torch.tensor([STYLES_OFTEN] + [MOVES_OFTEN] * (n - 1))
    both, edge = edges()
    moved = (edge + (END - edge) * drawn[:, 1:]) * torch.where(both & (sides[:, 1:] < 0.5), -1.0, 1.0)
    style = torch.special.ndtri((PHOTO + (1 - PHOTO) * drawn[:, :1]).clamp(max=1 - 1e-3))
    axes[:, -n:] = torch.where(chance < often, torch.cat([style, moved], 1), axes[:, -n:])
    return axes @ rotation().T


def partial_image(generator: Generator, codes: torch.Tensor, resolution: int) -> torch.Tensor:
    """The skip architecture's picture up to this block: ``[N, 3, resolution, resolution]``."""
    return generator.synthesis(codes, "none", resolution=resolution)


def distillation_loss(image: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """L1 on pixels and on their differences, weighted where the motions happen (``weight [N, 1, S, S]``)."""
    pixel = ((image - target).abs() * weight).mean()
    dx = (image.diff(dim=3) - target.diff(dim=3)).abs() * weight[..., 1:]
    dy = (image.diff(dim=2) - target.diff(dim=2)).abs() * weight[..., 1:, :]
    return pixel + 0.7 * (dx.mean() + dy.mean())


def batch_of(
    count: int, seed: int, resolution: int, size: int, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, their renders and loss weights at ``resolution``, drawn on ``device``; the latents are a pure function of ``seed``."""
    z = training_latents(count, seed).to(device)
    with torch.device(device):  # the renderer makes its own tensors where it is told to
        parameters, styles, moves = parameters_of(z)
        drawn = rendering.render(parameters, size, styles, moves)
    weight = 0.6 + torch.stack([more * drawn.masks[name] for name, more in FEATURES.items()]).amax(0)[:, None]
    return z, F.adaptive_avg_pool2d(drawn.images, resolution), F.adaptive_avg_pool2d(weight, resolution)


class Discriminator(nn.Module):
    """Small residual critic with minibatch standard deviation; images ``[N, 3, R, R]`` -> logits ``[N]``."""

    def __init__(self, arch: Architecture):
        super().__init__()
        widths = [arch.channels[r] for r in reversed(arch.resolutions)]
        self.stem = nn.Conv2d(arch.img_channels, widths[0], 1)
        self.convs = nn.ModuleList(nn.Conv2d(a, a, 3, padding=1) for a in widths[:-1])
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:]))
        self.skips = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in zip(widths, widths[1:]))
        self.last = nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1)
        self.head = nn.Sequential(nn.Linear(widths[-1] * 16, widths[-1]), nn.LeakyReLU(0.2), nn.Linear(widths[-1], 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = F.leaky_relu(self.stem(images), 0.2)
        for conv, down, skip in zip(self.convs, self.downs, self.skips):
            y = F.leaky_relu(conv(x), 0.2)
            y = F.leaky_relu(down(F.avg_pool2d(y, 2)), 0.2)
            x = (y + skip(F.avg_pool2d(x, 2))) * 0.5**0.5
        spread = x.std(0).mean().expand(len(x), 1, *x.shape[2:])
        x = F.leaky_relu(self.last(torch.cat([x, spread], 1)), 0.2)
        return self.head(x.flatten(1))[:, 0]


class Distillation:
    """Regression of the generator to the renderer, stage by stage; ``start``: a generator to go on from, over pictures it never saw."""

    def __init__(self, out: Path, batch: int, device: torch.device, fast: bool, stages=None, start: Generator | None = None):
        torch.manual_seed(0)
        self.out, self.batch, self.device, self.fast = out, batch, device, fast
        self.stages = stages or STAGES
        self.seeds, self.known = (SEEDS, 0) if start is None else (FURTHER_SEEDS, start.resolution)
        generator = Generator(architecture()) if start is None else grown(start)
        self.generator = generator.to(device).to(memory_format=torch.channels_last)
        self.average = Average(self.generator, 0.999)
        self.optimizers = optimizers_of(self.generator)
        self.checkpoint = Checkpoint(out / "distilled.pt", generator=self.generator, average=self.average.module, **self.optimizers)

    def run(self) -> Generator:
        start = self.checkpoint.load()
        total = sum(images for _, images in self.stages)
        for seen, bar in steps(start, total, self.batch, "distil"):
            resolution, first, length = stage_at(seen, self.stages)
            if resolution > TRUNK:
                self.freeze(resolution)
            rate = FURTHER_RATE if resolution <= self.known else 1.0
            peak = learning_rate(seen - first, length, rate, floor=0.25 if resolution < TRUNK else 0.02)
            for name, optimizer in self.optimizers.items():
                optimizer.param_groups[0]["lr"] = RATES[name] * peak
            loss = self.step(seen, resolution)
            if seen // self.batch % 50 == 0:
                bar.set_postfix_str(f"{resolution} px loss {loss:.4f}")
            if seen // self.batch % SAVED == SAVED - 1:
                self.checkpoint.save(seen + self.batch)
                write_sheets(self.average.module, self.out, resolution)
        self.checkpoint.save(total)
        write_sheets(self.average.module, self.out, resolution)
        return self.average.module

    @torch.no_grad()
    def freeze(self, resolution: int) -> None:
        """Only the block of this resolution learns from here on; the others stand still at their averages, those that are kept."""
        for (name, parameter), kept in zip(self.generator.named_parameters(), self.average.module.parameters()):
            if parameter.requires_grad and not name.startswith(f"synthesis.b{resolution}."):
                parameter.copy_(kept).requires_grad_(False)

    def step(self, seen: int, resolution: int) -> float:
        z, target, weight = batch_of(self.batch, self.seeds + seen, resolution, max(resolution, min(2 * resolution, TRUNK)), self.device)
        codes = self.generator.map(z)
        with autocast(self.device, self.fast):
            image = partial_image(self.generator, codes, resolution)
        loss = distillation_loss(image, target, weight)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.average.update(self.generator, seen // self.batch)
        return loss.item()


def grown(generator: Generator) -> Generator:
    """This generator with what blocks it lacks of `architecture`; a new one adds nothing to the picture yet."""
    larger = Generator(architecture())
    missing = larger.load_state_dict(generator.state_dict(), strict=False).missing_keys
    for r in (r for r in larger.synthesis.resolutions if r > generator.resolution):
        nn.init.zeros_(larger.synthesis.block(r).torgb.weight)
    assert all(int(name.split(".")[1][1:]) > generator.resolution for name in missing)
    return larger


def optimizers_of(generator: Generator) -> dict[str, torch.optim.Optimizer]:
    """Muon for the mapping's matrices and the convolutions, Adam for all else; named as in ``RATES``."""
    convs, rest = convolutions(p for n, p in generator.synthesis.named_parameters() if "noise_strength" not in n)
    layers = [generator.mapping.layer(i) for i in range(generator.mapping.num_fc)]
    return {
        "mapping": Muon([layer.weight for layer in layers]),
        "mapping_biases": torch.optim.Adam([layer.bias for layer in layers], betas=(0.9, 0.99)),
        "convolutions": Muon(convs),
        "others": torch.optim.Adam(rest, betas=(0.9, 0.99)),
    }


def stage_at(seen: int, stages: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """(resolution, first image, number of images) of the stage that image ``seen`` belongs to."""
    first = 0
    for resolution, images in stages:
        if seen < first + images:
            return resolution, first, images
        first += images
    return resolution, first - images, images


@torch.no_grad()
def write_sheets(generator: Generator, out: Path, resolution: int) -> None:
    """Random faces beside their renders, and one sweep per factor and move, as ``pairs.png`` and ``sweeps.png``."""
    device = generator.w_avg.device
    z, target, _ = batch_of(16, 7, resolution, max(resolution, TRUNK))
    image = partial_image(generator, generator.map(z.to(device)), resolution)
    save_sheet(torch.cat([target[:8], image[:8].cpu(), target[8:], image[8:].cpu()]), 8, out / "pairs.png")
    count, run = len(rendering.FACTORS), torch.linspace(0.02, 0.98, 8)
    rows = count + len(rendering.MOVES)
    face, moves = sampling.sample_parameters(rows, 7).repeat_interleave(8, 0), rendering.rest_moves(8 * rows)
    face[:, :count] = torch.tensor([0.05, 0.9, 0.05, 0.5, 0.1])
    for i in range(rows):
        (face if i < count else moves)[8 * i : 8 * i + 8, i if i < count else i - count] = run
    codes = generator.map(latents_of(face, moves=moves).to(device))
    save_sheet(partial_image(generator, codes, resolution), 8, out / "sweeps.png")


class Finish:
    """Adversarial finish: the discriminator sharpens what regression left soft."""

    def __init__(self, generator: Generator, out: Path, batch: int, device: torch.device, fast: bool = False):
        torch.manual_seed(1)
        self.out, self.batch, self.device, self.fast = out, batch, device, fast
        self.generator = Generator(architecture()).to(device).to(memory_format=torch.channels_last)
        self.generator.load_state_dict(generator.state_dict())
        self.average = Average(self.generator, 0.9985)
        self.critic = Discriminator(architecture()).to(device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.generator.parameters(), lr=0.0006, betas=(0.0, 0.99))
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=0.0012, betas=(0.0, 0.99))
        parts = dict(generator=self.generator, average=self.average.module, critic=self.critic)
        optimizers = dict(optimizer=self.optimizer, critic_optimizer=self.critic_optimizer)
        self.checkpoint = Checkpoint(out / "finished.pt", **parts, **optimizers)

    def run(self, total: int) -> Generator:
        start = self.checkpoint.load()
        for seen, bar in steps(start, total, self.batch, "finish"):
            critic = self.step_critic(seen)
            loss = self.step_generator(seen)
            if seen // self.batch % 20 == 0:
                bar.set_postfix_str(f"generator {loss:.3f} critic {critic:.3f}")
            if seen // self.batch % SAVED == SAVED - 1:
                self.checkpoint.save(seen + self.batch)
                write_sheets(self.average.module, self.out, self.generator.resolution)
        self.checkpoint.save(total)
        write_sheets(self.average.module, self.out, self.generator.resolution)
        return self.average.module

    def step_critic(self, seen: int) -> float:
        size = self.generator.resolution
        real = batch_of(self.batch, 3_000_000 + seen, size, size, self.device)[1]
        z = torch.randn(self.batch, Z_DIM, generator=torch.Generator().manual_seed(4_000_000 + seen)).to(self.device)
        regular = seen // self.batch % 8 == 0
        real.requires_grad_(regular)
        with torch.no_grad(), autocast(self.device, self.fast):
            fake = self.generator.synthesize(self.generator.map(z), noise="random")
        with autocast(self.device, self.fast and not regular):
            logits, fake_logits = self.critic(real), self.critic(fake)
        loss = F.softplus(fake_logits.float()).mean() + F.softplus(-logits.float()).mean()
        total = loss
        if regular:
            (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
            total = loss + 8 * 0.15 * gradient.square().sum((1, 2, 3)).mean()
        self.critic_optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.critic_optimizer.step()
        return loss.item()

    def step_generator(self, seen: int) -> float:
        size = self.generator.resolution
        z, target, weight = batch_of(self.batch, 5_000_000 + seen, size, size, self.device)
        codes = self.generator.map(z)
        with autocast(self.device, self.fast):
            image = self.generator.synthesize(codes, noise="random")
            logits = self.critic(image)
        loss = ADVERSARIAL * F.softplus(-logits.float()).mean() + distillation_loss(image, target, weight)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.average.update(self.generator, seen // self.batch)
        return loss.item()


@torch.no_grad()
def set_mean_code(generator: Generator) -> None:
    """Estimate ``w_avg`` over 20,000 latents of a fixed CPU generator."""
    z = torch.randn(20_000, Z_DIM, generator=torch.Generator().manual_seed(0))
    generator.mapping.w_avg.copy_(generator.mapping(z.to(generator.w_avg.device)).mean(0))


@torch.no_grad()
def scale_codes(generator: Generator, spread: float = SPREAD) -> float:
    """Scale W so that its entries have this root mean square deviation, and the layers that read it by the inverse: the pictures stay, and
    what is asked of codes in numbers, as by text anchors, means the same for every generator. Returns the scale."""
    z = torch.randn(20_000, generator.architecture.z_dim, generator=torch.Generator().manual_seed(3)).to(generator.w_avg.device)
    scale = spread / generator.mapping(z).var(0).mean().sqrt().item()
    last = generator.mapping.layer(generator.mapping.num_fc - 1)
    for tensor in (last.weight, last.bias, generator.mapping.w_avg):
        tensor.mul_(scale)
    for name, layer in generator.synthesis.named_modules():
        if name.endswith("affine"):
            layer.get_parameter("weight").div_(scale)
    return scale


def _stage(text: str) -> tuple[int, int]:
    resolution, images = text.split(":")
    return int(resolution), int(images)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/generator"), help="folder of checkpoints and sheets; resumes from it")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bfloat16", action="store_true", help="train in bfloat16 (GPUs, and CPUs with native support)")
    parser.add_argument("--start", type=Path, help="train this generator (.safetensors) further instead of a new one")
    parser.add_argument("--stages", nargs="+", type=_stage, default=STAGES, metavar="PX:IMAGES", help="pixels and images of each stage")
    parser.add_argument("--finish", type=int, default=FINISH, help="images of the adversarial finish; 0 skips it")
    parser.add_argument("--save", type=Path, help="write the result here as .safetensors (16 bit)")
    args = parser.parse_args(arguments)
    device = torch.device(args.device)
    start = load(args.start) if args.start else None
    generator = Distillation(args.out, args.batch, device, args.bfloat16, args.stages, start).run()
    if args.finish:
        generator = Finish(generator, args.out, args.batch, device, args.bfloat16).run(args.finish)
    if args.finish or any(resolution <= TRUNK for resolution, _ in args.stages):  # otherwise W is what it was
        set_mean_code(generator)
        scale_codes(generator)
    if args.save:
        save(generator.cpu(), args.save, dtype=torch.float16)


if __name__ == "__main__":
    main()
