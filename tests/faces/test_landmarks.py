"""Faces, MediaPipe's mesh, and which face is meant."""

import numpy as np
import pytest
from micromotion.faces import Crop, Face, FaceError, choose, faces_from_mediapipe, from_mediapipe, number_faces


def face(x, y, extent, score=1.0):
    points = np.zeros((68, 2)) + (x, y)
    return Face(points, (x - extent / 2, y - extent / 2, x + extent / 2, y + extent / 2), score)


@pytest.fixture
def group():
    return [face(300, 50, 40, 0.9), face(100, 60, 80, 0.7), face(200, 55, 60, 1.5)]


def test_mediapipe_gives_the_same_square_as_dlib(landmarks, mediapipe_points):
    """On a real photo: within 3 % of the face (dlib's box is 90 px)."""
    dlib, mesh = (Crop.from_landmarks(points, (512, 512), 256) for points in (landmarks, from_mediapipe(mediapipe_points)))
    assert np.linalg.norm(np.subtract(dlib.quad, mesh.quad), axis=1).max() < 0.03 * 90
    assert abs(dlib.length - mesh.length) < 0.03 * 90


def test_mediapipe_gives_the_same_place_behind_glasses(glasses):
    """A portrait whose frames draw dlib's eyes together: one center still, and one size but for that."""
    dlib, mesh = (Crop.from_landmarks(points, (512, 600), 256) for points in (glasses["dlib"], from_mediapipe(glasses["mediapipe"]) - 0.5))
    assert np.linalg.norm(dlib.center - mesh.center) < 0.01 * 186 and abs(mesh.length / dlib.length - 1) < 0.05


def test_every_mediapipe_point_lies_near_its_counterpart(landmarks, mediapipe_points):
    away = np.linalg.norm(from_mediapipe(mediapipe_points) - landmarks, axis=1)
    assert away[17:].max() < 0.1 * 90 and away[:17].max() < 0.15 * 90


def test_mediapipe_takes_batches_depth_and_the_older_mesh(mediapipe_points):
    deep = np.concatenate([mediapipe_points, np.ones((478, 1))], axis=1)
    np.testing.assert_array_equal(from_mediapipe(np.stack([deep, deep]))[1], from_mediapipe(mediapipe_points))
    np.testing.assert_array_equal(from_mediapipe(mediapipe_points[:468]), from_mediapipe(mediapipe_points))
    with pytest.raises(FaceError, match="478 points"):
        from_mediapipe(mediapipe_points[:68])


def mesh_face(points, shift=0.0):
    points = points.astype(np.float32) + np.float32([shift, 0])
    return {"bbox_xyxy": np.concatenate([points.min(0), points.max(0)]), "landmarks_xy": points, "score": 0.8, "presence": 3.0}


def test_face_landmarks_of_the_host(mediapipe_points, landmarks):
    value = {"frames": [[mesh_face(mediapipe_points, 100), mesh_face(mediapipe_points)], []], "image_size": (512, 700)}
    frames = faces_from_mediapipe(value, (700, 512))
    assert [len(f) for f in frames] == [2, 0] and frames[0][0].center[0] < frames[0][1].center[0]
    assert np.abs(frames[0][0].landmarks[36:] - landmarks[36:]).max() < 9 and frames[0][0].score == pytest.approx(0.8)
    with pytest.raises(FaceError, match="700 x 512 px picture and this one is 512 x 512 px"):
        faces_from_mediapipe(value, (512, 512))
    with pytest.raises(FaceError, match="Detect Face Landmarks"):
        faces_from_mediapipe([1, 2])
    for broken in ({"frames": [None]}, {"frames": [[{}]]}):
        with pytest.raises(FaceError, match="lacks a part"):
            faces_from_mediapipe(broken)


def test_choosing(group):
    right, large, middle = group
    assert choose(group) is large and choose(group, index=1) is middle
    assert choose(group, "left to right") is large and choose(group, "left to right", index=2) is right
    assert choose(group, "score") is middle
    assert choose(group, point=(310, 0)) is right and choose(group, box=(150, 0, 240, 100)) is middle
    assert number_faces(group) == [large, middle, right]


def test_the_largest_is_one_that_the_detector_does_not_doubt():
    points = np.zeros((68, 2))
    badge, face, small = (Face(points, (0, 0, s, s), score) for s, score in ((90, 0.31), (90, 1.2), (40, 2.0)))
    assert choose([badge, face, small]) is face and choose([badge, small]) is small
    assert choose([badge]) is badge and choose([badge, face, small], index=2) is badge


def test_choices_that_do_not_exist(group):
    with pytest.raises(FaceError, match="No face was found in frame 7"):
        choose([], where="frame 7")
    with pytest.raises(FaceError, match="Face 3 was asked for and the picture has 3"):
        choose(group, index=3)
    with pytest.raises(FaceError, match="largest, left to right, score"):
        choose(group, "oldest")
    for wrong in ({"point": (1, float("nan"))}, {"point": "a"}, {"box": (1, 2)}):
        with pytest.raises(FaceError, match="numbers in pixels"):
            choose(group, **wrong)


def test_a_face_keeps_its_landmarks(landmarks):
    mine = landmarks.copy()
    kept = Face(mine, (0, 0, 10, 20))
    mine[:] = 0
    assert kept.extent == 20 and kept.landmarks[0, 0] == landmarks[0, 0]
    with pytest.raises(ValueError):
        kept.landmarks[0, 0] = 1
    with pytest.raises(FaceError, match="68 points"):
        Face(landmarks[:5], (0, 0, 1, 1))
