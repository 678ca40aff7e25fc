"""Baselines in other spaces, and the recognizer: in worlds whose answers are known."""

from __future__ import annotations

import pytest
import torch
from micromotion.avatars.motions import MOTIONS
from micromotion.files.errors import MicromotionError
from micromotion.lab import train_recognizer
from micromotion.lab.evaluation import recognizer, spaces
from micromotion.lab.evaluation.cache import Cache
from micromotion.lab.evaluation.study import INVERTED, ORACLE, POOLED, Study
from micromotion.lab.evaluation.world import FACTORS, STEP
from micromotion.stylegan2 import Architecture, Generator
from toy import ExactInverter, toy

SMILE, EYES = MOTIONS[:2]


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(toy(inverter=ExactInverter()), Cache(tmp_path, "toy"), MOTIONS[:2])


def tiny() -> Generator:
    torch.manual_seed(0)
    arch = Architecture(resolution=8, channels={4: 6, 8: 4}, w_dim=5, z_dim=5, mapping_layers=2)
    return Generator(arch).eval().requires_grad_(False)


def test_styles_are_shifted_within_and_as_before_outside():
    generator, codes = tiny(), torch.randn(2, 4, 5)
    plain, styles = generator.synthesize(codes), spaces.styles_of(generator, codes)
    offsets = torch.zeros(styles.shape[1])
    offsets[0] = 2.0
    with spaces.shifted(generator, offsets):
        assert torch.allclose(spaces.styles_of(generator, codes), styles + offsets, atol=1e-6)
        assert not torch.equal(generator.synthesize(codes), plain)
    with spaces.shifted(generator, 0 * offsets):
        assert torch.equal(generator.synthesize(codes), plain)
    assert torch.equal(generator.synthesize(codes), plain)
    assert styles.shape[1] == 6 + 6 + 4  # conv1 at 4 px, then conv0 and conv1 at 8 px; none of toRGB


def test_a_failure_within_leaves_the_styles_as_they_were():
    generator = tiny()
    with pytest.raises(RuntimeError), spaces.shifted(generator, torch.zeros(16)):
        raise RuntimeError
    assert "styles" not in vars(generator.synthesis)


def test_the_best_channel_moves_the_asked_factor_and_its_side_follows_the_motion(study):
    factors = torch.zeros(3, 5)
    factors[0, FACTORS.index("smile")], factors[0, FACTORS.index("age")] = 0.6, 0.6
    factors[1, FACTORS.index("smile")] = -0.3
    factors[2, FACTORS.index("eyes")] = 0.5
    study.cache.tensors("style-channels", lambda: {"spreads": torch.tensor([1.0, 2.0, 3.0]), "factors": factors})
    assert spaces.best_channel(study, SMILE).tolist() == [0.0, -2.0, 0.0]
    assert spaces.best_channel(study, EYES).tolist() == [0.0, 0.0, -3.0]


def test_the_global_direction_keeps_the_channels_that_change_pictures_as_the_words_change(study):
    class Scorer:
        def encode_texts(self, texts):
            return torch.tensor([[1.0, 0.0], [0.0, 0.0]])

    vectors = torch.tensor([[1.0, 0.1]] + [[0.0, 1.0]] * 99)
    study.cache.tensors("style-channels", lambda: {"spreads": torch.full((100,), 2.0), "vectors": vectors, "factors": torch.zeros(100, 5)})
    object.__setattr__(study.world, "scorer", Scorer())
    found = spaces.global_direction(study, SMILE)
    assert found[0] == pytest.approx(2 * 1 / 1.01**0.5) and found[1:].abs().max() == 0


def test_the_flow_moves_a_face_of_a_linear_world_by_what_is_asked(study):
    flow = spaces.fit_flow(*(x if k == 0 else x[:, : len(FACTORS)] for k, x in enumerate(study.labeled())))
    readings, images = spaces.sweep_flow(study.world, flow, study.world.tests(5), EYES, [0.0, STEP["eyes"]])
    assert torch.allclose(readings.response(EYES)[:, 1], torch.tensor(STEP["eyes"]), atol=0.15)
    assert images.shape[0] == 5
    same, _ = spaces.sweep_flow(study.world, flow, study.world.tests(5), EYES, [0.0, 0.0])
    assert torch.allclose(same.factors[:, 0], study.world.factors(study.world.show(study.world.tests(5).codes)), atol=1e-4)


def test_a_flow_follows_the_labels_scale():
    g = torch.Generator().manual_seed(0)
    labels = torch.rand(4000, 5, generator=g)
    codes = torch.randn(4000, 2, generator=g) * torch.exp(labels[:, :1])
    flow = spaces.fit_flow(codes, labels)
    before, after = torch.zeros(1, 5), torch.zeros(1, 5)
    after[0, 0] = 1.0
    moved = flow.edit(torch.ones(1, 1, 2), before, after)
    assert moved.mean() == pytest.approx(2.718, rel=0.15)


def test_partners_are_told_from_strangers():
    eye = torch.eye(20)
    found = recognizer.verification(eye, eye)
    assert found["area"] == 1 and found["found"] == 1 and found["threshold"] < 0.01
    blind = recognizer.verification(eye, eye.roll(1, 0))
    assert blind["found"] == 0 and blind["area"] < 1


def test_a_person_is_what_two_pictures_share(monkeypatch):
    drawn = []
    render = recognizer.rendering.render
    monkeypatch.setattr(recognizer.rendering, "render", lambda p, *rest: drawn.append(p) or render(p, *rest))
    recognizer.pictures_of_people(4, 0)
    names = recognizer.rendering.PARAMETERS
    same = {n for i, n in enumerate(names) if torch.equal(drawn[0][:, i], drawn[1][:, i])}
    assert same == set(names) - set(FACTORS) - set(recognizer.AROUND)


def test_a_recognizer_is_trained_resumed_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(train_recognizer, "PEOPLE", 4)
    network = train_recognizer.train(tmp_path, 8, False)
    again = train_recognizer.train(tmp_path, 8, False)
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values()))
    recognizer.save_recognizer(network, tmp_path / "r.safetensors")
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    read = recognizer.load_recognizer(tmp_path / "r.safetensors")(pictures)
    assert torch.allclose(read, network(pictures), atol=0.02) and torch.allclose(read.norm(dim=1), torch.ones(2))
    with pytest.raises(MicromotionError, match=r"lab\.train_recognizer"):
        recognizer.load_recognizer(None)


def test_the_same_person_is_found_after_a_motion_that_leaves_the_person(study, tmp_path, monkeypatch):
    monkeypatch.setattr(
        recognizer, "load_recognizer", lambda _: lambda x: torch.nn.functional.normalize(x.flatten(1)[:, 5:30] - 0.5, dim=1)
    )
    monkeypatch.setattr(recognizer, "quality", lambda _: {"area": 1.0, "found": 1.0, "threshold": 0.9})
    kept = {(r["group"], r["motion"]): r["value"] for r in recognizer.run(study)["rows"] if r["metric"] == recognizer.KEPT.key}
    assert kept[f"{INVERTED}, {POOLED}", "smile"] == kept[ORACLE, "eyes"] == 1
