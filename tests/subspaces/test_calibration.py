"""Calibration against an instrument whose truth is known, and the preview strip."""

from __future__ import annotations

import io

import pytest
import torch
from micromotion.subspaces import Calibration, Subspace, SubspaceError, calibrate, calibrate_track, preview_strip, sweep, with_preview
from micromotion.subspaces.directions import load_direction
from micromotion.subspaces.preview import default_coefficients
from PIL import Image


class Plain:
    """A generator whose pictures are its codes, so that every response is exact."""

    resolution, num_layers, width, fingerprint = 16, 6, 32, "plain"
    size = (16, 16)
    w_avg = torch.zeros(32)

    class architecture:  # noqa: N801
        channels, img_channels = {16: 1}, 3

    def synthesize(self, codes, noise="const", half=0):
        return codes.reshape(len(codes), 3, 8, 8)


D = torch.zeros(6, 32)
D[0, 0] = 1.0
FACES = 0.01 * torch.randn(5, 6, 32, generator=torch.Generator().manual_seed(0))


def first_pixel(images):
    return images[:, 0, 0, 0]


def test_one_unit_becomes_one_unit_of_what_is_measured():
    s = calibrate(Subspace(2 * D), first_pixel, Plain(), FACES, instrument="first pixel", unit="one pixel")
    assert torch.allclose(s.direction, D, atol=1e-5)
    assert s.calibration.unit == "one pixel"
    assert s.calibration.instrument == "first pixel"
    assert s.safe_range == pytest.approx((-3.0, 3.0))
    curve = s.calibration.curve
    assert curve["response"][-1] - curve["response"][0] == pytest.approx(6.0, abs=1e-4)
    assert curve["coefficients"][-1] == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize("length", [0.1, 2.0, 88.3])
def test_a_published_direction_of_any_length_is_brought_to_the_same_measured_change(length, tmp_path):
    torch.save(length * D[None], tmp_path / "turn.pt")
    turn = calibrate(load_direction(tmp_path / "turn.pt", strength=min(length, 10.0)), first_pixel, Plain(), FACES, change=0.25)
    assert torch.allclose(turn.direction, 0.25 * D, atol=1e-5)
    assert float(first_pixel(Plain().synthesize(turn.apply(0 * D[None], 1.0)))) == pytest.approx(0.25, abs=1e-4)


def test_a_negative_response_turns_the_motion_round():
    s = calibrate(Subspace(2 * D), lambda x: -first_pixel(x), Plain(), FACES)
    assert torch.allclose(s.direction, -D, atol=1e-5)
    assert s.safe_range == pytest.approx((-3.0, 3.0))


def test_the_safe_range_ends_where_the_response_flattens():
    s = calibrate(Subspace(D), lambda x: first_pixel(x).clamp(-0.5, 1.0), Plain(), 0 * FACES, coefficients=torch.linspace(-2, 2, 17))
    low, high = s.safe_range
    assert low == pytest.approx(-0.5, abs=0.26)
    assert high == pytest.approx(1.0, abs=0.26)


def test_the_safe_range_ends_where_identity_breaks():
    def identity(images):
        angle = images[:, 0, 0, 0]
        return torch.stack([angle.cos(), angle.sin()], 1)

    s = calibrate(Subspace(D), first_pixel, Plain(), FACES, identity=identity, min_identity=0.9)
    assert s.safe_range == pytest.approx((-0.25, 0.25), abs=0.02)  # arccos(0.9) = 0.45 lies between 0.25 and 0.5
    assert min(s.calibration.curve["identity"]) < 0.5


def test_the_unit_may_stay_while_the_range_is_measured():
    before = Subspace(2 * D, calibration=Calibration(unit="degree 0 to 1"))
    s = calibrate(before, first_pixel, Plain(), FACES, rescale=False)
    assert torch.equal(s.direction, before.direction)
    assert s.calibration.unit == "degree 0 to 1"
    assert s.safe_range == pytest.approx((-1.5, 1.5))


def test_one_component_of_several_is_calibrated_alone(tmp_path):
    other = torch.zeros(6, 32)
    other[1, 1] = 5.0
    s = calibrate(Subspace(torch.stack([other, 4 * D])), first_pixel, Plain(), FACES, component=2)
    assert torch.allclose(s.directions[1], D, atol=1e-5)
    assert torch.equal(s.directions[0], other)
    assert s.calibration.safe[0] is None
    s.save(tmp_path / "s.safetensors")
    assert Subspace.load(tmp_path / "s.safetensors").calibration == s.calibration


def test_a_calibrated_motion_is_calibrated_already_on_a_real_generator(generator):
    s = Subspace(torch.randn(6, 32, generator=torch.Generator().manual_seed(0)))
    codes = generator.map(torch.randn(3, 32, generator=torch.Generator().manual_seed(1)))
    seen = []

    def brightness(images):
        return images.mean((1, 2, 3))

    once = calibrate(s, brightness, generator, codes, coefficients=[-0.02, -0.01, 0.01, 0.02], progress=lambda *a: seen.append(a[:2]))
    again = calibrate(once, brightness, generator, codes, coefficients=once.calibration.curve["coefficients"])
    assert once.calibration.scale[0] != pytest.approx(1.0, rel=0.01)
    assert again.calibration.scale[0] == pytest.approx(once.calibration.scale[0], rel=0.02)
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"measure": lambda x: x[:, 1, 0, 0]}, "does not move what is measured"),
        ({"measure": lambda x: x[:, 0, 0, 0] / 0}, "no number on any"),
        ({"coefficients": [0.0, 1.0]}, "at least three"),
        ({"component": 2}, "no component 2"),
    ],
)
def test_bad_calibrations_get_one_sentence(options, words):
    arguments = {"measure": first_pixel, "generator": Plain(), "codes": FACES, **options}
    with pytest.raises(SubspaceError, match=words):
        calibrate(Subspace(D), **arguments)


def test_a_track_of_another_instrument_calibrates_as_the_pictures_do():
    c = torch.linspace(-1.5, 1.5, 13)
    truth = calibrate(Subspace(2 * D), first_pixel, Plain(), 0 * FACES[:1], coefficients=c)
    track = calibrate_track(Subspace(2 * D), c, 2 * c)
    assert track.calibration.scale == pytest.approx(truth.calibration.scale)
    assert track.safe_range == pytest.approx(truth.safe_range)
    assert track.calibration.curve["response"] == pytest.approx(truth.calibration.curve["response"], abs=1e-5)


def test_a_ping_pong_of_several_faces_with_lost_frames_is_enough():
    c = sweep(24, 0.0, 1.2, ping_pong=True)
    values = torch.stack([0.1 + 0.4 * c, 0.3 + 0.5 * c, 0.2 + 0.6 * c])
    values[:, [3, 21]] = float("nan")
    s = calibrate_track(Subspace(D), c, values.flatten(), instrument="mouthSmileLeft")
    assert s.direction.norm() == pytest.approx(2.0, rel=1e-4)
    assert s.calibration.unit == "one unit of mouthSmileLeft"
    assert s.safe_range == pytest.approx((0.0, 0.6), abs=1e-4)


def test_the_range_of_a_track_ends_where_identity_breaks_or_the_response_flattens():
    c = torch.linspace(-1, 1, 9)
    assert calibrate_track(Subspace(D), c, c.clamp(-0.5, 1), rescale=False).safe_range == (-0.5, 1.0)
    assert calibrate_track(Subspace(D), c, c, identity=1 - c.abs() / 3, min_identity=0.9, rescale=False).safe_range == (-0.25, 0.25)


C5 = torch.linspace(-1, 1, 5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: calibrate_track(Subspace(D), C5, C5[:4]), "5 coefficients and 4 values"),
        (lambda: calibrate_track(Subspace(D), C5, C5 * float("nan")), "read at 0 of 5"),
        (lambda: calibrate_track(Subspace(D), C5 + 5, C5), "0 among them"),
        (lambda: calibrate_track(Subspace(D), C5[:, None], C5), "for each frame"),
        (lambda: calibrate_track(Subspace(D), C5, torch.ones(5)), "does not move"),
        (lambda: calibrate_track(Subspace(D), C5, C5, component=2), "no component 2; this subspace has 1, counted from 1"),
    ],
)
def test_bad_tracks_get_one_sentence(call, words):
    with pytest.raises(SubspaceError, match=words):
        call()


def test_the_preview_is_a_small_strip_over_the_safe_range(generator, tmp_path):
    s = Subspace(0.1 * torch.ones(6, 32), calibration=Calibration(safe=((-0.5, 2.0),)))
    assert default_coefficients(s).tolist() == pytest.approx([-0.5, 0.125, 0.75, 1.375, 2.0])
    strip = with_preview(s, generator)
    picture = Image.open(io.BytesIO(strip.preview))
    assert picture.size == (80, 16)
    strip.save(tmp_path / "s.safetensors")
    assert (tmp_path / "s.safetensors").stat().st_size < 200_000
    assert preview_strip(s, generator, coefficients=[0.0]) != preview_strip(s, generator, coefficients=[1.0])


class Noisy(Plain):
    """A 1024 px generator of pictures that do not compress."""

    resolution, num_layers, width, fingerprint = 1024, 18, 512, "noisy"
    size = (1024, 1024)
    w_avg = torch.zeros(512)

    class architecture:  # noqa: N801
        channels, img_channels = {1024: 1}, 3

    def synthesize(self, codes, noise="const", half=0):
        return torch.rand(len(codes), 3, 192, 192, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("rank", [1, 4])
def test_a_full_size_file_with_its_preview_stays_below_200_kilobytes(tmp_path, rank):
    s = with_preview(Subspace(torch.randn(rank, 18, 512)), Noisy())
    assert s.preview
    s.save(tmp_path / "s.safetensors")
    assert 36_864 * rank < (tmp_path / "s.safetensors").stat().st_size < 200_000


def test_a_basis_that_is_large_by_itself_gets_no_preview(tmp_path):
    assert with_preview(Subspace(torch.randn(8, 18, 512)), Noisy()).preview == b""


def test_one_odd_face_does_not_set_the_unit():
    """The unit is the middle face's: the mean over faces would be 3.25 times it."""
    coefficients = torch.linspace(-1, 1, 9)
    values = torch.cat([slope * coefficients for slope in (1.0, 1.0, 1.0, 10.0)])
    s = calibrate_track(Subspace(D), coefficients, values)
    assert torch.allclose(s.direction, D, atol=1e-6)
    assert s.calibration.curve["response"] == pytest.approx(coefficients.tolist(), abs=1e-5)


def test_the_safe_range_stops_where_a_face_becomes_another_and_where_the_response_ends():
    c = torch.linspace(-2, 2, 17)
    same = calibrate_track(Subspace(D), c, c, identity=1 - 0.099 * c.clamp(min=0)).calibration.safe[0]
    assert same == pytest.approx((-2, 1.0)), "0.9 and more, to the step"
    flat = calibrate_track(Subspace(D), c, c.clamp(max=1.5)).calibration.safe[0]
    assert flat == pytest.approx((-2, 1.5))
    turned = calibrate_track(Subspace(D), c, -2 * c.clamp(max=1.5))
    assert turned.calibration.safe[0] == pytest.approx((-3, 4)) and torch.allclose(turned.direction, -D / 2)
