"""Face codes of every tool come back as they were written; motions, styles, z and networks are refused by what they are."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from micromotion import stylegan2
from micromotion.files.embedded import PACK
from micromotion.files.errors import CheckpointError, DamagedFileError, MissingFileError, UnsupportedFileError
from micromotion.stylegan2.codes import CodesFile, resembles_code
from micromotion.subspaces import Subspace
from safetensors.torch import save_file

WEIGHTS = PACK / "avatars" / "weights"  # the shipped ones, whatever other tests put in their place


@pytest.fixture(scope="module")
def avatar():
    return stylegan2.load(WEIGHTS / "generator.safetensors")


@pytest.fixture(scope="module")
def faces(avatar):
    return avatar.map(torch.randn(3, avatar.architecture.z_dim, generator=torch.Generator().manual_seed(5)), 0.7)


def array(x):
    return x.numpy()


def pickled(path, value):
    path.write_bytes(pickle.dumps(value))


WRITERS = {
    "NVIDIA's projected_w.npz": lambda p, x: np.savez(p.with_suffix(".npz"), w=array(x[:1])),
    "dlatents.npz": lambda p, x: np.savez_compressed(p.with_suffix(".npz"), dlatents=array(x)),
    "any npz of one array": lambda p, x: np.savez(p.with_suffix(".npz"), array(x)),
    "PTI's pivot 0.pt": lambda p, x: torch.save(x[:1], p.with_suffix(".pt")),
    "e4e's latents.pt": lambda p, x: torch.save(x, p.with_suffix(".pt")),
    "one code": lambda p, x: np.save(p.with_suffix(".npy"), array(x[0])),
    "double": lambda p, x: np.save(p.with_suffix(".npy"), array(x.double())),
    "a parameter that learns": lambda p, x: torch.save(torch.nn.Parameter(x), p.with_suffix(".pt")),
    "[N, 1, L, D]": lambda p, x: np.save(p.with_suffix(".npy"), array(x[:, None])),
    "a pickled list of arrays": lambda p, x: pickled(p.with_suffix(".pkl"), [array(c) for c in x]),
    "a pickled list of numbers": lambda p, x: pickled(p.with_suffix(".pkl"), x[:1].tolist()),
    "a code and its name": lambda p, x: pickled(p.with_suffix(".pkl"), (array(x[0]), "a.png")),
    "a dict of dicts by file name": lambda p, x: torch.save(
        {"faces": {f"{i}.jpg": {"w": c} for i, c in enumerate(x)}}, p.with_suffix(".pt")
    ),
    "a latent beside latent_avg": lambda p, x: torch.save({"latent_avg": x.mean((0, 1)), "latent": x.float()}, p.with_suffix(".pth")),
    "a list of tensors": lambda p, x: torch.save(list(x), p.with_suffix(".pth")),
    **{
        f"a dict with {key}": lambda p, x, key=key: torch.save({"loss": 0.5, "noise": [x[0, :2, :2]], key: x}, p.with_suffix(".pt"))
        for key in ("latent", "latents", "w", "codes", "W", "w_pivot", "dlatents", "latent_code")
    },
    "rosinality's projector": lambda p, x: torch.save(
        {f"in/{i}.png": {"img": torch.zeros(1, 3, 4, 4), "latent": c, "noise": [torch.zeros(1, 1, 4, 4)]} for i, c in enumerate(x)},
        p.with_suffix(".pt"),
    ),
    "pSp's dict by file name": lambda p, x: np.save(
        p.with_suffix(".npy"), {f"{i}.png": array(c) for i, c in enumerate(x)}, allow_pickle=True
    ),
    "safetensors of another program": lambda p, x: save_file({"w": x}, p.with_suffix(".safetensors")),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_codes_of_every_tool(kind, tmp_path, avatar, faces):
    WRITERS[kind](tmp_path / "face", faces)
    (path,) = tmp_path.iterdir()
    found = stylegan2.read_codes(path, avatar)
    assert found.codes.dtype == torch.float32
    assert torch.allclose(found.codes, faces[: len(found.codes)], atol=1e-6)
    assert not found.notes
    assert len(stylegan2.read_codes(path).codes) == len(found.codes)  # the shape tells the layers; a remark tells the rest
    assert torch.equal(stylegan2.load_codes(path, avatar), found.codes)


def test_half_precision(tmp_path, avatar, faces):
    torch.save(faces.half(), tmp_path / "0.pt")
    assert torch.allclose(stylegan2.load_codes(tmp_path / "0.pt", avatar), faces, atol=0.05)


@pytest.mark.parametrize("shape", ["[D]", "[1, D]", "[N, D]", "[N, 1, D]"])
def test_one_row_is_repeated_over_the_generators_layers(shape, tmp_path, avatar, faces):
    w = faces[:, 0]
    np.save(tmp_path / "w.npy", array({"[D]": w[0], "[1, D]": w[:1], "[N, D]": w, "[N, 1, D]": w[:, None]}[shape]))
    found = stylegan2.load_codes(tmp_path / "w.npy", avatar)
    assert torch.allclose(found, faces[: len(found)], atol=1e-6)
    assert len(found) == (3 if "N" in shape else 1)
    if shape != "[N, D]":
        with pytest.raises(UnsupportedFileError, match=r"w.npy holds W codes.*Give the generator"):
            stylegan2.load_codes(tmp_path / "w.npy")


@pytest.mark.parametrize("flat", [lambda x: x.flatten(1), lambda x: x[0].flatten()])
def test_flat_codes(flat, tmp_path, avatar, faces):
    torch.save(flat(faces), tmp_path / "flat.pt")
    found = stylegan2.load_codes(tmp_path / "flat.pt", avatar)
    assert torch.equal(found, faces[: len(found)])


def test_names_and_the_last_of_several_passes(tmp_path, avatar, faces):
    passes = {f"C:\\photos\\{i}.png": [array(c * 0), array(c)] for i, c in enumerate(faces)}
    np.save(tmp_path / "latents.npy", passes, allow_pickle=True)
    found = stylegan2.read_codes(tmp_path / "latents.npy", avatar)
    assert found.names == ("0.png", "1.png", "2.png")
    assert torch.equal(found.codes, faces)
    assert "2 passes" in found.notes[0]


def test_our_own_files_keep_codes_names_and_generator(tmp_path, avatar, faces, small):
    path = stylegan2.save_codes(tmp_path / "me.safetensors", faces, avatar, names=["a", "b", "c"])
    found = stylegan2.read_codes(path, avatar)
    assert torch.equal(found.codes, faces)
    assert (found.names, found.fingerprint, found.notes) == (("a", "b", "c"), avatar.fingerprint, ())
    assert not stylegan2.read_codes(path).notes
    assert stylegan2.read_codes(stylegan2.save_codes(tmp_path / "one.safetensors", faces[0]), avatar).codes.shape == faces[:1].shape


def test_a_stranger_is_remarked(tmp_path, make, caplog):
    one, other = make(seed=1), make(seed=2)
    path = stylegan2.save_codes(tmp_path / "me.safetensors", one.map(torch.randn(1, 20)), one)
    (note,) = stylegan2.read_codes(path, other).notes
    assert one.fingerprint in note and other.fingerprint in note
    stylegan2.load_codes(path, other)
    assert note in caplog.text


def test_a_motion_where_a_face_goes(tmp_path, avatar):
    motion = Subspace.load(WEIGHTS / "motions" / "smile.safetensors")
    torch.save(motion.direction[None], tmp_path / "smile.pt")
    with pytest.raises(UnsupportedFileError, match=r"smile.pt is not a face's code.*--motion"):
        stylegan2.load_codes(tmp_path / "smile.pt", avatar)
    with pytest.raises(UnsupportedFileError, match="is a motion, not a face"):
        stylegan2.load_codes(WEIGHTS / "motions" / "smile.safetensors")
    assert "Only its generator tells" in stylegan2.read_codes(tmp_path / "smile.pt").notes[0]


def test_what_tells_a_code_from_a_motion(avatar, faces, small):
    assert all(resembles_code(c, avatar)[0] for c in (*faces, avatar.map(torch.randn(1, avatar.architecture.z_dim), 1.0)))
    for path in (WEIGHTS / "motions").iterdir():
        assert resembles_code(Subspace.load(path).direction, avatar)[0] is False
        assert resembles_code(30 * Subspace.load(path).direction, avatar)[0] is False
    assert resembles_code(small.map(torch.randn(1, 20)), small)[0] is None


def test_an_untrained_generator_cannot_tell_and_says_so(tmp_path, small):
    torch.save(small.map(torch.randn(1, 20)), tmp_path / "0.pt")
    (note,) = stylegan2.read_codes(tmp_path / "0.pt", small).notes
    assert "cannot be told" in note


def test_another_generators_codes(tmp_path, avatar):
    torch.save(torch.randn(1, 18, 512), tmp_path / "0.pt")
    with pytest.raises(UnsupportedFileError, match=rf"0.pt holds codes of 18 layers x 512.*{avatar.num_layers} x {avatar.width}"):
        stylegan2.load_codes(tmp_path / "0.pt", avatar)


REFUSED = {
    "z": ({"z": torch.randn(1, 512)}, "holds z, the random numbers"),
    "directions": ({"eigvec": torch.eye(512)}, "holds directions"),
    "styles": ([torch.randn(1, n) for n in [512] * 5 + [256] * 3 + [128] * 3], "S space"),
    "a network": ({"conv1.weight": torch.randn(8, 8, 3, 3), "conv1.bias": torch.randn(8)}, "holds a network"),
    "a picture": (torch.randn(1, 3, 64, 64), "face codes are"),
    "whole numbers": (torch.ones(18, 512, dtype=torch.long), "face codes are"),
    "several shapes": ({"a": torch.randn(18, 512), "b": torch.randn(16, 512)}, "several shapes"),
    "odd rows": (torch.randn(1, 40, 512), "has shape"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_no_codes_is_named(name, tmp_path):
    value, sentence = REFUSED[name]
    torch.save(value, tmp_path / "file.pt")
    with pytest.raises(UnsupportedFileError, match=sentence):
        stylegan2.load_codes(tmp_path / "file.pt")


def test_damage_is_named(tmp_path, faces):
    torch.save(faces * float("nan"), tmp_path / "nan.pt")
    with pytest.raises(DamagedFileError, match="not finite"):
        stylegan2.load_codes(tmp_path / "nan.pt")
    with pytest.raises(MissingFileError, match="folder"):
        stylegan2.load_codes(tmp_path)
    with pytest.raises(DamagedFileError, match="names"):
        stylegan2.save_codes(tmp_path / "a.safetensors", faces, names=["one"])


def test_damaged_files_of_ours_pass_as_our_errors_only(tmp_path, faces):
    source = stylegan2.save_codes(tmp_path / "me.safetensors", faces[:1], names=["me"]).read_bytes()
    random = np.random.RandomState(0)
    for _ in range(200):
        data = bytearray(source)
        for place in random.randint(0, 300, 3):
            data[place] = random.randint(256)
        (tmp_path / "me.safetensors").write_bytes(data)
        try:
            stylegan2.load_codes(tmp_path / "me.safetensors")
        except CheckpointError:
            continue


def test_faces_of_a_file_are_counted_from_one():
    codes = torch.arange(3.0)[:, None, None].expand(3, 2, 4)
    file = CodesFile(codes, ("anna", "ben", "2"))
    assert [file.pick(which)[0, 0, 0].item() for which in (None, "", 1, "3", "ben", "2")] == [0, 0, 0, 2, 1, 2]
    assert [CodesFile(codes).pick(which)[0, 0, 0].item() for which in ("1", "2", 3)] == [0, 1, 2]
    for which in ("0", 4, "carl", "-1", "²", "0000000012"):
        with pytest.raises(UnsupportedFileError, match="it holds 3"):
            file.pick(which)
