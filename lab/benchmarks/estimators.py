"""The estimators on simulated anchors whose motion is known: cosine to the true direction, under errors of seven kinds.

One layer of 512: a code of norm 6.8, a motion of norm 1.1 over twelve even degrees, noise of .01. A spike is an entry that is off by five
times the motion's root mean square, a bad anchor is off by three times the motion's length, a curved motion bends by .15 of it.
``python lab/benchmarks/estimators.py`` prints the table; ``--write`` renews docs/subspaces.md.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator

import measuring
import torch
from micromotion.subspaces import Anchors, fit
from micromotion.subspaces.decomposition import robust_pca
from micromotion.subspaces.estimators import center, pair_slopes

TRIALS = 24
ANCHORS, WIDTH = 12, 512
CODE, MOTION, NOISE, SPIKE, BAD, BEND = 6.8, 1.1, 0.01, 5.0, 3.0, 0.15
KINDS = {
    "clean": {},
    "2 % spikes": {"spikes": 0.02},
    "5 %": {"spikes": 0.05},
    "10 %": {"spikes": 0.1},
    "5 % + curved": {"spikes": 0.05, "curved": True},
    "1 bad anchor": {"bad": 1},
    "2 bad": {"bad": 2},
    "small motion, 2 %": {"spikes": 0.02, "size": 0.25},
}
POOLED = (1, 3, 5, 10)


def simulate(seed: int, *, faces: int = 1, spikes: float = 0.0, curved: bool = False, bad: int = 0, size: float = 1.0):
    """``codes [A, 1, D], degrees [A], group [A]`` of faces with one motion, and its true direction ``[1, D]``."""
    rng = torch.Generator().manual_seed(seed)

    def vector(norm: float) -> torch.Tensor:
        v = torch.randn(1, WIDTH, generator=rng, dtype=torch.float64)
        return v * norm / v.norm()

    direction, bend = vector(MOTION), vector(BEND * MOTION)
    t = torch.linspace(0, 1, ANCHORS, dtype=torch.float64)
    parts = []
    for _ in range(faces):
        x = vector(CODE) + size * t[:, None, None] * direction + NOISE * torch.randn(ANCHORS, 1, WIDTH, generator=rng, dtype=torch.float64)
        x = x + curved * t.square()[:, None, None] * bend
        errant = torch.rand(x.shape, generator=rng) < spikes
        x = x + errant * SPIKE * MOTION / WIDTH**0.5 * torch.randn(x.shape, generator=rng, dtype=torch.float64)
        for i in torch.randperm(ANCHORS - 2, generator=rng)[:bad].tolist():
            x[i + 1] += vector(BAD * MOTION)
        parts.append(x)
    return torch.cat(parts), t.repeat(faces), torch.arange(faces).repeat_interleave(ANCHORS), direction


def mean_centered_rpca(codes: torch.Tensor, degrees: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """The first component of the converged decomposition after centering by the mean, which one bad anchor moves."""
    low = robust_pca(center(codes, group, torch.mean).transpose(0, 1))[0].transpose(0, 1)
    component = torch.linalg.svd(low.flatten(1), full_matrices=False).Vh[0].reshape(codes.shape[1:])
    return component * pair_slopes(low, degrees, group).flatten().dot(component.flatten()).sign()


def of_estimator(name: str) -> Callable[..., torch.Tensor]:
    return lambda codes, degrees, group: fit(Anchors(codes, degrees, group), estimator=name).direction


METHODS = {
    "secant": of_estimator("secant"),
    "published": of_estimator("published"),
    "pca": of_estimator("pca"),
    "least_squares": of_estimator("least_squares"),
    "rpca, mean-centered": mean_centered_rpca,
    "rpca": of_estimator("rpca"),
    "theil_sen": of_estimator("theil_sen"),
}


def cosine(found: torch.Tensor, truth: torch.Tensor) -> float:
    return torch.cosine_similarity(found.double().flatten(), truth.flatten(), dim=0).item()


def scores(method: Callable[..., torch.Tensor], trials: int, **kind) -> list[float]:
    """Cosine to the truth in each trial."""
    return [cosine(method(*simulated), truth) for *simulated, truth in (simulate(seed, **kind) for seed in range(trials))]


def rows(trials: int) -> Iterator[list[str]]:
    for name, method in METHODS.items():
        yield [f"`{name}`", *(f"{statistics.mean(scores(method, trials, **kind)):.3f}" for kind in KINDS.values())]


def pooling(trials: int) -> str:
    """The default estimator on several faces, a small motion with spikes."""
    found = {n: statistics.mean(scores(METHODS["theil_sen"], trials, faces=n, spikes=0.05, size=0.5)) for n in POOLED}
    return ", ".join(f"{n} {'face' if n == 1 else 'faces'} {value:.3f}" for n, value in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--write", action="store_true", help="renew the table of docs/subspaces.md")
    args = parser.parse_args()
    text = measuring.table(["cosine to the true direction", *KINDS], list(rows(args.trials)))
    text += f"\n\nPooling with `theil_sen`, half the motion, 5 % spikes: {pooling(args.trials)}. Means of {args.trials} trials."
    measuring.publish("estimators", text, args.write, measuring.ROOT / "docs" / "subspaces.md")


if __name__ == "__main__":
    main()
