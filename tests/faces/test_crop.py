"""Where a square lies in a photo."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from micromotion.faces import Crop, FaceError, align, ffhq_square, sample
from PIL import Image


def test_the_square_follows_the_face_through_any_similarity(landmarks):
    center, x = ffhq_square(landmarks)
    for degrees, zoom, shift in ((33, 0.2, (5, 900)), (-135, 7, (-40, 3)), (90, 1, (0, 0))):
        turn = np.deg2rad(degrees)
        matrix = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        moved_center, moved_x = ffhq_square(landmarks @ matrix.T + shift)
        np.testing.assert_allclose(moved_center, matrix @ center + shift, atol=1e-9)
        np.testing.assert_allclose(moved_x, matrix @ x, atol=1e-9)


def test_the_square_of_a_level_face():
    """Eyes 100 px apart and a mouth 120 px below: half a side is 216 px, the middle a tenth of the way down."""
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = (100, 200), (200, 200)
    points[48], points[54] = (110, 320), (190, 320)
    crop = Crop.from_landmarks(points, (400, 500), 256)
    np.testing.assert_allclose(crop.center, (150, 212))
    np.testing.assert_allclose(crop.quad, [(-66, -4), (-66, 428), (366, 428), (366, -4)])
    assert crop.length == pytest.approx(432) and crop.shrink == 1 and crop.at(64).shrink == 3


def test_positions_there_and_back(landmarks):
    crop = Crop.from_landmarks(landmarks, (512, 512), 30)
    np.testing.assert_allclose(crop.to_photo(crop.to_square(landmarks)), landmarks, atol=1e-9)
    np.testing.assert_allclose(crop.to_square(crop.corners), [(0, 0), (0, 1), (1, 1), (1, 0)], atol=1e-12)


def test_the_half_pixel_of_the_reduction_is_known(drawn, landmarks):
    """Reading the photo at the crop's corners agrees better with the official square than without the shift."""
    smooth = Image.fromarray(drawn(128, 128)).resize((1024, 1024), Image.Resampling.BICUBIC)
    square, crop = align(smooth, landmarks * 2, 32)
    assert crop.shrink >= 3
    frame = torch.from_numpy(np.array(smooth)).permute(2, 0, 1)[None]
    unshifted = Crop(crop.size, crop.quad, crop.side)
    error = [np.abs(sample(frame, [c], 32)[0].permute(1, 2, 0).numpy() - np.asarray(square)).mean() for c in (crop, unshifted)]
    assert error[0] < 0.8 * error[1]


def test_the_box_holds_every_pixel_of_the_square():
    crop = Crop.from_square((50.2, 40.9), (20, 9), (80, 70), 64)
    left, top, right, bottom = crop.box()
    y, x = np.mgrid[:70, :80]
    at = crop.to_square(np.stack([x, y], -1))
    inside = ((at >= 0) & (at <= 1)).all(-1)
    assert inside.any() and not inside[:top].any() and not inside[bottom:].any()
    assert not inside[:, :left].any() and not inside[:, right:].any()
    assert inside[top:bottom].any(1).sum() >= bottom - top - 2  # and not much more than those


def test_a_crop_is_a_value(landmarks):
    crop = Crop.from_landmarks(landmarks, (512, 512), 64)
    assert crop == Crop.from_landmarks(landmarks, (512, 512), 64) and len({crop, crop.at(64)}) == 1
    with pytest.raises(FrozenInstanceError):
        crop.side = 3


@pytest.mark.parametrize(
    ("quad", "side", "sentence"),
    [
        ([(0, 0)] * 4, 8, "parallelogram"),
        ([(0, 0), (0, 1), (1, 1)], 8, "four finite corners"),
        ([(0, 0), (0, np.nan), (1, 1), (1, 0)], 8, "four finite corners"),
        ([(0, 0), (0, 9), (12, 9), (9, 0)], 8, "parallelogram"),
        ([(0, 0), (0, 9), (9, 9), (9, 0)], 0, "at least 1 px"),
    ],
)
def test_impossible_crops(quad, side, sentence):
    with pytest.raises(FaceError, match=sentence):
        Crop((10, 10), tuple(quad), side)
