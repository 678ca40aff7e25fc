"""Reading coefficients from a clip: projection, robustness, smoothing, and back again."""

from __future__ import annotations

import pytest
import torch
from micromotion.subspaces import LostMotionError, Subspace, SubspaceError, read_coefficients, reading_gain, smooth_track, sweep
from synthetic import direction

S = Subspace(direction().float())
TRACK = sweep(40, 0, 1, ping_pong=True, easing="ease")
CODE = torch.randn(6, 32, generator=torch.Generator().manual_seed(2))


def test_reads_back_what_was_applied():
    clip = S.apply(CODE, TRACK)
    assert torch.allclose(read_coefficients(S, clip, reference="first"), TRACK, atol=1e-5)
    assert torch.allclose(read_coefficients(S, clip, reference=CODE), TRACK, atol=1e-5)
    median = read_coefficients(S, clip)
    assert torch.allclose(median - median[0], TRACK, atol=1e-5)


def test_reads_every_component_of_a_higher_rank():
    two = Subspace(torch.stack([direction(), direction(seed=1)]).float())
    tracks = torch.stack([TRACK, 0.5 - TRACK.flip(0)], 1)
    assert torch.allclose(read_coefficients(two, two.apply(CODE, tracks), reference=CODE), tracks, atol=1e-5)


def test_a_robust_reading_survives_what_breaks_a_projection():
    rng = torch.Generator().manual_seed(1)
    clip = S.apply(CODE, TRACK) + 0.01 * torch.randn(40, 6, 32, generator=rng)
    spikes = (torch.rand(40, 6, 32, generator=rng) < 0.1) * 2.0
    robust = read_coefficients(S, clip + spikes, reference=CODE)
    plain = read_coefficients(S, clip + spikes, reference=CODE, robust=False)
    assert (robust - TRACK).abs().mean() < 0.2 * (plain - TRACK).abs().mean()
    assert (robust - TRACK).abs().max() < 0.05


def test_smoothing_calms_jitter_drops_single_bad_frames_and_keeps_constants():
    rng = torch.Generator().manual_seed(1)
    noisy = TRACK + 0.05 * torch.randn(40, generator=rng)
    noisy[20] += 3
    smooth = smooth_track(noisy, 1.5)
    assert (smooth - TRACK).abs().mean() < 0.7 * (noisy - TRACK).abs().mean()
    assert (smooth - TRACK)[15:25].abs().max() < 0.25
    assert torch.allclose(smooth_track(torch.full((9, 2), 0.7), 2.0), torch.full((9, 2), 0.7))
    assert smooth_track(torch.tensor([1.0, 2.0]), 1.0).shape == (2,)
    assert smooth_track(torch.tensor([3.0]), 9.0).tolist() == [3.0]
    frames = torch.arange(40.0)
    kernel = torch.exp(-0.5 * ((frames[:, None] - frames) / 1.5) ** 2)
    assert torch.allclose(smooth_track(TRACK.sort().values, 1.5), kernel @ TRACK.sort().values / kernel.sum(1), atol=1e-4)


def test_a_long_clip_is_read_in_blocks_as_a_whole(monkeypatch):
    clip = S.apply(CODE, TRACK) + 0.01 * torch.randn(40, 6, 32, generator=torch.Generator().manual_seed(3))
    whole = read_coefficients(S, clip)
    monkeypatch.setattr("micromotion.subspaces.reading.FRAMES_AT_ONCE", 7)
    assert torch.allclose(read_coefficients(S, clip), whole, atol=1e-6)


class Lossy:
    """A generator whose pictures are its codes, and an inverter that keeps part of each component and mixes them."""

    resolution, num_layers, width, fingerprint = 16, 6, 32, "lossy"
    size = (16, 16)
    w_avg = torch.zeros(32)

    class architecture:  # noqa: N801
        channels, img_channels = {16: 1}, 3

    def __init__(self, subspace: Subspace, keeps: torch.Tensor):
        self.plane, self.keeps = subspace.basis.flatten(1), keeps

    def synthesize(self, codes, noise="const", half=0):
        return codes.reshape(len(codes), 3, 8, 8)

    def invert(self, images):
        codes = images.flatten(1)
        along = torch.linalg.lstsq(self.plane.T, codes.T).solution.T
        return (codes + (along @ self.keeps - along) @ self.plane).reshape(-1, 6, 32)


TWO = Subspace(torch.stack([direction(), direction(seed=1)]).float())


@pytest.mark.parametrize(
    ("motion", "keeps"), [(S, torch.tensor([[0.6]])), (TWO, torch.tensor([[0.6, 0.2], [-0.1, 0.9]]))], ids=["rank 1", "rank 2"]
)
def test_what_an_inverter_loses_is_made_up_for(motion, keeps):
    world = Lossy(motion, keeps)
    track = torch.stack([TRACK, 0.3 * TRACK.flip(0)], 1)[:, : motion.rank]
    clip = world.invert(motion.apply(CODE, track))
    gain = reading_gain(motion, world, world.invert, CODE)
    assert torch.allclose(gain.float(), keeps, atol=1e-4)
    first = track - track[0]
    short = read_coefficients(motion, clip, reference="first").reshape(track.shape)
    assert not torch.allclose(short, first, atol=0.05)
    made_up = read_coefficients(motion, clip, reference="first", gain=gain).reshape(track.shape)
    assert torch.allclose(made_up, first, atol=1e-3)


def test_an_inverter_that_loses_the_motion_is_said_so():
    world = Lossy(S, torch.tensor([[0.05]]))
    with pytest.raises(LostMotionError, match="keeps too little"):
        reading_gain(S, world, world.invert, CODE)


def test_layers_outside_the_motion_do_not_count():
    part = Subspace(S.basis * (torch.arange(6) < 3)[:, None], layers=(0, 1, 2))
    clip = part.apply(CODE, TRACK)
    clip[:, 3:] += torch.randn(40, 3, 32) * 5
    assert torch.allclose(read_coefficients(part, clip, reference=CODE), TRACK, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: read_coefficients(S, torch.zeros(3, 4, 32)), "this motion reads"),
        (lambda: read_coefficients(S, torch.zeros(6, 32)), "this motion reads"),
        (lambda: read_coefficients(Subspace(torch.stack([S.basis[0], 0 * S.basis[0]])), torch.zeros(3, 6, 32)), "Component 2 .* length 0"),
        (lambda: read_coefficients(S, torch.full((3, 6, 32), float("nan"))), "not finite"),
        (lambda: read_coefficients(S, torch.zeros(3, 6, 32), reference="last"), "choose median"),
        (lambda: read_coefficients(S, torch.zeros(3, 6, 32), reference=torch.zeros(32)), "give one code"),
        (lambda: read_coefficients(S, torch.zeros(3, 6, 32), smooth=-1.0), "The smoothing in frames is -1.0; give a number from 0 to 1000"),
        (lambda: read_coefficients(S, torch.zeros(3, 6, 32), reference=CODE / 0), "not finite"),
    ],
)
def test_bad_clips_get_one_sentence(call, words):
    with pytest.raises(SubspaceError, match=words):
        call()
