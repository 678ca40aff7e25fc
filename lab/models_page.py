"""Measure the shipped avatar models and write the figures of ``docs/avatars.md``.

``python -m micromotion.lab.models_page`` prints the tables, renews the part of the page between its two markers and the
pictures beside it.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch

from ..avatars import renderer as rendering
from ..avatars.instrument import AvatarInstrument
from ..avatars.regressor import Regressor
from ..files.embedded import embedded_root
from ..stylegan2 import load, load_inverter
from ..subspaces.anchors import load_scorer
from . import sampling, train_generator, train_inverter, train_regressor, train_scorer
from .evaluation.metrics import psnr
from .training import save_sheet
from .trunk import inverter_for, trunk_of

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = embedded_root()
SEED = 930_000_000
START, END = "<!-- figures: python -m micromotion.lab.models_page -->", "<!-- end of figures -->"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def ks_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Kolmogorov-Smirnov distance between two samples ``[N]`` and ``[M]``: the largest gap of their distribution functions."""
    both = torch.cat([a, b]).sort().values
    share = [torch.searchsorted(x.sort().values, both, right=True) / len(x) for x in (a, b)]
    return (share[0] - share[1]).abs().max().item()


@torch.no_grad()
def samples(generator, count: int = 2048) -> tuple[torch.Tensor, torch.Tensor]:
    """Generated pictures and the renders of the same latents, ``[N, 3, R, R]`` each."""
    z, drawn, _ = train_generator.batch_of(count, SEED, generator.resolution, generator.resolution)
    made = torch.cat([generator.synthesize(generator.map(part)) for part in z.split(64)])
    return made.clamp(-1, 1), drawn


def regressor_table(regressor: Regressor) -> str:
    quality = train_regressor.quality(regressor)
    rows = [[name, f"{q['r2']:.4f}", f"{q['mae']:.4f}"] for name, q in quality.items()]
    return table(["factor or move", "R² on held-out renders", "mean absolute error (share of the range)"], rows)


def generator_table(generator, instrument: AvatarInstrument) -> str:
    made, drawn = samples(generator)
    small = psnr(*samples(trunk_of(generator))).mean().item()
    read = [torch.cat([instrument.read(part) for part in pictures.split(256)]) for pictures in (made, drawn)]
    near = psnr(made, drawn).mean().item()
    rows = []
    for i, name in enumerate(instrument.quantities):
        correlation = torch.corrcoef(torch.stack([read[0][:, i], read[1][:, i]]))[0, 1].item()
        low, high = (torch.quantile(read[0][:, i], q).item() for q in (0.01, 0.99))
        rows.append([name, f"{ks_distance(read[0][:, i], read[1][:, i]):.3f}", f"{correlation:.3f}", f"{low:.2f} to {high:.2f}"])
    head = [
        "factor or move",
        "KS distance, generated against renders",
        "correlation with the render of the same latent",
        "1 % to 99 % range",
    ]
    said = (
        f"PSNR of generated pictures against the renders of the same latents: {near:.1f} dB; at 64 px, below the last block, {small:.1f}."
    )
    return f"{table(head, rows)}\n\n{said}"


@torch.no_grad()
def inverter_table(generator, inverter, instrument: AvatarInstrument, out: Path) -> str:
    size, below = generator.resolution, trunk_of(generator)
    mixed = train_inverter.quality(inverter, generator, train_inverter.unseen(size), out / "inversions.png")
    photos = train_inverter.quality(inverter, generator, photos_of(256, size))
    small = train_inverter.quality(inverter_for(inverter, below), below, photos_of(256, below.resolution))
    _, images, _ = train_generator.batch_of(512, SEED + 1, size, size)
    again = generator.synthesize(inverter.invert(generator, images)).clamp(-1, 1)
    error = (instrument.read(again) - instrument.read(images)).abs().mean(0)
    rows = [[name, f"{e:.3f}"] for name, e in zip(instrument.quantities, error.tolist())]
    text = (
        f"Feed-forward inversion of unseen renders, {inverter.passes} passes: PSNR {photos:.1f} dB on photos at rest in every move"
        f" ({small:.1f} dB at {below.resolution} px), {mixed:.1f} dB on renders as training draws them (45 % in another style, each move"
        " made in 46 %)."
    )
    return text + "\n\n" + table(["factor or move", "mean absolute error after inversion"], rows)


def photos_of(count: int, size: int) -> torch.Tensor:
    """Unseen renders ``[N, 3, size, size]`` in photo style, every move at rest."""
    return rendering.render(sampling.sample_parameters(count, SEED + 2), size).images


@torch.no_grad()
def beside(before: Path, out: Path) -> str:
    """``before.png``: unseen renders, what the networks in the folder ``before`` make of them, and what the shipped ones make of them; all
    as large as the largest."""
    models = [(load(w / "generator.safetensors"), load_inverter(w / "inverter.safetensors")) for w in (before, WEIGHTS)]
    size = max(generator.resolution for generator, _ in models)
    rows = [torch.cat([photos_of(10, size), train_generator.batch_of(10, SEED + 3, size, size)[1]])]
    for generator, inverter in models:
        seen = torch.nn.functional.adaptive_avg_pool2d(rows[0], generator.resolution)
        again = generator.synthesize(inverter.invert(generator, seen))
        rows.append(torch.nn.functional.interpolate(again, size=size, mode="bicubic").clamp(-1, 1))
    save_sheet(torch.cat([row[part] for part in (slice(10), slice(10, 20)) for row in rows]), 10, out / "before.png")
    former, now = (train_inverter.quality(inverter, generator, photos_of(256, generator.resolution)) for generator, inverter in models)
    small, large = (generator.resolution for generator, _ in models)
    return f"Reconstructions of unseen photo-style renders: PSNR {former:.1f} dB at {small} px before, {now:.1f} dB at {large} px now."


def scorer_table(scorer) -> str:
    from .captions import MOTIONS

    templates = {motion.name: motion.template for motion in MOTIONS}
    rows = [[name, f"`{templates[name]}`", f"{value:.3f}"] for name, value in train_scorer.quality(scorer).items()]
    return table(["motion", "template", "Spearman with the true factor"], rows)


def sheets(generator, out: Path) -> None:
    """``samples.png``: generated faces of truncation 0.8; ``sweeps.png``: one latent factor or move a row; ``renders.png``."""
    z = torch.randn(40, generator.architecture.z_dim, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        save_sheet(generator.synthesize(generator.map(z, truncation=0.8)), 10, out / "samples.png")
    train_generator.write_sheets(generator, out, generator.resolution)
    parameters, styles = sampling.sample_parameters(40, SEED), sampling.sample_styles(40, SEED + 1)
    save_sheet(rendering.render(parameters, 128, styles).images, 10, out / "renders.png")
    move_sheet(out / "moves.png")


def move_sheet(path: Path) -> None:
    """One further move a row, from end to end, on two faces."""
    rows = []
    for k in range(len(rendering.MOVES)):
        parameters, moves = sampling.sample_parameters(2, SEED + 2 + k).repeat_interleave(4, 0), rendering.rest_moves(8)
        parameters[:, : len(rendering.FACTORS)] = torch.tensor([0.2, 0.9, 0.05, 0.5, 0.2])
        moves[:, k] = torch.linspace(0, 1, 4).repeat(2)
        rows.append(rendering.render(parameters, 96, "photo", moves).images)
    save_sheet(torch.cat(rows), 8, path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "avatars.md")
    parser.add_argument("--before", type=Path, help="a folder with a former generator and inverter: only draw before.png")
    args = parser.parse_args(arguments)
    out = args.page.parent / "avatars"
    if args.before:
        return print(beside(args.before, out))
    generator = load(WEIGHTS / "generator.safetensors")
    instrument = AvatarInstrument(WEIGHTS / "regressor.safetensors")
    sheets(generator, out)
    parts = {
        "Factor regressor": regressor_table(instrument.regressor),
        "Generator": generator_table(generator, instrument),
        "Inverter": inverter_table(generator, load_inverter(WEIGHTS / "inverter.safetensors"), instrument, out),
        "Text scorer": scorer_table(load_scorer(WEIGHTS / "scorer.safetensors")),
    }
    text = "\n\n".join(f"### {title}\n\n{body}" for title, body in parts.items())
    print(text)
    page = args.page.read_text(encoding="utf-8")
    renewed = re.sub(f"{START}.*{END}", lambda _: f"{START}\n\n{text}\n\n{END}", page, flags=re.DOTALL)
    args.page.write_text(renewed, encoding="utf-8")


if __name__ == "__main__":
    main()
