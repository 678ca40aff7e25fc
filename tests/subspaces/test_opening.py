"""One loader and one description of motions, for every door."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from micromotion.files import native
from micromotion.files.errors import DamagedFileError, MicromotionError
from micromotion.subspaces import Calibration, Subspace
from micromotion.subspaces.describing import describe_motion
from micromotion.subspaces.opening import open_motion

D = torch.arange(6 * 32, dtype=torch.float32).reshape(6, 32)


def test_our_own_files_and_plain_directions_are_opened(tmp_path, generator):
    Subspace(D, name="nod", fingerprint=generator.fingerprint).save(tmp_path / "nod.safetensors")
    np.save(tmp_path / "plain.npy", D.numpy())
    with torch.inference_mode():
        ours, plain = (open_motion(tmp_path / name, generator) for name in ("nod.safetensors", "plain.npy"))
    assert torch.equal(ours.direction, D) and ours.name == "nod" and not ours.basis.is_inference()
    assert plain.direction.norm() == pytest.approx(10) and plain.name == "plain"
    own = open_motion(tmp_path / "plain.npy", generator, strength=None)
    assert torch.allclose(own.direction, D)


def test_what_is_not_a_motion_is_named(tmp_path, generator):
    for kind, words in {"codes": "face codes", "inverter": "an inverter", "scorer": "a scorer", "generator": "a generator"}.items():
        native.write(tmp_path / f"{kind}.safetensors", kind, {}, {"codes": D[None]})
        with pytest.raises(MicromotionError, match=f"{kind}.safetensors holds {words}, not a motion"):
            open_motion(tmp_path / f"{kind}.safetensors", generator)
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    with pytest.raises(DamagedFileError):
        open_motion(tmp_path / "cut.safetensors")
    Subspace(torch.ones(4, 32)).save(tmp_path / "small.safetensors")
    with pytest.raises(MicromotionError, match="belong together"):
        open_motion(tmp_path / "small.safetensors", generator)


def test_the_description_says_every_fact_that_is_known():
    calibration = Calibration(unit="a nod", safe=((-0.5, 1.25),))
    known = Subspace(D, torch.tensor([3.0, 1.0]), "nod", template="a {degree} nod", calibration=calibration, license="CC0", notes=("Ha.",))
    told = describe_motion(known)
    for fact in ("nod", "a {degree} nod", "6 layers of 32, rank 1", "90%, 100%", "a nod", "-0.50 to +1.25", "CC0", "Ha.", "1.38"):
        assert fact in told
    bare = describe_motion(Subspace(D))
    assert "not measured" in bare and "license" not in bare and "variance" not in bare


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), 0, -1, 1e9, "much"])
def test_a_length_that_is_none_is_refused_whatever_the_file(tmp_path, generator, strength):
    """Our own motions have a length already, but a number that makes no sense is a mistake there too."""
    Subspace(torch.ones(generator.num_layers, generator.width)).save(tmp_path / "m.safetensors")
    torch.save(torch.ones(generator.num_layers, generator.width), tmp_path / "d.pt")
    for name in ("m.safetensors", "d.pt"):
        with pytest.raises(MicromotionError, match="The length of one unit is"):
            open_motion(tmp_path / name, strength=strength)
