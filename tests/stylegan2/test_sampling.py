"""Seeds of NVIDIA's scripts, classes by number and name, and codes that know their generator."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from micromotion import stylegan2
from micromotion.stylegan2.inversion import optimize
from micromotion.stylegan2.makers import fingerprint_of
from micromotion.stylegan2.sampling import SamplingError, class_labels, one_hot, random_z, sample_w, unchosen
from micromotion.subspaces import Subspace
from micromotion.subspaces.anchors import draw_faces


def test_nvidias_seeds_are_numpys():
    z = random_z([85, 4294967295], 512, "nvidia")
    assert torch.equal(z[0], torch.from_numpy(np.random.RandomState(85).randn(1, 512))[0].float())
    assert z.shape == (2, 512)


def test_our_own_seeds_stay_what_they_were():
    assert torch.equal(random_z([3, 7], 20)[1], torch.randn(1, 20, generator=torch.Generator().manual_seed(7))[0])


@pytest.mark.parametrize(("seeds", "of", "words"), [([1], "numpy", "no seeds of 'numpy'"), ([-1], "nvidia", "0 to 4294967295")])
def test_other_seeds_are_refused(seeds, of, words):
    with pytest.raises(SamplingError, match=words):
        random_z(seeds, 8, of)


@pytest.fixture
def classed(make, tmp_path):
    """A generator of five classes, from a file that keeps their names."""
    generator = make(c_dim=5)
    names = ["cat", "dog", "wild", "bird", "horse"]
    torch.save({"g": generator.state_dict(), "class_names": names}, tmp_path / "a.pt")
    return stylegan2.load(tmp_path / "a.pt")


def test_classes_by_number_and_name(classed, tmp_path):
    faces = {c: draw_faces(classed, [0], category=c) for c in (0, "2", "wild", "WILD", 4)}
    assert torch.equal(faces["2"], faces["wild"]) and torch.equal(faces["2"], faces["WILD"])
    assert not torch.equal(faces[0], faces[4])
    labels = torch.zeros(1, 5)
    labels[0, 2] = 1
    assert torch.equal(faces["2"], classed.map(random_z([0], 20), 0.7, labels=labels))
    kept = stylegan2.save(classed, tmp_path / "a.safetensors")
    assert torch.equal(draw_faces(stylegan2.load(kept), [0], category="dog"), draw_faces(classed, [0], category=1))


@pytest.mark.parametrize("category", ["cow", 5, "-1", "5", "²", "0000000009", "9" * 5000])
def test_absent_classes_are_refused(classed, category):
    with pytest.raises(SamplingError, match="no class.*5 classes, 0 to 4: cat, dog"):
        class_labels(classed, category, 1)


def test_generators_without_classes(small):
    assert class_labels(small, None, 3) is None and class_labels(small, "", 3) is None and unchosen(small, None) is None
    with pytest.raises(SamplingError, match="has no classes"):
        class_labels(small, 0, 1)


def test_no_class_is_said(classed):
    assert "none was chosen" in unchosen(classed, "") and unchosen(classed, 0) is None


def test_inspect_tells_the_classes(make, tmp_path):
    torch.save(make(c_dim=5).state_dict(), tmp_path / "cond.pt")
    assert "5 classes, 0 to 4" in str(stylegan2.inspect(tmp_path / "cond.pt"))


def test_the_embedding_is_part_of_the_fingerprint(make):
    one, other = make(c_dim=5), make(c_dim=5)
    other.mapping.embed.weight.data += 1
    assert one.fingerprint != other.fingerprint


def test_codes_know_their_generator_as_long_as_it_lives(make, tmp_path):
    generator = make()
    codes = generator.map(torch.randn(1, 20))
    assert fingerprint_of(codes) == generator.fingerprint and not fingerprint_of(codes.clone())
    path = stylegan2.save_codes(tmp_path / "me.safetensors", codes)
    assert stylegan2.read_codes(path).fingerprint == generator.fingerprint
    del generator
    gc.collect()
    assert fingerprint_of(codes) == ""


def test_codes_keep_their_generator_on_their_way(make, tmp_path):
    """Drawn, inverted, read, moved, picked: what is saved at the end says whose codes they are; in a file of a stranger too."""
    generator, other = make(), make(seed=1)
    drawn = draw_faces(generator, range(2))
    moved = Subspace(torch.ones(generator.num_layers, generator.width)).apply(drawn, [0.0, 1.0])
    found = optimize(generator, generator.synthesize(drawn), steps=1)
    stranger = stylegan2.read_codes(stylegan2.save_codes(tmp_path / "a.safetensors", moved), other)
    assert "another generator" in stranger.notes[0]
    for codes in (drawn, moved, found, stranger.codes, stranger.pick(2)):
        path = stylegan2.save_codes(tmp_path / "b.safetensors", codes, other)
        assert stylegan2.read_codes(path).fingerprint == generator.fingerprint


def test_codes_of_other_tools_are_of_the_generator_they_were_read_with(make, tmp_path):
    generator = make()
    np.save(tmp_path / "a.npy", draw_faces(generator, [0]).numpy())
    assert fingerprint_of(stylegan2.load_codes(tmp_path / "a.npy", generator)) == generator.fingerprint
    assert fingerprint_of(stylegan2.load_codes(tmp_path / "a.npy")) == ""


def test_what_is_measured_of_w_is_of_all_classes(classed):
    """Spread and mean see every class, although no class was chosen."""
    w = sample_w(classed, 4000)
    alone = torch.stack([classed.mapping(random_z(range(400), 20), one_hot(torch.full((400,), c), 5)).mean(0) for c in range(5)])
    none = classed.mapping(random_z(range(400), 20))
    assert (w.mean(0) - alone.mean(0)).norm() < 0.3 * (none.mean(0) - alone.mean(0)).norm()
    assert torch.equal(w[:3], sample_w(classed, 4000)[:3])
