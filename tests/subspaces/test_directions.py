"""Importing plain directions; the authors' own files where they are at hand."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from micromotion.subspaces import Subspace, SubspaceError, cosines, load_direction
from micromotion.subspaces.directions import STRENGTH
from safetensors.torch import save_file
from synthetic import direction

D = direction().float()


def written(tmp_path: Path, name: str, value) -> Path:
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, value.numpy() if isinstance(value, torch.Tensor) else value)
    elif name.endswith(".safetensors"):
        save_file({"direction": value.contiguous()}, str(path))
    else:
        torch.save(value, path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".npy", ".safetensors"])
@pytest.mark.parametrize("value", [D, D[None], D.double()])
def test_reads_every_format_and_brings_it_to_one_strength(tmp_path, suffix, value):
    s = load_direction(written(tmp_path, f"smile{suffix}", value))
    assert s.direction.norm() == pytest.approx(STRENGTH, rel=1e-5)
    assert torch.allclose(s.direction, D * STRENGTH / D.norm(), atol=1e-5)
    assert s.parameters["norm"] == pytest.approx(3, rel=1e-4)
    assert s.name == "smile"
    assert "10" in s.calibration.unit


def test_a_direction_may_keep_its_own_length(tmp_path):
    assert torch.allclose(load_direction(written(tmp_path, "a.npy", D), strength=None).direction, D)


def test_trained_tensors_and_dicts_of_one_are_fine(tmp_path):
    assert load_direction(written(tmp_path, "a.pt", D.clone().requires_grad_(True))).direction.requires_grad is False
    assert load_direction(written(tmp_path, "b.pt", {"d_latent": D})).rank == 1


def test_one_row_fills_all_layers_of_the_generator(tmp_path, generator):
    for value in (D[0], D[:1]):
        s = load_direction(written(tmp_path, "age.npy", value), generator=generator)
        assert s.direction.shape == (6, 32)
        assert torch.equal(s.direction[0], s.direction[5])
        assert s.fingerprint == generator.fingerprint
    assert load_direction(written(tmp_path, "age.npy", D[0]), num_layers=18).num_layers == 18


def test_a_row_as_long_as_a_code_is_one(tmp_path, generator):
    for value in (D.flatten(), D.reshape(1, -1)):
        s = load_direction(written(tmp_path, "boundary.npy", value), generator=generator, strength=None)
        assert torch.equal(s.direction, D)


def test_suffixes_may_be_capital(tmp_path):
    written(tmp_path, "a.npy", D).rename(tmp_path / "SMILE.NPY")
    assert load_direction(tmp_path / "SMILE.NPY").num_layers == 6


def test_our_own_motions_are_named_as_such(tmp_path):
    Subspace(D).save(tmp_path / "mine.safetensors")
    with pytest.raises(SubspaceError, match="Subspace.load reads motions"):
        load_direction(tmp_path / "mine.safetensors")


def test_untouched_layers_are_recognised(tmp_path):
    part = D.clone()
    part[[0, 4]] = 0
    assert load_direction(written(tmp_path, "a.pt", part)).layers == (1, 2, 3, 5)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("a.npy", torch.zeros(2, 6, 32), "has shape"),
        ("a.npy", torch.ones(512, 18), "more than a StyleGAN2 has layers"),
        ("a.npy", np.zeros((0, 512), np.float32), "has shape"),
        ("a.pt", torch.zeros(6, 32), "length 0"),
        ("a.pt", torch.full((6, 32), float("nan")), "not finite"),
        ("a.pt", torch.ones(6, 32, dtype=torch.long), "has shape"),
        ("a.pt", [D, D], "2 tensors"),
        ("a.pt", D[0], "one row for all layers"),
        ("a.npy", np.array([{"a": 1}], dtype=object), "cannot be read"),
        ("a.txt", D, "no direction"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, name, value, words):
    with pytest.raises(SubspaceError, match=words):
        load_direction(written(tmp_path, name, value))


def test_nothing_in_a_file_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "a.pt").write_bytes(pickle.dumps(Evil()))
    torch.save(Evil(), tmp_path / "b.pt")
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "d.safetensors").write_bytes(b"xx")
    for name in ("a.pt", "b.pt", "c.npy", "d.safetensors", "absent.pt"):
        with pytest.raises(SubspaceError):
            load_direction(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_another_generators_direction_is_refused(tmp_path, generator):
    with pytest.raises(SubspaceError, match="18 layers"):
        load_direction(written(tmp_path, "a.pt", torch.ones(18, 32)), generator=generator)


AUTHORS = Path(os.environ.get("MICROMOTION_AUTHORS_DIRECTIONS", "absent"))


@pytest.mark.skipif(not AUTHORS.is_dir(), reason="MICROMOTION_AUTHORS_DIRECTIONS names no folder with the seven published files")
def test_the_authors_own_directions_come_to_one_strength(tmp_path):
    loaded = {p.stem: load_direction(p) for p in sorted(AUTHORS.glob("*.pt"))}
    assert len(loaded) == 7
    norms = {name: s.parameters["norm"] for name, s in loaded.items()}
    assert norms["smile"] == pytest.approx(2.0, abs=0.01)
    assert norms["headsTurn"] == pytest.approx(88.3, abs=0.1)
    assert all(s.direction.norm() == pytest.approx(STRENGTH, rel=1e-5) for s in loaded.values())
    names = list(loaded)
    table = cosines(list(loaded.values()))
    assert table[names.index("aging"), names.index("aging_baseline")] == pytest.approx(0.16, abs=0.01)
    loaded["smile"].save(tmp_path / "smile.safetensors")
    assert (tmp_path / "smile.safetensors").stat().st_size < 200_000
