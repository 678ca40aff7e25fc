"""Photo -> square: the published procedure bit for bit, its tensor form, and what is refused."""

import numpy as np
import pytest
import torch
from micromotion.faces import Crop, Face, FaceError, align, sample
from PIL import Image

CASES = {
    "inside": dict(zoom=1, cut=(0, 0), out=256, transform=256),
    "shrink": dict(zoom=4, cut=(0, 0), out=128, transform=128),
    "pad": dict(zoom=1, cut=(150, 60), out=256, transform=256),
    "pad one side": dict(zoom=1, cut=(0, 70), out=200, transform=200),
    "supersample": dict(zoom=1, cut=(0, 0), out=256, transform=1024),
    "shrink and pad": dict(zoom=4, cut=(560, 250), out=64, transform=256),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request, photo, landmarks):
    zoom, (x, y) = request.param["zoom"], request.param["cut"]
    large = np.asarray(Image.fromarray(photo).resize((512 * zoom, 512 * zoom), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(large[y:, x:]), landmarks * zoom - (x, y), request.param["out"], request.param["transform"]


def test_square_equals_the_published_procedure_bit_for_bit(case, official_align):
    picture, points, out, transform = case
    square, crop = align(picture, points, out, transform_size=transform)
    np.testing.assert_array_equal(square, official_align(picture, points, out, transform))
    assert crop.size == picture.shape[1::-1] and crop.side == out


def test_drawn_picture_equals_the_published_procedure(drawn, landmarks, official_align):
    picture = drawn(300, 260)
    points = (landmarks - landmarks.mean(axis=0)) @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + [150.3, 140.7]
    square, _ = align(picture, points, 96)
    np.testing.assert_array_equal(square, official_align(picture, points, 96, 96))


def test_every_form_of_a_picture_gives_the_same_square(photo, landmarks):
    square, crop = align(photo, landmarks, 128)
    unit = torch.from_numpy(photo).permute(2, 0, 1) / 255
    as_pil, _ = align(Image.fromarray(photo), landmarks, 128)
    signed, again = align(unit[None] * 2 - 1, landmarks, 128)
    positive, _ = align(unit, landmarks, 128, value_range=(0, 1))
    np.testing.assert_array_equal(np.asarray(as_pil), square)
    assert signed.shape == (1, 3, 128, 128) and signed.dtype == torch.float32 and again == crop
    np.testing.assert_array_equal(((signed[0] + 1) * 127.5).round().permute(1, 2, 0).numpy(), square)
    np.testing.assert_array_equal((positive * 255).round().permute(1, 2, 0).numpy(), square)


def test_gray_and_alpha_give_color_squares(photo, landmarks):
    gray = np.asarray(Image.fromarray(photo).convert("L"))
    square, _ = align(gray, landmarks, 64)
    assert square.shape == (64, 64, 3) and (square[..., 0] == square[..., 2]).all()
    with_alpha = np.dstack([photo, np.full(photo.shape[:2], 7, np.uint8)])
    np.testing.assert_array_equal(align(with_alpha, landmarks, 64)[0], align(photo, landmarks, 64)[0])


def test_all_faces_of_a_photo_are_a_batch(photo, landmarks):
    other = landmarks * 0.8 + [20, 60]
    squares, crops = align(photo, [Face(landmarks, (0, 0, 1, 1)), Face(other, (0, 0, 1, 1))], 64)
    assert squares.shape == (2, 64, 64, 3) and len(crops) == 2
    np.testing.assert_array_equal(squares[1], align(photo, other, 64)[0])


def test_one_crop_serves_a_batch_of_pictures(photo, landmarks):
    batch = np.stack([photo, photo[:, ::-1]])
    squares, crop = align(batch, landmarks, 64)
    assert squares.shape == (2, 64, 64, 3) and isinstance(crop, Crop)
    np.testing.assert_array_equal(align(photo[:, ::-1].copy(), crop, 64)[0], squares[1])


def test_an_aligned_picture_stays_as_it_is(drawn):
    picture = drawn(96, 96)
    square, crop = align(picture, "aligned", 96)
    np.testing.assert_array_equal(square, picture)
    assert crop.is_whole and align(picture, "aligned", 32)[0].shape == (32, 32, 3)


def test_tensor_form_is_the_procedure_without_its_steps(photo, landmarks):
    square, crop = align(photo, landmarks, 256)
    smooth = sample(torch.from_numpy(photo).permute(2, 0, 1)[None], [crop], 256)[0].permute(1, 2, 0).numpy()
    assert np.abs(smooth - square).max() <= 2


def test_tensor_form_fades_what_lies_outside_like_the_procedure(photo, landmarks):
    picture, points = photo[60:, 150:].copy(), landmarks - (150, 60)
    square, crop = align(picture, points, 128)
    smooth = sample(torch.from_numpy(picture).permute(2, 0, 1)[None], [crop], 128)[0].permute(1, 2, 0).numpy()
    assert np.abs(smooth - square).mean() < 4
    mirrored = np.pad(picture, ((200, 0), (200, 0), (0, 0)), "reflect")
    unfaded, _ = align(mirrored, points + 200, 128)
    assert np.abs(unfaded.astype(float) - square).mean() > 6  # the fade is what is tested


def test_tensor_form_is_continuous_in_the_crop(drawn, landmarks):
    """At the border of the picture, where the procedure's padding sets in at once, and where its reduction would jump."""
    picture = torch.from_numpy(drawn(240, 240)).permute(2, 0, 1)[None]
    steps = [Crop.from_square((120 + 0.02 * i, 100), (79.0 + 0.02 * i, 3), (240, 240), 40) for i in range(60)]
    squares = sample(picture, steps, 40)
    assert float((squares[1:] - squares[:-1]).abs().max()) < 3.0


def test_tensor_form_averages_what_is_finer_than_the_square():
    board = (np.indices((200, 200)).sum(0) % 2 * 255).astype(np.float32)
    square = sample(torch.from_numpy(board)[None, None], [Crop.from_square((99.5, 99.5), (60, 20), (200, 200), 16)], 16)
    assert float((square - 127.5).abs().max()) < 12


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (dict(landmarks=np.zeros((5, 2))), "68 points"),
        (dict(landmarks=np.zeros((478, 2))), "from_mediapipe"),
        (dict(landmarks=np.full((68, 2), np.nan)), "not a number"),
        (dict(landmarks=np.zeros((68, 2))), "do not describe a face"),
        (dict(landmarks=[]), "empty batch"),
        (dict(landmarks="framed"), "aligned"),
        (dict(landmarks=None), "face in image was not found"),
        (dict(landmarks=[None]), "face in frame 0 of image was not found"),
        (dict(size=0), "size, in pixels, is 0; give a whole number from 1"),
        (dict(size=64.5), "give a whole number"),
        (dict(size="64"), "give a whole number"),
        (dict(transform_size=0), "transform_size, in pixels, is 0"),
        (dict(transform_size=32), "transform_size must not be below size"),
        (dict(image=np.zeros((0, 8, 8, 3), np.uint8)), "empty batch"),
        (dict(image=[np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)]), "one size"),
        (dict(image=[]), "empty batch"),
        (dict(image="photo.jpg"), "media.read_picture"),
        (dict(image=torch.zeros(1, 64, 64, 3)), r"\[N, C, H, W\]"),
        (dict(image=torch.full((3, 512, 512), float("nan"))), "frame 0"),
        (dict(image=np.zeros((512, 512, 3), np.int64)), "8 or 16 bit"),
        (dict(landmarks="aligned", image=np.zeros((512, 500, 3), np.uint8)), "must be square"),
    ],
)
def test_what_cannot_be_aligned_is_said_in_a_sentence(photo, landmarks, change, sentence):
    arguments = {"image": photo, "landmarks": landmarks, "size": 64} | change
    with pytest.raises(FaceError, match=sentence):
        align(**arguments)


def test_nan_names_the_frame(photo, landmarks):
    clip = torch.from_numpy(photo).permute(2, 0, 1)[None].float().repeat(3, 1, 1, 1)
    clip[2, 1, 40, 40] = float("nan")
    with pytest.raises(FaceError, match="frame 2"):
        align(clip, landmarks, 64)


def test_a_picture_with_gradients_is_a_picture(photo, landmarks):
    learned = (torch.from_numpy(photo).permute(2, 0, 1) / 255).requires_grad_()
    square, _ = align(learned, landmarks, 64, value_range=(0, 1))
    assert not square.requires_grad and square.shape == (3, 64, 64)


def test_a_face_cut_by_the_border_is_named(photo, landmarks):
    with pytest.raises(FaceError, match="frame 1 of image is cut by the border"):
        align(photo, [landmarks, landmarks - (215, 0)], 64)
    with pytest.raises(FaceError, match="The face in image is cut by the border"):
        align(photo, landmarks - (215, 0), 64)
    with pytest.raises(FaceError, match="frame 1 of image was not found"):
        align(np.stack([photo, photo]), [landmarks, None], 64)


def test_batches_that_do_not_match(photo, landmarks):
    with pytest.raises(FaceError, match="2 frames and landmarks 3"):
        align(np.stack([photo] * 2), [landmarks] * 3, 64)


def test_a_face_of_another_photo_is_refused(photo, landmarks):
    face = Face(landmarks, (180, 85, 270, 180), size=(512, 512))
    assert align(photo, face, 64)[1] == align(photo, landmarks, 64)[1]
    with pytest.raises(FaceError, match="found in a 512 x 512 px picture and this one is 500 x 512 px"):
        align(photo[:, :500], face, 64)


def test_a_crop_of_another_photo_is_refused(photo, landmarks):
    _, crop = align(photo, landmarks, 64)
    with pytest.raises(FaceError, match="512 x 512 px photo and image is 400 x 512 px"):
        align(photo[:, :400], crop, 64)


def test_every_pixel_of_a_finer_photo_counts():
    """Noise of deviation 1, 8 photo pixels to one of the square: single samples would keep half of it, the mean over 64 an eighth."""
    noise = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    square = sample(noise, [Crop.from_square((127.5, 127.5), (120, 0), (256, 256), 30)], 30)
    assert 0.1 < float(square.std()) < 0.16
