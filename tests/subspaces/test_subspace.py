"""The Subspace: apply, several at once, the file, and what is refused."""

from __future__ import annotations

import json
import logging
import os

import pytest
import torch
from micromotion.files.errors import MicromotionError
from micromotion.subspaces import Calibration, Subspace, SubspaceError, apply_motions, fit
from safetensors.torch import load_file, save_file
from synthetic import direction, line


def subspace(rank: int = 1, **fields) -> Subspace:
    return Subspace(torch.stack([direction(seed=k) for k in range(rank)]).float(), **fields)


CODE = torch.randn(6, 32, generator=torch.Generator().manual_seed(9))


def test_a_coefficient_moves_a_code_along_the_direction():
    s = subspace(calibration=Calibration(scale=(2.0,)))
    out = s.apply(CODE, [0.0, 0.5, -1.0])
    assert torch.allclose(out, CODE + torch.tensor([0.0, 0.5, -1.0])[:, None, None] * 2 * direction().float(), atol=1e-6)


@pytest.mark.parametrize("code", [CODE, CODE[None], torch.zeros(6, 32).neg(), CODE.half()])
def test_coefficient_zero_is_the_code_bit_for_bit(code):
    out = subspace().apply(code, [0.0, 1.0, 0.0])
    code = code.reshape(1, 6, 32)
    assert out.dtype == code.dtype
    for frame in (0, 2):
        assert out[frame].numpy().tobytes() == code[0].numpy().tobytes()


def test_each_frame_may_have_its_own_code():
    codes = torch.randn(4, 6, 32)
    out = subspace().apply(codes, torch.arange(4.0))
    assert torch.allclose(out, codes + torch.arange(4.0)[:, None, None] * direction().float(), atol=1e-5)
    assert torch.allclose(subspace().apply(codes, 2.0), codes + 2 * direction().float(), atol=1e-5)


def test_rank_k_takes_k_coefficients_and_one_moves_the_first():
    s = subspace(2)
    out = s.apply(CODE, torch.tensor([[1.0, -2.0]]))
    assert torch.allclose(out[0], CODE + direction().float() - 2 * direction(seed=1).float(), atol=1e-5)
    assert torch.equal(s.apply(CODE, [1.0]), s.apply(CODE, torch.tensor([[1.0, 0.0]])))


def test_several_motions_add_each_with_its_own_sweep():
    a, b = subspace(), Subspace(direction(seed=1).float())
    out = apply_motions(CODE, [(a, [0.0, 1.0]), (b, 0.5)])
    assert torch.allclose(out[1], CODE + direction().float() + 0.5 * direction(seed=1).float(), atol=1e-5)
    assert torch.allclose(out[0], CODE + 0.5 * direction(seed=1).float(), atol=1e-5)
    still = apply_motions(CODE, [(a, [0.0, 1.0]), (b, [0.0, 0.0])])
    assert torch.equal(still[0], CODE)
    assert torch.equal(apply_motions(CODE, []), CODE[None])


def test_a_file_brings_everything_back(tmp_path):
    codes, degrees, _ = line(direction())
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    s = fit(codes, degrees, "rpca", name="smile", license="CC0", layers="0-4")
    s = Subspace(
        **{
            **vars(s),
            "preview": png,
            "calibration": Calibration("one smile", (0.5,), ((-1.0, 1.5),), "regressor", {"response": [0.0, 1.0]}),
        }
    )
    path = tmp_path / "smile.safetensors"
    s.save(path)
    t = Subspace.load(path)
    assert torch.equal(t.basis, s.basis)
    assert torch.equal(t.spectrum, s.spectrum)
    for name in set(vars(s)) - {"basis", "spectrum"}:
        assert getattr(t, name) == getattr(s, name), name
    assert path.stat().st_size < 200_000
    assert t.safe_range == (-1.0, 1.5)
    assert [p.name for p in tmp_path.iterdir()] == ["smile.safetensors"]


def test_a_full_size_file_stays_small(tmp_path):
    Subspace(torch.randn(1, 18, 512)).save(tmp_path / "s.safetensors")
    assert (tmp_path / "s.safetensors").stat().st_size < 60_000


def test_a_subspace_loaded_in_inference_mode_is_an_ordinary_one(tmp_path):
    subspace().save(tmp_path / "s.safetensors")
    with torch.inference_mode():
        s = Subspace.load(tmp_path / "s.safetensors")
        t = Subspace(torch.randn(6, 32))
    code = CODE.clone().requires_grad_(True)
    (s.apply(code, 1.0) + t.apply(code, 1.0)).sum().backward()
    assert code.grad is not None


def test_siblings_of_the_same_shape_are_warned_about(generator, caplog):
    with caplog.at_level(logging.WARNING):
        subspace(fingerprint=generator.fingerprint).check(generator)
    assert not caplog.records
    subspace(fingerprint="0123456789abcdef", name="smile").check(generator)
    other = f"The motion smile was made with another generator of the same shape (0123456789abcdef, not {generator.fingerprint})"
    assert other in caplog.text and "make it again with this one" in caplog.text


def test_a_motion_is_a_stranger_only_where_both_generators_are_known():
    assert not subspace(fingerprint="a").stranger("") and not subspace().stranger("b") and not subspace(fingerprint="a").stranger("a")
    assert "(a, not b)" in subspace(fingerprint="a").stranger("b")


def test_another_shape_is_refused_with_both_sizes(generator):
    other = Subspace(torch.randn(18, 512), name="smile")
    with pytest.raises(SubspaceError, match=r"'smile' was made for a 1024 px generator \(18 layers of 512\).* 16 px .*6 layers of 32"):
        other.check(generator)
    with pytest.raises(SubspaceError, match="18 layers"):
        other.apply(CODE, 1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: subspace(2).apply(CODE, torch.zeros(3, 3)), r"has rank 2: give \[frames\] or \[frames, 2\]"),
        (lambda: subspace().apply(CODE, [float("nan")]), "not a finite number"),
        (lambda: subspace().apply(CODE, []), "no coefficients"),
        (lambda: subspace().apply(CODE, "1"), "cannot be read as numbers"),
        (lambda: subspace().apply(CODE / 0, [0.0]), "not finite"),
        (lambda: subspace().apply(CODE.long(), [0.0]), "int64"),
        (lambda: Subspace(torch.zeros(512, 18)).apply(CODE, 1.0), "made for another generator"),
        (lambda: subspace().apply(torch.zeros(3, 6, 32), torch.zeros(4)), "3 and 4 frames"),
        (lambda: subspace().apply(torch.zeros(32), torch.zeros(4)), "shape"),
        (lambda: Subspace(torch.full((6, 32), float("nan"))), "not finite"),
        (lambda: Subspace(torch.zeros(32)), "shape"),
        (lambda: Subspace(torch.zeros(2, 6, 32), calibration=Calibration(scale=(1.0, 1.0, 1.0))), "2 components"),
        (lambda: Subspace(torch.zeros(6, 32), layers=(9,)), "beyond its own"),
    ],
)
def test_bad_coefficients_and_subspaces_get_one_sentence(call, words):
    with pytest.raises(SubspaceError, match=words):
        call()


def changed(path, tensors=None, drop=(), **header):
    content = load_file(path)
    old = {"kind": "subspace", "version": 1}
    tensors = {**{k: v for k, v in content.items() if k not in drop}, **(tensors or {})}
    save_file(tensors, str(path), metadata={"micromotion": json.dumps({**old, **header})})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2.*Update"),
        ({"version": None}, "version None"),
        ({"kind": "generator"}, "is a generator"),
        ({"name": 5}, "its name is not"),
        ({"degrees": "abc"}, "its degrees is not"),
        ({"degrees": [float("nan")]}, "its degrees is not"),
        ({"layers": [1.5]}, "its layers is not"),
        ({"layers": [70]}, "beyond its own"),
        ({"calibration": {"scale": [1.0, 2.0]}}, "1 components"),
        ({"calibration": {"safe": [[2.0, 1.0]]}}, "its safe is not"),
        ({"calibration": []}, "its calibration is not"),
        ({"calibration": {"scale": [1e308]}}, "endless"),
        ({"outlier_share": 10**400}, "its outlier_share is not"),
        ({"drop": ("basis",)}, "its basis is missing"),
        ({"tensors": {"basis": torch.full((1, 6, 32), float("inf"))}}, "not finite"),
        ({"tensors": {"basis": torch.zeros(5)}}, "shape"),
        ({"tensors": {"spectrum": torch.zeros(2, 2)}}, "row of numbers"),
        ({"tensors": {"preview": torch.zeros(9, dtype=torch.uint8)}}, "not a PNG"),
    ],
)
def test_damaged_and_foreign_files_get_one_sentence(tmp_path, change, words):
    path = tmp_path / "s.safetensors"
    subspace().save(path)
    changed(path, **change)
    with pytest.raises(MicromotionError, match=words):
        Subspace.load(path)


def test_other_files_get_one_sentence(tmp_path):
    path = tmp_path / "s.safetensors"
    with pytest.raises(MicromotionError, match="no file"):
        Subspace.load(path)
    subspace().save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(MicromotionError, match="damaged"):
        Subspace.load(path)
    path.write_bytes(b"not a tensor file")
    with pytest.raises(MicromotionError, match="damaged"):
        Subspace.load(path)
    save_file({"basis": torch.zeros(1, 6, 32)}, str(path))
    with pytest.raises(MicromotionError, match="not a motion"):
        Subspace.load(path)
    for no_json in ("{", "[" * 100_000):
        save_file({"basis": torch.zeros(1, 6, 32)}, str(path), metadata={"micromotion": no_json})
        with pytest.raises(MicromotionError, match="not JSON"):
            Subspace.load(path)


def test_unknown_fields_of_a_known_version_are_left_alone(tmp_path):
    path = tmp_path / "s.safetensors"
    subspace().save(path)
    changed(path, mood="sunny", name="smile")
    assert Subspace.load(path).name == "smile"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_file_may_be_read_by_whom_the_users_own_files_may(tmp_path):
    (tmp_path / "plain").touch()
    subspace().save(tmp_path / "s.safetensors")
    assert (tmp_path / "s.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_unwritable_place_gets_one_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(MicromotionError, match="cannot be written"):
        subspace().save(tmp_path / "absent" / "s.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "words"), [("codes", "a file of face codes, not a motion"), (5, "a file of an unknown kind"), (None, "unknown kind")]
)
def test_a_file_of_another_kind_is_called_what_it_is(kind, words, tmp_path):
    header = json.dumps({"kind": kind, "version": 1})
    save_file({"basis": torch.zeros(1, 6, 32)}, str(tmp_path / "m.safetensors"), metadata={"micromotion": header})
    with pytest.raises(MicromotionError, match=words):
        Subspace.load(tmp_path / "m.safetensors")
