"""Video anchors: the motion of a clip without degrees."""

from __future__ import annotations

import pytest
import torch
from micromotion.subspaces import SubspaceError, fit
from micromotion.subspaces.anchors import video_anchors
from synthetic import cosine, direction

D = direction().float()


def clip(track: torch.Tensor, seed: int = 0, noise: float = 0.01, spikes: float = 0.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    codes = torch.randn(6, 32, generator=rng) + track[:, None, None] * D + noise * torch.randn(len(track), 6, 32, generator=rng)
    return codes + (torch.rand(codes.shape, generator=rng) < spikes) * torch.randn(codes.shape, generator=rng)


RISE = torch.linspace(0, 1, 40)
BLINK = torch.cat([torch.linspace(0, 1, 20), torch.linspace(1, 0, 20)])


@pytest.mark.parametrize("track", [RISE, BLINK, BLINK * 0.5, torch.sin(RISE * 6.28 * 1.5).abs()])
@pytest.mark.parametrize("spikes", [0.0, 0.05])
def test_the_motion_of_a_clip_is_found_with_its_positive_end_away_from_the_beginning(track, spikes):
    anchors = video_anchors(clip(track, spikes=spikes))
    s = fit(anchors)
    assert anchors.degrees is None
    assert anchors.source == "video"
    assert s.estimator == "rpca"
    assert cosine(s.direction, D) > 0.98
    assert s.direction.norm() == pytest.approx(D.norm().item() * float(track.max()), rel=0.12)
    assert s.calibration.unit == "the clip's own range"


def test_the_user_may_name_the_positive_end():
    assert cosine(fit(video_anchors(clip(BLINK), positive=0)).direction, D) < -0.98
    assert cosine(fit(video_anchors(clip(BLINK), positive=20)).direction, D) > 0.98
    assert video_anchors(clip(BLINK), positive=20).parameters["positive"] == 20


def test_anchors_come_in_the_order_of_the_motion():
    anchors = video_anchors(clip(BLINK))
    frames = [int(label.removeprefix("frame ")) for label in anchors.labels]
    along = BLINK[frames]
    assert (along.diff() > -0.06).all()
    assert along[0] < 0.06
    assert along[-1] > 0.94


def test_bad_frames_are_named_and_left_out():
    codes = clip(RISE)
    codes[11] += 2 * torch.randn(6, 32, generator=torch.Generator().manual_seed(4))
    codes[30] -= 2 * torch.randn(6, 32, generator=torch.Generator().manual_seed(5))
    anchors = video_anchors(codes)
    left_out = {label for label, used in zip(anchors.labels, anchors.used.tolist()) if not used}
    assert left_out == {"frame 11", "frame 30"}
    assert "11, 30" in anchors.notes[0]
    assert cosine(fit(anchors).direction, D) > 0.98


def test_a_standstill_is_named_and_counts_once():
    track = torch.cat([torch.zeros(30), RISE])
    anchors = video_anchors(clip(track, noise=0.002))
    left_out = [int(label.removeprefix("frame ")) for label, used in zip(anchors.labels, anchors.used.tolist()) if not used]
    assert 20 <= len(left_out) <= 32
    assert max(left_out) < 33
    assert "standstill" in anchors.notes[0]
    assert not video_anchors(clip(RISE, noise=0.0)).notes


def test_several_clips_are_pooled_as_groups():
    anchors = video_anchors([clip(RISE, 0), clip(BLINK, 1), clip(RISE * 0.5, 2)])
    assert anchors.num_groups == 3
    assert anchors.labels[0].startswith("clip 1, frame")
    assert cosine(fit(anchors).direction, D) > 0.98


def test_a_clip_that_begins_at_the_other_end_is_turned_round():
    codes = [clip(RISE, 0), clip(RISE.flip(0), 1), clip(BLINK, 2)]
    anchors = video_anchors(codes)
    assert cosine(fit(anchors).direction, D) > 0.98
    assert [note for note in anchors.notes if "Turned round, clip 2" in note] == list(anchors.notes)
    assert anchors.labels[40] == "clip 2, frame 39"
    named = video_anchors(codes[:2], positive=39)
    assert named.labels[-1] == "clip 2, frame 39", "what the user names is not turned round"
    assert not named.notes


def test_long_clips_are_thinned_evenly():
    anchors = video_anchors(clip(torch.linspace(0, 1, 500)), max_frames=50)
    assert len(anchors) == 50
    assert {anchors.labels[0], anchors.labels[-1]} == {"frame 0", "frame 499"}


def test_known_degrees_are_kept_in_time():
    anchors = video_anchors(clip(BLINK), degrees=BLINK, crop_policy="first frame", description="blink.mp4")
    assert torch.equal(anchors.degrees, BLINK)
    s = fit(anchors)
    assert s.estimator == "theil_sen"
    assert torch.allclose(s.direction, D, atol=0.05)
    assert s.parameters["crop_policy"] == "first frame"
    assert s.parameters["clip"] == "blink.mp4"


def test_the_generator_is_remembered_and_checked(generator):
    assert video_anchors(clip(RISE), generator=generator).fingerprint == generator.fingerprint
    with pytest.raises(SubspaceError, match="Invert the clip with this generator"):
        video_anchors(torch.randn(9, 18, 512), generator=generator)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: video_anchors([]), "no clips"),
        (lambda: video_anchors(torch.zeros(2, 6, 32)), "at least 3"),
        (lambda: video_anchors(torch.ones(9, 6, 32)), "nothing moves"),
        (lambda: video_anchors(torch.full((9, 6, 32), float("nan"))), "not finite"),
        (lambda: video_anchors(clip(RISE), degrees=[0, 1]), "40 frames but 2 degrees"),
        (lambda: video_anchors([clip(RISE)] * 2, degrees=RISE), "one clip at a time"),
        (lambda: video_anchors(clip(RISE), positive=40), "frames are 0 to 39"),
        (lambda: video_anchors(clip(RISE), max_frames=2), "The most frames are 2; give a whole number from 3"),
        (lambda: video_anchors(torch.cat([torch.zeros(11, 6, 32), torch.ones(1, 6, 32)])), "nothing moves"),
    ],
)
def test_bad_clips_get_one_sentence(call, words):
    with pytest.raises(SubspaceError, match=words):
        call()
