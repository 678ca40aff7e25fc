"""Sweeps: ends, loops, holds, keyframes, curves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from micromotion.subspaces import EASINGS, SubspaceError, close_loop, from_samples, keyframes, sweep


@pytest.mark.parametrize("easing", EASINGS)
def test_a_sweep_reaches_both_ends_exactly_and_never_turns_back(easing):
    c = sweep(21, -0.3, 1.7, easing=easing)
    assert c[0] == torch.tensor(-0.3)
    assert c[-1] == torch.tensor(1.7)
    assert (c.diff() >= 0).all()


def test_easings_differ_from_linear_where_they_should():
    assert sweep(5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert sweep(5, easing="ease")[1] < 0.25 < sweep(5, easing="ease_out")[1]


def test_ping_pong_doubles_no_frame_and_loops_exactly():
    assert sweep(8, ping_pong=True).tolist() == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]


@given(frames=st.integers(2, 60), easing=st.sampled_from(sorted(EASINGS)))
def test_a_ping_pong_of_any_length_touches_both_ends_once(frames, easing):
    c = sweep(frames, 0.0, 2.0, ping_pong=True, easing=easing)
    assert len(c) == frames
    assert (c == 0).sum() == 1
    assert (c == 2).sum() == 1


def test_holds_and_cycles_count_inside_the_frames():
    c = sweep(10, 0, 1, hold_start=2, hold_end=3)
    assert c[:3].tolist() == [0, 0, 0]
    assert c[-4:].tolist() == [1, 1, 1, 1]
    twice = sweep(16, 0, 1, ping_pong=True, hold_end=2, cycles=2)
    assert torch.equal(twice[:8], twice[8:])
    assert (twice == 1).sum() == 6


def test_one_frame_stays_at_the_start():
    assert sweep(1, 0.4, 1).tolist() == pytest.approx([0.4])


def test_keyframes_pass_through_their_points_and_hold_outside():
    c = keyframes([(8, -1.0), (2, 1.0), (4, 0.5)], 12)
    assert c[[0, 2, 3, 4, 8, 11]].tolist() == pytest.approx([1, 1, 0.75, 0.5, -1, -1])
    assert keyframes([(0, 0.0), (4, 1.0)], 5, easing="ease")[1] < 0.25


def test_looping_keyframes_lead_on_from_the_last_to_the_first():
    c = keyframes([(0, 0.0), (4, 1.0), (12, -1.0)], 16, loop=True)
    assert c[[0, 4, 12]].tolist() == [0, 1, -1]
    assert c[14] == -0.5, "half way back to the first"
    late = keyframes("4: 1, 12: -1", 16, loop=True)
    assert late[[0, 8]].tolist() == [0, 0]
    assert torch.equal(keyframes("4: 1, 12: -1", 16)[13:], torch.full((3,), -1.0))


def test_keyframes_may_be_written():
    assert torch.equal(keyframes("0: 0, 12: 1; 24:-0.5\n", 30), keyframes([(0, 0), (12, 1), (24, -0.5)], 30))


def test_samples_are_stretched_over_the_frames():
    assert from_samples([0, 1, 0], 5, 0, 2).tolist() == pytest.approx([0, 1, 2, 1, 0])
    assert from_samples([0.5], 3, -1, 1).tolist() == pytest.approx([0, 0, 0])
    assert from_samples([0, 1, 0.25], 1).tolist() == pytest.approx([0])


@pytest.mark.parametrize("shape", [(30,), (30, 2)])
def test_a_track_becomes_a_loop_whose_ends_meet(shape):
    track = torch.linspace(0, 1, 30).reshape(30, *[1] * (len(shape) - 1)).expand(shape)
    loop = close_loop(track, 10)
    assert len(loop) == 20
    assert torch.equal(loop[10:], track[10:20])
    assert torch.equal(loop[0], track[20])
    assert (loop.roll(-1, 0) - loop).abs().max() < 0.1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sweep(0), "The frames are 0; give a whole number from 1 to 100000"),
        (lambda: sweep(2.5), "whole number"),
        (lambda: sweep(float("nan")), "whole number"),
        (lambda: sweep("many"), "whole number"),
        (lambda: sweep(10**9), "The frames are 1000000000; give a whole number from 1 to 100000"),
        (lambda: sweep(10, 0, 1e30), "The coefficient is 1e\\+30"),
        (lambda: keyframes("0: 0", 10**12), "The frames are 1000000000000"),
        (lambda: keyframes("0: 0, 1e12: 1", 10), "The keyframe's frame is 1000000000000"),
        (lambda: keyframes([(0, "a")], 10), "The coefficient is a; give a number"),
        (lambda: from_samples(["a"], 5), "The curve's sample is a"),
        (lambda: close_loop(torch.zeros(4), 1.5), "overlap"),
        (lambda: sweep(10, easing="bounce"), "choose one of linear"),
        (lambda: sweep(4, hold_end=4), "shorter holds"),
        (lambda: sweep(4, hold_end=-1), "frames of a hold are -1"),
        (lambda: sweep(3, cycles=4), "fewer cycles"),
        (lambda: keyframes([], 5), "no keyframes"),
        (lambda: keyframes(" , ", 5), "no keyframes"),
        (lambda: keyframes("0: 0, twelve", 5), "'twelve' is not a keyframe"),
        (lambda: keyframes([(0, 0), (0, 1)], 5), "Two keyframes lie at frame 0"),
        (lambda: keyframes([(0, 0, 1)], 5), "pair of frame and value"),
        (lambda: keyframes("9: 1", 5, loop=True), "outside a loop"),
        (lambda: sweep(10, float("nan")), "The coefficient is nan; give a number from -1000 to 1000"),
        (lambda: sweep(10, hold_end=1.5), "whole number"),
        (lambda: from_samples([0, 1], 5, float("inf")), "The coefficient is inf"),
        (lambda: keyframes([(0, float("nan"))], 5), "The coefficient is nan"),
        (lambda: from_samples([], 5), "no samples"),
        (lambda: close_loop(torch.zeros(10), 6), "1 to 5 frames"),
        (lambda: from_samples([float("inf")], 5), "The curve's sample is inf"),
    ],
)
def test_bad_sweeps_get_one_sentence(call, words):
    with pytest.raises(SubspaceError, match=words):
        call()


def test_every_easing_has_its_own_curve():
    curves = {name: [ease(t) for t in (0.25, 0.5, 0.75)] for name, ease in EASINGS.items()}
    assert curves["linear"] == [0.25, 0.5, 0.75]
    assert curves["ease"] == [0.15625, 0.5, 0.84375]
    assert curves["ease_in"] == [0.0625, 0.25, 0.5625]
    assert curves["ease_out"] == [0.4375, 0.75, 0.9375]
    assert curves["smoother"] == pytest.approx([0.103515625, 0.5, 0.896484375])
    assert curves["sine"] == pytest.approx([0.1464466, 0.5, 0.8535534])
    assert len({tuple(curve) for curve in curves.values()}) == len(EASINGS)


def test_a_closed_loop_fades_in_even_steps_that_never_quite_arrive():
    """Frame ``overlap`` is the first that is the track's own: the fade would else hold for two frames."""
    track = torch.cat([torch.ones(8), torch.zeros(4)])
    assert close_loop(track, 4).tolist() == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
