"""Train a StyleGAN2 and its encoder from pictures alone: no label, mask or parameter of the renderer reaches them.

A picture encoder gives one code, the same for all rows; the true StyleGAN2 synthesis draws it again. The losses compare the two pictures
at several scales, their differences, and their fine detail, weighted where fine detail stays wrong: the map of what stays wrong
is learned on the way. The picture grows through the partial sums of the skip architecture. ``--mixing`` adds what adversarial training
gives a latent space: pictures of mixed codes must look like pictures, so that straight lines stay among faces. `train_prior` fits the
mapping z -> w afterwards. ``python -m micromotion.lab.train_label_free --pictures ~/train/pictures_64 --held-out ~/train/held_out_64``
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from ..stylegan2 import Architecture
from ..stylegan2.generator import Synthesis
from ..stylegan2.inversion.compact import CompactEncoder
from .draw_pictures import PictureSet
from .muon import Muon, convolutions
from .training import Average, Checkpoint, autocast, learning_rate, save_sheet, steps

WIDTH = 128
STAGES = ((16, 16_000), (32, 24_000))  # then the full size
CODE_NOISE, MOMENTS = 0.05, 0.02
RATES = {"muon": 0.004, "adam": 0.004, "encoder_muon": 0.0004, "encoder_adam": 0.001}
DETAIL, EDGES, SQUARE = 4.0, 0.7, 1.0
FORGET = 0.02  # how fast the map of what stays wrong follows
SAVED, REPORTED = 2000, 8000  # pictures between checkpoints and between reports
FURTHER_RATE, JUDGE_RATE, REAL_SHARE = 0.5, 0.0005, 0.2


def architecture(resolution: int = 64) -> Architecture:
    channels = {4: 192, 8: 192, 16: 192, 32: 128, 64: 64, 128: 32}
    return Architecture(
        resolution=resolution,
        channels={r: c for r, c in channels.items() if r <= resolution},
        w_dim=WIDTH,
        z_dim=WIDTH,
        mapping_layers=6,
        hidden_dim=2 * WIDTH,
    )


def encoder_config(size: int = 64) -> dict:
    """Of a `CompactEncoder` with one row: the code that all rows share."""
    return {"input_size": size, "channels_in": 3, "widths": [64, 96, 160, 256], "hidden": 512, "num_layers": 1, "width": WIDTH}


class Detail(nn.Module):
    """Penalty on fine detail, picture minus its 5 px mean, weighted by the square of where such detail stays wrong on average."""

    wrong: torch.Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("wrong", torch.zeros(1, 1, size, size))

    def forward(self, difference: torch.Tensor) -> torch.Tensor:
        fine = difference - F.avg_pool2d(difference, 5, 1, 2, count_include_pad=False)
        size = fine.abs()
        with torch.no_grad():
            now = F.avg_pool2d(size.mean((0, 1), keepdim=True), 3, 1, 1, count_include_pad=False)
            self.wrong.lerp_(now, FORGET if self.wrong.any() else 1.0)
            weight = (self.wrong / self.wrong.mean()).square()
            weight = weight / weight.mean()
        return ((size + SQUARE * fine.square()) * weight).mean()


def picture_loss(image: torch.Tensor, target: torch.Tensor, detail: Detail) -> torch.Tensor:
    """Three scales, edges and detail of ``image`` against ``target [N, 3, S, S]``."""
    difference = image - target
    total = EDGES * (difference.diff(dim=3).abs().mean() + difference.diff(dim=2).abs().mean()) + DETAIL * detail(difference)
    for scale in (1, 2, 4):
        d = F.avg_pool2d(difference, scale) if scale > 1 else difference
        total = total + d.abs().mean() + SQUARE * d.square().mean()
    return total


def moments_loss(codes: torch.Tensor) -> torch.Tensor:
    """Pulls the mean and variance of ``codes [N, D]`` to 0 and 1."""
    return codes.mean(0).square().mean() + (codes.var(0) - 1).square().mean()


class Judge(nn.Module):
    """Pictures ``[N, 3, S, S]`` -> how far each is mixed ``[N]``: 0 of one code, 0.5 halfway between two (Berthelot et al. 2018, ACAI)."""

    def __init__(self, size: int, widths: tuple[int, ...] = (32, 64, 128, 192)):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip((3, *widths), widths))
        self.head = nn.Linear(widths[-1] * (size // 2 ** len(widths)) ** 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return self.head(x.flatten(1))[:, 0]


class Training:
    """Encoder and synthesis together. ``total``: pictures in all; the rates fall to their end there.

    ``mixing``: weight of looking unmixed to a judge, for pictures of mixed codes; 0 trains none. ``start``: checkpoint of a run to go on
    from, with rates of its own.
    """

    def __init__(
        self, pictures: PictureSet, held_out: PictureSet, out: Path, batch: int = 32, fast: bool = False, total: int = 300_000,
        mixing: float = 0.0, start: Path | None = None,
    ):  # fmt: skip
        torch.manual_seed(0)
        self.pictures, self.held_out, self.out, self.batch, self.fast, self.total = pictures, held_out, Path(out), batch, fast, total
        self.mixing, self.start = mixing, start
        self.architecture = architecture(pictures.size)
        self.synthesis = Synthesis(self.architecture).to(memory_format=torch.channels_last)
        self.encoder = CompactEncoder(encoder_config(pictures.size)).to(memory_format=torch.channels_last)
        self.average, self.encoder_average = Average(self.synthesis, 0.999), Average(self.encoder, 0.999)
        self.details = nn.ModuleDict({str(r): Detail(r) for r in self.architecture.resolutions})
        self.optimizers = self._optimizers()
        parts = {"synthesis": self.synthesis, "encoder": self.encoder, "details": self.details}
        averages = {"average": self.average.module, "encoder_average": self.encoder_average.module}
        self.parts = {**parts, **averages, **self.optimizers}
        self.judge = Judge(pictures.size).to(memory_format=torch.channels_last)
        self.judge_optimizer = torch.optim.Adam(self.judge.parameters(), lr=JUDGE_RATE, betas=(0.5, 0.99))
        judging = {"judge": self.judge, "judge_optimizer": self.judge_optimizer} if mixing else {}
        self.checkpoint = Checkpoint(self.out / "label_free.pt", **self.parts, **judging)

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        convs, rest = convolutions(p for n, p in self.synthesis.named_parameters() if "noise_strength" not in n)
        seen, other = convolutions(self.encoder.parameters())
        return {
            "muon": Muon(convs), "adam": torch.optim.Adam(rest, betas=(0.9, 0.99)),
            "encoder_muon": Muon(seen), "encoder_adam": torch.optim.Adam(other, betas=(0.9, 0.99)),
        }  # fmt: skip

    def resolution_at(self, seen: int) -> int:
        for resolution, images in STAGES:
            if seen < images and resolution < self.pictures.size:
                return resolution
            seen -= images
        return self.pictures.size

    def run(self) -> None:
        clock, saved, reported = time.time(), max(1, SAVED // self.batch), max(1, REPORTED // self.batch)
        first, peak = (Checkpoint(self.start, **self.parts).load(), FURTHER_RATE) if self.start else (0, 1.0)
        for seen, _ in steps(self.checkpoint.load() or first, self.total, self.batch, "label-free"):
            rate = learning_rate(seen - first, self.total - first, peak, warm=0.004)
            for name, optimizer in self.optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = RATES[name] * rate
            loss = self.step(seen)
            done = seen // self.batch + 1
            if done % saved == 0:
                self.checkpoint.save(seen + self.batch)
            if done % reported == 0:
                self.report(seen + self.batch, loss, time.time() - clock)
        self.checkpoint.save(self.total)

    def targets(self, seen: int) -> torch.Tensor:
        g = torch.Generator().manual_seed(seen)
        numbers, flips = torch.randint(self.pictures.drawn, (self.batch,), generator=g), torch.rand(self.batch, generator=g) < 0.5
        return self.pictures.batch(numbers, flips).contiguous(memory_format=torch.channels_last)

    def step(self, seen: int) -> float:
        resolution, target = self.resolution_at(seen), self.targets(seen)
        g = torch.Generator().manual_seed(seen + 1)
        noise = torch.randn(self.batch, WIDTH, generator=g)
        with autocast(target.device, self.fast):
            codes = self.encoder(target)[:, 0].float()
        shares = torch.rand(self.batch // 2 if self.mixing and resolution == self.pictures.size else 0, generator=g) / 2
        mixed = torch.lerp(codes[: len(shares)], codes[self.batch - len(shares) :], shares[:, None])
        image, between = self.synthesized(torch.cat([codes + CODE_NOISE * noise, mixed]), resolution).split([self.batch, len(shares)])
        small = F.adaptive_avg_pool2d(target, resolution)
        loss = picture_loss(image, small, cast(Detail, self.details[str(resolution)])) + MOMENTS * moments_loss(codes)
        betrayed = self.judged(between).square().mean() if len(shares) else 0.0
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        (loss + self.mixing * betrayed).backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        if len(shares):
            self.step_judge(between.detach(), shares, torch.lerp(image.detach(), small, REAL_SHARE)[: len(shares)])
        self.average.update(self.synthesis, seen // self.batch)
        self.encoder_average.update(self.encoder, seen // self.batch)
        return loss.item()

    def synthesized(self, codes: torch.Tensor, resolution: int) -> torch.Tensor:
        """Pictures of codes ``[N, D]``, the same for all rows."""
        rows = codes[:, None].repeat(1, self.architecture.num_layers, 1)
        with autocast(codes.device, self.fast):
            return self.synthesis(rows, "none", resolution=resolution).float()

    def judged(self, images: torch.Tensor) -> torch.Tensor:
        with autocast(images.device, self.fast):
            return self.judge(images.contiguous(memory_format=torch.channels_last)).float()

    def step_judge(self, mixed: torch.Tensor, shares: torch.Tensor, pure: torch.Tensor) -> None:
        """The judge learns the shares of ``mixed`` pictures, and that ``pure`` ones, reconstructions and a little truth, have none."""
        guess = self.judged(torch.cat([mixed, pure]))
        loss = (guess - torch.cat([shares, torch.zeros(len(pure))])).square().mean()
        self.judge_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.judge_optimizer.step()

    @torch.no_grad()
    def report(self, seen: int, loss: float, seconds: float) -> None:
        """One line into ``log.jsonl`` and a sheet of unseen pictures over their reconstructions."""
        resolution = self.resolution_at(seen - 1)
        settle(self.encoder_average.module, self.pictures)
        target = self.held_out.batch(torch.arange(min(256, self.held_out.drawn)))
        image = self.draw(target, resolution)
        small = F.adaptive_avg_pool2d(target, resolution)
        psnr = decibels(image, small)
        line = {"images": seen, "resolution": resolution, "loss": round(loss, 4), "psnr": round(psnr, 2), "seconds": round(seconds)}
        told = {"told": round(self.told(target), 3)} if self.mixing and resolution == self.pictures.size else {}
        with open(self.out / "log.jsonl", "a") as f:
            f.write(json.dumps({**line, **told}) + "\n")
        rows = [part for k in range(0, 40, 10) for part in (small[k : k + 10], image[k : k + 10])]
        save_sheet(F.interpolate(torch.cat(rows), size=96, mode="nearest-exact"), 10, self.out / "held_out.png")

    def draw(self, target: torch.Tensor, resolution: int) -> torch.Tensor:
        return self.averaged(self.encoder_average.module.eval()(target), resolution)

    def averaged(self, codes: torch.Tensor, resolution: int) -> torch.Tensor:
        """Pictures of codes ``[N, 1, D]`` by the averaged weights."""
        rows = codes.repeat(1, self.architecture.num_layers, 1)
        return torch.cat([self.average.module(r, "none", resolution=resolution) for r in rows.split(32)])

    def told(self, target: torch.Tensor, columns: int = 9) -> float:
        """How mixed the judge finds pictures halfway between two (0.5: told, 0: hidden); ``mixed.png`` shows some on their way."""
        codes = self.encoder_average.module.eval()(target)
        ways = torch.stack([codes[:6].lerp(codes[6:12], float(t)) for t in torch.linspace(0, 1, columns)], 1).flatten(0, 1)
        shown = F.interpolate(self.averaged(ways, self.pictures.size), size=96, mode="nearest-exact")
        save_sheet(shown, columns, self.out / "mixed.png")
        halfway = self.averaged(codes[:64].lerp(codes[:64].flip(0), 0.5), self.pictures.size)
        return self.judged(halfway).mean().item()


@torch.no_grad()
def settle(encoder: nn.Module, pictures: PictureSet, count: int = 1024) -> None:
    """Measure the statistics of the encoder's normalizations again, for weights that are an average."""
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    encoder.train()
    for numbers in torch.arange(min(count, pictures.drawn)).split(64):
        encoder(pictures.batch(numbers))
    encoder.eval()


def decibels(images: torch.Tensor, targets: torch.Tensor) -> float:
    """Mean PSNR over pictures in -1..1."""
    error = (images.clamp(-1, 1) - targets).square().mean((1, 2, 3)) / 4
    return (-10 * error.log10()).mean().item()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pictures", type=Path, required=True, help="folder of micromotion.lab.draw_pictures")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of pictures to report on, drawn with --held-out")
    parser.add_argument("--out", type=Path, default=Path("runs/label_free"), help="folder of checkpoints and sheets; resumes from it")
    parser.add_argument("--images", type=int, default=300_000, help="pictures in all")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--bfloat16", action="store_true", help="for CPUs with native support")
    parser.add_argument("--mixing", type=float, default=0.0, help="weight of a judge that must not tell pictures of mixed codes; 0: none")
    parser.add_argument("--start", type=Path, help="checkpoint of another run to go on from (give it again to resume)")
    args = parser.parse_args(arguments)
    if args.start and not args.start.is_file():
        raise SystemExit(f"There is no checkpoint {args.start} to start from; give the label_free.pt of another run.")
    args.out.mkdir(parents=True, exist_ok=True)
    pictures, held_out = PictureSet(args.pictures), PictureSet(args.held_out)
    Training(pictures, held_out, args.out, args.batch, args.bfloat16, args.images, args.mixing, args.start).run()


if __name__ == "__main__":
    main()
