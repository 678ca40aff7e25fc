"""Sweeps of 10, 100 and 1000 frames: is memory flat and time linear?

``python lab/benchmarks/sweep_memory.py`` runs every length in a process of its own, streamed chunk by chunk and rendered into one tensor
and prints peak memory, without the codes and the result themselves, and CPU time per frame; ``--write`` renews docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
from measuring import config_f, in_fresh_process, machine, peak_memory, publish, random_codes, table
from micromotion.stylegan2.frames import render, synthesize_frames


def sweep(generator, frames: int) -> torch.Tensor:
    """Codes ``[F, L, D]`` along a straight line: all frames differ."""
    base, direction = random_codes(generator, 2)
    return base + torch.linspace(0, 1, frames, device=base.device)[:, None, None] * direction


def stream(generator, codes) -> None:
    for _ in synthesize_frames(generator, codes):
        pass


def alone(mode: str, frames: int, resolution: int) -> None:
    generator = config_f(resolution)
    codes = sweep(generator, frames)
    stream(generator, codes[:8])
    run = {"streamed": stream, "rendered": render}[mode]
    start = time.process_time()
    result = run(generator, codes)
    seconds = (time.process_time() - start) / frames
    own = (codes.nbytes + (0 if result is None else result.nbytes)) / 2**20
    print(json.dumps({"mib": peak_memory() - own, "seconds": seconds}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--frames", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="renew the table of docs/performance.md")
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(int(args.alone[3]) if args.alone else args.threads)
    if args.alone:
        return alone(args.alone[0], int(args.alone[1]), int(args.alone[2]))
    rows = []
    for mode in ("streamed", "rendered"):
        runs = [in_fresh_process("sweep_memory.py", mode, n, args.resolution, args.threads) for n in args.frames]
        for n, run in zip(args.frames, runs):
            against = f"{run['mib'] / runs[0]['mib'] - 1:+.1%}", f"{run['seconds'] / runs[0]['seconds'] - 1:+.1%}"
            rows.append([mode, str(n), f"{run['mib']:.0f}", against[0], f"{run['seconds'] * 1000:.0f}", against[1]])
    shortest = f"against {args.frames[0]} frames"
    heading = ["way", "frames", "peak MiB of the process without the result", shortest, "CPU ms per frame", shortest]
    publish("sweeps", f"{machine(args.threads)}; config F at {args.resolution} px\n\n{table(heading, rows)}", args.write)


if __name__ == "__main__":
    main()
