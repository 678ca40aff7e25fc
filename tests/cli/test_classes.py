"""``--class`` on the command line: in every command that draws faces; none is remarked, a wrong one and one too many are refused."""

from __future__ import annotations

import hashlib

import pytest
import torch
from micromotion import __main__ as command_line
from micromotion import stylegan2, subspaces
from micromotion.cli import models
from micromotion.subspaces.anchors import Scorer, draw_faces, text
from torch import nn

COMMON = ["--generator", "g.safetensors", "--device", "cpu"]
FILM = ["--motion", "m.safetensors", "--frames", "2", "--size", "16", "--out", "a.mp4"]
SCORED = ["--faces", "2", "--scorer", "s.pt"]
COMMANDS = {
    "animate": ["animate", *FILM],
    "dataset": ["dataset", "pairs", "--motion", "m.safetensors=1", "--faces", "2"],
    "fit": ["fit", "a {degree} smile", "n.safetensors", "--steps", "1", *SCORED],
    "calibrate": ["calibrate", "m.safetensors", "n.safetensors", "--full", "a", "--none", "b", *SCORED],
}


class Looks(nn.Module):
    """A stand-in for CLIP: pictures of 8 px are their own features."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def encode_image(self, x, normalize):
        return nn.functional.normalize(x.flatten(1) * self.weight)

    def encode_text(self, tokens, normalize):
        return nn.functional.normalize(tokens.float())


def tokens(texts):
    seeds = (int(hashlib.sha256(t.encode()).hexdigest()[:8], 16) for t in texts)
    return torch.stack([torch.randn(192, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@pytest.fixture
def chosen(make, tmp_path, monkeypatch):
    """The classes that faces were drawn of, in a folder with a generator of five."""
    monkeypatch.chdir(tmp_path)
    generator = make(c_dim=5)
    stylegan2.save(generator, "g.safetensors")
    subspaces.Subspace(torch.ones(generator.num_layers, generator.width)).save("m.safetensors")
    stylegan2.save_codes("c.safetensors", draw_faces(generator, [0], category=1))
    monkeypatch.setattr(models, "load_scorer", lambda file: Scorer(Looks(), tokens, 8, name="looks"))
    seen, labels = [], text.class_labels
    monkeypatch.setattr(
        text, "class_labels", lambda generator, category, count: seen.append(category) or labels(generator, category, count)
    )
    return seen


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_draws_faces(name, chosen, capsys):
    command = COMMANDS[name]
    command_line.main([*command, *COMMON, "--class", "3"])
    assert chosen and set(chosen) == {"3"} and "unexpected" not in capsys.readouterr().err
    command_line.main([part.replace("pairs", "others") for part in command] + COMMON)
    assert "none was chosen" in capsys.readouterr().err
    assert command_line.main([*command, *COMMON, "--class", "5"]) == 2
    assert "has no class '5'; it has 5 classes, 0 to 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["animate", "--code", "c.safetensors", *FILM], ["dataset", "x", "--motion", "m.safetensors=1", "--codes", "c.safetensors"]]
)
def test_faces_that_are_given_have_no_class_to_choose(command, chosen, capsys):
    assert command_line.main([*command, *COMMON, "--class", "1"]) == 2
    assert "leave it out" in capsys.readouterr().err
