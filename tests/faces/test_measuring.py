"""What is read off landmarks: the same at every size, place and roll; and the sign of each quantity."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from micromotion.faces import Face, FaceError, detect, find_predictor, measure, measuring, meter
from micromotion.faces.detection import MIRRORED
from micromotion.faces.measuring import QUANTITIES


def moved_points(points, indices, x=0.0, y=0.0):
    changed = np.array(points, dtype=np.float64)
    changed[list(indices)] += [x, y]
    return changed


@settings(max_examples=30, deadline=None)
@given(st.floats(-180, 180), st.floats(0.05, 40), st.floats(-1e4, 1e4))
def test_size_place_and_roll_do_not_count(degrees, zoom, shift):
    points = np.random.default_rng(3).normal(0, 50, (68, 2)) + np.linspace(0, 90, 68)[:, None]
    turn = np.deg2rad(degrees)
    other = points @ (zoom * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])) + shift
    for name, value in measure(points).items():
        assert measure(other)[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


@pytest.mark.parametrize(
    ("name", "indices", "x", "y", "others"),
    [
        ("mouth width", (54,), 6, 0, ()),
        ("corner lift", (48, 54), 0, -4, ("pitch",)),
        ("mouth opening", (65, 66, 67), 0, 5, ("corner lift",)),
        ("eye opening", (37, 38, 43, 44), 0, -2, ("brow height", "yaw", "pitch")),
        ("brow height", range(17, 27), 0, -5, ()),
        ("yaw", (30,), 5, 0, ()),
        ("pitch", (30,), 0, 5, ()),
    ],
)
def test_each_quantity_rises_with_what_it_is_called_and_the_rest_stay(landmarks, name, indices, x, y, others):
    before, after = measure(landmarks), measure(moved_points(landmarks, indices, x, y))
    changes = {key: abs(after[key] - before[key]) for key in QUANTITIES}
    assert after[name] - before[name] > 0.02
    assert not [key for key in QUANTITIES if key not in (name, *others) and changes[key] > 0.25 * changes[name]]


def test_a_mirrored_face_looks_the_other_way(landmarks):
    pairs = [*zip(range(17), range(16, -1, -1)), *zip(range(17, 27), range(26, 16, -1)), *((i, i) for i in range(27, 31))]
    pairs += [
        *zip(range(31, 36), range(35, 30, -1)),
        *zip((36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47), (45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40)),
    ]
    pairs += [*zip(range(48, 55), range(54, 47, -1)), *zip(range(55, 60), range(59, 54, -1))]
    pairs += [*zip(range(60, 65), range(64, 59, -1)), *zip(range(65, 68), range(67, 64, -1))]
    mirrored = np.empty((68, 2))
    for here, there in pairs:
        mirrored[here] = landmarks[there] * [-1, 1]
    straight, mirror = measure(landmarks), measure(mirrored)
    assert mirror["yaw"] == pytest.approx(-straight["yaw"])
    assert all(mirror[name] == pytest.approx(straight[name]) for name in QUANTITIES if name != "yaw")


def test_both_landmarkers_agree_on_a_photo(landmarks, mediapipe_points):
    dlibs, mediapipes = measure(landmarks), measure(mediapipe_points)
    for name in ("mouth width", "corner lift", "yaw", "pitch"):
        assert mediapipes[name] == pytest.approx(dlibs[name], abs=0.12), name


def test_many_faces_at_once(landmarks):
    batch = measure(np.stack([landmarks, landmarks * 2]).reshape(2, 1, 68, 2))
    assert all(values.shape == (2, 1) for values in batch.values())


@pytest.mark.parametrize("points", [np.zeros((68, 2)), np.full((68, 2), np.nan), np.zeros((5, 2)), np.zeros(68)])
def test_what_is_no_face_is_refused(points):
    with pytest.raises(FaceError):
        measure(points)


def test_steady_landmarks_shake_less_in_noise_and_are_the_same_mirrored(photo):
    pytest.importorskip("dlib", reason="dlib finds the faces")
    random, cut = np.random.default_rng(0), photo[:300, 60:400]
    noisy = [np.clip(cut + random.normal(0, 8, cut.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    spread = []
    for steady in (False, True):
        read = measuring.measure_found([detect(picture, tilted=False, steady=steady) for picture in noisy])
        spread.append(np.mean([read[name].std() for name in ("mouth width", "corner lift", "eye opening", "brow height")]))
    assert spread[1] < 0.6 * spread[0]
    (face,), (mirrored,) = (detect(picture, tilted=False, steady=True) for picture in (cut, np.ascontiguousarray(cut[:, ::-1])))
    assert np.abs(face.landmarks[list(MIRRORED)] * [-1, 1] + [cut.shape[1] - 1, 0] - mirrored.landmarks).max() < 3


def test_frames_without_a_face_are_not_a_number():
    points = np.random.default_rng(3).normal(0, 50, (68, 2)) + np.linspace(0, 90, 68)[:, None]
    read = measuring.measure_found([[], [Face(points, (0, 0, 9, 9))], []])
    assert np.isnan(read["yaw"]).tolist() == [True, False, True] and read["yaw"][1] == measure(points)["yaw"]
    assert np.isnan(measuring.measure_found([[]])["yaw"]).all()


def test_a_meter_measures_pictures_and_one_without_a_face_is_not_a_number(photo, landmarks, monkeypatch):
    with pytest.raises(FaceError, match="mouth width, corner lift"):
        meter("grin")
    pytest.importorskip("dlib", reason="dlib finds the faces")
    try:
        find_predictor()
    except FaceError as reason:
        pytest.skip(str(reason))
    image = torch.from_numpy(photo).permute(2, 0, 1)[None] / 127.5 - 1
    value = meter("mouth width")(image)
    assert value.shape == (1,) and float(value) == pytest.approx(measure(landmarks)["mouth width"], abs=0.03)
    monkeypatch.setattr(measuring, "detect", lambda images, **_: [[]])
    assert torch.isnan(meter("yaw")(image)).all()
