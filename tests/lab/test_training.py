"""The trainings: what is shared, that they resume exactly, and that they learn."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from micromotion.avatars import renderer as rendering
from micromotion.avatars.regressor import READ
from micromotion.lab import captions, sampling, train_generator, train_inverter, training
from micromotion.lab.trunk import inverter_for, motion_for, trunk_of
from micromotion.stylegan2 import Architecture, load, save
from micromotion.stylegan2.inversion import EncoderInverter
from micromotion.stylegan2.ops import upsample2d
from micromotion.subspaces import Subspace


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(train_generator, "architecture", lambda: small(64))


def small(resolution: int) -> Architecture:
    channels = {r: width for r, width in {4: 16, 8: 16, 16: 16, 32: 8, 64: 8, 128: 4}.items() if r <= resolution}
    return Architecture(resolution=resolution, channels=channels, w_dim=16, z_dim=train_generator.Z_DIM, mapping_layers=2)


def test_latents_and_parameters_are_inverse_up_to_the_norm_of_z():
    z = torch.randn(64, train_generator.Z_DIM, generator=torch.Generator().manual_seed(0))
    z = z * z.square().mean(1, keepdim=True).rsqrt()
    parameters, _, _ = train_generator.parameters_of(z)
    axes = z @ train_generator.rotation()
    style, moves = torch.special.ndtr(axes[:, len(rendering.PARAMETERS)]), train_generator.moves_of(axes[:, -len(rendering.MOVES) :])
    back = torch.cat([train_generator.latents_of(p[None], s.item(), m[None]) for p, s, m in zip(parameters, style, moves)])
    kept = slice(0, -len(rendering.MOVES))  # at rest many latents are one face
    assert (back @ train_generator.rotation() - axes)[:, kept].abs().median() < 1e-4
    assert (train_generator.moves_of((back @ train_generator.rotation())[:, -len(rendering.MOVES) :]) - moves).abs().max() < 1e-5


def test_eight_of_ten_rest_in_a_move_and_the_others_reach_its_ends():
    axes = torch.randn(20_000, len(rendering.MOVES), generator=torch.Generator().manual_seed(3))
    moves, rest = train_generator.moves_of(axes), rendering.rest_moves(1)
    assert ((moves == rest).float().mean(0) - 0.8).abs().max() < 0.01
    assert torch.equal(moves.amax(0), torch.ones(len(rendering.MOVES))) and torch.equal(moves.amin(0), torch.zeros(len(rendering.MOVES)))
    assert (train_generator.moves_of(train_generator.axes_of(moves)) - moves).abs().max() < 1e-5
    still = train_generator.latents_of(sampling.sample_parameters(9, 1))
    assert torch.equal(train_generator.parameters_of(still)[2], rest.repeat(9, 1))


def test_training_draws_other_styles_and_moves_more_often_than_chance_does():
    z = torch.randn(4000, train_generator.Z_DIM, generator=torch.Generator().manual_seed(2))
    drawn, trained = (train_generator.parameters_of(latents) for latents in (z, train_generator.training_latents(4000, 2)))
    for _, styles, moves in (drawn, trained):
        assert set(styles.tolist()) == {0, 1, 2, 3} and moves.min() >= 0 and moves.max() <= 1
    styles, moves = train_generator.STYLES_OFTEN, train_generator.MOVES_OFTEN
    moving = [(moves != rendering.rest_moves(1)).float().mean(0) for _, _, moves in (drawn, trained)]
    assert (moving[0] - 0.2).abs().max() < 0.03 and (moving[1] - (0.2 + 0.8 * moves)).abs().max() < 0.08
    assert [(s == 0).float().mean().item() for _, s, _ in (drawn, trained)] == pytest.approx([0.7, 0.7 * (1 - styles)], abs=0.05)


def test_latents_give_nearly_uniform_parameters_in_all_trained_styles():
    z = torch.randn(4000, train_generator.Z_DIM, generator=torch.Generator().manual_seed(1))
    parameters, styles, _ = train_generator.parameters_of(z)
    assert (parameters.mean(0) - 0.5).abs().max() < 0.02
    assert (parameters.std(0) - 12**-0.5).abs().max() < 0.02
    assert set(styles.tolist()) == {0, 1, 2, 3}


def test_a_stopped_distillation_resumes_bit_for_bit(tiny, tmp_path, monkeypatch):
    def run(folder, stages):
        monkeypatch.setattr(train_generator, "STAGES", stages)
        return train_generator.Distillation(tmp_path / folder, 4, torch.device("cpu"), False).run().state_dict()

    monkeypatch.setattr(train_generator, "learning_rate", lambda *_, **__: 1.0)
    run("twice", ((16, 8),))
    twice, once = run("twice", ((16, 16),)), run("once", ((16, 16),))
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_a_finished_generator_is_trained_further_on_other_pictures(tiny, tmp_path, monkeypatch):
    start, seeds, draw = train_generator.Generator(train_generator.architecture()), [], train_generator.batch_of
    monkeypatch.setattr(train_generator, "batch_of", lambda count, seed, *a: seeds.append(seed) or draw(count, seed, *a))
    trainer = train_generator.Distillation(tmp_path, 4, torch.device("cpu"), False, ((16, 8),), start)
    assert all(torch.equal(v, trainer.generator.state_dict()[k]) for k, v in start.state_dict().items())
    trainer.run()
    trained = [s for s in seeds if s != 7]
    assert trained == [train_generator.FURTHER_SEEDS, train_generator.FURTHER_SEEDS + 4]
    assert any(not torch.equal(v, trainer.generator.state_dict()[k]) for k, v in start.state_dict().items())


def test_a_further_block_is_trained_alone_and_leaves_the_smaller_picture_bit_for_bit(tmp_path, monkeypatch):
    start = train_generator.Generator(small(64)).requires_grad_(False)
    monkeypatch.setattr(train_generator, "architecture", lambda: small(128))
    save(start, tmp_path / "start.safetensors")
    arguments = ["--start", str(tmp_path / "start.safetensors"), "--stages", "128:12", "--batch", "4", "--device", "cpu"]
    train_generator.main([*arguments, "--out", str(tmp_path / "run"), "--save", str(tmp_path / "grown.safetensors")])
    made = load(tmp_path / "grown.safetensors")
    below, halved = trunk_of(made), start.half().float()
    assert made.resolution == 128 and below.fingerprint == halved.fingerprint
    codes = made.map(torch.randn(2, train_generator.Z_DIM, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(below.synthesize(codes[:, : below.num_layers]), made.synthesis(codes, resolution=64))
    added = made.synthesize(codes) - train_generator.grown(below).synthesize(codes)
    assert added.abs().max() > 1e-3, "the new block has learned"


def test_a_new_block_adds_nothing_yet(monkeypatch):
    start = train_generator.Generator(small(64)).requires_grad_(False)
    monkeypatch.setattr(train_generator, "architecture", lambda: small(128))
    codes = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(0))
    image = start.synthesize(codes[:, :10])
    larger = train_generator.grown(start).requires_grad_(False)
    assert torch.allclose(larger.synthesize(codes), upsample2d(image, larger.synthesis.block(128).resample_filter), atol=1e-5)


def test_the_last_stage_of_a_new_generator_begins_at_the_averages(tmp_path, monkeypatch):
    """What is kept is the average, so that is what the last block has to be trained on."""
    monkeypatch.setattr(train_generator, "architecture", lambda: small(128))
    trainer = train_generator.Distillation(tmp_path, 4, torch.device("cpu"), False, ((16, 8), (128, 8)))
    kept = trainer.run().state_dict()
    own = trainer.generator.state_dict()
    alone = {name for name in own if name.startswith("synthesis.b128.")}
    assert all(torch.equal(kept[name], own[name]) for name in own if name not in alone)
    assert any(not torch.equal(kept[name], own[name]) for name in alone)


def test_distillation_learns(tiny, tmp_path):
    trainer = train_generator.Distillation(tmp_path, 8, torch.device("cpu"), False)
    for name, optimizer in trainer.optimizers.items():
        optimizer.param_groups[0]["lr"] = train_generator.RATES[name]
    losses = [trainer.step(8 * i, 16) for i in range(60)]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_the_finish_trains_both_networks(tiny, tmp_path):
    start = train_generator.Generator(train_generator.architecture())
    finish = train_generator.Finish(start, tmp_path, 4, torch.device("cpu"))
    critic = {k: v.clone() for k, v in finish.critic.state_dict().items()}
    result = finish.run(8)
    assert any(not torch.equal(v, finish.critic.state_dict()[k]) for k, v in critic.items())
    assert any(not torch.equal(v, result.state_dict()[k]) for k, v in start.state_dict().items())
    assert finish.checkpoint.load() == 8


def test_pictures_are_drawn_on_the_device_that_trains(monkeypatch):
    def draw(parameters, size, styles, moves):
        assert {t.device.type for t in (parameters, styles, moves)} == {"meta"}
        planes = torch.zeros(len(parameters), size, size)
        return rendering.Rendering(planes[:, None].expand(-1, 3, -1, -1), dict.fromkeys(train_generator.FEATURES, planes))

    monkeypatch.setattr(rendering, "render", draw)
    assert {t.device.type for t in train_generator.batch_of(2, 5, 16, 32, "meta")} == {"meta"}


def test_an_inverter_is_trained_with_the_statistics_it_is_used_with(tiny, tmp_path):
    """Those of the pass before any reconstruction: two passes have not the same, and a batch's own are not there when it is used."""
    generator = train_generator.Generator(train_generator.architecture())

    def moved(trainer, passes, pictures):
        before = trainer.encoder.blocks[0].norm0.running_mean.clone()
        trainer.step(0, passes, pictures)
        return not torch.equal(before, trainer.encoder.blocks[0].norm0.running_mean)

    new = train_inverter.Training(generator, tmp_path, torch.device("cpu"), False, batch=4)
    assert moved(new, 1, False) and not moved(new, 2, True)
    start = EncoderInverter(new.encoder, input_size=64, channels_in=6, passes=2)
    further = train_inverter.Training(generator, tmp_path, torch.device("cpu"), False, start, batch=4)
    assert not moved(further, 1, False) and not moved(further, 2, True)


def test_an_inverter_and_a_motion_follow_the_generator_to_more_rows_and_back(monkeypatch):
    below = train_generator.Generator(small(64)).requires_grad_(False)
    monkeypatch.setattr(train_generator, "architecture", lambda: small(128))
    larger = train_generator.grown(below).requires_grad_(False)
    torch.manual_seed(1)
    own = EncoderInverter(train_inverter.CompactEncoder(train_inverter.config(below)), input_size=64, channels_in=6, passes=2)
    grown = inverter_for(own, larger)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    seen = torch.cat([images, images.flip(0)], 1)
    offsets, more = own.encoder(seen), grown.encoder(seen)
    assert torch.allclose(more[:, :10], offsets, atol=1e-5) and torch.allclose(more[:, 10:], offsets[:, 9:], atol=1e-5)
    assert grown.card.generator == larger.fingerprint and grown.passes == 2
    again = inverter_for(grown, below)
    assert torch.equal(again.invert(below, images), own.invert(below, images)) and again.card.generator == below.fingerprint
    motion = Subspace(torch.randn(2, 10, 16), name="nod", fingerprint=below.fingerprint)
    longer = motion_for(motion, larger)
    longer.check(larger)
    assert torch.equal(longer.basis[:, 10:], motion.basis[:, 9:].expand(-1, 2, -1)) and longer.fingerprint == larger.fingerprint
    assert torch.equal(motion_for(longer, below).basis, motion.basis) and longer.layers == tuple(range(12))
    assert motion_for(replace(motion, layers=(2, 9)), larger).layers == (2, 9, 10, 11)
    assert motion_for(replace(motion, layers=(2, 3)), larger).layers == (2, 3)


def test_the_average_forgets_its_start():
    source = torch.nn.Linear(2, 2)
    average = training.Average(source, 0.999)
    with torch.no_grad():
        source.weight.add_(1)
    for step in range(100):
        average.update(source, step)
    assert torch.allclose(average.module.weight, source.weight, atol=1e-3)


def test_captions_claim_what_they_say():
    rng = random.Random(0)
    drawn = [captions.random_caption(rng) for _ in range(300)]
    assert all(claims and set(claims) <= set(READ) for _, claims in drawn)
    assert set(rendering.MOVES) <= {name for _, claims in drawn for name in claims}
    assert all(0 <= value <= 1 for _, claims in drawn for value in claims.values())
    assert all("{" not in text and "  " not in text for text, _ in drawn)


@pytest.mark.parametrize(("text", "value"), [("no", 0.0), ("30%", 0.3), ("100%", 1.0), ("fully", 1.0), ("half", 0.5)])
def test_degree_words_have_values(text, value):
    assert captions.degree_value(text) == value


def test_a_motion_runs_between_its_ends():
    eyes = next(m for m in captions.MOTIONS if m.name == "eyes")
    assert (eyes.value(0), eyes.value(0.5), eyes.value(1)) == (1, 0.5, 0)
