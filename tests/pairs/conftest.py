"""A small job on the embedded avatars."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from micromotion.avatars.instrument import AvatarInstrument
from micromotion.files.embedded import embedded_root
from micromotion.pairs import Gate, Job, MotionPlan, Plan

OPEN = Gate(None, None, None)


def motion(name: str, *strengths: float) -> MotionPlan:
    return MotionPlan(name, str(embedded_root() / "motions" / f"{name}.safetensors"), strengths, (-0.5, 0.5))


@pytest.fixture(autouse=True, scope="module")
def shipped_weights():
    """The embedded networks themselves, whatever weights the tests of other rooms still work with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MICROMOTION_WEIGHTS", raising=False)
        yield


@pytest.fixture
def job(tmp_path):
    """``job(layout, gate=None, **plan)``: six avatars, two strengths of a smile, in ``tmp_path/set`` unless ``out`` is given."""

    def build(layout="pairs", gate=OPEN, out=None, instrument=None, **plan):
        wanted = {
            "kind": "seed",
            "keys": tuple(map(str, range(6))),
            "motions": (motion("smile", -0.3, 0.5),),
            "generator": str(embedded_root() / "generator.safetensors"),
            "test": 0.5,
            "shard": 2,
            **plan,
        }
        return Job(Plan(**wanted), str(out or tmp_path / "set"), layout, instrument, gate)

    return build


@pytest.fixture(scope="session")
def digest():
    """Names and hashes of all files of a set."""

    def hashes(out):
        files = (p for p in sorted(Path(out).rglob("*")) if p.is_file())
        return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    return hashes


@pytest.fixture
def instrument():
    return AvatarInstrument
