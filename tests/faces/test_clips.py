"""A steady crop path: no lag, no jitter, cuts and gaps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from micromotion.faces import Face, FaceError, align_clip, find_cuts, follow, key_frames, paste, steady


def shifted(landmarks, shifts):
    """The 90 px face moved to each of ``shifts [F, 2]``."""
    return [landmarks + shift for shift in shifts]


@pytest.fixture
def still(drawn):
    """``[F, 3, 256, 384]`` of one drawn picture, as uint8 tensor frames."""
    frame = torch.from_numpy(drawn(384, 256)).permute(2, 0, 1)
    return lambda count: frame[None].expand(count, -1, -1, -1)


def centers(crops):
    return np.array([crop.center for crop in crops])


def test_a_steady_movement_passes_unchanged():
    """Lines have no lag at any width, ends included."""
    line = np.stack([np.linspace(0, 300, 80), np.linspace(5, -9, 80)], axis=1)
    for width in (None, 3, 10):
        np.testing.assert_allclose(steady(line, np.ones(80), width), line, atol=1e-6)


def test_no_lag_behind_a_swing():
    """The smoothed path of a noisy nod is in phase with the nod."""
    t = np.arange(120)
    nod = 20 * np.sin(2 * np.pi * t / 40)
    noisy = nod + np.random.default_rng(0).normal(0, 1.0, 120)
    smooth = steady(noisy[:, None], np.ones(120))[:, 0]
    lags = {lag: np.corrcoef(smooth[10:-10], nod[10 + lag : 110 + lag])[0, 1] for lag in range(-5, 6)}
    assert max(lags, key=lags.get) == 0
    assert np.std(smooth - nod) < 0.75 * np.std(noisy - nod) and np.ptp(smooth) > 0.95 * np.ptp(nod)


def test_a_wild_frame_does_not_pull_the_path():
    values = np.random.default_rng(1).normal(50, 0.3, (60, 1))
    values[30] += 40
    assert np.abs(steady(values, np.ones(60)) - 50).max() < 0.4


def test_a_static_face_in_a_noisy_clip_stays_put(landmarks, still):
    """Half a pixel of noise on every landmark and dlib's rounding: the crop moves by less than 0.2 px in 60 frames."""
    random = np.random.default_rng(2)
    noisy = [np.rint(landmarks + random.normal(0, 0.5, (68, 2)) + random.normal(0, 0.5, 2)) for _ in range(60)]
    _, crops, _ = align_clip(still(60), noisy, 8, cuts=())
    _, each, _ = align_clip(still(60), noisy, 8, path="each", cuts=())
    corners, raw = (np.array([c.quad for c in path]) for path in (crops, each))
    assert np.abs(np.diff(corners, axis=0)).max() <= 0.2 and corners.std(axis=0).max() <= 0.2
    assert raw.std(axis=0).max() > 0.4


def test_paths(landmarks, still):
    """Walking right by 60 px: "smooth" goes along, "fixed" stays and says how far the face went, "each" is the landmarks'."""
    shifts = np.stack([np.linspace(0, 60, 30), np.zeros(30)], axis=1)
    points = shifted(landmarks, shifts)
    walked = {p: align_clip(still(30), points, 16, path=p, cuts=())[1:] for p in ("smooth", "fixed", "each")}
    np.testing.assert_allclose(centers(walked["smooth"][0]), centers(walked["each"][0]), atol=0.05)
    assert np.ptp(centers(walked["fixed"][0]), axis=0).max() == 0
    assert walked["fixed"][1].drift == pytest.approx(30 / 174, rel=0.05) and walked["smooth"][1].drift < 0.001


def test_squares_come_back_where_they_were(landmarks, still):
    frames = still(6)
    squares, crops, report = align_clip(frames, shifted(landmarks, np.arange(6)[:, None] * [3.3, 1.1]), 200)
    pasted, _ = paste(frames, squares, crops)
    assert squares.dtype == torch.uint8 and report.kept == tuple(range(6)) and "a face in every frame" in str(report)
    assert float((pasted.float() - frames.float()).abs().mean()) < 1.5


def test_gaps(landmarks, still):
    points = shifted(landmarks, np.arange(10)[:, None] * [4.0, 0])
    points[4] = points[5] = points[6] = None
    options = dict(path="each", cuts=())
    _, crops, report = align_clip(still(10), points, 8, missing="interpolate", **options)
    np.testing.assert_allclose(np.diff(centers(crops)[:, 0]), 4, atol=1e-6)
    assert report.missing == (4, 5, 6) and "no face in 3 frames (4, 5, 6): interpolate" in str(report)
    _, held, _ = align_clip(still(10), points, 8, missing="hold", **options)
    np.testing.assert_allclose(centers(held)[3:7, 0], centers(held)[3, 0])
    squares, skipped, report = align_clip(still(10), points, 8, missing="skip", **options)
    assert len(squares) == len(skipped) == 7 and report.kept == (0, 1, 2, 3, 7, 8, 9) and "7 of 10 frames kept" in str(report)
    with pytest.raises(FaceError, match="frame 4, 5, 6"):
        align_clip(still(10), points, 8, missing="error", **options)


def test_a_gap_is_smoothed_over(landmarks, still):
    points = shifted(landmarks, np.arange(40)[:, None] * [2.0, 0])
    points[10:20] = [None] * 10
    _, crops, _ = align_clip(still(40), points, 8, cuts=())
    np.testing.assert_allclose(np.diff(centers(crops)[:, 0]), 2, atol=0.05)
    assert all(crop.landmarks is not None for crop in crops)


def test_a_face_that_leaves_the_picture_is_missing(landmarks, still):
    points = shifted(landmarks, np.stack([np.linspace(0, 160, 9), np.zeros(9)], axis=1))
    _, _, report = align_clip(still(9), points, 8, missing="hold", cuts=())
    assert report.missing and report.missing[-1] == 8 and report.missing[0] > 4


def test_nothing_crosses_a_cut(landmarks, still):
    points = shifted(landmarks, [(0, 0)] * 10 + [(90, 20)] * 10)
    _, crops, report = align_clip(still(20), points, 8, smoothing=5)
    assert report.cuts == (10,) and np.ptp(centers(crops[:10]), axis=0).max() < 1e-6
    np.testing.assert_allclose(centers(crops)[10] - centers(crops)[9], (90, 20), atol=1e-6)


def test_a_shot_without_a_face(landmarks, still):
    points = [landmarks] * 5 + [None] * 5
    with pytest.raises(FaceError, match="from frame 5 to 9 shows no face at all"):
        align_clip(still(10), points, 8, cuts=(5,))
    _, _, report = align_clip(still(10), points, 8, cuts=(5,), missing="skip")
    assert report.kept == (0, 1, 2, 3, 4)
    with pytest.raises(FaceError, match="any of the 10 frames"):
        align_clip(still(10), [None] * 10, 8)


def test_cuts_that_are_none_are_not_reported(landmarks, still):
    assert align_clip(still(4), [landmarks] * 4, 8, cuts=(-1, 0, 2, 99))[2].cuts == (2,)


def test_cuts_are_found_and_flashes_and_pans_are_not(drawn):
    wide = torch.from_numpy(drawn(400, 64)).permute(2, 0, 1).float() / 127.5 - 1
    pan = torch.stack([wide[:, :, 3 * i : 3 * i + 64] for i in range(12)])
    other = -pan
    flash = pan.clone()
    flash[6] = 1.0
    assert find_cuts(pan) == () and find_cuts(flash) == () and find_cuts(torch.cat([pan, other])) == (12,)
    assert find_cuts(pan[:1]) == () and find_cuts(torch.cat([pan[:1], other[:1]])) == (1,)


def face(x, y, extent=80.0):
    return Face(np.zeros((68, 2)) + (x, y), (x - extent / 2, y - extent / 2, x + extent / 2, y + extent / 2))


def test_one_face_is_followed_among_others():
    """Two people cross in size: the one chosen first is kept, through a frame in which only the other is seen."""
    frames = [[face(100 + 2 * i, 100, 80), face(300, 100, 60 + 3 * i)] for i in range(12)]
    frames[5] = frames[5][1:]
    path = follow(frames)
    assert path[5] is None and all(p is f[0] for i, (p, f) in enumerate(zip(path, frames)) if i != 5)
    assert all(p is f[-1] for p, f in zip(follow(frames, point=(310, 90)), frames))


def test_a_badge_that_the_detector_doubts_is_not_followed():
    """It is seen in one frame alone, as large as the face: the frame that shows the most is where one is chosen."""
    true = [replace(face(220, 120, 90), score=1.2) for _ in range(8)]
    frames = [[replace(face(170, 380, 90), score=0.31), true[0]], *([one] for one in true[1:])]
    assert follow(frames) == true and follow(frames, "left to right")[0] is frames[0][0]


def test_a_cut_chooses_again_and_so_does_a_long_absence():
    frames = [[face(100, 100)]] * 3 + [[face(400, 300)]] * 12
    assert follow(frames, cuts=(3,))[3] is not None
    lost = follow(frames)
    assert lost[3:11] == [None] * 8 and lost[11] is not None


def test_a_face_missed_at_first_keeps_its_number():
    """Of three faces the first frames show two; the numbers are those of the frame that shows all three."""
    three = [face(100, 100), face(300, 100), face(500, 100)]
    path = follow([[three[0], three[2]]] * 2 + [three] * 4, "left to right", index=1)
    assert path == [None, None] + [three[1]] * 4
    found = [[three[1], three[2]]] * 2 + [three] * 4
    assert follow(found, "left to right", index=1) == [three[1]] * 6
    assert key_frames(found) == [2] and key_frames(found, cuts=(1, 4)) == [0, 2, 4]
    with pytest.raises(FaceError, match="Face 3 was asked for and no frame shows more than 3"):
        follow([three[:2], three], index=3)


def test_progress_is_told(landmarks, still):
    seen = []
    align_clip(still(3), [landmarks] * 3, 8, progress=lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (dict(size=8.5), "give a whole number from 1 to 8192"),
        (dict(smoothing=-3), "smoothing must be a number of frames"),
        (dict(path="steady"), "path must be one of smooth, fixed, each"),
        (dict(missing="guess"), "missing must be one of interpolate, hold, skip, error"),
        (dict(landmarks=[None]), "5 frames and landmarks 1"),
        (dict(landmarks=[np.full((68, 2), np.nan)] * 5), "frame 0"),
        (dict(frames=torch.full((5, 3, 256, 384), torch.nan)), "frames contains values that are not numbers"),
    ],
)
def test_what_cannot_be_followed_is_said_in_a_sentence(landmarks, still, change, sentence):
    arguments = {"frames": still(5), "landmarks": [landmarks] * 5, "size": 8} | change
    with pytest.raises(FaceError, match=sentence):
        align_clip(arguments.pop("frames"), arguments.pop("landmarks"), arguments.pop("size"), **arguments)


def test_frames_and_shots_without_a_face_can_be_kept_as_they_are():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (7, 3, 120, 120)).astype(np.float32) / 127.5 - 1
    frames = torch.from_numpy(frames)
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    face = np.stack([60 + 25 * np.cos(angles), 60 + 25 * np.sin(angles)], 1)
    face[36:42], face[42:48], face[48], face[54] = (50, 50), (70, 50), (52, 75), (68, 75)
    seen = [face, None, face, None, None, face, face]  # frames 3 and 4 are a shot of their own
    squares, crops, report = align_clip(frames, seen, 32, missing="keep", cuts=(3, 5))
    assert report.kept == tuple(range(7)) and report.missing == (1, 3, 4) and "keep" in str(report)
    assert [crop.empty for crop in crops] == [point is None for point in seen]
    for options in ({}, {"reconstruction": squares}, {"mask": "square"}):
        pasted, mask = paste(frames, (squares + 0.5).clamp(-1, 1), crops, **options)
        for i, point in enumerate(seen):
            assert torch.equal(pasted[i], frames[i]) == (point is None), i
            assert bool(mask[i].max() > 0) == (point is not None)
    with pytest.raises(FaceError, match="keep it as it is"):
        align_clip(frames, seen, 32, missing="hold", cuts=(3, 5))
