"""Train the factor regressor on renders and print its held-out quality.

``python -m micromotion.lab.train_regressor --save avatars/weights/regressor.safetensors``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ..avatars import renderer as rendering
from ..avatars.regressor import READ, Member, Regressor, load_regressor
from . import sampling
from .training import Average, Checkpoint, autocast, learning_rate, steps

CYCLE, CYCLES = 240_000, 2
BATCH = 64
TRAIN_SEED, TEST_SEED = 100_000_000, 900_000_000
ACTIVE = 0.6  # share of faces that are not at rest in a move


def batch_of(count: int, seed: int, active: float = ACTIVE) -> tuple[torch.Tensor, torch.Tensor]:
    """Renders ``[N, 3, 64, 64]`` in all styles, each move made in ``active`` of them, and their parameters and moves ``[N, P + M]``."""
    parameters = sampling.sample_parameters(count, seed)
    styles = sampling.sample_styles(count, seed + 1, photo_share=0.5)
    bronze = torch.rand(count, generator=torch.Generator().manual_seed(seed + 2)) < 0.1
    styles = torch.where(bronze, rendering.STYLES.index("bronze"), styles)
    moves = sampling.sample_moves(count, seed + 4, active)
    return rendering.render(parameters, 64, styles, moves).images, torch.cat([parameters, moves], 1)


def augment(images: torch.Tensor, seed: int) -> torch.Tensor:
    """Blur, noise and color shifts that leave the parameters readable, each on about a third of the batch."""
    g = torch.Generator().manual_seed(seed)
    n = len(images)

    def chosen() -> torch.Tensor:
        return (torch.rand(n, 1, 1, 1, generator=g) < 0.35).float()

    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    images = images.lerp(blurred, chosen() * torch.rand(n, 1, 1, 1, generator=g))
    images = images + chosen() * 0.06 * torch.rand(n, 1, 1, 1, generator=g) * torch.randn(images.shape, generator=g)
    gain = 1 + chosen() * 0.12 * torch.randn(n, 3, 1, 1, generator=g)
    return (images * gain + chosen() * 0.08 * torch.randn(n, 3, 1, 1, generator=g)).clamp(-1, 1)


def save_regressor(regressor: Regressor, path: Path) -> None:
    """Write the regressor in 16 bit."""
    tensors = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in regressor.state_dict().items()}
    metadata = {"kind": "regressor", "members": len(regressor.members), "parameters": READ}
    save_file(tensors, path, metadata={"micromotion": json.dumps(metadata)})


def grown(start: Member) -> Member:
    """A member that reads what ``start`` reads, and from now on learns to read the moves, too."""
    member, state = Member(), start.state_dict()
    for name in ("head.4.weight", "head.4.bias"):
        state[name] = torch.cat([state[name], member.state_dict()[name][len(state[name]) :]])
    member.load_state_dict(state)
    return member.requires_grad_(True)


def train_member(index: int, out: Path, images: int, device: torch.device, fast: bool, start: Member | None = None) -> Member:
    torch.manual_seed(index)
    member = (Member() if start is None else grown(start)).to(device).to(memory_format=torch.channels_last)
    average = Average(member, 0.999)
    optimizer = torch.optim.AdamW(member.parameters(), weight_decay=1e-2)
    checkpoint = Checkpoint(out / f"member{index}.pt", member=member, average=average.module, optimizer=optimizer)
    cycle = CYCLE if start is None else images
    for seen, bar in steps(checkpoint.load(), images, BATCH, f"regressor {index}"):
        seed = TRAIN_SEED * (index + 1) + 10 * seen + (0 if start is None else 50_000_000)
        pictures, truth = batch_of(BATCH, seed)
        pictures = augment(pictures, seed + 3).to(device, memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(seen % cycle, cycle, 2e-3 if seen < CYCLE and start is None else 1e-3, floor=0.002)
        with autocast(device, fast):
            read = member(pictures)
        weight = torch.ones(len(READ), device=device)
        weight[: len(rendering.FACTORS)], weight[len(rendering.PARAMETERS) :] = 4, 8
        loss = (F.smooth_l1_loss(read.float(), truth.to(device), beta=0.05, reduction="none") * weight).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update(member, seen // BATCH)
        if seen // BATCH % 25 == 0:
            bar.set_postfix_str(f"loss {loss.item():.4f}")
        if seen // BATCH % 60 == 59:
            checkpoint.save(seen + BATCH)
    checkpoint.save(images)
    return average.module.cpu().eval()


@torch.no_grad()
def quality(regressor: Regressor, count: int = 4096) -> dict[str, dict[str, float]]:
    """R^2 and mean absolute error (share of the range) per factor and move on renders with seeds that training never used."""
    pictures, truth = zip(*(batch_of(256, TEST_SEED + 10 * i) for i in range(count // 256)))
    read = torch.cat([regressor(p) for p in pictures])
    truth = torch.cat(truth)
    report = {}
    for name in (*rendering.FACTORS, *rendering.MOVES):
        i = READ.index(name)
        error = read[:, i] - truth[:, i]
        report[name] = {"r2": 1 - (error.var() / truth[:, i].var()).item(), "mae": error.abs().mean().item()}
    return report


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/regressor"))
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--images", type=int, default=CYCLE * CYCLES, help=f"per member, in cosine cycles of {CYCLE}, or one with --start")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--start", type=Path, help="go on from this regressor (.safetensors), which may not know the moves yet")
    parser.add_argument("--save", type=Path)
    args = parser.parse_args(arguments)
    regressor = Regressor(args.members)
    start = [cast(Member, m) for m in load_regressor(args.start).members] if args.start else [None] * args.members
    for i in range(args.members):
        member = train_member(i, args.out, args.images, torch.device(args.device), args.bfloat16, start[i])
        regressor.members[i].load_state_dict(member.state_dict())
    regressor.eval()
    for name, row in quality(regressor).items():
        print(f"{name:10s} R^2 {row['r2']:.4f}  mean absolute error {row['mae']:.4f}")
    if args.save:
        save_regressor(regressor, args.save)


if __name__ == "__main__":
    main()
