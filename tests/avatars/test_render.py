"""The renderer: known factors, known pictures."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from micromotion.avatars import render as rendering

NEUTRAL = {"smile": 0.05, "eyes": 0.9, "anger": 0.05, "yaw": 0.5, "age": 0.1}


def faces(count: int = 4, seed: int = 0, **factors) -> torch.Tensor:
    parameters = rendering.sample_parameters(count, seed)
    for name, value in {**NEUTRAL, **factors}.items():
        parameters[:, rendering.PARAMETERS.index(name)] = value
    return parameters


def test_images_and_masks_have_their_shapes_and_ranges():
    drawn = rendering.render(rendering.sample_parameters(5, 1), 48, rendering.sample_styles(5, 2))
    assert drawn.images.shape == (5, 3, 48, 48)
    assert drawn.images.abs().max() <= 1
    assert set(drawn.masks) == {"face", "eyes", "brows", "mouth", "hair"}
    assert all(m.shape == (5, 48, 48) and 0 <= m.min() and m.max() <= 1 for m in drawn.masks.values())


def test_same_seed_same_picture_other_seed_another():
    a, b, c = (rendering.render(rendering.sample_parameters(2, seed), 32).images for seed in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize(("factor", "value", "mask"), [("smile", 0.9, "mouth"), ("eyes", 0.0, "eyes"), ("anger", 0.9, "brows")])
def test_a_motion_changes_its_own_region_most(factor, value, mask):
    rest, moved = (rendering.render(p, 64) for p in (faces(16), faces(16, **{factor: value})))
    change = (rest.images - moved.images).abs().mean(1)
    region = torch.maximum(rest.masks[mask], moved.masks[mask])
    inside = (change * region).sum() / region.sum()
    outside = (change * (1 - region)).sum() / (1 - region).sum()
    assert inside > 5 * outside


def test_yaw_turns_the_face_both_ways():
    mouth = [rendering.render(faces(8, yaw=yaw), 64).masks["mouth"] for yaw in (0.0, 0.5, 1.0)]
    x = torch.linspace(-1, 1, 64)
    left, front, right = ((m.sum(1) * x).sum() / m.sum() for m in mouth)
    assert left < -0.15 < front < 0.15 < right


def test_age_turns_hair_grey():
    young, old = (rendering.render(faces(16, age=age), 64) for age in (0.0, 1.0))
    hair = (young.masks["hair"] * old.masks["hair"])[:, None]
    spread = [((d.images.amax(1, keepdim=True) - d.images.amin(1, keepdim=True)) * hair).sum() / hair.sum() for d in (young, old)]
    assert spread[1] < 0.5 * spread[0]


def test_larger_pictures_show_the_same_face():
    parameters = rendering.sample_parameters(4, 5)
    small, large = (rendering.render(parameters, size).images for size in (64, 256))
    assert (F.adaptive_avg_pool2d(large, 64) - small).abs().mean() < 0.03


@pytest.mark.parametrize("style", ["stone", "sketch", "bronze"])
def test_materials_lose_the_colours_of_identity(style):
    images = rendering.render(faces(8), 48, style).images / 2 + 0.5
    colour = images.mean((2, 3))
    hue = colour / colour.mean(1, keepdim=True)
    assert hue.std(0).max() < 0.06


def test_styles_are_drawn_in_their_shares_and_never_bronze():
    styles = rendering.sample_styles(4000, 6)
    shares = torch.bincount(styles, minlength=len(rendering.STYLES)) / 4000
    assert abs(shares[0] - 0.7) < 0.03
    assert (shares[1:4] - 0.1).abs().max() < 0.03
    assert shares[rendering.STYLES.index("bronze")] == 0


def test_a_wrong_shape_is_refused_with_the_right_one():
    with pytest.raises(ValueError, match=r"render takes \[N, 30\]"):
        rendering.render(torch.zeros(2, 7))
