"""One optimization step of a text anchor: the published loss pipeline against ours, in time and memory, with the same networks.

Both sides synthesize, look with CLIP (ViT-B/32) and with an identity network (IR-SE50), and take the gradient in the code; all weights are
random, which changes no cost. The published side upsamples 7x and pools, encodes the text and both faces in every step, and computes
weight gradients that nobody reads. ``python lab/benchmarks/text_anchor_step.py`` prints the table; ``--write`` renews docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import published
import torch
import torch.nn.functional as F
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
from micromotion.stylegan2.low_resolution import SkipSynthesis
from micromotion.stylegan2.resample import resized

L2, IDENTITY = 0.008, 0.005


class Networks:
    """Generator, CLIP and identity network; ``frozen`` as we do it, or asking for weight gradients as the published code does."""

    def __init__(self, resolution: int, frozen: bool, device: str = "cpu"):
        import open_clip
        from micromotion.lab.sizes import full_spec
        from micromotion.stylegan2.inversion.identity import Identity

        torch.manual_seed(0)
        self.generator = config_f(resolution, device).requires_grad_(not frozen)
        self.clip: Any = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None).eval().to(device).requires_grad_(not frozen)
        self.identity = Identity(full_spec("irse")).eval().to(device).requires_grad_(not frozen)
        self.text = torch.randint(1, 49000, (1, 77)).to(device)
        self.start = random_codes(self.generator, 1)
        self.code = (self.start + 0.05 * torch.randn(self.start.shape).to(device)).requires_grad_()


def published_step(net: Networks) -> torch.Tensor | None:
    image = published.synthesize(net.generator, net.code)
    with torch.no_grad():
        original = published.synthesize(net.generator, net.start)
    small = F.avg_pool2d(F.interpolate(image, scale_factor=7), net.generator.resolution // 32)
    look = (net.clip.encode_image(small, normalize=True) * net.clip.encode_text(net.text, normalize=True)).sum()
    identity = (net.identity.embed(image) * net.identity.embed(original).detach()).sum()
    loss = (1 - look) + L2 * (net.start - net.code).square().sum() + IDENTITY * (1 - identity)
    for parameter in (*net.generator.parameters(), *net.clip.parameters(), *net.identity.parameters()):
        parameter.grad = None
    net.code.grad = None
    loss.backward()
    return net.code.grad


def our_step(net: Networks, synthesize=None):
    """A function that makes one step; what never changes is made once, before."""
    synthesize = synthesize or net.generator.synthesize
    with torch.no_grad():
        words = net.clip.encode_text(net.text, normalize=True)
        face = net.identity.embed(net.generator.synthesize(net.start))

    def step() -> torch.Tensor:
        image = synthesize(net.code)
        look = (net.clip.encode_image(resized(image, 224), normalize=True) * words).sum()
        identity = (net.identity.embed(image) * face).sum()
        loss = (1 - look) + L2 * (net.start - net.code).square().sum() + IDENTITY * (1 - identity)
        return torch.autograd.grad(loss, net.code)[0]

    return step


def steps(resolution: int, names: list[str], device: str = "cpu"):
    made = {}
    if "published" in names:
        slow = Networks(resolution, frozen=False, device=device)
        made["published"] = lambda: published_step(slow)
    if "exact" in names or "fast" in names:
        net = Networks(resolution, frozen=True, device=device)
        made["exact"] = our_step(net)
        made["fast"] = our_step(net, SkipSynthesis.around(net.generator, net.start, min(256, resolution // 2)))
    return {name: made[name] for name in names}


def gpu_table(runs: dict, args: argparse.Namespace) -> str:
    seconds, truth = gpu_interleaved(runs, args.rounds, repeats=5), runs["published"]()
    rows = []
    for name, run in runs.items():
        error = (run() - truth).norm() / truth.norm()
        rows.append([name, spread(seconds[name], 1000), ratio(seconds["published"], seconds[name]), f"{gpu_peak(run):.0f}", f"{error:.0e}"])
    heading = ["step", "ms", "ratio (range)", "peak MiB on the card", "gradient differs by"]
    return f"{machine()}; config F at {args.resolution} px, {args.rounds} rounds\n\n{table(heading, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", action="store_true", help="renew the table of docs/performance.md")
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(int(args.alone[2]) if args.alone else args.threads)
    if args.alone:
        (run,) = steps(int(args.alone[1]), [args.alone[0]]).values()
        print(json.dumps({"mib": peak_increase(run)}))
        return
    names = ["published", "exact", "fast"]
    runs = steps(args.resolution, names, args.device)
    if args.device != "cpu":
        return publish("a text anchor's step on a GPU", gpu_table(runs, args), args.write)
    seconds = interleaved(runs, args.rounds)
    truth = runs["published"]()
    rows = []
    for name in names:
        memory = in_fresh_process("text_anchor_step.py", name, args.resolution, args.threads)["mib"]
        error = (runs[name]() - truth).norm() / truth.norm()
        slow, own = seconds["published"], seconds[name]
        rows.append([name, spread(own.cpu), ratio(slow.cpu, own.cpu), ratio(slow.clock, own.clock), f"{memory:.0f}", f"{error:.0e}"])
    heading = ["step", "CPU seconds", "ratio of CPU time (range)", "of clock time (range)", "peak MiB", "gradient differs by"]
    title = f"{machine(args.threads)}; config F at {args.resolution} px, {args.rounds} rounds"
    publish("a text anchor's step", f"{title}\n\n{table(heading, rows)}", args.write)


if __name__ == "__main__":
    main()
