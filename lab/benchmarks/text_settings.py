"""What the scorer's own settings are worth, and what cheaper text anchors cost: cosine of motions decoded from text to the ready ones.

``python lab/benchmarks/text_settings.py`` takes some minutes; the ready motions come from clips, these from sentences and three faces.
``--savings`` compares fewer degrees and smaller pictures instead, each face by itself; ``--write`` renews docs/performance.md with that.
"""

from __future__ import annotations

import argparse
from statistics import mean

import torch
from measuring import publish, table
from micromotion.avatars.motions import MOTIONS
from micromotion.files.embedded import embedded_root
from micromotion.stylegan2 import load
from micromotion.subspaces import Settings, Subspace, Weights, fit, load_scorer, text_anchors
from micromotion.subspaces.anchors import DEGREES
from micromotion.subspaces.anchors.degrees import FEWER_DEGREES

PUBLISHED = {"weights": Weights(Settings.l2, prior=Settings.prior), "space": Settings.space, "views": Settings.views}
WAYS = {"the scorer's own": {}, "published": PUBLISHED}


def cosine(motion: str, template: str, seeds: range, **options) -> float:
    """Cosine between the motion decoded from ``template`` and the ready one."""
    generator, scorer = load(embedded_root() / "generator.safetensors").eval(), load_scorer(embedded_root() / "scorer.safetensors")
    found = fit(text_anchors(generator, scorer, template, seeds=seeds, **options)).direction.flatten()
    return float(
        torch.cosine_similarity(found, Subspace.load(embedded_root() / "motions" / f"{motion}.safetensors").direction.flatten(), 0)
    )


def savings(motions: list, faces: int) -> str:
    """One face at a time: eleven degrees or five, exact or fast, which at 128 px looks at half the size."""
    rows = []
    for degrees in (DEGREES, FEWER_DEGREES):
        for quality in ("exact", "fast"):
            found = [[cosine(m.name, m.template, range(s, s + 1), degrees=degrees, quality=quality) for s in range(faces)] for m in motions]
            rows.append([str(len(degrees)), quality, *(f"{mean(f):.3f} ({min(f):.3f} to {max(f):.3f})" for f in found)])
    return table(["degrees", "quality", *(f"{m.name}: mean cosine of {faces} faces (range)" for m in motions)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the settings of the scorer are worth")
    parser.add_argument("--motions", nargs="+", default=["smile", "eyes"], choices=[m.name for m in MOTIONS])
    parser.add_argument("--faces", type=int, default=3)
    parser.add_argument("--savings", action="store_true", help="fewer degrees and smaller pictures")
    parser.add_argument("--write", action="store_true", help="renew docs/performance.md")
    args = parser.parse_args()
    motions = [m for m in MOTIONS if m.name in args.motions]
    if args.savings:
        publish("savings of text anchors", savings(motions, args.faces), args.write)
        return
    for motion in motions:
        for name, options in WAYS.items():
            print(f"{motion.name:6} {name:17} {cosine(motion.name, motion.template, range(args.faces), **options):.3f}", flush=True)


if __name__ == "__main__":
    main()
