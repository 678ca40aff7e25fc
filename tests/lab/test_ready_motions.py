"""How the ready motions are made: clips of one change each, and the regressor that learns to read the moves."""

from __future__ import annotations

import pytest
import torch
from micromotion.avatars import renderer as rendering
from micromotion.avatars.instrument import AvatarInstrument
from micromotion.avatars.motions import FURTHER, MOTIONS
from micromotion.avatars.regressor import READ, Member, Regressor
from micromotion.files import embedded
from micromotion.lab import make_motions, sampling, train_generator, train_regressor

ALL = (*MOTIONS, *FURTHER)


def test_every_ready_motion_has_a_name_that_the_doors_know():
    assert tuple(m.name for m in ALL) == embedded.MOTIONS and tuple(m.name for m in MOTIONS) == embedded.PAPER
    assert {m.parameter for m in FURTHER} == set(rendering.MOVES)
    assert all(m.low == rendering.MOVES[m.parameter] for m in FURTHER), "a move begins at rest"


@pytest.mark.parametrize("motion", ALL, ids=lambda m: m.name)
def test_a_clip_changes_one_thing_and_ends_where_the_motion_does(motion, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        make_motions.rendering, "render", lambda p, size, style, moves: drawn.update(all=torch.cat([p, moves], 1)) or rendering_of(p)
    )
    make_motions.clip(motion, 3)
    run, column = drawn["all"], READ.index(motion.parameter)
    assert run[-1, column] == motion.high and run[0, column] == (1 - motion.high if motion.both_ways else motion.low)
    others = [i for i in range(len(READ)) if i != column]
    assert (run[:, others] == run[:1, others]).all()
    assert torch.equal(run[0, [READ.index(m) for m in rendering.MOVES if m != motion.parameter]].unique(), torch.tensor([0.0, 0.5]))


def rendering_of(parameters: torch.Tensor) -> rendering.Rendering:
    return rendering.Rendering(torch.zeros(len(parameters), 3, 4, 4), {})


@pytest.mark.parametrize("motion", ALL, ids=lambda m: m.name)
def test_calibration_faces_are_at_rest_but_for_the_motion(motion):
    class Exact:
        w_avg = torch.zeros(1)

        def map(self, z):
            return torch.cat([train_generator.parameters_of(z)[k] for k in (0, 2)], 1)

    rest = {**dict.fromkeys(rendering.FACTORS), **make_motions.REST, **rendering.MOVES}
    for codes, value in ((make_motions.at_rest(Exact(), motion), rest[motion.parameter]), (make_motions.faces(Exact(), motion, 0.8), 0.8)):
        for name, at in rest.items():
            asked = value if name == motion.parameter else at
            assert (codes[:, READ.index(name)] - asked).abs().median() < 0.1


def test_a_grown_regressor_reads_the_old_columns_as_before():
    torch.manual_seed(0)
    old = Member(len(rendering.PARAMETERS)).eval()
    new, images = train_regressor.grown(old).eval(), rendering.render(sampling.sample_parameters(3, 0), 64).images
    read, before = (torch.cat([member(image[None]) for image in images]) for member in (new, old))  # together, some CPUs round by the width
    assert read.shape == (3, len(READ)) and torch.equal(read[:, : len(rendering.PARAMETERS)], before)
    assert all(p.requires_grad for p in new.parameters())


def test_the_regressor_is_trained_on_every_move():
    images, truth = train_regressor.batch_of(64, 5)
    assert truth.shape == (64, len(READ))
    moving = truth[:, len(rendering.PARAMETERS) :] != rendering.rest_moves(1)
    assert (moving.float().mean(0) - train_regressor.ACTIVE).abs().max() < 0.2
    at_rest = rendering.render(truth[:, : len(rendering.PARAMETERS)], 64).images
    assert (images - at_rest)[moving.any(1)].abs().mean() > 0


def test_the_instrument_reads_moves_from_their_own_columns(tmp_path):
    torch.manual_seed(1)
    regressor = Regressor(1).eval()
    train_regressor.save_regressor(regressor, tmp_path / "r.safetensors")
    instrument = AvatarInstrument(tmp_path / "r.safetensors")
    images = rendering.render(sampling.sample_parameters(2, 0), 64).images
    read, rest = instrument.meter("nod")
    assert torch.equal(read(images), instrument.regressor(images)[:, READ.index("nod")]) and rest == 0.5
    assert instrument.meant_by("wink_left") == {"wink_left": 1.0} and instrument.meant_by("brows") == {"brows": 0.5}
