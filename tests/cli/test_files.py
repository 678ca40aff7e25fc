"""Codes and directions of other tools at the command line, on the embedded avatars: their mean code tells faces from motions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from micromotion import __main__ as command_line
from micromotion import stylegan2
from micromotion.files.embedded import PACK
from micromotion.stylegan2.inversion import save_tuning
from micromotion.subspaces import Subspace

WEIGHTS = PACK / "avatars" / "weights"  # the shipped ones, whatever other tests put in their place

AVATAR = WEIGHTS / "generator.safetensors"
QUICK = ["--frames", "4", "--size", "64", "--device", "cpu", "--out", "o.gif"]


@pytest.fixture(scope="module")
def avatar():
    return stylegan2.load(AVATAR)


@pytest.fixture(scope="module")
def faces(avatar):
    return avatar.map(torch.randn(2, avatar.architecture.z_dim, generator=torch.Generator().manual_seed(5)), 0.7)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command line in an empty folder: exit code, and everything said on one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(WEIGHTS))

    def micromotion(*arguments):
        try:
            code = command_line.main([str(a) for a in arguments])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, " ".join((said.out + said.err).split())

    return micromotion


def test_another_tools_face_is_animated_and_kept(run, faces):
    np.savez("projected_w.npz", w=faces[:1].numpy())
    assert run("animate", "projected_w.npz", "--motion", "smile", *QUICK)[0] == 0
    code, said = run("convert", "projected_w.npz", "me.safetensors", "--generator", AVATAR)
    assert code == 0 and "face codes" in said
    found = stylegan2.read_codes("me.safetensors")
    assert torch.equal(found.codes, faces[:1]) and found.fingerprint == stylegan2.load(AVATAR).fingerprint
    code, said = run("animate", "--code", "me.safetensors", "--motion", "smile", *QUICK)
    assert code == 0 and "taken for" not in said
    code, said = run("inspect", "me.safetensors")
    assert code == 0 and found.fingerprint in said


def test_one_face_of_several(run, faces, monkeypatch):
    from micromotion.cli import animate

    shown = []
    monkeypatch.setattr(animate, "take", lambda codes, *_: shown.append(codes) or animate.Take("smile", codes, [], torch.zeros(1)))
    torch.save({"ann.png": faces[0], "bob.png": faces[1]}, "latents.pt")
    for face in ((), ("--face", "2"), ("--face", "bob.png")):
        code, said = run("animate", "--code", "latents.pt", *face, "--motion", "smile", *QUICK)
        assert code == 0 and ("holds 2 faces" in said) == (not face)
    assert torch.equal(torch.cat(shown), faces[[0, 1, 1]])
    code, said = run("animate", "--code", "latents.pt", "--face", "eve", "--motion", "smile", *QUICK)
    assert code == 2 and "no face 'eve'" in said and "ann.png, bob.png" in said


def test_a_face_where_a_motion_goes(run, faces):
    torch.save(faces[:1], "0.pt")
    code, said = run("animate", "--motion", "0.pt", *QUICK)
    assert code == 2 and "0.pt is a face's code, not a direction" in said and "--code" in said
    code, said = run("inspect", "0.pt")
    assert code == 0 and "a face's code, or a motion" in said and "--generator FILE" in said
    assert "face codes" in run("inspect", "0.pt", "--generator", AVATAR)[1]
    code, said = run("convert", "0.pt", "o.safetensors")
    assert code == 2 and "--as face or --as motion" in said
    assert run("convert", "0.pt", "o.safetensors", "--as", "face")[0] == 0
    assert torch.equal(stylegan2.load_codes("o.safetensors"), faces[:1])


def test_a_motion_where_a_face_goes(run):
    direction = Subspace.load(WEIGHTS / "motions" / "smile.safetensors").direction
    torch.save(direction, "d.pt")
    code, said = run("animate", "--code", "d.pt", *QUICK)
    assert code == 2 and "d.pt is not a face's code" in said and "--motion" in said
    assert "directions" in run("inspect", "d.pt", "--generator", AVATAR)[1]
    assert run("convert", "d.pt", "m.safetensors", "--generator", AVATAR)[0] == 0
    assert torch.allclose(Subspace.load("m.safetensors").direction, direction * 10 / direction.norm(), atol=1e-5)
    code, said = run("animate", "--code", "m.safetensors", *QUICK)
    assert code == 2 and "is a motion, not a face" in said


def test_a_boundary_of_one_row(run, avatar):
    row = np.random.RandomState(0).randn(1, avatar.width)
    np.save("age_w_boundary.npy", row)
    code, said = run("inspect", "age_w_boundary.npy")
    assert code == 0 and "one for all layers of the generator" in said
    for command in (
        ["convert", "age_w_boundary.npy", "a.safetensors"],
        ["combine", "scale", "age_w_boundary.npy", "--out", "a.safetensors"],
    ):
        code, said = run(*command)
        assert code == 2 and "generator" in said
        assert run(*command, "--generator", AVATAR)[0] == 0
        motion = Subspace.load("a.safetensors")
        assert motion.num_layers == avatar.num_layers and motion.fingerprint == avatar.fingerprint


def test_one_of_many_directions(run, avatar):
    torch.manual_seed(0)
    torch.save({"00_Smiling": torch.randn(1, 1, avatar.width), "01_Young": torch.randn(1, 1, avatar.width)}, "boundary.pt")
    code, said = run("inspect", "boundary.pt")
    assert code == 0 and "2: 00_Smiling, 01_Young" in said
    code, said = run("animate", "--motion", "boundary.pt", *QUICK)
    assert code == 2 and "Choose one by its name or number" in said
    code, said = run("animate", "--motion", "boundary.pt:young", *QUICK)
    assert code == 0 and "boundary young" in said
    assert run("convert", "boundary.pt:2", "young.safetensors", "--generator", AVATAR)[0] == 0
    assert Subspace.load("young.safetensors").name == "01_Young"
    table = run("combine", "cosines", "boundary.pt:1", "boundary.pt:01_Young", "--generator", AVATAR)
    assert table[0] == 0 and "00_Smiling" in table[1]


def test_components_are_listed(run, avatar):
    torch.save({"comp": torch.randn(80, 1, avatar.width), "mean": torch.randn(1, 1, avatar.width), "std": torch.rand(80)}, "ffhq_pca.pt")
    code, said = run("inspect", "ffhq_pca.pt")
    assert code == 0 and "GANSpace components" in said and "component 80" in said


def test_a_tuning_is_inspected(run, make):
    base, tuned = make(), make()
    tuned.synthesis.b4.conv1.weight.data += 1
    tuned._fingerprint = None
    save_tuning(tuned, base, "tuned.safetensors")
    code, said = run("inspect", "tuned.safetensors")
    assert code == 0 and "tuning" in said and base.fingerprint in said


def test_the_inverter_of_a_file_is_kept_apart(run, faces):
    from micromotion.stylegan2.inversion import load_inverter

    inverter = WEIGHTS / "inverter.safetensors"
    assert run("convert", inverter, "copy.safetensors", "--as", "inverter")[0] == 0
    assert load_inverter("copy.safetensors").card.domain == load_inverter(inverter).card.domain
