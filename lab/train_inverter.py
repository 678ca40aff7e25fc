"""Train the avatar inverter: renders and generator samples -> codes, in a few passes over its own error (ReStyle).

Both kinds of picture have a known code: the generator was distilled so that the code of a render's latent draws it. The run
first regresses codes in a single pass, then over the passes, and last adds the picture itself, through the frozen generator.
The normalizations keep the statistics of the single pass from then on: every pass has others, and what is learned with those of
its own batch is lost when the inverter is used.
It is trained on the generator's pictures of 64 px; each code row beyond them gets what the last one gets.
``python -m micromotion.lab.train_inverter --save avatars/weights/inverter.safetensors``
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import torch

from ..files.embedded import embedded_root
from ..stylegan2 import Generator, load, load_inverter
from ..stylegan2.inversion import EncoderInverter, save_inverter
from ..stylegan2.inversion.compact import CompactEncoder
from .evaluation.metrics import psnr
from .train_generator import Z_DIM, batch_of, distillation_loss
from .training import Average, Checkpoint, autocast, learning_rate, save_sheet, steps
from .trunk import inverter_for, trunk_of

IMAGES, BATCH, PASSES = 160_000, 32, 2
TEST_SEED = 920_000_000
DOMAIN = "rendered avatars"
WEIGHTS = embedded_root()


def config(generator: Generator) -> dict:
    return {
        "input_size": 64,
        "channels_in": 6,
        "widths": [48, 96, 160, 224],
        "hidden": 512,
        "num_layers": generator.num_layers,
        "width": generator.width,
    }


class Plan(NamedTuple):
    """The peak rate, the shares of the run from which on there are several passes and the picture counts, and the first seed."""

    rate: float
    passes_from: float
    pictures_from: float
    seed: int


NEW, FURTHER = Plan(1.5e-3, 0.75, 0.9, 600_000_000), Plan(1e-3, 0.4, 0.5, 650_000_000)


class Training:
    """``start``: an inverter to go on from, over pictures that it never saw; it may be another generator's of this shape."""

    def __init__(
        self, generator: Generator, out: Path, device: torch.device, fast: bool, start: EncoderInverter | None = None, batch: int = BATCH
    ):
        torch.manual_seed(0)
        self.out, self.device, self.fast, self.batch = out, device, fast, batch
        self.generator = generator.to(device).requires_grad_(False)
        self.encoder = CompactEncoder(config(generator)).to(device).to(memory_format=torch.channels_last)
        if start is not None:
            self.encoder.load_state_dict(start.encoder.state_dict())
        self.plan = NEW if start is None else FURTHER
        self.average = Average(self.encoder, 0.999)
        self.optimizer = torch.optim.AdamW(self.encoder.parameters(), weight_decay=1e-3)
        self.checkpoint = Checkpoint(out / "inverter.pt", encoder=self.encoder, average=self.average.module, optimizer=self.optimizer)
        self.spread = _code_spread(self.generator)
        self.mean = self.generator.w_avg.expand(1, generator.num_layers, generator.width)
        self.mean_image = self._shown(self.mean)

    def run(self, images: int) -> CompactEncoder:
        for seen, bar in steps(self.checkpoint.load(), images, self.batch, "inverter"):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(seen, images, self.plan.rate, floor=0.01)
            passes = PASSES if seen >= self.plan.passes_from * images else 1
            loss = self.step(seen, passes, seen >= self.plan.pictures_from * images)
            if seen // self.batch % 25 == 0:
                bar.set_postfix_str(f"loss {loss:.4f}")
            if seen // self.batch % 100 == 99:
                self.checkpoint.save(seen + self.batch)
        self.checkpoint.save(images)
        return self.average.module.cpu().eval()

    def step(self, seen: int, passes: int, pictures: bool) -> float:
        target, truth, weight = self._batch(seen, samples=self.batch // 2 if passes > 1 else 0)
        codes, total = self.mean.expand(len(target), -1, -1), 0.0
        self.optimizer.zero_grad(set_to_none=True)
        self.encoder.train(self.plan is NEW and passes == 1)
        for i in range(passes):
            shown = self._shown(codes.detach()) if i else self.mean_image.expand(len(target), -1, -1, -1)
            with autocast(self.device, self.fast):
                offsets = self.encoder(torch.cat([target, shown], 1).contiguous(memory_format=torch.channels_last))
            codes = codes.detach() + offsets.float()
            loss = ((codes - truth[:, None]) / self.spread).abs().mean()
            if pictures:
                with autocast(self.device, self.fast):
                    image = self.generator.synthesize(codes)
                loss = 0.3 * loss + 2 * distillation_loss(image, target, weight)
            loss.backward()
            total += loss.item()
        self.optimizer.step()
        self.average.update(self.encoder, seen // self.batch)
        return total / passes

    @torch.no_grad()
    def _shown(self, codes: torch.Tensor) -> torch.Tensor:
        with autocast(self.device, self.fast):
            return self.generator.synthesize(codes)

    def _batch(self, seen: int, samples: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pictures, their codes in W ``[N, D]`` and pixel weights: renders, and generator samples instead of the first ones."""
        z, image, weight = batch_of(self.batch, self.plan.seed + seen, 64, 64, self.device)
        with torch.no_grad():
            truth = self.generator.mapping(z)
        if not samples:
            return image, truth, weight
        sample = self._shown(truth[:samples, None].expand(-1, self.generator.num_layers, -1))
        return torch.cat([sample.clamp(-1, 1), image[samples:]]), truth, weight


@torch.no_grad()
def _code_spread(generator: Generator) -> torch.Tensor:
    z = torch.randn(4096, Z_DIM, generator=torch.Generator().manual_seed(0)).to(generator.w_avg.device)
    return generator.mapping(z).std(0).clamp(min=1e-3)


def unseen(size: int, count: int = 512) -> torch.Tensor:
    """Renders ``[N, 3, size, size]`` as training draws them, of seeds that it never used."""
    return batch_of(count, TEST_SEED, size, size)[1]


@torch.no_grad()
def quality(inverter: EncoderInverter, generator: Generator, images: torch.Tensor, sheet: Path | None = None) -> float:
    """Mean PSNR (dB, range -1..1) of the reconstructions of ``images [N, 3, S, S]``; ``sheet`` shows the first sixteen."""
    again = generator.synthesize(inverter.invert(generator, images)).clamp(-1, 1)
    if sheet:
        save_sheet(torch.cat([images[:8], again[:8], images[8:16], again[8:16]]), 8, sheet)
    return psnr(again, images).mean().item()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/inverter"))
    parser.add_argument("--generator", type=Path, default=WEIGHTS / "generator.safetensors")
    parser.add_argument("--start", type=Path, help="go on from this inverter (.safetensors), of this or an earlier generator")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--save", type=Path)
    args = parser.parse_args(arguments)
    generator, start = load(args.generator), load_inverter(args.start) if args.start else None
    trained = trunk_of(generator)
    start = start and inverter_for(start, trained)
    encoder = Training(trained, args.out, torch.device(args.device), args.bfloat16, start, args.batch).run(args.images)
    generator = generator.cpu()
    inverter = inverter_for(EncoderInverter(encoder, input_size=64, channels_in=6, passes=PASSES), generator)
    reached = quality(inverter, generator, unseen(generator.resolution), args.out / "reconstructions.png")
    print(f"PSNR on unseen renders {reached:.2f} dB")
    if args.save:
        card = dict(domain=DOMAIN, typical_psnr=round(reached, 1), generator=generator.fingerprint, encoder_type="CompactEncoder")
        save_inverter(inverter, args.save, dtype=torch.float16, **card)


if __name__ == "__main__":
    main()
