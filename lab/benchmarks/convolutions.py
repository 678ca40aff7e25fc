"""The forms of a layer's convolution that were weighed against each other on a CPU, layer by layer: what was taken, and what it gains.

``python lab/benchmarks/convolutions.py`` prints the table; ``--write`` renews docs/performance.md. Every row compares two forms of
the same step, of config F at batch 1: same result, alternating rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from measuring import interleaved, machine, publish, ratio, spread, table
from micromotion.stylegan2.ops import filter2d, fir_kernel, winograd

CHANNELS = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64}
ROWS = 50  # of planes above 64 px, which are computed in strips


def operands(size: int, rows: int, n_in: int, n_out: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(1, n_in, rows, size, generator=g).contiguous(memory_format=torch.channels_last)
    return x, torch.randn(n_out, n_in, 3, 3, generator=g)


def polyphase(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The transposed 3x3 convolution with stride 2 as four small convolutions, one for each parity of row and column."""
    taps = ([2, 0], [1])
    phases = [[weight[:, :, rows][..., columns].contiguous(memory_format=torch.channels_last) for columns in taps] for rows in taps]

    def run(x: torch.Tensor) -> torch.Tensor:
        n, _, h, w = x.shape
        y = torch.empty(n, len(weight), 2 * h + 1, 2 * w + 1, memory_format=torch.channels_last)
        for i in (0, 1):
            for j in (0, 1):
                y[:, :, i::2, j::2] = F.conv2d(x, phases[i][j], padding=(1 - i, 1 - j))
        return y

    return run


def up_row(size: int, rounds: int) -> list[str]:
    rows = min(size, ROWS) if size > 64 else size
    x, weight = operands(size, rows, CHANNELS[size], CHANNELS[2 * size])
    transposed, fast = weight.transpose(0, 1), polyphase(weight)
    return row(
        f"up-convolution, {size} to {2 * size} px: transposed, polyphase",
        lambda: F.conv_transpose2d(x, transposed, stride=2),
        lambda: fast(x),
        rounds,
    )


def same_row(size: int, rounds: int) -> list[str]:
    strip = size > 64
    x, weight = operands(size, ROWS if strip else size, CHANNELS[size], CHANNELS[size])
    rows = 0 if strip else 1
    taken = winograd.pays(x, weight, rows)
    name = f"3x3 convolution, {size} px: direct, Winograd"
    return row(name, lambda: F.conv2d(x, weight, padding=(rows, 1)), lambda: winograd.conv3x3(x, weight, rows), rounds, taken)


def filter_row(size: int, rounds: int) -> list[str]:
    rows, kernel = min(size, ROWS), fir_kernel() * 4
    x = torch.randn(1, CHANNELS[size], rows + 1, size + 1)
    last = x.contiguous(memory_format=torch.channels_last)

    def single_channels() -> torch.Tensor:
        y = F.conv2d(x.flatten(0, 1)[:, None], kernel.flip(0, 1)[None, None], padding=1)
        return y.reshape(1, -1, *y.shape[2:])

    return row(
        f"4-tap filter, {size} px: single channels, channels last", single_channels, lambda: filter2d(last, kernel, (1, 1)), rounds, True
    )


def row(name: str, plain, other, rounds: int, taken: bool = False) -> list[str]:
    repeats = 4

    def repeated(run):
        return lambda: [run() for _ in range(repeats)]

    error = ((plain() - other()).norm() / plain().norm()).item()
    assert error < 1e-5, (name, error)
    seconds = interleaved({"plain": repeated(plain), "other": repeated(other)}, rounds)
    times = [spread(s.cpu, 1000 / repeats, 1) for s in seconds.values()]
    return [name, *times, ratio(seconds["plain"].cpu, seconds["other"].cpu), f"{error:.0e}", "the second" if taken else "the first"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="renew the table of docs/performance.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with torch.no_grad():
        rows = [filter_row(size, args.rounds) for size in (32, 128, 512)]
        rows += [up_row(size, args.rounds) for size in (8, 16, 32, 64, 128, 256)]
        rows += [same_row(size, args.rounds) for size in (16, 32, 64, 128, 256, 512)]
    heading = ["step and its two forms", "first, ms", "second, ms", "ratio (range)", "difference", "used"]
    publish("convolutions", f"{machine(args.threads)}; {args.rounds} rounds, CPU time\n\n{table(heading, rows)}", args.write)


if __name__ == "__main__":
    main()
