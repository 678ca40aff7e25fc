"""One library under the doors: a node, the command line and a script say the same with the same seeds."""

from __future__ import annotations

import torch

TEMPLATE = "a person with {degree} smile"


def test_a_sentence_gives_the_same_codes_through_every_door(run, loaded, weights, tmp_path, monkeypatch):
    from micromotion import __main__ as command_line
    from micromotion.cli import fit as command
    from micromotion.stylegan2 import load
    from micromotion.subspaces.anchors import load_scorer, text_anchors

    seen, library = [], command.fit
    monkeypatch.setattr(command, "fit", lambda anchors, **options: seen.append(anchors) or library(anchors, **options))
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(weights))
    out = str(tmp_path / "smile.safetensors")
    assert command_line.main(["fit", TEMPLATE, out, "--faces", "2", "--steps", "3", "--device", "cpu"]) == 0

    node = run("TextAnchors", generator=loaded.generator, scorer=loaded.scorer, template=TEMPLATE, seeds=2, steps=3)[0]
    networks = load(weights / "generator.safetensors").eval(), load_scorer(weights / "scorer.safetensors")
    script = text_anchors(*networks, TEMPLATE, seeds=range(2), steps=3)
    assert torch.equal(node.codes, script.codes) and torch.equal(seen[0].codes, script.codes)
    assert node.parameters == script.parameters == seen[0].parameters
    assert (script.parameters["space"], script.parameters["views"]) == ("w", 1), "as the scorer's file recommends"
