"""Square -> photo: identity, exactness outside the mask, the round trip, and difference against replacement."""

import logging

import numpy as np
import pytest
import torch
from micromotion.faces import Crop, FaceError, align, fade, paste, pasting, reconstruction_error
from PIL import Image


@pytest.fixture
def tilted():
    """A tilted square inside a 90 x 70 px photo."""
    return Crop.from_square((44.3, 35.2), (20.0, 6.0), (90, 70), 48)


def random_images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


PHOTOS = {
    "tensor": random_images(2, 3, 70, 90),
    "beyond white": random_images(1, 3, 70, 90) * 3,
    "half": random_images(1, 3, 70, 90).half(),
    "alpha": random_images(1, 4, 70, 90),
    "gray": random_images(1, 1, 70, 90),
    "one": random_images(3, 70, 90),
    "8 bit": (random_images(70, 90, 3).numpy() * 127 + 128).astype(np.uint8),
    "16 bit": (random_images(70, 90, 3).numpy() * 32767 + 32768).astype(np.uint16),
}


@pytest.mark.parametrize("photo", PHOTOS.values(), ids=PHOTOS)
@pytest.mark.parametrize("options", [{}, {"mask": "square", "softness": 0}, {"color_match": True}, {"ghost_limit": 0.001}], ids=str)
def test_no_edit_returns_the_photo_bit_for_bit(photo, options, tilted):
    square = random_images(1, 3, 48, 48, seed=5)
    pasted, mask = paste(photo, square, tilted, reconstruction=square.clone(), **options)
    assert type(pasted) is type(photo) and pasted.dtype == photo.dtype
    assert np.array_equal(np.asarray(pasted), np.asarray(photo)) and float(np.asarray(mask).max()) > 0.9


@pytest.mark.parametrize("photo", PHOTOS.values(), ids=PHOTOS)
@pytest.mark.parametrize("reconstructed", [False, True])
def test_nothing_changes_outside_the_mask(photo, reconstructed, tilted):
    square = random_images(1, 3, 48, 48, seed=1)
    base = random_images(1, 3, 48, 48, seed=2) if reconstructed else None
    pasted, mask = paste(photo, square, tilted, reconstruction=base)
    channels_last = isinstance(photo, np.ndarray)
    outside = np.asarray(mask) == 0
    before, after = (np.asarray(p) if channels_last else np.moveaxis(np.asarray(p), -3, -1) for p in (photo, pasted))
    outside = np.broadcast_to(outside, before.shape[:-1])
    assert np.array_equal(before[outside], after[outside])
    assert 0.3 < outside.mean() < 0.95 and not np.array_equal(before[~outside], after[~outside])
    if before.shape[-1] == 4:
        assert np.array_equal(before[..., 3], after[..., 3])


def test_a_hard_square_replaces_exactly_the_pixels_inside(tilted):
    photo = np.zeros((70, 90, 3), np.uint8)
    pasted, mask = paste(photo, np.full((48, 48, 3), (250, 40, 7), np.uint8), tilted, mask="square", softness=0)
    y, x = np.mgrid[:70, :90]
    at = tilted.to_square(np.stack([x, y], -1))
    deep = ((at > 0.02) & (at < 0.98)).all(-1)
    assert (pasted[deep] == (250, 40, 7)).all() and np.allclose(mask[deep], 1)
    assert (pasted[((at < 0) | (at > 1)).any(-1)] == 0).all()


@pytest.mark.parametrize("degrees", [0, 17, 45])
@pytest.mark.parametrize("ratio", [1.0, 1.03, 1.5, 1.99, 2.01, 2.9, 6.0])
def test_round_trip_reaches_40_db(photo, landmarks, moved, psnr, degrees, ratio):
    """Squares at least as large as the face, on a sharp real photo whose face is 90 px high."""
    picture, points = moved(photo, landmarks, degrees, 1.0, (300, 300))
    side = int(np.ceil(174 * ratio))
    square, crop = align(picture, points, side)
    for mask in ("face", "square"):
        pasted, weight = paste(picture, square, crop, mask=mask)
        assert psnr(pasted, picture, weight) >= 40


def test_correcting_a_square_brings_the_round_trip_decibels(photo, landmarks, moved, psnr, monkeypatch):
    from micromotion.faces import pasting

    picture, points = moved(photo, landmarks, 30, 1.0, (300, 300))
    square, crop = align(picture, points, 190)
    gained = []
    for corrections in (0, pasting.CORRECTIONS):
        monkeypatch.setattr(pasting, "CORRECTIONS", corrections)
        pasted, weight = paste(picture, square, crop)
        gained.append(psnr(pasted, picture, weight))
    assert gained[1] > gained[0] + 2


def test_an_aligned_picture_is_replaced_exactly(drawn):
    """A square that is the whole picture is not sampled, at its own size; at twice the size it is averaged."""
    picture, other = drawn(64, 64), drawn(64, 64, seed=1)
    _, crop = align(picture, "aligned", 64)
    pasted, mask = paste(picture, other, crop, mask="square")
    np.testing.assert_array_equal(pasted, other)
    assert mask.min() == 1
    doubled = np.repeat(np.repeat(other, 2, 0), 2, 1)
    larger, _ = paste(picture, doubled, crop, mask="square")
    assert np.abs(larger.astype(int) - other).mean() < 12 and larger.shape == (64, 64, 3)


def test_a_fine_square_does_not_alias():
    """A 1024 px checkerboard on a 100 px face is gray."""
    board = (np.indices((1024, 1024)).sum(0) % 2 * 255).astype(np.uint8)
    crop = Crop.from_square((80, 80), (48, 14), (160, 160), 1024)
    pasted, mask = paste(np.zeros((160, 160), np.uint8), board, crop, mask="square")
    assert np.abs(pasted[mask == 1].astype(float) - 127.5).max() <= 2


def test_a_coarse_square_is_interpolated_in_place(drawn):
    """A ramp of 16 px enlarged to 200 px stays a straight ramp: no shift of half a pixel anywhere."""
    ramp = torch.linspace(-1, 1, 16)[None, None, None, :].expand(1, 3, 16, 16)
    crop = Crop.from_square((149.5, 149.5), (100, 0), (300, 300), 16)
    pasted, _ = paste(torch.zeros(1, 3, 300, 300), ramp, crop, mask="square", softness=0)
    x = (np.arange(300) - 49.5 + 0.0) / 200 * 16 - 0.5  # place in the square's pixels
    middle = slice(90, 210)
    np.testing.assert_allclose(pasted[0, 0, 150, middle].numpy(), (x / 15 * 2 - 1)[middle], atol=0.02)


def test_the_difference_is_added_to_the_photo(tilted):
    photo, base = random_images(1, 3, 70, 90) * 0.3, random_images(1, 3, 48, 48) * 0.2
    pasted, mask = paste(photo, base + 0.25, tilted, reconstruction=base, ghost_limit=None)
    np.testing.assert_allclose((pasted - photo)[0, 1].numpy(), 0.25 * mask[0].numpy(), atol=2e-6)


def test_forms_and_ranges_may_differ(tilted):
    photo = random_images(1, 3, 70, 90)
    square = (random_images(48, 48, 3, seed=3).numpy() * 127 + 128).astype(np.uint8)
    signed = torch.from_numpy(square).permute(2, 0, 1)[None] / 127.5 - 1
    one, _ = paste(photo, square, tilted)
    other, _ = paste(photo, signed, tilted)
    np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)


def test_a_limiting_mask_limits(tilted):
    photo, square = random_images(1, 3, 70, 90), random_images(1, 3, 48, 48, seed=1)
    limit = torch.zeros(70, 90)
    limit[:, :40] = 1
    pasted, mask = paste(photo, square, tilted, limit=limit)
    _, free = paste(photo, square, tilted)
    assert torch.equal(pasted[..., 40:], photo[..., 40:]) and torch.equal(mask, free * limit) and mask.max() > 0.9
    _, same = paste(photo, square, tilted, limit=limit.numpy().astype(np.uint8) * 255)
    assert torch.equal(mask, same)


def test_squares_with_gradients_are_pictures(tilted):
    photo = (random_images(70, 90, 3).numpy() * 127 + 128).astype(np.uint8)
    square = random_images(1, 3, 48, 48).requires_grad_()
    pasted, _ = paste(photo, square[0], tilted, reconstruction=square[0])
    np.testing.assert_array_equal(pasted, photo)


def test_only_what_the_mask_reaches_is_computed(tilted):
    """The box that is worked on holds every pixel of the mask, and less than the square for a face."""
    from micromotion.faces import square_mask

    for shape, size in (("face", 1.0), ("face", 0.3), ("square", 1.0)):
        mask = square_mask(tilted, shape, size)
        left, top, right, bottom = pasting._reach(mask, tilted)
        _, painted = paste(np.zeros((70, 90, 3), np.uint8), np.full((48, 48, 3), 255, np.uint8), tilted, mask=shape, mask_size=size)
        y, x = np.mgrid[:70, :90]
        at = torch.from_numpy(tilted.to_square(np.stack([x, y], -1))).float() * 2 - 1
        everywhere = torch.nn.functional.grid_sample(mask[None, None], at[None], padding_mode="border", align_corners=False)[0, 0]
        touched = (everywhere > 0) & (at.abs() <= 1).all(-1)
        assert np.array_equal(painted > 0, touched.numpy())
        assert not touched[:top].any() and not touched[bottom:].any() and not touched[:, :left].any() and not touched[:, right:].any()
    assert pasting._reach(torch.zeros(8, 8), tilted) == (0, 0, 0, 0)


def test_progress_is_told_and_may_cancel(tilted):
    seen = []
    squares = random_images(3, 3, 48, 48)
    paste(random_images(1, 3, 70, 90), squares, tilted, progress=lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(KeyboardInterrupt):
        paste(random_images(1, 3, 70, 90), squares, tilted, progress=lambda *step: (_ for _ in ()).throw(KeyboardInterrupt))


def test_a_sweep_over_one_photo_and_a_clip(tilted):
    squares = random_images(3, 3, 48, 48)
    photo = random_images(1, 3, 70, 90, seed=4)
    frames, mask = paste(photo, squares, tilted)
    assert frames.shape == (3, 3, 70, 90) and mask.shape == (1, 70, 90)
    crops = [Crop.from_square((44 + i, 35), (20, 6), (90, 70), 48) for i in range(3)]
    clip, masks = paste(photo.expand(3, -1, -1, -1), squares, crops)
    assert masks.shape == (3, 70, 90)
    for i in range(3):
        np.testing.assert_array_equal(clip[i], paste(photo[0], squares[i], crops[i])[0])


def test_several_faces_by_chaining():
    photo = random_images(1, 3, 80, 160)
    left, right = (Crop.from_square((x, 40), (28, 0), (160, 80), 32) for x in (38, 120))
    once, first = paste(photo, torch.ones(1, 3, 32, 32), left)
    twice, second = paste(once, -torch.ones(1, 3, 32, 32), right)
    assert torch.equal(twice[..., :80], once[..., :80]) and torch.equal(once[..., 80:], photo[..., 80:])
    assert float(twice[0, 0, 40, 38]) == 1 and float(twice[0, 0, 40, 120]) == -1 and float((first * second).max()) == 0


def test_color_match_moves_mean_and_contrast(photo, landmarks):
    square, crop = align(photo, landmarks, 256)
    faded = (square * 0.6 + 70).astype(np.uint8)
    plain, mask = paste(photo, faded, crop)
    matched, _ = paste(photo, faded, crop, color_match=True)
    inside = mask > 0.9
    error = [np.abs(p[inside].astype(float) - photo[inside]).mean() for p in (plain, matched)]
    assert error[1] < 0.15 * error[0]


def test_color_match_is_one_correction_for_a_batch(photo, landmarks):
    square, crop = align(photo, landmarks, 64)
    darker = (square * 0.8).astype(np.uint8)
    frames, mask = paste(photo, np.stack([square, darker]), crop, color_match=True)
    inside = mask[0] > 0.95
    assert frames[1][inside].mean() < 0.9 * frames[0][inside].mean()


def bar(at: int, size: int = 64) -> torch.Tensor:
    """A dark bar at row ``at`` on gray: a mouth."""
    image = torch.full((1, 3, size, size), 0.4)
    image[..., at : at + 4, 16:48] = -0.8
    return image


@pytest.fixture
def poor():
    """A photo with a mouth at row 40, a reconstruction with it at 34, an edit that moves it to 30. ``photo, edited, base, crop``."""
    crop = Crop.from_square((63.5, 63.5), (64, 0), (128, 128), 64)
    photo = torch.nn.functional.interpolate(bar(40), size=(128, 128), mode="bilinear")
    return photo, bar(30), bar(34), crop


def test_a_poor_reconstruction_does_not_ghost(poor):
    photo, edited, base, crop = poor
    wanted = torch.nn.functional.interpolate(edited, size=(128, 128), mode="bilinear")
    ghosted, mask = paste(photo, edited, crop, reconstruction=base, ghost_limit=None, mask="square", softness=0.05)
    mended, _ = paste(photo, edited, crop, reconstruction=base, mask="square", softness=0.05)
    mouths = (slice(None), slice(None), slice(56, 90), slice(40, 90))
    errors = [float((p - wanted)[mouths].abs().mean()) for p in (ghosted, mended)]
    assert errors[0] > 0.2 and errors[1] < 0.35 * errors[0]


def test_a_poor_reconstruction_warns_with_a_figure(poor, caplog):
    photo, edited, base, crop = poor
    with caplog.at_level(logging.WARNING):
        paste(photo, edited, crop, reconstruction=base)
    assert "% of the value range" in caplog.text
    told = []
    paste(photo, torch.cat([edited] * 3), crop, reconstruction=torch.cat([base, base, base.flip(2)]), warn=told.append)
    assert len(told) == 1 and "and 2 more" in told[0]  # once for a clip
    figure = reconstruction_error(photo, base, crop)
    own = align(photo, crop, 64)[0]
    assert figure.shape == (1,) and figure[0] > 0.06 > 0.01 > reconstruction_error(photo, own, crop)[0]


def test_the_same_photo_is_compared_once_and_another_anew(poor, monkeypatch):
    photo, edited, base, crop = poor
    seen = pasting._seen
    looked = []
    monkeypatch.setattr(pasting, "_seen", lambda *given: looked.append(1) or seen(*given))

    def drawn(kept: int, photo=photo, edited=edited, base=base, crop=crop) -> torch.Tensor:
        monkeypatch.setattr(pasting, "KEPT", kept)
        return paste(photo, edited, crop, reconstruction=base)[0]

    spotted = photo.clone()
    spotted[..., 64, 64] += 0.5
    others = ({}, {"edited": bar(20)}, {"photo": spotted}, {"base": bar(32)}, {"crop": crop.at(63)}, {"photo": photo.double()})
    wanted = [drawn(0, **other) for other in others]
    looked.clear()
    assert torch.equal(drawn(photo.numel()), wanted[0]) and len(looked) == 1
    assert torch.equal(drawn(photo.numel(), edited=bar(20)), wanted[1]) and len(looked) == 1
    for i in range(2, len(others)):
        assert torch.equal(drawn(photo.numel(), **others[i]), wanted[i]) and len(looked) == i
    drawn(photo.numel() - 1), drawn(photo.numel() - 1)
    assert len(looked) == len(others) + 1  # photos too large to be kept


def test_a_poor_reconstruction_still_is_exact_without_an_edit(poor):
    photo, _, base, crop = poor
    assert torch.equal(paste(photo, base, crop, reconstruction=base)[0], photo)


def test_mending_grows_gently_with_the_edit(poor):
    """No jump from the exact photo at zero: a tenth of a percent of the edit changes next to nothing."""
    photo, edited, base, crop = poor
    small, _ = paste(photo, base + 0.001 * (edited - base), crop, reconstruction=base)
    assert float((small - photo).abs().max()) < 0.01


def test_an_even_color_offset_does_not_count(photo, landmarks):
    square, crop = align(photo, landmarks, 128)
    assert reconstruction_error(photo, np.clip(square.astype(int) + 20, 0, 255).astype(np.uint8), crop)[0] < 0.03


def test_only_the_box_is_looked_at():
    """Values that are not numbers away from the face are the photo's own business."""
    photo = torch.zeros(1, 3, 400, 400)
    photo[..., 0, 0] = float("nan")
    crop = Crop.from_square((300, 300), (40, 0), (400, 400), 32)
    pasted, _ = paste(photo, torch.ones(1, 3, 32, 32), crop)
    assert pasted[..., 300, 300].eq(1).all() and pasted[..., 0, 0].isnan().all()


def test_tiles_do_not_show(tilted, monkeypatch):
    from micromotion.faces import pasting

    photo, square = random_images(1, 3, 70, 90), random_images(1, 3, 48, 48, seed=1)
    whole, _ = paste(photo, square, tilted)
    monkeypatch.setattr(pasting, "TILE", 300)
    tiled, _ = paste(photo, square, tilted)
    np.testing.assert_allclose(tiled.numpy(), whole.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (dict(photo=torch.zeros(1, 3, 70, 91)), "90 x 70 px photo and photo is 91 x 70 px"),
        (dict(square=torch.zeros(1, 3, 48, 40)), "must be square"),
        (dict(square=torch.full((1, 3, 48, 48), torch.inf)), "square contains values that are not numbers"),
        (dict(photo=torch.full((1, 3, 70, 90), torch.nan)), "photo contains values that are not numbers .*first in frame 0"),
        (dict(reconstruction=torch.zeros(1, 3, 32, 32)), "one generator"),
        (dict(square=torch.zeros(2, 3, 48, 48), photo=torch.zeros(3, 3, 70, 90)), "photo has 3 frames and square 2"),
        (dict(crop=[]), "empty batch"),
        (dict(crop=None), "crop must be what align returned"),
        (dict(crop="crop"), "crop must be what align returned"),
        (dict(ghost_limit=-0.1), "ghost_limit"),
        (dict(photo=torch.stack([torch.zeros(3, 70, 90), torch.full((3, 70, 90), torch.inf)])), "first in frame 1"),
        (dict(limit=torch.ones(90, 70)), "as large as the photo"),
        (dict(mask="oval"), "face or the square"),
        (dict(softness=1.5), "softness"),
        (dict(mask_size=0), "size of the mask"),
    ],
)
def test_what_cannot_be_pasted_is_said_in_a_sentence(tilted, change, sentence):
    arguments = {"photo": torch.zeros(1, 3, 70, 90), "square": torch.zeros(1, 3, 48, 48), "crop": tilted} | change
    with pytest.raises(FaceError, match=sentence):
        paste(arguments.pop("photo"), arguments.pop("square"), arguments.pop("crop"), **arguments)


def test_pil_images_come_back_as_pil(tilted):
    photo = Image.fromarray(np.zeros((70, 90, 4), np.uint8))
    pasted, mask = paste(photo, Image.fromarray(np.full((48, 48, 3), 200, np.uint8)), tilted)
    assert pasted.mode == "RGBA" and pasted.size == (90, 70) and mask.shape == (70, 90)
    assert pasted.getpixel((44, 35)) == (200, 200, 200, 0)


def test_fade_goes_over_to_the_square_as_the_edit_begins():
    base, crop = torch.rand(1, 3, 32, 32) - 0.5, Crop.aligned((32, 32), 32)
    photo = base + 0.1 * torch.rand(1, 3, 32, 32)
    shown, mask = fade(photo, torch.cat([base, base + 0.025, base + 0.05, base + 0.2]), crop, reconstruction=base, mask="square")
    assert torch.equal(shown[:1], photo) and mask.shape == (1, 32, 32)
    drawn = paste(photo, torch.cat([base + 0.025, base + 0.05, base + 0.2]), crop, mask="square")[0]
    assert torch.allclose(shown[1:2], photo.lerp(drawn[:1], 0.5), atol=1e-5)
    assert torch.allclose(shown[2:], drawn[1:], atol=1e-5), "a root mean square change of 1/40 of the value range shows in full"
    unit = {"mask": "square", "value_range": (0, 1)}
    halved = fade(photo / 2, base + 0.0125, crop, reconstruction=base, **unit)[0]
    assert torch.allclose(halved, (photo / 2).lerp(paste(photo / 2, base + 0.0125, crop, **unit)[0], 0.5), atol=1e-5)
