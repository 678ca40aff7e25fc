"""Avatar generators side by side, by what needs no anchors: ``python lab/benchmarks/generators.py FOLDER [FOLDER ...]``.

Each folder holds ``generator.safetensors``, which is measured whole and without what is above 64 px; the instrument is the embedded
one. Printed for each: likeness to the renderer, and how far the direction fitted on labels gets on unseen faces at rest, which
no motion decoded from text or clips can be asked to surpass.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from micromotion.avatars.motions import MOTIONS
from micromotion.lab.evaluation import instrument, metrics
from micromotion.lab.evaluation.cache import Cache
from micromotion.lab.evaluation.counterfactual import error_of
from micromotion.lab.evaluation.measure import sweep
from micromotion.lab.evaluation.study import ORACLE, Study
from micromotion.lab.evaluation.world import STEP, WEIGHTS, Sizes, World, load_world
from micromotion.lab.trunk import trunk_of
from micromotion.stylegan2 import load


def likeness(study: Study) -> str:
    """PSNR on photos and R² of the factors, as table cells."""
    found = {(r["metric"], r["motion"]): r["value"] for r in instrument.fidelity(study)["rows"] if r["group"] == "generator, photo"}
    factors = " / ".join(f"{value:.2f}" for (metric, _), value in found.items() if metric == instrument.R2.key)
    return f"{found[instrument.PSNR.key, '']:.1f} | {factors}"


def ceiling(study: Study) -> str:
    """Transfer success and counterfactual error of the direction fitted on labels, per motion, as table cells."""
    success, error = [], []
    for motion in study.motions:
        direction, faces, step = study.directions(ORACLE, motion), study.world.tests(), STEP[motion.name]
        success.append(sweep(study.world, faces, direction, [0.0, step]).success(motion, step).mean())
        error.append(metrics.median(error_of(study.world, motion, faces, direction)))
    return " | ".join(" / ".join(f"{float(v):.2f}" for v in values) for values in (success, error))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--faces", type=int, default=100)
    args = parser.parse_args()
    embedded = replace(load_world(WEIGHTS, Sizes(identities=args.faces)), scorer=None, inverter=None, motions=())
    names = "/".join(m.name for m in MOTIONS)
    print(f"| generator | PSNR on photos, dB | R² of factors | transfer success, {names} | counterfactual error |\n|---|---|---|---|---|")
    for folder in args.folders:
        whole = load(folder / "generator.safetensors").eval().requires_grad_(False)
        for generator in dict.fromkeys((trunk_of(whole), whole)):
            world: World = replace(embedded, generator=generator)
            with tempfile.TemporaryDirectory() as kept:
                study = Study(world, Cache(Path(kept), "generators"))
                print(f"| {folder.name}, {generator.resolution} px | {likeness(study)} | {ceiling(study)} |", flush=True)


if __name__ == "__main__":
    main()
