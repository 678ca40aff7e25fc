"""The small networks around the generator, without long trainings."""

from __future__ import annotations

import pytest
import torch
from micromotion.avatars import renderer as rendering
from micromotion.avatars.regressor import READ, Regressor, load_regressor
from micromotion.lab import captions, sampling, train_regressor, train_scorer
from micromotion.lab.models_page import ks_distance
from micromotion.stylegan2 import MicromotionError
from micromotion.stylegan2.inversion.compact import CompactEncoder


def test_regressor_survives_its_file(tmp_path):
    torch.manual_seed(0)
    regressor = Regressor(2).eval()
    train_regressor.save_regressor(regressor, tmp_path / "r.safetensors")
    again = load_regressor(tmp_path / "r.safetensors")
    images = rendering.render(sampling.sample_parameters(3, 0), 64).images
    assert torch.allclose(regressor(images), again(images), atol=0.02)
    assert again.factors(images).shape == (3, 5)
    assert again.identity(images).shape == (3, len(rendering.IDENTITY))


def test_regressor_says_where_its_file_should_be(tmp_path):
    with pytest.raises(MicromotionError, match="no factor regressor at"):
        load_regressor(tmp_path / "none.safetensors")


def test_augmentation_keeps_range_and_is_seeded():
    images, _ = train_regressor.batch_of(8, 5)
    a, b = train_regressor.augment(images, 1), train_regressor.augment(images, 1)
    assert torch.equal(a, b)
    assert a.abs().max() <= 1
    assert (a - images).abs().mean() < 0.15


def test_ladder_loss_prefers_the_true_degree():
    truth, motions = torch.full((1, len(READ)), 0.5), captions.MOTIONS
    right, wrong = torch.zeros(2, 1, len(motions), 11)
    for m, motion in enumerate(motions):
        right[:, m, 0 if motion.both_ways else 5] = 5  # a head at rest is turned by no degree
    wrong[:, :, 10] = 5
    assert train_scorer.ladder_loss(right, truth) < train_scorer.ladder_loss(wrong, truth)


def test_caption_loss_prefers_matching_pairs():
    truth = torch.rand(6, len(rendering.PARAMETERS), generator=torch.Generator().manual_seed(0))
    masks = torch.zeros_like(truth)
    masks[:, 0] = 1
    matching = 20 * (1 - (truth[:, None, 0] - truth[None, :, 0]).abs())
    assert train_scorer.caption_loss(matching, truth, truth, masks) < train_scorer.caption_loss(-matching, truth, truth, masks)


def test_ks_distance_of_known_samples():
    a = torch.linspace(0, 1, 1001)
    assert ks_distance(a, a) < 1e-6
    assert ks_distance(a, a + 0.25) == pytest.approx(0.25, abs=2e-3)


@pytest.mark.parametrize("channels", [3, 6])
def test_compact_encoder_gives_one_offset_per_layer(channels):
    config = {"input_size": 32, "channels_in": channels, "widths": [8, 8, 16, 16], "hidden": 16, "num_layers": 8, "width": 12}
    encoder = CompactEncoder(config).eval()
    assert encoder(torch.zeros(2, channels, 32, 32)).shape == (2, 8, 12)
    assert encoder.config == config
