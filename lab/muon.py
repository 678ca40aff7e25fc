"""Muon: momentum whose matrices are made orthogonal before each step (Jordan et al. 2024). Fewer steps than Adam on convolutions."""

from __future__ import annotations

from collections.abc import Iterable

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic whose iteration pulls all singular values to about 1
ITERATIONS = 5


def orthogonalized(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest matrix of equal singular values, about 1, to ``matrices [O, K]``; computed in bfloat16."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrices.dtype)


def convolutions(parameters: Iterable[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The weights of 3x3 convolutions among ``parameters``, which Muon suits, and the others."""
    parts: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for weight in parameters:
        parts[weight.ndim < 4 or weight.shape[-1] != 3].append(weight)
    return parts


class Muon(torch.optim.Optimizer):
    """For weights of two or more dimensions, taken as ``[O, rest]``. ``lr`` is the root mean square of one step's change."""

    def __init__(self, parameters, lr: float = 0.003, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in (w for w in group["params"] if w.grad is not None):
                state = self.state[weight]
                mean = state.setdefault("mean", torch.zeros_like(weight))
                mean.lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalized(weight.grad.lerp(mean, group["momentum"]).flatten(1))
                weight.add_(update.reshape(weight.shape), alpha=-group["lr"] * max(update.shape) ** 0.5)
