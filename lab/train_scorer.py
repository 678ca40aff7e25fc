"""Train the avatar text scorer, a tiny open_clip model, on renders and sentences about them.

Targets are soft: a sentence claims parameter values, and a picture suits it the better the nearer its parameters are.
``python -m micromotion.lab.train_scorer --save avatars/weights/scorer.safetensors``
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from ..avatars import renderer as rendering
from ..avatars.regressor import READ
from ..subspaces.anchors import Settings
from ..subspaces.anchors.degrees import DEGREES, fill
from ..subspaces.anchors.scorer_files import build_model, load_scorer, save_scorer, tokenizer
from . import captions, sampling
from .train_regressor import ACTIVE, augment
from .training import Average, Checkpoint, autocast, learning_rate, steps

IMAGES = 200_000
BATCH = 96
TRAIN_SEED, FURTHER_SEED, TEST_SEED = 400_000_000, 450_000_000, 910_000_000
TAU, DEGREE_TAU = 0.10, 0.07
PROBE, MOVES_WEIGH = 40.0, 4.0
CONFIG = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": [1, 2, 2, 1], "width": 24, "head_width": 32},
    "text_cfg": {"context_length": 32, "width": 128, "heads": 4, "layers": 3},
    "merges": 2000,
    "normalize": False,
}

SETTINGS = Settings(l2=0.001, prior=0.05, space="w")  # what suits text anchors of this small scorer and the embedded generator


def batch_of(count: int, seed: int, active: float = ACTIVE) -> tuple[torch.Tensor, torch.Tensor]:
    """Renders ``[N, 3, 64, 64]`` in the trained styles, and their parameters and moves ``[N, P + M]``."""
    parameters = sampling.sample_parameters(count, seed)
    styles = sampling.sample_styles(count, seed + 1)
    moves = sampling.sample_moves(count, seed + 4, active)
    return rendering.render(parameters, 64, styles, moves).images, torch.cat([parameters, moves], 1)


class Sentences:
    """Tokenized sentences with their claims, cached because the tokenizer is slow."""

    def __init__(self, config: dict):
        self.tokenize = tokenizer(config["merges"], config["text_cfg"]["context_length"])
        self.cache: dict[str, torch.Tensor] = {}

    def tokens(self, texts: list[str]) -> torch.Tensor:
        new = list(dict.fromkeys(t for t in texts if t not in self.cache))
        if new:
            self.cache.update(zip(new, self.tokenize(new)))
        return torch.stack([self.cache[t] for t in texts])

    def random(self, count: int, rng: random.Random) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens ``[T, C]``, claimed values and masks ``[T, P + M]``."""
        texts, claims = zip(*(captions.random_caption(rng) for _ in range(count)))
        values, masks = captions.claim_arrays(list(claims))
        return self.tokens(list(texts)), torch.tensor(values), torch.tensor(masks)

    def ladders(self, rng: random.Random) -> torch.Tensor:
        """Tokens ``[M * D, C]`` of every motion at every degree, half of the time in other words."""
        texts = []
        for motion in captions.MOTIONS:
            template = motion.template if rng.random() < 0.6 else rng.choice(captions.VARIANTS[motion.name])
            texts += [fill(template, degree) for degree in DEGREES]
        return self.tokens(texts)


def caption_loss(logits: torch.Tensor, truth: torch.Tensor, values: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of ``logits [N, T]`` with soft targets from the distance between pictures and claims, both ways."""
    distance = ((truth[:, None] - values[None]).abs() * masks[None]).sum(2) / masks.sum(1)
    closeness = -distance / TAU
    by_picture = F.cross_entropy(logits, closeness.softmax(1))
    by_sentence = F.cross_entropy(logits.T, closeness.T.softmax(1))
    return by_picture + by_sentence


def ladder_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of ``logits [N, M, D]`` over the degrees of each motion, the target peaking at the true degree."""
    degrees = torch.linspace(0, 1, len(DEGREES))
    losses = []
    for m, motion in enumerate(captions.MOTIONS):
        value = truth[:, READ.index(motion.parameter)]
        degree = ((value - motion.low) / (motion.high - motion.low)).clamp(0, 1)
        target = (-0.5 * ((degree[:, None] - degrees) / DEGREE_TAU).square()).softmax(1)
        losses.append(F.cross_entropy(logits[:, m], target.to(logits)))
    return torch.stack(losses).mean()


class Training:
    """The run. A linear probe that is thrown away makes small features, a mouth or a lid, worth embedding from the start.

    ``start``: a scorer's network to go on from, over pictures that it never saw, at half the rate."""

    def __init__(self, out: Path, device: torch.device, fast: bool, start: nn.Module | None = None):
        torch.manual_seed(0)
        self.device, self.fast = device, fast
        self.sentences = Sentences(CONFIG)
        self.model: Any = build_model(CONFIG).to(device).requires_grad_(True).train()
        if start is not None:
            self.model.load_state_dict(start.state_dict())
        self.rate, self.seed = (1.5e-3, TRAIN_SEED) if start is None else (0.75e-3, FURTHER_SEED)
        self.model.visual.to(memory_format=torch.channels_last)
        self.average = Average(self.model, 0.999)
        self.probe = nn.Linear(CONFIG["embed_dim"], len(READ)).to(device)
        parameters = [*self.model.parameters(), *self.probe.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, betas=(0.9, 0.98), weight_decay=0.02)
        parts = dict(model=self.model, average=self.average.module, probe=self.probe, optimizer=self.optimizer)
        self.checkpoint = Checkpoint(out / "scorer.pt", **parts)

    def run(self, images: int) -> nn.Module:
        for seen, bar in steps(self.checkpoint.load(), images, BATCH, "scorer"):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(seen, images, self.rate, floor=0.005)
            loss = self.step(seen)
            if seen // BATCH % 20 == 0:
                bar.set_postfix_str(f"loss {loss:.3f}")
            if seen // BATCH % 60 == 59:
                self.checkpoint.save(seen + BATCH)
        self.checkpoint.save(images)
        return self.average.module.eval()

    def step(self, seen: int) -> float:
        rng = random.Random(seen)
        pictures, truth = batch_of(BATCH, self.seed + 10 * seen)
        pictures = augment(pictures, self.seed + 10 * seen + 3).to(self.device, memory_format=torch.channels_last)
        tokens, values, masks = self.sentences.random(BATCH, rng)
        ladder = self.sentences.ladders(rng)
        with autocast(self.device, self.fast):
            image = self.model.encode_image(pictures, normalize=True).float()
            text = self.model.encode_text(torch.cat([tokens, ladder]).to(self.device), normalize=True).float()
        logits = image @ text.T * self.model.logit_scale.exp().clamp(max=100)
        truth, values, masks = truth.to(self.device), values.to(self.device), masks.to(self.device)
        shape = (BATCH, len(captions.MOTIONS), len(DEGREES))
        loss = caption_loss(logits[:, :BATCH], truth, values, masks) + 3 * ladder_loss(logits[:, BATCH:].reshape(shape), truth)
        read = self.probe(image * CONFIG["embed_dim"] ** 0.5) + 0.5
        weight = torch.ones_like(truth)
        weight[:, len(rendering.PARAMETERS) :] = MOVES_WEIGH
        loss = loss + PROBE * (F.smooth_l1_loss(read, truth, beta=0.05, reduction="none") * weight).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.model, seen // BATCH)
        return loss.item()


@torch.no_grad()
def quality(scorer, count: int = 2048) -> dict[str, float]:
    """Spearman correlation, per motion, of the true degree with the degree the scorer prefers on unseen renders, moves at rest but for the
    moves' own.

    The preferred degree is the mean of the template's eleven degrees under the softmax of 100 times the cosines.
    """
    from scipy.stats import spearmanr

    seen = {active: _embedded(scorer, *batch_of(count, TEST_SEED, active)) for active in (0.0, ACTIVE)}
    degrees = torch.linspace(0, 1, len(DEGREES))
    report = {}
    for motion in captions.MOTIONS:
        image, truth = seen[ACTIVE if motion.parameter in rendering.MOVES else 0.0]
        text = scorer.encode_texts([fill(motion.template, d) for d in DEGREES])
        preferred = (100 * image @ text.T).softmax(1) @ degrees
        value = truth[:, READ.index(motion.parameter)]
        degree = ((value - motion.low) / (motion.high - motion.low)).clamp(0, 1)
        moving = degree > 0 if motion.both_ways else degree >= 0
        report[motion.name] = float(cast(Any, spearmanr(preferred[moving], degree[moving])).statistic)
    return report


def _embedded(scorer, pictures: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([scorer.encode_images(p) for p in pictures.split(256)]), truth


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/scorer"))
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--start", type=Path, help="go on from this scorer (.safetensors)")
    parser.add_argument("--save", type=Path, required=True)
    args = parser.parse_args(arguments)
    start = load_scorer(args.start).model if args.start else None
    model = Training(args.out, torch.device(args.device), args.bfloat16, start).run(args.images)
    save_scorer(model, CONFIG, args.save, settings=SETTINGS)
    for name, value in quality(load_scorer(args.save)).items():
        print(f"{name:10s} Spearman {value:.3f}")


if __name__ == "__main__":
    main()
