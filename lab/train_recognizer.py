"""Train a face recognizer on avatars. It is told which pictures show the same person and nothing else: no number of the renderer.

``python -m micromotion.lab.train_recognizer --save runs/recognizer/recognizer.safetensors``. A person is what the renderer calls identity
but for background, clothes and light, which change from picture to picture as motions, moves and styles do.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F

from .evaluation.recognizer import Recognizer, pictures_of_people, quality, save_recognizer
from .train_regressor import augment
from .training import Average, Checkpoint, autocast, learning_rate, steps

PEOPLE, TRAIN_SEED = 64, 400_000_000
TEMPERATURE, RATE = 0.1, 2e-3


def contrast(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Each unit vector ``[N, D]`` must find its partner among all others (van den Oord et al. 2018)."""
    both = torch.cat([first, second]).float()
    scores = (both @ both.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(scores, torch.arange(len(both)).roll(len(first)))


def train(out: Path, people: int, fast: bool) -> Recognizer:
    """A recognizer that saw two pictures of so many people."""
    torch.manual_seed(0)
    network = Recognizer().to(memory_format=torch.channels_last)
    average, optimizer = Average(network, 0.998), torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    checkpoint = Checkpoint(out / "recognizer.pt", network=network, average=average.module, optimizer=optimizer)
    for seen, bar in steps(checkpoint.load(), people, PEOPLE, "recognizer"):
        seed = TRAIN_SEED + 10 * seen
        first, second = pictures_of_people(PEOPLE, seed)
        pictures = augment(torch.cat([first, second]), seed + 3).contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(seen, people, RATE)
        with autocast(pictures.device, fast):
            vectors = network(pictures)
        loss = contrast(vectors[:PEOPLE], vectors[PEOPLE:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update(network, seen // PEOPLE)
        bar.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
        if seen // PEOPLE % 100 == 99:
            checkpoint.save(seen + PEOPLE)
    checkpoint.save(people)
    return average.module.eval()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/recognizer"), help="folder of the checkpoint; resumes from it")
    parser.add_argument("--people", type=int, default=48_000)
    parser.add_argument("--bfloat16", action="store_true", help="for CPUs with native support")
    parser.add_argument("--save", type=Path)
    args = parser.parse_args(arguments)
    network = train(args.out, args.people, args.bfloat16)
    print(json.dumps(quality(network)))
    if args.save:
        save_recognizer(network, args.save)


if __name__ == "__main__":
    main()
