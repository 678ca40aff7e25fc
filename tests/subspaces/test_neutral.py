"""Bringing a face to rest: against an instrument whose truth is known, noisy, one-sided, blind, or none at all."""

from __future__ import annotations

import math

import pytest
import torch
from micromotion.subspaces import Subspace, SubspaceError, calibrate, from_measured, neutralize

SIDE = 8


class Plain:
    """A generator whose pictures are its codes, so that every response is exact."""

    resolution, num_layers, width, fingerprint = SIDE, 6, 32, "plain"
    size = (SIDE, SIDE)
    w_avg = torch.zeros(32)

    class architecture:  # noqa: N801
        channels, img_channels = {SIDE: 1}, 3

    def synthesize(self, codes, noise="const", half=0):
        return codes.reshape(len(codes), 3, 8, 8)


D = torch.zeros(6, 32)
D[0, 0] = 1.0
SMILE = Subspace(D, name="smile")
FACES = 0.01 * torch.randn(4, 6, 32, generator=torch.Generator().manual_seed(0))
FACES[:, 0, 0] = torch.tensor([0.9, -0.4, 0.0, 1.2])


def smile(images):
    return images[:, 0, 0, 0]


def test_what_is_measured_comes_to_rest_and_nothing_else_moves():
    found = neutralize(FACES, SMILE, Plain(), smile, 0.1)
    assert torch.allclose(smile(Plain().synthesize(found.codes)), torch.full((4,), 0.1), atol=0.02)
    assert found.reached.all() and torch.allclose(found.before.float(), FACES[:, 0, 0], atol=1e-6)
    assert torch.allclose(found.coefficients, 0.1 - FACES[:, 0, 0], atol=0.02)
    rest = torch.ones(6, 32, dtype=torch.bool)
    rest[0, 0] = False
    assert torch.equal(found.codes[:, rest], FACES[:, rest])


def test_a_face_at_rest_stays_bit_for_bit():
    found = neutralize(FACES[2:3], SMILE, Plain(), smile, 0.0)
    assert torch.equal(found.codes, FACES[2:3]) and float(found.coefficients) == 0


def test_noise_of_single_pictures_does_not_lead_astray():
    noise = torch.Generator().manual_seed(3)
    found = neutralize(FACES, SMILE, Plain(), lambda x: smile(x) + 0.1 * torch.randn(len(x), generator=noise))
    assert (smile(Plain().synthesize(found.codes)).abs() < 0.12).all()


def test_a_motion_that_ends_before_rest_goes_as_near_as_it_leads_and_no_further():
    found = neutralize(FACES[:1], SMILE, Plain(), lambda x: smile(x).clamp(min=0.3))
    assert not found.reached.any() and float(found.codes[0, 0, 0]) == pytest.approx(0.3, abs=0.12)
    assert "as near as this motion leads" in found.describe("smile", "corner lift")
    assert "corner lift from 0.90 to 0.40" in found.describe("smile", "corner lift")


def test_pictures_without_a_face_are_left_out():
    found = neutralize(FACES[:1], SMILE, Plain(), lambda x: torch.where(smile(x) < 1.5, smile(x), math.nan))
    assert float(found.codes[0, 0, 0]) == pytest.approx(0, abs=0.02)
    with pytest.raises(SubspaceError, match="Nothing could be measured"):
        neutralize(FACES, SMILE, Plain(), lambda x: torch.full((len(x),), math.nan))


def test_a_motion_that_does_not_move_what_is_measured_is_refused():
    with pytest.raises(SubspaceError, match="does not move what is measured"):
        neutralize(FACES, SMILE, Plain(), lambda x: torch.arange(len(x)) % 2 * 1.0)
    with pytest.raises(SubspaceError, match="no component 2"):
        neutralize(FACES, SMILE, Plain(), smile, component=2)


def test_without_an_instrument_the_codes_own_coefficient_is_taken_out():
    found = neutralize(FACES, SMILE, Plain())
    assert found.before is None and torch.allclose(found.codes[:3, 0, 0], torch.zeros(3), atol=1e-3)
    far = neutralize(FACES, SMILE, Plain(), reach=0.5)
    assert far.reached.tolist() == [False, True, True, False] and float(far.codes[0, 0, 0]) == pytest.approx(0.4, abs=1e-3)


def test_every_face_has_its_own_coefficient_and_progress_is_told():
    seen = []
    neutralize(FACES, SMILE, Plain(), smile, progress=lambda *step: seen.append(step[:2]))
    assert [done for done, _ in seen if done % 25 == 0] == [25, 50, 75, 100] and {total for _, total in seen} == {100}


def test_calibration_ends_its_range_where_faces_are_lost_and_leaves_out_a_face_that_is_never_seen():
    def blind(images):
        value = smile(images)
        return torch.where((value > 1.0) | (images[:, 1, 0, 0] > 0.5), math.nan, value)

    faces = 0.01 * torch.randn(5, 6, 32, generator=torch.Generator().manual_seed(1))
    faces[4, 2, 0] = 1.0  # what `blind` looks at besides
    assert torch.isnan(blind(Plain().synthesize(faces))).tolist() == [False] * 4 + [True]
    made = calibrate(SMILE, blind, Plain(), faces, rescale=False)
    assert made.safe_range == pytest.approx((-1.5, 1.0), abs=0.01)
    with pytest.raises(SubspaceError, match="no number on any of the faces"):
        calibrate(SMILE, lambda x: torch.full((len(x),), math.nan), Plain(), faces)


def test_a_measured_curve_becomes_a_sweep_from_its_first_frame():
    nan = math.nan
    assert from_measured([0.2, 0.3, nan, 0.5, 0.4]).tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1, 2 / 3])
    assert from_measured([nan, 0.2, 0.1], 0.2).tolist() == pytest.approx([0, 0, -0.5])
    assert from_measured([1.0, 1.0]).tolist() == [0, 0]
    with pytest.raises(SubspaceError, match="Nothing was measured"):
        from_measured([nan, nan])
    with pytest.raises(SubspaceError, match="unit"):
        from_measured([0.0, 1.0], nan)
