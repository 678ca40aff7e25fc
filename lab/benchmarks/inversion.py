"""Measure inversion on the embedded avatars: quality over steps, editability, and the pictures of docs/inversion.md.

``python lab/benchmarks/inversion.py`` prints the tables; ``--write`` also renews the page's figures between its markers and the pictures
beside it. Renders are held out from every training. The factor regressor is the instrument and no part of any objective here.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "inversion.md"
START, END = "<!-- figures: python lab/benchmarks/inversion.py --write -->", "<!-- end of figures -->"
SEED = 940_000_000
STEP = 0.25  # share of a factor's range, for the counterfactual
CURVE = (1, 2, 5, 10, 20, 35, 50, 75, 100, 125, 150, 175, 200, 250, 300, 350, 400)  # steps at which a long optimization is looked at

if importlib.util.find_spec("micromotion") is None:
    spec = importlib.util.spec_from_file_location("micromotion", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    sys.modules["micromotion"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["micromotion"])

from micromotion.avatars import renderer as rendering  # noqa: E402
from micromotion.avatars.regressor import Regressor, load_regressor  # noqa: E402
from micromotion.lab import sampling  # noqa: E402
from micromotion.lab.evaluation.world import INSTRUMENT  # noqa: E402
from micromotion.lab.train_generator import latents_of  # noqa: E402
from micromotion.lab.training import save_sheet  # noqa: E402
from micromotion.stylegan2 import Generator, load, load_inverter  # noqa: E402
from micromotion.stylegan2.inversion import Weights, optimize, reconstruction_report, save_tuning, tune  # noqa: E402
from micromotion.stylegan2.inversion.feedforward import EncoderInverter  # noqa: E402
from micromotion.stylegan2.inversion.optimization import psnr  # noqa: E402

Curve = list[tuple[int, torch.Tensor]]  # (step, codes [N, L, D])


@dataclass(frozen=True)
class World:
    """The generator, its inverter, the instrument, and held-out renders with their parameters."""

    generator: Generator
    inverter: EncoderInverter | None
    regressor: Regressor | None
    parameters: torch.Tensor
    styles: torch.Tensor
    images: torch.Tensor

    def part(self, faces: slice) -> World:
        """The same with some of the faces only."""
        return replace(self, parameters=self.parameters[faces], styles=self.styles[faces], images=self.images[faces])


@dataclass(frozen=True)
class Result:
    """One way to invert: its codes, the generator they belong to (a tuned one or the world's), and seconds for one face."""

    name: str
    codes: torch.Tensor
    generator: Generator
    seconds: float


def build_world(args: argparse.Namespace) -> World:
    generator = load(args.generator)
    parameters, styles = sampling.sample_parameters(args.faces, SEED), sampling.sample_styles(args.faces, SEED + 2)
    return World(
        generator,
        load_inverter(args.inverter) if args.inverter.is_file() else None,
        load_regressor(args.regressor) if args.regressor.is_file() else None,
        parameters,
        styles,
        draw(parameters, styles, generator.resolution),
    )


def draw(parameters: torch.Tensor, styles: torch.Tensor, resolution: int) -> torch.Tensor:
    return torch.nn.functional.adaptive_avg_pool2d(rendering.render(parameters, max(resolution, 64), styles).images, resolution)


def ways(world: World, steps: list[int]) -> tuple[list[Result], dict[str, Curve]]:
    """Every way to invert, quickest first, and the two longest optimizations step by step."""
    generator, images = world.generator, world.images
    mean = generator.w_avg.expand(len(images), generator.num_layers, -1)
    results, start = [Result("mean code", mean, generator, 0.0)], mean
    if (inverter := world.inverter) is not None:
        for passes in sorted({1, inverter.passes}):
            results.append(timed(f"encoder, {passes} pass(es)", world, lambda p=passes: inverter.invert(generator, images, p)))
        start = results[-1].codes
    *few, most = steps
    for n in few:
        results.append(timed(f"+ {n} steps in W+", world, lambda n=n: optimize(generator, images, start, steps=n)))
    for name, options in VARIANTS.items():
        results.append(timed(f"+ {few[-1]} steps, {name}", world, lambda o=options: optimize(generator, images, start, steps=few[-1], **o)))
    curves: dict[str, Curve] = {}
    for name, way, begin in (("from the encoder", "", start), ("from the mean code", "mean code ", mean)):
        points = curves[name] = []
        results.append(timed(f"{way}+ {most} steps in W+", world, lambda b=begin, p=points: followed(world, b, most, p)))
    return results, curves


VARIANTS = {
    "pyramid instead of features": {"perceptual": "pyramid"},
    "prior 0": {"weights": Weights(prior=0.0)},
    "in W": {"space": "w"},
}


def followed(world: World, start: torch.Tensor, steps: int, points: Curve) -> torch.Tensor:
    """Codes of a whole optimization without an early stop; the codes at the steps of ``CURVE`` go into ``points``."""

    def observe(step: int, codes: torch.Tensor, errors: torch.Tensor) -> None:
        if step + 1 in CURVE:
            points.append((step + 1, codes))

    return optimize(world.generator, world.images, start, steps=steps, patience=None, batch=len(world.images), observe=observe)


def timed(name: str, world: World, invert) -> Result:
    began = time.process_time()
    codes = invert()
    return Result(name, codes, world.generator, (time.process_time() - began) / len(world.images))


def row(world: World, result: Result, directions: torch.Tensor | None) -> list[str]:
    report = reconstruction_report(result.generator, result.codes, world.images)
    cells = [result.name, f"{report.psnr.mean():.1f}", f"{report.psnr.min():.1f}"]
    if world.regressor is not None:
        made = result.generator.synthesize(result.codes)
        truth = world.parameters[:, : len(rendering.FACTORS)]
        cells.append(f"{(world.regressor.factors(made) - truth).abs().mean():.3f}")
        identity = world.regressor.identity
        cells.append(f"{torch.cosine_similarity(identity(made), identity(world.images)).mean():.3f}")
    if directions is not None:
        cells.append(f"{counterfactual(world, result, directions).median():.2f}")
    return [*cells, f"{report.distance.mean():.2f}", f"{report.spread.mean():.2f}", f"{result.seconds:.1f}"]


def heading(world: World, directions: torch.Tensor | None) -> list[str]:
    measured = ["factor error", "identity cosine"] if world.regressor is not None else []
    edited = ["error after an edit (M6)"] if directions is not None else []
    return ["way", "PSNR, dB", "worst", *measured, *edited, "distance", "spread", "s per face"]


@torch.no_grad()
def label_directions(generator: Generator, count: int = 512) -> torch.Tensor | None:
    """Mean code displacement ``[5, D]`` of each factor moved by ``STEP``, from labels; None for a generator without them."""
    low = 0.08 + 0.84 * sampling.sample_parameters(count, SEED + 1)
    if latents_of(low).shape[1] != generator.architecture.z_dim:
        return None
    rows = []
    for i in range(len(rendering.FACTORS)):
        a = low.clone()
        a[:, i] = a[:, i].clamp(0.05, 0.95 - STEP)
        b = a.clone()
        b[:, i] += STEP
        rows.append((generator.map(latents_of(b)) - generator.map(latents_of(a)))[:, 0].mean(0))
    return torch.stack(rows)


@torch.no_grad()
def counterfactual(world: World, result: Result, directions: torch.Tensor) -> torch.Tensor:
    """M6 after inversion, ``[5 N]``: how far the edited reconstruction is from the render of the edited face, over the unedited one's."""
    errors = []
    for i, direction in enumerate(directions):
        moved = world.parameters.clone()
        sign = torch.where(moved[:, i] + STEP <= 0.95, 1.0, -1.0)
        moved[:, i] += sign * STEP
        truth = draw(moved, world.styles, world.images.shape[-1])
        edited = result.generator.synthesize(result.codes + sign[:, None, None] * direction)
        plain = result.generator.synthesize(result.codes)
        errors.append(distance(edited, truth) / distance(plain, truth))
    return torch.cat(errors)


def distance(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return (images.clamp(-1, 1) - others).square().mean((1, 2, 3)).sqrt()


@torch.no_grad()
def judged(world: World, codes: torch.Tensor) -> tuple[float, float]:
    made = world.generator.synthesize(codes)
    quality = psnr(made, world.images).mean().item()
    if world.regressor is None:
        return quality, float("nan")
    truth = world.parameters[:, : len(rendering.FACTORS)]
    return quality, (world.regressor.factors(made) - truth).abs().mean().item()


def tuned(world: World, result: Result, faces: int, folder: Path) -> tuple[list[Result], World, int]:
    """Pivotal tuning of the first faces, one generator each; also the bytes of one 16-bit difference file."""
    part = world.part(slice(faces))
    results = []
    for i in range(faces):
        began = time.process_time()
        generator = tune(world.generator, world.images[i : i + 1], result.codes[i : i + 1])
        results.append(Result(f"face {i}", result.codes[i : i + 1], generator, time.process_time() - began))
    file = folder / "tuning.safetensors"
    save_tuning(results[0].generator, world.generator, file, half=True)
    size = file.stat().st_size
    file.unlink()
    return results, part, size


def tuning_lines(world: World, pivot: Result, directions: torch.Tensor | None, faces: int, folder: Path) -> tuple[str, torch.Tensor]:
    results, part, size = tuned(world, pivot, faces, folder)
    singles = [part.part(slice(i, i + 1)) for i in range(faces)]
    before = Result(f"{pivot.name}, before tuning", pivot.codes[:faces], world.generator, 0.0)
    rows = [row(part, before, directions)]
    many = [row(single, result, directions)[1:] for single, result in zip(singles, results)]
    rows.append(["the same, after tuning", *(averaged(column) for column in zip(*many))])
    shown = torch.cat([r.generator.synthesize(r.codes) for r in results])
    head = heading(world, directions)
    return f"{table(head, rows)}\n\nA difference file in 16 bits: {size / 1e6:.1f} MB ({faces} faces, one generator each).", shown


def averaged(cells: tuple[str, ...]) -> str:
    digits = len(cells[0].partition(".")[2])
    return f"{sum(map(float, cells)) / len(cells):.{digits}f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def by_style(world: World, result: Result) -> str:
    """PSNR and factor error of the faces of each look."""
    rows = []
    for index in world.styles.unique().tolist():
        chosen = (world.styles == index).nonzero()[:, 0]
        quality, error = judged(replace(world, parameters=world.parameters[chosen], images=world.images[chosen]), result.codes[chosen])
        rows.append([rendering.STYLES[index], str(len(chosen)), f"{quality:.1f}", f"{error:.3f}"])
    return table(["look", "faces", "PSNR, dB", "factor error"], rows)


def floor_line(world: World) -> str:
    """What the instrument itself reads on the renders: no inversion can be judged better than this."""
    if world.regressor is None:
        return "There is no regressor, so factor errors are left out."
    truth = world.parameters[:, : len(rendering.FACTORS)]
    error = (world.regressor.factors(world.images) - truth).abs().mean()
    return f"The instrument's own factor error on these {len(world.images)} renders is {error:.3f}."


def plot(curves: dict[str, list[tuple[int, float, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for column, (axis, label, goal) in enumerate(zip(axes, ("PSNR, dB", "factor error"), (30, 0.05)), 1):
        for name, points in curves.items():
            axis.plot([p[0] for p in points], [p[column] for p in points], marker=".", label=name)
        axis.axhline(goal, color="gray", linewidth=0.8, linestyle="--")
        axis.set(xlabel="steps", ylabel=label, xscale="log")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def write_page(text: str) -> None:
    page = PAGE.read_text()
    block = f"{START}\n{text}\n{END}"
    PAGE.write_text(re.sub(f"{re.escape(START)}.*?{re.escape(END)}", lambda _: block, page, flags=re.S))


@torch.no_grad()
def sheet(world: World, results: list[Result], shown: torch.Tensor, path: Path) -> None:
    """Rows: the renders, the encoder, optimized codes, tuned generators; one column per face."""
    count = len(shown)
    rows = [world.images[:count], *(r.generator.synthesize(r.codes[:count]) for r in results), shown]
    save_sheet(torch.nn.functional.interpolate(torch.cat(rows), scale_factor=2.0, mode="nearest"), count, path)


def measure(world: World, args: argparse.Namespace) -> str:
    directions = label_directions(world.generator)
    results, codes = ways(world, args.steps)
    text = [floor_line(world), table(heading(world, directions), [row(world, r, directions) for r in results])]
    encoded = [r for r in results if r.name.startswith("encoder")]
    chosen = next(r for r in results if r.name == f"+ {args.steps[-1]} steps in W+")
    lines, shown = tuning_lines(world, chosen, directions, args.tuned, args.out)
    curves = {name: [(step, *judged(world, c)) for step, c in points] for name, points in codes.items()}
    plot(curves, args.out / "curve.png")
    sheet(world, [*encoded[-1:], chosen], shown, args.out / "faces.png")
    points = [
        [str(same[0][0]), *(f"{p[1]:.1f}" for p in same), *(f"{p[2]:.3f}" for p in same)]  # one step of every curve
        for same in zip(*curves.values())
    ]
    head = ["step", *(f"PSNR {n}" for n in curves), *(f"factor error {n}" for n in curves)]
    text.append(f"{chosen.name}, by the look of the face:\n\n{by_style(world, chosen)}")
    return "\n\n".join([*text, "Along one optimization:", table(head, points), "Pivotal tuning:", lines])


def main() -> None:
    weights = ROOT / "avatars" / "weights"
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--generator", type=Path, default=weights / "generator.safetensors")
    parser.add_argument("--inverter", type=Path, default=weights / "inverter.safetensors")
    parser.add_argument("--regressor", type=Path, default=INSTRUMENT)
    parser.add_argument("--faces", type=int, default=12)
    parser.add_argument("--tuned", type=int, default=3, help="faces that are also tuned")
    parser.add_argument("--steps", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "inversion")
    parser.add_argument("--write", action="store_true", help="renew docs/inversion.md")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    text = measure(build_world(args), args)
    print(text)
    if args.write:
        write_page(text)


if __name__ == "__main__":
    main()
