"""Train a StyleGAN2 and its encoder from pictures alone: no label, mask or parameter of the renderer reaches them.

A picture encoder gives one code, the same for all rows; the true StyleGAN2 synthesis draws it again. The losses compare the two pictures
at several scales, their differences, and their fine detail, weighted where fine detail stays wrong: the map of what stays wrong
is learned on the way. The picture grows through the partial sums of the skip architecture. `train_prior` fits the mapping z -> w
afterwards. ``python -m micromotion.lab.train_label_free --pictures ~/train/pictures_64 --held-out ~/train/held_out_64``
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
from .muon import Muon
from .training import Average, Checkpoint, autocast, learning_rate, save_sheet, steps

WIDTH = 128
STAGES = ((16, 16_000), (32, 24_000))  # then the full size
CODE_NOISE, MOMENTS = 0.05, 0.02
RATES = {"muon": 0.004, "adam": 0.004, "encoder_muon": 0.0004, "encoder_adam": 0.001}
DETAIL, EDGES, SQUARE = 4.0, 0.7, 1.0
FORGET = 0.02  # how fast the map of what stays wrong follows


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


class Training:
    """Encoder and synthesis together. ``total``: pictures in all; the rates fall to their end there."""

    def __init__(self, pictures: PictureSet, held_out: PictureSet, out: Path, batch: int = 32, fast: bool = False, total: int = 300_000):
        torch.manual_seed(0)
        self.pictures, self.held_out, self.out, self.batch, self.fast, self.total = pictures, held_out, Path(out), batch, fast, total
        self.architecture = architecture(pictures.size)
        self.synthesis = Synthesis(self.architecture).to(memory_format=torch.channels_last)
        self.encoder = CompactEncoder(encoder_config(pictures.size)).to(memory_format=torch.channels_last)
        self.average, self.encoder_average = Average(self.synthesis, 0.999), Average(self.encoder, 0.999)
        self.details = nn.ModuleDict({str(r): Detail(r) for r in self.architecture.resolutions})
        self.optimizers = self._optimizers()
        parts = {"synthesis": self.synthesis, "encoder": self.encoder, "details": self.details}
        averages = {"average": self.average.module, "encoder_average": self.encoder_average.module}
        self.checkpoint = Checkpoint(self.out / "label_free.pt", **parts, **averages, **self.optimizers)

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        synthesis = {n: p for n, p in self.synthesis.named_parameters() if "noise_strength" not in n}
        convs = [p for n, p in synthesis.items() if p.ndim == 4 and p.shape[-1] == 3]
        rest = [p for p in synthesis.values() if not any(p is c for c in convs)]
        seen = [p for p in self.encoder.parameters() if p.ndim == 4 and p.shape[-1] == 3]
        other = [p for p in self.encoder.parameters() if not any(p is c for c in seen)]
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
        clock, every = time.time(), max(1, 8000 // self.batch)
        for seen, _ in steps(self.checkpoint.load(), self.total, self.batch, "label-free"):
            rate = learning_rate(seen, self.total, 1.0, warm=0.004)
            for name, optimizer in self.optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = RATES[name] * rate
            loss = self.step(seen)
            if seen // self.batch % every == every - 1:
                self.checkpoint.save(seen + self.batch)
                self.report(seen + self.batch, loss, time.time() - clock)
        self.checkpoint.save(self.total)

    def targets(self, seen: int) -> torch.Tensor:
        g = torch.Generator().manual_seed(seen)
        numbers, flips = torch.randint(self.pictures.drawn, (self.batch,), generator=g), torch.rand(self.batch, generator=g) < 0.5
        return self.pictures.batch(numbers, flips).contiguous(memory_format=torch.channels_last)

    def step(self, seen: int) -> float:
        resolution, target = self.resolution_at(seen), self.targets(seen)
        noise = torch.randn(self.batch, WIDTH, generator=torch.Generator().manual_seed(seen + 1))
        with autocast(target.device, self.fast):
            codes = self.encoder(target)[:, 0].float()
        rows = (codes + CODE_NOISE * noise)[:, None].repeat(1, self.architecture.num_layers, 1)
        with autocast(target.device, self.fast):
            image = self.synthesis(rows, "none", resolution=resolution).float()
        small = F.adaptive_avg_pool2d(target, resolution)
        loss = picture_loss(image, small, cast(Detail, self.details[str(resolution)])) + MOMENTS * moments_loss(codes)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.average.update(self.synthesis, seen // self.batch)
        self.encoder_average.update(self.encoder, seen // self.batch)
        return loss.item()

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
        with open(self.out / "log.jsonl", "a") as f:
            f.write(json.dumps(line) + "\n")
        rows = [part for k in range(0, 40, 10) for part in (small[k : k + 10], image[k : k + 10])]
        save_sheet(F.interpolate(torch.cat(rows), size=96, mode="nearest-exact"), 10, self.out / "held_out.png")

    def draw(self, target: torch.Tensor, resolution: int) -> torch.Tensor:
        codes = self.encoder_average.module.eval()(target)
        rows = codes.repeat(1, self.architecture.num_layers, 1)
        return torch.cat([self.average.module(r, "none", resolution=resolution) for r in rows.split(32)])


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
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    Training(PictureSet(args.pictures), PictureSet(args.held_out), args.out, args.batch, args.bfloat16, args.images).run()


if __name__ == "__main__":
    main()
