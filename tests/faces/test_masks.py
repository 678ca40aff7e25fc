"""Soft masks over the square."""

import numpy as np
import pytest
import torch
from micromotion.faces import Crop, FaceError, masks, square_mask


@pytest.fixture
def crop(landmarks):
    return Crop.from_landmarks(landmarks, (512, 512), 256)


def bare(size=(100, 90)):
    return Crop.from_square((40, 40), (20, 0), size, 64)


@pytest.mark.parametrize("shape", ["face", "square"])
def test_a_mask_runs_from_one_to_nothing_at_the_edge(crop, shape):
    for one in (crop, bare()):
        mask = square_mask(one, shape)
        assert mask.min() == 0 and mask.max() > 0.99 and mask.dtype == torch.float32
        edge = torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert edge.max() == 0


def test_the_face_mask_covers_the_features_and_not_the_corners(crop, landmarks):
    mask = square_mask(crop)
    at = (crop.to_square(landmarks) * 256).astype(int)
    values = mask[at[:, 1], at[:, 0]]
    assert values[27:].min() > 0.9 and values[17:27].min() > 0.6 and values[:17].max() < 0.8
    assert max(mask[20, 20], mask[20, -20], mask[-8, 8], mask[-8, -8]) < 0.01


def test_size_and_softness_are_in_share_of_the_face(crop):
    small, large = (float(square_mask(crop, scale=s).mean()) for s in (0.5, 1.0))
    assert small / large == pytest.approx(0.25, abs=0.08)
    for softness in (0.1, 0.3):
        row = square_mask(crop, softness=softness, scale=0.7)[150]
        width = int(((row > 0.02) & (row < 0.98)).sum()) / 2 / 256  # of one edge, in sides
        outline_height = 0.62
        assert width == pytest.approx(softness * outline_height * 1.4, rel=0.35)


def test_softness_zero_is_hard(crop):
    mask = square_mask(crop, softness=0)
    assert float(((mask > 0.01) & (mask < 0.99)).float().mean()) < 0.02


def test_a_whole_picture_has_no_edge_to_hide():
    assert square_mask(Crop.aligned((64, 64)), "square").min() == 1
    assert square_mask(Crop.aligned((64, 64)), "face").min() == 0


def test_an_average_face_stands_in_without_landmarks(crop):
    """The outline drawn without landmarks is about that of a real face."""
    real, average = square_mask(crop), square_mask(Crop(crop.size, crop.quad, crop.side))
    overlap = torch.minimum(real, average).sum() / torch.maximum(real, average).sum()
    assert float(overlap) > 0.7


def test_impossible_masks(crop):
    with pytest.raises(FaceError, match="face or the square"):
        square_mask(crop, "hull")
    with pytest.raises(FaceError, match="softness"):
        square_mask(crop, softness=-0.1)


def test_the_mask_turns_with_the_face(landmarks):
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    level = square_mask(Crop.from_landmarks(landmarks, (512, 512), 64))
    turned = square_mask(Crop.from_landmarks(landmarks @ turn.T + [512, 0], (512, 512), 64))
    np.testing.assert_allclose(level.numpy(), turned.numpy(), atol=1e-3)


def test_softness_is_a_share_of_the_masks_own_size():
    """A small mask has a border as soft in its own measure: half the size, half the ramp."""
    crop = Crop.from_square((50, 50), (30, 0), (100, 100), 64)
    rows = [square_mask(crop, "square", scale, 0.2)[128] for scale in (1.0, 0.5)]
    widths = [((row > 0.02) & (row < 0.98)).float().sum() for row in rows]
    assert widths[1] / widths[0] == pytest.approx(0.5, abs=0.08)


def test_a_mask_is_drawn_once_for_a_crop_and_whoever_asks_has_their_own(crop, monkeypatch):
    masks.drawn_mask.cache_clear()
    drawn = []
    draw = masks._draw
    monkeypatch.setattr(masks, "_draw", lambda outline: drawn.append(len(outline)) or draw(outline))
    with torch.inference_mode():
        square_mask(crop).zero_()
    second = square_mask(Crop.from_landmarks(crop.landmarks, (512, 512), 256))
    assert len(drawn) == 1 and second.max() > 0.99
    assert not second.is_inference()  # or autograd could not keep it
    assert not torch.equal(second, square_mask(crop, softness=0.3)) and len(drawn) == 2
