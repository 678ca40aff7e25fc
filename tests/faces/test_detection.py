"""dlib on a real photo: level, tilted, small and large; and what is said when it cannot work."""

import sys

import numpy as np
import pytest
import torch
from micromotion.faces import Crop, FaceError, choose, detect, detection, find_predictor


@pytest.fixture(scope="module")
def predictor():
    pytest.importorskip("dlib", reason="dlib (pip install dlib-bin) finds the faces")
    try:
        return find_predictor()
    except FaceError as reason:
        pytest.skip(str(reason))


def error_in_face(points, wanted, size):
    """Furthest corner of the square, in share of the side of the true one."""
    found, true = (Crop.from_landmarks(p, size, 256) for p in (points, wanted))
    return np.linalg.norm(np.subtract(found.quad, true.quad), axis=1).max() / true.length


def test_landmarks_are_dlibs_own(predictor, photo, landmarks):
    faces = detect(photo)
    assert faces[0].size == (512, 512) and len(faces) == 1  # not the badge that the detector half believes in
    import dlib

    box = dlib.rectangle(*(int(v) for v in faces[0].box))
    own = [(p.x, p.y) for p in dlib.shape_predictor(str(predictor))(photo, box).parts()]
    np.testing.assert_array_equal(faces[0].landmarks, own)
    assert error_in_face(faces[0].landmarks, landmarks, (512, 512)) < 0.02


@pytest.mark.parametrize(("degrees", "zoom", "size"), [(0, 40 / 90, 160), (-20, 1, 300), (45, 1, 300), (90, 1, 300), (180, 0.7, 260)])
def test_tilted_and_small_faces(predictor, photo, landmarks, moved, degrees, zoom, size):
    picture, points = moved(photo, landmarks, degrees, zoom, (size, size))
    found = choose(detect(picture), point=points.mean(axis=0))
    assert error_in_face(found.landmarks, points, (size, size)) < 0.05


def test_a_large_photo_is_searched_in_a_reduced_copy(predictor, photo, landmarks, moved, monkeypatch):
    picture, points = moved(photo, landmarks, 0, 4, (1200, 1200))
    searched = []
    monkeypatch.setattr(detection, "WORKING_PIXELS", 0.3e6)
    plain = detection._Tools.boxes
    monkeypatch.setattr(detection._Tools, "boxes", lambda self, pixels, up: searched.append(pixels.shape) or plain(self, pixels, up))
    found = choose(detect(picture), point=points.mean(axis=0))
    assert searched[0] == (548, 548, 3) and all(shape[0] <= 260 for shape in searched[1:])  # the rest are second looks
    assert error_in_face(found.landmarks, points, (1200, 1200)) < 0.03


def test_a_small_face_in_a_large_photo_is_found_at_full_size(predictor, photo, landmarks, moved, monkeypatch):
    picture, points = moved(photo, landmarks, 0, 1, (420, 420))
    monkeypatch.setattr(detection, "WORKING_PIXELS", 0.03e6)
    assert error_in_face(choose(detect(picture, tilted=False)).landmarks, points, (420, 420)) < 0.03


def test_a_batch_gives_a_list_for_each_frame(predictor, photo):
    frames = torch.from_numpy(np.stack([photo, photo * 0])).permute(0, 3, 1, 2) / 127.5 - 1
    first, second = detect(frames, tilted=False)
    assert len(first) == 1 and second == []


def test_a_clip_is_searched_at_the_size_of_the_face(predictor, photo, monkeypatch):
    searched = []
    plain = detection._search
    monkeypatch.setattr(detection, "_search", lambda tools, picture, scale: searched.append(scale) or plain(tools, picture, scale))
    faces = detect(np.stack([photo] * 3), clip=True)
    assert [len(f) for f in faces] == [1, 1, 1] and searched[0] == 2 and searched[1] < 2


def test_a_new_shot_is_searched_at_every_size(predictor, photo, monkeypatch):
    searched, told = [], []
    plain = detection._search
    monkeypatch.setattr(detection, "_search", lambda tools, picture, scale: searched.append(scale) or plain(tools, picture, scale))
    other = 255 - np.asarray(photo)[:, ::-1]
    detect(np.stack([photo] * 2 + [other] * 2), clip=True, tilted=False, progress=lambda *step: told.append(step))
    assert searched[0] == searched[2] == 2 and searched[1] < 2 and told == [(i, 4) for i in range(1, 5)]


def test_a_clip_is_not_searched_everywhere_in_every_empty_frame(predictor, photo, monkeypatch):
    """The face is gone for ten frames and back for one: turned copies are tried in the first and the ninth of them."""
    turned = []
    plain = detection._tilted_faces
    monkeypatch.setattr(detection, "_tilted_faces", lambda *given: turned.append(1) or plain(*given))
    empty = np.full_like(photo, 90)
    monkeypatch.setattr(detection, "find_cuts", lambda *_, **__: ())
    faces = detect(np.stack([photo, *[empty] * 10, photo]), clip=True)
    assert [len(f) for f in faces] == [1, *[0] * 10, 1] and len(turned) == 2


def test_a_tilted_face_is_followed_through_a_clip(predictor, photo, landmarks, moved):
    frames = [moved(photo, landmarks, 70 + i, 1, (300, 300))[0] for i in range(3)]
    assert [len(f) for f in detect(np.stack(frames), clip=True)] == [1, 1, 1]


def test_a_small_face_across_the_edge_of_two_pieces_is_one(predictor, photo, landmarks, moved, monkeypatch):
    picture, points = moved(photo, landmarks, 0, 0.6, (420, 420))
    monkeypatch.setattr(detection, "WORKING_PIXELS", 0.02e6)
    monkeypatch.setattr(detection, "PIECE", 60)
    faces = detect(picture, tilted=False)
    assert len(faces) == 1 and error_in_face(faces[0].landmarks, points, (420, 420)) < 0.05


def test_a_sliver_is_no_work(predictor, monkeypatch):
    sizes = []
    plain = detection._Tools.boxes
    monkeypatch.setattr(detection._Tools, "boxes", lambda self, pixels, up: sizes.append(pixels.size) or plain(self, pixels, up))
    assert detect(np.zeros((3000, 2, 3), np.uint8)) == [] and sum(sizes) <= 3000 * 2 * 3


def test_a_size_that_no_face_has(predictor, photo):
    for smallest in (0, -5, float("nan")):
        with pytest.raises(FaceError, match="smallest must be"):
            detect(photo, smallest=smallest)


def test_a_missing_file_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setattr(detection, "_package_folders", lambda: [])
    with pytest.raises(FaceError) as error:
        find_predictor(folders=[tmp_path])
    command = "-m pip install face_recognition_models`"
    for word in (detection.PREDICTOR, "https://dlib.net", "excludes commercial use", str(tmp_path), command, sys.executable):
        assert word in str(error.value)
    with pytest.raises(FaceError, match="no landmark file"):
        find_predictor(tmp_path / "absent.dat")


def test_the_file_is_looked_for_in_order(tmp_path):
    (tmp_path / detection.PREDICTOR).write_bytes(b"x")
    (tmp_path / "named.dat").write_bytes(b"y")
    assert find_predictor(folders=[tmp_path / "empty", tmp_path]) == tmp_path / detection.PREDICTOR
    assert find_predictor(tmp_path / "named.dat", [tmp_path]) == tmp_path / "named.dat"


def test_a_damaged_file_is_named(tmp_path):
    pytest.importorskip("dlib", reason="dlib reads the file")
    (tmp_path / "broken.dat").write_bytes(b"not a predictor")
    with pytest.raises(FaceError, match=r"broken\.dat is a text instead of the model"):
        detect(np.zeros((50, 50, 3), np.uint8), predictor=tmp_path / "broken.dat")


def test_without_dlib_the_way_out_is_named(monkeypatch, photo):
    monkeypatch.setitem(sys.modules, "dlib", None)
    detection._detector.cache_clear()
    with pytest.raises(FaceError, match="pip install dlib-bin face_recognition_models"):
        detect(photo)


def degraded(photo: np.ndarray, kind: str) -> np.ndarray:
    """A photo as it comes out of a dark room, or out of a coarse halftone press."""
    rng = np.random.default_rng(1)
    if kind == "dark":
        return np.clip(photo * 0.05 + rng.normal(0, 4, photo.shape), 0, 255).astype(np.uint8)
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    screen = 127 + 120 * np.cos(2 * np.pi * (x + y) / 7) * np.cos(2 * np.pi * (x - y) / 7)
    return np.repeat(((photo.mean(2) > screen) * 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", ["dark", "halftone"])
def test_poor_pictures_get_a_second_look(predictor, photo, landmarks, moved, monkeypatch, kind):
    picture, points = moved(photo, landmarks, 0, 1, (300, 300))
    picture = degraded(picture, kind)
    found = detect(picture, tilted=False)
    assert len(found) == 1 and error_in_face(found[0].landmarks, points, (300, 300)) < 0.12
    monkeypatch.setattr(detection, "restored", lambda photo: ())
    assert detect(picture, tilted=False) == []  # it is that look which finds it


def test_what_is_no_face_stays_none(predictor, drawn):
    assert detect(drawn(300, 240)) == []


def test_portraits_of_two_hundred_years(predictor, portraits):
    """All of today, 98 of 100 of those seen nearly from the front, eyes within 5 % of their distance, and no profile."""
    frontal = {name: entry for name, (_, entry) in portraits.items() if not entry.get("note", "").startswith("profile")}
    found = {name: detect(picture) for name, (picture, _) in portraits.items()}
    assert all(found[name] for name in frontal if frontal[name]["group"] == "recent")
    assert sum(bool(found[name]) for name in frontal) >= 0.98 * len(frontal)
    assert not [name for name in found if name not in frontal and found[name]]
    for name, entry in frontal.items():
        if "left_eye" in entry:
            marks = choose(found[name]).landmarks
            apart = np.hypot(*np.subtract(entry["right_eye"], entry["left_eye"]))
            error = np.subtract([marks[36:42].mean(0), marks[42:48].mean(0)], [entry["left_eye"], entry["right_eye"]])
            assert np.linalg.norm(error, axis=1).max() <= 0.05 * apart, name


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 300)])
def test_a_line_of_pixels_shows_no_face_and_prints_nothing(predictor, size, recwarn):
    assert detect(torch.rand(1, 3, *size), predictor=predictor, value_range=(0, 1)) == [[]]
    assert not list(recwarn)
