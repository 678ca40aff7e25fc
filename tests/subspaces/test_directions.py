"""Importing plain directions; the authors' own files where they are at hand."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from micromotion import stylegan2
from micromotion.files import catalog
from micromotion.files.download import hash_file
from micromotion.files.embedded import PACK
from micromotion.subspaces import Subspace, SubspaceError, cosines, directions, load_direction
from micromotion.subspaces.describing import describe_foreign
from micromotion.subspaces.directions import STRENGTH, read_directions
from safetensors.torch import save_file
from synthetic import direction

WEIGHTS = PACK / "avatars" / "weights"  # the shipped ones, whatever other tests put in their place

D = direction().float()


def written(tmp_path: Path, name: str, value) -> Path:
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, value.numpy() if isinstance(value, torch.Tensor) else value)
    elif name.endswith(".npz"):
        np.savez(path, **{k: v.numpy() for k, v in value.items()})
    elif isinstance(value, bytes):
        path.write_bytes(value)
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


def test_untouched_layers_are_recognized(tmp_path):
    part = D.clone()
    part[[0, 4]] = 0
    assert load_direction(written(tmp_path, "a.pt", part)).layers == (1, 2, 3, 5)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("a.npy", torch.zeros(2, 6, 32), "holds 2 directions: 1, 2. Choose one"),
        ("a.npy", torch.ones(512, 18), "more than a StyleGAN2 has layers"),
        ("a.npy", np.zeros((0, 512), np.float32), "has shape"),
        ("a.pt", torch.zeros(6, 32), "length 0"),
        ("a.pt", torch.full((6, 32), float("nan")), "not finite"),
        ("a.pt", torch.ones(6, 32, dtype=torch.long), "has shape"),
        ("a.pt", [D, D], "holds 2 directions: 1, 2. Choose one"),
        ("fs3.npy", torch.ones(6048, 512), "S space"),
        ("S.pt", [torch.ones(1, n) for n in [512] * 6 + [256] * 3 + [128] * 3], "S space"),
        ("S_mean_std.pt", [[torch.ones(n) for n in [512] * 6 + [256] * 3 + [128] * 3]] * 2, "S space"),
        ("S.npz", {f"S_{i}": torch.ones(1, n) for i, n in enumerate([512] * 6 + [256] * 3 + [128] * 3)}, "S space"),
        ("mapper.pt", {"state_dict": {"mapper.course_mapping.mapping.1.weight": torch.ones(8, 8)}}, "StyleCLIP mapper"),
        ("net.pt", {"conv.weight": torch.ones(8, 8, 3, 3), "conv.bias": torch.ones(8)}, "holds a network"),
        ("a.pt", D[0], "one row for all layers"),
        ("a.npy", np.array([{"a": 1}], dtype=object), "holds no directions"),
        ("a.onnx", b"\x08\x07\x12\x07pytorch\x1a\x05" + bytes(range(128, 220)), "is an ONNX model. Directions are read from .pt"),
        ("a.txt", b"<html><body>sign in", "is a web page"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, name, value, words):
    with pytest.raises(SubspaceError, match=words):
        load_direction(written(tmp_path, name, value))


BOUNDARIES = {"00_Smiling": D[:1, None], "01_Young": 2 * D[1:2, None]}


@pytest.mark.parametrize(("which", "row"), [("00_Smiling", 0), (1, 0), ("2", 1), ("young", 1), ("SMIL", 0)])
def test_one_of_several_by_name_or_number(tmp_path, generator, which, row):
    s = load_direction(written(tmp_path, "boundary_ffhq.pt", BOUNDARIES), which, generator=generator)
    assert torch.allclose(s.direction[3], D[row] * STRENGTH / D[row].norm() / 6**0.5, atol=1e-5)
    assert s.name == list(BOUNDARIES)[row] == s.parameters["direction"]


@pytest.mark.parametrize(
    ("which", "words"),
    [
        (None, "holds 2 directions: 00_Smiling, 01_Young. Choose one"),
        ("nose", "no directions named 'nose'"),
        ("0", "several"),
        ("²", "no directions named"),
        ("0000000019", "no directions named"),
        (3, "no dir"),
    ],
)
def test_the_choices_are_named(tmp_path, generator, which, words):
    with pytest.raises(SubspaceError, match=words):
        load_direction(written(tmp_path, "b.pt", BOUNDARIES), which, generator=generator)


def pickled(path, value):
    path.write_bytes(pickle.dumps(value))
    return path


def archive(path, **arrays):
    np.savez(path, **arrays)
    return path


MANY = {
    "pickled dict": lambda p: pickled(p / "a.pkl", {"a": D.numpy(), "b": D.numpy() * 2}),
    "list of pairs": lambda p: pickled(p / "a.pkl", [("a", D.numpy()), ("b", D.numpy() * 2)]),
    "archive": lambda p: archive(p / "a.npz", a=D.numpy(), b=D.numpy() * 2),
    "saved dict": lambda p: written(p, "a.npy", {"a": D.numpy(), "b": D.numpy() * 2}),
    "stack": lambda p: written(p, "a.npy", torch.stack([D, 2 * D])),
    "nested": lambda p: written(p, "a.pth", {"x": {"a": D}, "y": {"b": 2 * D}, "version": 3}),
}


@pytest.mark.parametrize("kind", MANY)
def test_lists_and_dicts_of_directions(tmp_path, kind):
    path = MANY[kind](tmp_path)
    names = read_directions(path).names
    assert len(names) == 2
    assert names == {"stack": ("1", "2"), "nested": ("x/a", "y/b")}.get(kind, ("a", "b"))
    assert torch.equal(load_direction(path, 2, strength=None).direction, 2 * D)


BESIDE = {
    "an intercept": {"boundary": D[:1], "intercept": torch.tensor([[0.3]])},
    "a number and a word": {"boundary": D[:1], "bias": 0.3, "attribute": "smile"},
    "scikit-learn's names": {"coef_": D[:1], "intercept_": torch.tensor([0.3]), "classes_": torch.tensor([0, 1])},
    "in a pair": (D[:1], 0.3),
}


@pytest.mark.parametrize("kind", BESIDE)
def test_what_stands_beside_a_boundary_is_left_out(tmp_path, generator, kind):
    s = load_direction(written(tmp_path, "a.pt", BESIDE[kind]), generator=generator, strength=None)
    assert torch.equal(s.direction, D[:1].repeat(6, 1))


def test_an_odd_number_of_rows_are_as_many_directions(tmp_path, generator):
    """The layers of a generator are even in number, so that 5 rows are SeFa's 5 boundaries and not one motion of 5 layers."""
    path = written(tmp_path, "sefa.npz", {"boundaries": D[:5], "eigen_values": torch.ones(5)})
    assert torch.equal(load_direction(path, 3, generator=generator, strength=None).direction, D[2:3].repeat(6, 1))


def test_ganspace_components_have_their_deviations_length(tmp_path, generator):
    comp, std = torch.linalg.qr(torch.randn(32, 32))[0][:9, None], torch.rand(9) + 1
    torch_file = written(tmp_path, "ffhq_pca.pt", {"comp": comp, "mean": torch.zeros(1, 1, 32), "std": std})
    np.savez(tmp_path / "ipca.npz", lat_comp=comp.numpy(), lat_stdev=std.numpy(), act_comp=comp.numpy(), lat_mean=np.zeros((1, 1, 32)))
    for path in (torch_file, tmp_path / "ipca.npz"):
        assert read_directions(path).kind == "GANSpace components"
        s = load_direction(path, 3, generator=generator, strength=None)
        assert torch.allclose(s.direction, (comp[2] * std[2]).repeat(6, 1))
    with pytest.raises(SubspaceError, match=r"9 GANSpace components: component 1.*and 1 more, to component 9"):
        load_direction(torch_file, generator=generator)


def test_sefa_eigenvectors_are_columns(tmp_path, generator):
    eigvec = torch.linalg.qr(torch.randn(32, 32))[0]
    path = written(tmp_path, "factor.pt", {"ckpt": "a.pt", "eigvec": eigvec})
    assert read_directions(path).kind == "SeFa eigenvectors"
    assert torch.allclose(load_direction(path, 5, generator=generator, strength=None).direction[0], eigvec[:, 4])


def test_a_face_where_a_motion_goes(tmp_path):
    avatar = stylegan2.load(WEIGHTS / "generator.safetensors")
    code = avatar.map(torch.randn(1, avatar.architecture.z_dim, generator=torch.Generator().manual_seed(5)), 0.7)
    path = written(tmp_path, "0.pt", code)
    with pytest.raises(SubspaceError, match=r"0.pt is a face's code, not a direction.*--code"):
        load_direction(path, generator=avatar)
    (note,) = load_direction(path).notes
    assert "Only its generator tells a face's code from a motion" in note
    smile = Subspace.load(WEIGHTS / "motions" / "smile.safetensors").direction
    assert not load_direction(written(tmp_path, "smile.pt", smile), generator=avatar).notes


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
def test_the_authors_own_directions_have_their_own_strength_where_it_is_sane(tmp_path):
    loaded = {p.stem: load_direction(p) for p in sorted(AUTHORS.glob("*.pt"))}
    assert len(loaded) == 7
    norms = {name: s.parameters["norm"] for name, s in loaded.items()}
    assert norms["smile"] == pytest.approx(2.0, abs=0.01)
    assert norms["headsTurn"] == pytest.approx(88.3, abs=0.1)
    long = {"headsTurn", "aging_oldGrayHair"}
    for name, s in loaded.items():
        wanted = STRENGTH if name in long else 5 * norms[name]
        assert s.direction.norm() == pytest.approx(wanted, rel=1e-4) and 5 < wanted < 15, name
        assert ("the authors' own default strength" in s.calibration.unit) == (name not in long)
    assert "the authors' default strength would be 441" in loaded["headsTurn"].calibration.unit
    for path in AUTHORS.glob("*.pt"):
        assert load_direction(path, strength=4).direction.norm() == pytest.approx(4), "what was asked for is what is given"
    names = list(loaded)
    table = cosines(list(loaded.values()))
    assert table[names.index("aging"), names.index("aging_baseline")] == pytest.approx(0.16, abs=0.01)
    loaded["smile"].save(tmp_path / "smile.safetensors")
    assert (tmp_path / "smile.safetensors").stat().st_size < 200_000


def test_a_plain_file_tells_its_own_length_and_its_unit(tmp_path):
    told = describe_foreign(written(tmp_path, "mine.pt", D))
    assert f"own length      {float(D.double().norm()):.4g} in the file" in told and "length 10 in code space, as a motion" in told
    told = describe_foreign(written(tmp_path, "row.pt", {"a": torch.ones(512), "b": 2 * torch.ones(512)}))
    assert "22.63 to 45.25 in the file" in told and "length 10 in code space" in told


@pytest.mark.skipif(not AUTHORS.is_dir(), reason="MICROMOTION_AUTHORS_DIRECTIONS names no folder with the seven published files")
def test_the_authors_files_are_motions_that_tell_what_a_unit_is():
    told = describe_foreign(AUTHORS / "headsTurn.pt")
    assert "a face" not in told and "own length      88.3 in the file" in told
    assert "length 10 in code space; the authors' default strength would be 441" in told


def test_a_file_of_the_authors_is_known_by_its_hash_alone(tmp_path, monkeypatch):
    path = written(tmp_path, "mine.pt", D)
    entry = catalog.Entry("direction-x", "x.pt", catalog.MOTIONS, "https://a", "MIT", "x", path.stat().st_size, hash_file(path))
    other = replace(entry, sha256="0" * 64)
    for known, length in ((entry, 5 * float(D.norm())), (other, STRENGTH)):
        monkeypatch.setattr(catalog, "ENTRIES", (known,))
        monkeypatch.setattr(directions, "LONGEST", 1e9)
        assert load_direction(path).direction.norm() == pytest.approx(length, rel=1e-4)
    monkeypatch.setattr(catalog, "ENTRIES", (entry,))
    monkeypatch.setattr(directions, "LONGEST", 0.1)
    assert load_direction(path).direction.norm() == pytest.approx(STRENGTH, rel=1e-4)
