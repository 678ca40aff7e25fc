"""Which square of a picture is taken: cut out, whole because it is framed, or whole because it is drawn."""

from dataclasses import replace

import numpy as np
import pytest
from micromotion.faces import Crop, Face, FaceError, align, frame, is_framed, whole_pictures


@pytest.fixture
def face(landmarks):
    return Face(landmarks, (100.0, 50.0, 200.0, 150.0), 2.0, (512, 512))


@pytest.fixture
def framed(photo, landmarks):
    """The FFHQ square of the photo, and its face as it lies in there."""
    square, crop = align(photo, landmarks, 256)
    points = crop.to_square(landmarks) * 256 - 0.5
    return square, Face(points, (60.0, 60.0, 200.0, 200.0), 2.0, (256, 256))


def shifted(face: Face, pixels: float) -> Face:
    return Face(face.landmarks + [pixels, 0], face.box, face.score, face.size)


def test_a_square_photo_is_searched_like_any_other(face):
    crop, said = frame([face], (512, 512), 256)
    assert not crop.is_whole and said.startswith("The face was cut out: ") and "of 512 px" in said
    np.testing.assert_allclose(crop.quad, Crop.from_landmarks(face.landmarks, (512, 512), 256).quad)


def test_a_framed_picture_goes_in_whole_and_is_measured(framed):
    _, face = framed
    crop, said = frame([face], (256, 256), 128)
    assert crop == Crop.aligned((256, 256), 128) and "framed like FFHQ (0." in said
    assert is_framed(shifted(face, 0.05 * 256), (256, 256)) and not is_framed(shifted(face, 0.07 * 256), (256, 256))


def test_the_largest_of_several_counts_and_is_said(face):
    small = Face(face.landmarks, (0.0, 0.0, 20.0, 20.0), 3.0, (512, 512))
    assert "the largest of 2 faces" in frame([small, face], (512, 512), 256)[1]


def test_without_a_face_it_stops_and_says_what_helps():
    with pytest.raises(FaceError, match="No face was found in me.jpg.*not in profile.*taken as a whole square"):
        frame([], (512, 512), 256, where="me.jpg")


def test_a_drawing_goes_in_whole_where_that_was_chosen(face):
    doubtful = Face(face.landmarks, face.box, 0.9, face.size)
    for found in ([], [doubtful]):
        crop, said = frame(found, (512, 512), 256, no_face="whole picture")
        assert crop.is_whole and "no face that the detector is sure of" in said
    assert not frame([doubtful], (512, 512), 256, no_face="stop")[0].is_whole
    assert not frame([face], (512, 512), 256, no_face="whole picture")[0].is_whole  # a photo in the same graph


def test_only_a_square_can_be_taken_whole():
    with pytest.raises(FaceError, match="only a square picture can be taken whole, and this one is 300 x 200 px"):
        frame([], (300, 200), 256, no_face="whole picture")


def test_a_small_face_in_a_square_photo_is_cut_out_though_its_score_is_modest(face):
    modest = replace(face, score=1.14)
    assert not frame([modest], (512, 512), 256, no_face="whole picture")[0].is_whole
    assert frame([replace(face, score=0.96)], (512, 512), 256, no_face="whole picture")[0].is_whole


def test_one_sure_face_in_a_clip_makes_it_a_photo(face):
    assert whole_pictures([[], []], (64, 64), "whole picture") and not whole_pictures([[], [face]], (64, 64), "whole picture")
    assert not whole_pictures([[]], (64, 64), "stop")
    with pytest.raises(FaceError, match="stop or whole picture"):
        whole_pictures([[]], (64, 64), "guess")


def test_a_face_cut_by_the_border_is_refused(face):
    with pytest.raises(FaceError, match="cut by the border"):
        frame([shifted(face, 400)], (512, 512), 256)
