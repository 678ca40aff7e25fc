"""What a user's steps cost on an NVIDIA card, at 1024 px with random weights: preview, encoders, sweeps.

``python lab/benchmarks/gpu.py`` prints the tables; ``--write`` renews docs/performance.md. Synthesis itself is measured by ``synthesis.py
--gpu``, a text anchor's step by ``text_anchor_step.py --device cuda``, first use by ``startup.py``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from measuring import config_f, gpu_interleaved, gpu_peak, machine, publish, random_codes, spread, table
from micromotion.lab.sizes import full_spec
from micromotion.stylegan2 import Generator
from micromotion.stylegan2.frames import render
from micromotion.stylegan2.inversion import EncoderInverter
from micromotion.stylegan2.inversion.encoders import EncoderConfig, StyleEncoder
from sweep_memory import stream, sweep


def preview_table(generator: Generator, rounds: int) -> str:
    """Frames a second, one at a time, until the picture is in the host's memory: what a slider waits for."""
    codes, rows = random_codes(generator, 32), []
    for name, half in (("float32", 0), ("float16", len(generator.architecture.resolutions) - 1)):
        seconds = []
        for i in range(rounds + 1):
            start = time.perf_counter()
            for code in codes.split(1):
                render(generator, code, half=half)
            seconds += [(time.perf_counter() - start) / len(codes)] if i else []
        rows.append([name, spread(seconds, 1000), f"{1 / min(seconds):.0f}"])
    return table(["a preview, 1024 px, one frame at a time", "ms a frame", "frames a second"], rows)


def encoder(channels: int) -> EncoderInverter:
    """The published sizes of e4e (3 channels, one pass) and ReStyle e4e (6 channels, five passes), with random weights."""
    torch.manual_seed(0)
    kind, taps = ("irse", "pyramid") if channels == 3 else ("resnet", "last")
    config = EncoderConfig(full_spec(kind, channels), taps, True, 18, 512)
    return EncoderInverter(StyleEncoder(config)).cuda()


def encoder_table(generator: Generator, rounds: int) -> str:
    images = generator.synthesize(random_codes(generator, 8)).clamp(-1, 1)
    runs: dict[tuple[str, int], Callable[[], object]] = {}
    for name, channels in (("e4e, one pass", 3), ("ReStyle, five passes", 6)):
        inverter = encoder(channels)
        for n in (1, 8):
            runs[name, n] = lambda n=n, inverter=inverter: inverter.invert(generator, images[:n], batch=n)
    seconds = gpu_interleaved(runs, rounds, repeats=5)
    rows = [[f"{name}, {n} at a time", spread(s, 1000 / n), f"{gpu_peak(runs[name, n]):.0f}"] for (name, n), s in seconds.items()]
    return table(["inversion of 1024 px pictures", "ms a picture", "peak MiB on the card"], rows)


def sweep_table(generator: Generator, lengths: list[int]) -> str:
    """Is memory on the card flat, and time linear?"""
    rows = []
    for name, way in {"streamed": stream, "rendered into memory": render}.items():
        way(generator, sweep(generator, 16))
        for frames in lengths:
            codes = sweep(generator, frames)
            start = time.perf_counter()
            mib = gpu_peak(lambda way=way, codes=codes: way(generator, codes))
            seconds = time.perf_counter() - start
            rows.append([name, str(frames), f"{seconds:.1f}", f"{frames / seconds:.0f}", f"{mib:.0f}"])
    return table(["sweep at 1024 px", "frames", "seconds", "frames a second", "peak MiB on the card"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--write", action="store_true", help="renew the tables of docs/performance.md")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("There is no CUDA device here; sweep_memory.py and synthesis.py measure a CPU.")
    generator = config_f(1024, "cuda")
    with torch.no_grad():
        tables = [preview_table(generator, args.rounds), encoder_table(generator, args.rounds), sweep_table(generator, args.frames)]
    publish("steps on a GPU", "\n\n".join([machine(), *tables]), args.write)


if __name__ == "__main__":
    main()
