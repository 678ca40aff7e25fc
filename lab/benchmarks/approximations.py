"""What the two approximations cost in exactness: half precision by number of blocks, and skip synthesis by distance from its code.

``python lab/benchmarks/approximations.py FILE`` measures a generator file (several may be given; none: config F with random weights) and
prints the tables; ``--write`` renews docs/performance.md. Half precision is bfloat16 on a CPU and float16 on a GPU; ``--float16`` computes
in float16 on the CPU too, which is slow, and right for small generators.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import config_f, machine, publish, table
from micromotion.stylegan2 import generator as module
from micromotion.stylegan2 import load
from micromotion.stylegan2.low_resolution import SkipSynthesis

DISTANCES = (0.1, 0.3, 1.0)


def samples(generator, n: int) -> torch.Tensor:
    z = torch.randn(n, generator.architecture.z_dim, generator=torch.Generator().manual_seed(0))
    return generator.map(z.to(generator.w_avg.device), 0.7)


def decibels(actual: torch.Tensor, exact: torch.Tensor) -> str:
    """Peak signal-to-noise ratio of clamped pictures (range 2)."""
    error = (actual.clamp(-1, 1) - exact.clamp(-1, 1)).square().mean().item()
    return f"{10 * torch.tensor(4 / max(error, 1e-12)).log10():.1f}"


def half_rows(name: str, generator, n: int) -> list[list[str]]:
    codes = samples(generator, n)
    exact = generator.synthesize(codes)
    rows = []
    for half in range(1, len(generator.architecture.resolutions)):
        image = generator.synthesize(codes, half=half)
        lowest = generator.architecture.resolutions[-half]
        worst = (image - exact).abs().max().item()
        rows.append([name, f"{half} ({lowest} px and above)", f"{worst:.1e}", decibels(image, exact), str(bool(image.isfinite().all()))])
    return rows


def skip_rows(name: str, generator, n: int) -> list[list[str]]:
    """Errors at a half and a quarter of the size, at codes part of the way from one face to others."""
    codes, rows = samples(generator, n + 1), []
    for resolution in generator.architecture.resolutions[-3:-1][::-1]:
        fast = SkipSynthesis.around(generator, codes[:1], resolution)
        for distance in DISTANCES:
            near = codes[:1].lerp(codes[1:], distance)
            exact = F.avg_pool2d(generator.synthesize(near), generator.resolution // resolution)
            bare = generator.synthesis(near, resolution=resolution)
            rows.append([name, f"{resolution} px", f"{distance:.0%}", decibels(fast(near), exact), decibels(bare, exact)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--resolution", type=int, default=256, help="of the random generator")
    parser.add_argument("--float16", action="store_true", help="float16 on the CPU too")
    parser.add_argument("--write", action="store_true", help="renew the tables of docs/performance.md")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if args.float16:
        module.CPU_HALF = torch.float16
    named = [(path.name, load(path).to(device)) for path in args.files] or [("random config F", config_f(args.resolution, device))]
    kind = "float16" if device == "cuda" or args.float16 else "bfloat16"
    with torch.no_grad():
        halves = [row for name, generator in named for row in half_rows(name, generator, args.samples)]
        skips = [] if device == "cuda" else [row for name, generator in named for row in skip_rows(name, generator, args.samples)]
    heading = ["generator", "blocks in half precision", "largest error", "PSNR, dB", "finite"]
    where = "half precision on a GPU" if device == "cuda" else "half precision"
    publish(where, f"{machine()}; {kind}, {args.samples} samples\n\n{table(heading, halves)}", args.write)
    if skips:  # which are measured on the CPU
        heading = ["generator", "size", "way to other faces", "PSNR, dB", "without the residual"]
        publish("skip synthesis", f"{args.samples} samples, truncation 0.7\n\n{table(heading, skips)}", args.write)


if __name__ == "__main__":
    main()
