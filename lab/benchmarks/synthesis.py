"""Synthesis against a straightforward StyleGAN2: seconds, ratios in the same run, peak memory, error.

``python lab/benchmarks/synthesis.py`` prints the CPU table, and the GPU table where there is one (``--gpu``: that alone); ``--write``
renews docs/performance.md. Random weights, config F. CPU figures are of interleaved rounds: the least CPU time of both threads, and the
medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time

import published
import torch
from measuring import (
    config_f,
    gpu_interleaved,
    gpu_peak,
    in_fresh_process,
    interleaved,
    machine,
    peak_increase,
    publish,
    random_codes,
    ratio,
    spread,
    table,
)
from micromotion.stylegan2 import ops

FLOOR_BYTES = {32: 1.30e9, 16: 0.65e9}  # of one 1024 px frame: every layer reads its input and writes its output once


def variants(generator, codes):
    def reference():
        with ops.use_backend("reference"):
            return generator.synthesize(codes)

    return {
        "published": lambda: published.synthesize(generator, codes),
        "reference": reference,
        "eager": lambda: generator.synthesize(codes),
    }


def cpu_row(resolution: int, batch: int, args: argparse.Namespace) -> list[str]:
    generator = config_f(resolution)
    codes = random_codes(generator, batch)
    chosen = {name: run for name, run in variants(generator, codes).items() if name != "reference" or args.reference}
    seconds = interleaved(chosen, args.rounds)
    error = (chosen["eager"]() - chosen["published"]()).norm() / chosen["published"]().norm()
    slow, fast = seconds["published"], seconds["eager"]
    memory = [in_fresh_process("synthesis.py", name, resolution, batch, args.threads)["mib"] for name in ("published", "eager")]
    per_frame = [spread(times.cpu, 1 / batch) for times in seconds.values()]
    cells = [f"{resolution} px, batch {batch}", *per_frame, ratio(slow.cpu, fast.cpu), ratio(slow.clock, fast.clock)]
    return [*cells, f"{memory[0]:.0f}", f"{memory[1]:.0f}", f"{memory[0] / memory[1]:.1f}x", f"{error:.0e}"]


def cpu_table(args: argparse.Namespace) -> str:
    middle = ["reference"] if args.reference else []
    ratios = ["ratio of CPU time (range)", "of clock time (range)"]
    heading = ["case", "published", *middle, "ours", *ratios, "published MiB", "ours MiB", "memory", "error"]
    rows = [cpu_row(resolution, batch, args) for resolution in args.resolutions for batch in args.batches]
    return f"{machine(args.threads)}; {args.rounds} rounds, CPU seconds per frame\n\n{table(heading, rows)}"


def alone(name: str, resolution: int, batch: int) -> None:
    """Print the peak memory of one call in a process of its own."""
    generator = config_f(resolution)
    codes = random_codes(generator, batch)
    print(json.dumps({"mib": peak_increase(variants(generator, codes)[name])}))


def gpu_variants(generator, codes, compiled: bool):
    half = len(generator.architecture.resolutions) - 1  # all but the 4 px block, which is a constant
    names = {
        "published, tf32": lambda: published.synthesize(generator, codes),
        "eager, tf32": forced("eager", lambda: generator.synthesize(codes)),
        "kernels, tf32": forced("cuda", lambda: generator.synthesize(codes)),
        "eager, float16": forced("eager", lambda: generator.synthesize(codes, half=half)),
        "kernels, float16": forced("cuda", lambda: generator.synthesize(codes, half=half)),
    }
    if compiled:
        whole = torch.compile(lambda: published.synthesize(generator, codes))
        names = {"published, tf32": names.pop("published, tf32"), "published, tf32, torch.compile": whole, **names}
    return names


def forced(backend: str, run):
    def call():
        with ops.use_backend(backend):
            return run()

    return call


def gpu_table(args: argparse.Namespace, batch: int, resolution: int = 1024) -> str:
    generator = config_f(resolution, "cuda")
    codes = random_codes(generator, batch)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=True):
        chosen = gpu_variants(generator, codes, args.compile)
        seconds = gpu_interleaved(chosen, args.rounds)
        memory = {name: gpu_peak(run) for name, run in chosen.items()}
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        exact = forced("reference", lambda: generator.synthesize(codes))()
    errors = {name: ((run() - exact).norm() / exact.norm()).item() for name, run in chosen.items()}
    bandwidth, slow = copy_bandwidth(), seconds["published, tf32"]
    rows = []
    for name, times in seconds.items():
        floor = FLOOR_BYTES[16 if "float16" in name else 32] / bandwidth
        share = f"{floor * batch / min(times):.0%}" if resolution == 1024 else "-"
        cells = spread(times, 1000 / batch), ratio(slow, times), ratio(seconds[f"eager, {name.split(', ')[1]}"], times)
        rows.append([name, *cells, share, f"{memory[name]:.0f}", f"{errors[name]:.0e}"])
    heading = ["variant", "ms a frame", "against published (range)", "against eager (range)", "share of the floor", "peak MiB", "error"]
    title = f"{resolution} px, batch {batch}, {args.rounds} rounds, copy bandwidth {bandwidth / 1e9:.0f} GB/s"
    return f"{title}\n\n{table(heading, rows)}"


def copy_bandwidth() -> float:
    """Bytes a second that a large copy reads and writes."""
    a = torch.empty(1 << 28, device="cuda")
    b = torch.empty_like(a)
    return 2 * 4 * len(a) / min(gpu_interleaved({"copy": lambda: b.copy_(a)}, 3)["copy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reference", action="store_true", help="also time the plain reference of this pack")
    parser.add_argument("--compile", action="store_true", help="also time torch.compile of the published form (GPU)")
    parser.add_argument("--gpu", action="store_true", help="the GPU table alone")
    parser.add_argument("--write", action="store_true", help="renew the tables of docs/performance.md")
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(int(args.alone[3]) if args.alone else args.threads)
    with torch.no_grad(), contextlib.suppress(KeyboardInterrupt):
        if args.alone:
            return alone(args.alone[0], int(args.alone[1]), int(args.alone[2]))
        started = time.time()
        if not args.gpu:
            publish("synthesis on a CPU", cpu_table(args), args.write)
        if torch.cuda.is_available():
            tables = [gpu_table(args, batch) for batch in (8, 1)]
            publish("synthesis on a GPU", "\n\n".join([machine(), *tables]), args.write)
        print(f"\n{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
