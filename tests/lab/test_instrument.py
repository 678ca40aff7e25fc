"""The instrument by itself, on readings and renders whose truth is known: signs, identity, the gate, the seed."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from micromotion.avatars.motions import MOTIONS
from micromotion.lab import evaluate
from micromotion.lab.evaluation import instrument
from micromotion.lab.evaluation.measure import Readings
from micromotion.lab.evaluation.world import FACTORS, FULL, TEST, World, factor_of, sign_of


def readings(factors: torch.Tensor, identity: torch.Tensor) -> Readings:
    return Readings(torch.linspace(0, 1, factors.shape[1]), factors, identity, torch.zeros(factors.shape[:2]))


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda m: m.name)
@pytest.mark.parametrize("towards", (1.0, -1.0))
def test_a_response_that_goes_the_wrong_way_is_negative(motion, towards):
    steps = torch.linspace(0, 0.4, 5)
    factors = torch.full((2, 5, len(FACTORS)), 0.5)
    factors[:, :, factor_of(motion)] += towards * sign_of(motion) * steps
    assert torch.allclose(readings(factors, torch.ones(2, 5, 3)).response(motion), (towards * steps).expand(2, -1), atol=1e-6)


def test_identity_is_compared_with_the_face_at_rest():
    angles = torch.tensor([0.0, math.pi / 3, math.pi / 2])
    identity = torch.stack([angles.cos(), angles.sin()], 1)[None]  # [1, 3, 2]
    found = readings(torch.zeros(1, 3, len(FACTORS)), identity)
    assert [float(found.same(i)) for i in range(3)] == pytest.approx([1, 0.5, 0], abs=1e-6)
    motion = MOTIONS[0]
    worked = torch.zeros(1, 3, len(FACTORS))
    worked[:, 1:, factor_of(motion)] = sign_of(motion)
    assert readings(worked, identity).success(motion, 1.0) == 0, "all of the change, and another face"
    assert readings(worked, torch.ones_like(identity)).success(motion, 1.0) == 1


def stand_in(factors) -> SimpleNamespace:
    """A study whose pictures are their own parameters, read by ``factors``."""
    world = SimpleNamespace(draw=lambda parameters, style: parameters, factors=factors)
    return SimpleNamespace(world=world, sizes=SimpleNamespace(gate=instrument.CHUNK))


def blind(name: str):
    """Reads every factor but one."""
    column = FACTORS.index(name)

    def factors(pictures: torch.Tensor) -> torch.Tensor:
        read = pictures[:, : len(FACTORS)].clone()
        read[:, column] = 0.5
        return read

    return factors


def test_the_gate_passes_the_truth_and_nothing_that_misses_one_factor(monkeypatch):
    def batch_of(count: int, seed: int, active: float) -> tuple[torch.Tensor, torch.Tensor]:
        parameters = instrument.sampling.sample_parameters(count, seed)
        return parameters, parameters

    monkeypatch.setattr(instrument, "batch_of", batch_of)
    passed = instrument.gate(stand_in(lambda pictures: pictures[:, : len(FACTORS)]))
    assert passed["passed"] and passed["styles"] == list(instrument.rendering.STYLES)
    for name in FACTORS:
        failed = instrument.gate(stand_in(blind(name)))
        assert not failed["passed"] and failed["styles"] == []


def test_the_gate_wants_photos(monkeypatch):
    """Passing on all styles together is not enough where photos by themselves fail."""
    monkeypatch.setattr(instrument, "batch_of", lambda count, seed, active: (instrument.sampling.sample_parameters(count, seed),) * 2)
    study = stand_in(lambda pictures: pictures[:, : len(FACTORS)])
    study.world.draw = lambda parameters, style: parameters + (0.4 if style == "photo" else 0.0)
    found = instrument.gate(study)
    assert not found["passed"] and "photo" not in found["styles"] and len(found["styles"]) > 0


def test_the_seed_of_the_command_draws_other_faces(monkeypatch, tmp_path):
    asked = []

    def load_world(weights, sizes, seed, device, px):
        asked.append((seed, px))
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "load_world", load_world)
    for arguments in ([], ["--seed", "5", "--px", "128"]):
        with pytest.raises(KeyboardInterrupt):
            evaluate.main([*arguments, "--out", str(tmp_path)])
    assert asked == [(0, 64), (5, 128)]
    drawn = [World(None, None, sizes=FULL, seed=seed).neutral(4, TEST) for seed in (0, 5, 5)]
    assert torch.equal(drawn[1], drawn[2]) and not torch.allclose(drawn[0], drawn[1], atol=0.1)
