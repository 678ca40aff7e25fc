"""The renderer: known factors, known pictures."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from micromotion.avatars import renderer as rendering
from micromotion.lab import sampling

NEUTRAL = {"smile": 0.05, "eyes": 0.9, "anger": 0.05, "yaw": 0.5, "age": 0.1}


def faces(count: int = 4, seed: int = 0, **factors) -> torch.Tensor:
    parameters = sampling.sample_parameters(count, seed)
    for name, value in {**NEUTRAL, **factors}.items():
        parameters[:, rendering.PARAMETERS.index(name)] = value
    return parameters


def test_images_and_masks_have_their_shapes_and_ranges():
    drawn = rendering.render(sampling.sample_parameters(5, 1), 48, sampling.sample_styles(5, 2))
    assert drawn.images.shape == (5, 3, 48, 48)
    assert drawn.images.abs().max() <= 1
    assert set(drawn.masks) == {"face", "eyes", "brows", "mouth", "hair"}
    assert all(m.shape == (5, 48, 48) and 0 <= m.min() and m.max() <= 1 for m in drawn.masks.values())


def test_same_seed_same_picture_other_seed_another():
    a, b, c = (rendering.render(sampling.sample_parameters(2, seed), 32).images for seed in (3, 3, 4))
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


def test_age_turns_hair_gray():
    young, old = (rendering.render(faces(16, age=age), 64) for age in (0.0, 1.0))
    hair = (young.masks["hair"] * old.masks["hair"])[:, None]
    spread = [((d.images.amax(1, keepdim=True) - d.images.amin(1, keepdim=True)) * hair).sum() / hair.sum() for d in (young, old)]
    assert spread[1] < 0.5 * spread[0]


def test_larger_pictures_show_the_same_face():
    parameters = sampling.sample_parameters(4, 5)
    small, large = (rendering.render(parameters, size).images for size in (64, 256))
    assert (F.adaptive_avg_pool2d(large, 64) - small).abs().mean() < 0.03


@pytest.mark.parametrize("style", ["stone", "sketch", "bronze"])
def test_materials_lose_the_colors_of_identity(style):
    images = rendering.render(faces(8), 48, style).images / 2 + 0.5
    color = images.mean((2, 3))
    hue = color / color.mean(1, keepdim=True)
    assert hue.std(0).max() < 0.06


def test_styles_are_drawn_in_their_shares_and_never_bronze():
    styles = sampling.sample_styles(4000, 6)
    shares = torch.bincount(styles, minlength=len(rendering.STYLES)) / 4000
    assert abs(shares[0] - 0.7) < 0.03
    assert (shares[1:4] - 0.1).abs().max() < 0.03
    assert shares[rendering.STYLES.index("bronze")] == 0


def test_a_wrong_shape_is_refused_with_the_right_one():
    with pytest.raises(ValueError, match=r"render takes \[N, 30\]"):
        rendering.render(torch.zeros(2, 7))
    with pytest.raises(ValueError, match=r"render takes \[2, 7\] for these parameters"):
        rendering.render(torch.zeros(2, 30), moves=torch.zeros(1, 7))


def moved(**moves) -> torch.Tensor:
    values = rendering.rest_moves(8)
    for name, value in moves.items():
        values[:, list(rendering.MOVES).index(name)] = value
    return values


def center(mask: torch.Tensor) -> tuple[float, float]:
    """Mean x and y of masks ``[N, S, S]``, in -1..1."""
    axis = torch.linspace(-1, 1, mask.shape[-1])
    return ((mask.sum(1) * axis).sum() / mask.sum()).item(), ((mask.sum(2) * axis).sum() / mask.sum()).item()


def test_moves_at_rest_change_no_bit():
    parameters, styles = sampling.sample_parameters(10, 8), torch.arange(10) % 5
    plain, rest = rendering.render(parameters, 48, styles), rendering.render(parameters, 48, styles, rendering.rest_moves(10))
    assert torch.equal(plain.images, rest.images)
    tilted = rendering.rest_moves(10)
    tilted[0, list(rendering.MOVES).index("tilt")] = 1.0  # the long way for all ten, the same picture for nine
    assert torch.equal(rendering.render(parameters, 48, styles, tilted).images[1:], plain.images[1:])


@pytest.mark.parametrize(("move", "value", "mask"), [
    ("mouth_open", 1.0, "mouth"), ("brows", 1.0, "brows"), ("gaze", 1.0, "eyes"), ("gaze", 0.0, "eyes"), ("wink_left", 1.0, "eyes"),
])  # fmt: skip
def test_a_move_changes_its_own_region_most(move, value, mask):
    rest, there = (rendering.render(faces(8, glasses=0.0), 64, moves=m) for m in (moved(), moved(**{move: value})))
    change = (rest.images - there.images).abs().mean(1)
    region = torch.maximum(rest.masks[mask], there.masks[mask])
    assert (change * region).sum() / region.sum() > 5 * (change * (1 - region)).sum() / (1 - region).sum()


def test_nod_and_tilt_move_the_face_both_ways():
    up, level, down = (center(rendering.render(faces(8), 64, moves=moved(nod=nod)).masks["mouth"])[1] for nod in (0.0, 0.5, 1.0))
    assert up < level - 0.05 < level + 0.05 < down
    left, upright, right = (center(rendering.render(faces(8), 64, moves=moved(tilt=tilt)).masks["brows"])[0] for tilt in (0.0, 0.5, 1.0))
    assert left < upright - 0.1 < upright + 0.1 < right


@pytest.mark.parametrize(("move", "closed"), [("wink_left", 0), ("wink_right", 1)])
def test_a_wink_closes_one_eye(move, closed):
    rest, there = (rendering.render(faces(8, glasses=0.0), 64, moves=m) for m in (moved(), moved(**{move: 1.0})))
    halves = ((rest.images - there.images).abs().mean(1) * rest.masks["eyes"]).unflatten(2, (2, 32)).sum((0, 1, 3))
    assert halves[closed] > 1 and halves[1 - closed] == 0


def test_gaze_moves_the_iris_with_the_look():
    dark = []
    for gaze in (0.0, 1.0):
        drawn = rendering.render(faces(8, glasses=0.0, skin=0.2), 128, moves=moved(gaze=gaze))
        dark.append(center((1 - drawn.images.mean(1)).clamp(min=1.2).sub(1.2) * drawn.masks["eyes"])[0])
    assert dark[0] < dark[1] - 0.03


def test_moves_rest_as_often_as_they_are_told_to():
    drawn, rest = sampling.sample_moves(2000, 9, active=0.3), rendering.rest_moves(1)
    assert torch.equal(drawn, sampling.sample_moves(2000, 9, active=0.3))
    assert ((drawn == rest).float().mean(0) - 0.7).abs().max() < 0.04
    assert 0 <= drawn.min() and drawn.max() <= 1
