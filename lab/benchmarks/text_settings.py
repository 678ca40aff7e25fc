"""What the scorer's own settings are worth: cosine of motions decoded from text to the ready ones, with them and as published.

``python lab/benchmarks/text_settings.py`` takes some minutes; the ready motions come from eight faces, these from three.
"""

from __future__ import annotations

import argparse

import torch
from micromotion.avatars.motions import MOTIONS
from micromotion.files.embedded import embedded_root
from micromotion.stylegan2 import load
from micromotion.subspaces import Settings, Subspace, Weights, fit, load_scorer, text_anchors

PUBLISHED = {"weights": Weights(Settings.l2, prior=Settings.prior), "space": Settings.space, "views": Settings.views}
WAYS = {"the scorer's own": {}, "published": PUBLISHED}


def cosine(motion: str, template: str, seeds: range, **options) -> float:
    """Cosine between the motion decoded from ``template`` and the ready one."""
    generator, scorer = load(embedded_root() / "generator.safetensors").eval(), load_scorer(embedded_root() / "scorer.safetensors")
    found = fit(text_anchors(generator, scorer, template, seeds=seeds, **options)).direction.flatten()
    return float(
        torch.cosine_similarity(found, Subspace.load(embedded_root() / "motions" / f"{motion}.safetensors").direction.flatten(), 0)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What the settings of the scorer are worth")
    parser.add_argument("--motions", nargs="+", default=["smile", "eyes"], choices=[m.name for m in MOTIONS])
    parser.add_argument("--faces", type=int, default=3)
    args = parser.parse_args()
    for motion in (m for m in MOTIONS if m.name in args.motions):
        for name, options in WAYS.items():
            print(f"{motion.name:6} {name:17} {cosine(motion.name, motion.template, range(args.faces), **options):.3f}", flush=True)


if __name__ == "__main__":
    main()
