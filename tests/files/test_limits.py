"""Bounds of numbers: what is inside passes as it is, everything else gets one sentence."""

from __future__ import annotations

import math

import pytest
import torch
from micromotion.files import limits
from micromotion.files.errors import MicromotionError


@pytest.mark.parametrize(("limit", "value"), [(limits.FRAMES, 1), (limits.FRAMES, 100_000), (limits.FRAMES, 8.0), (limits.FPS, 23.976)])
def test_numbers_inside_pass(limit, value):
    assert limit.checked(value, "It is") == value
    assert isinstance(limits.FRAMES.checked(torch.tensor(3), "It is"), int)


@pytest.mark.parametrize("value", [0, -1, 1.5, 10**12, 10**400, math.nan, math.inf, "8", None, [1], torch.ones(2)])
def test_everything_else_is_one_sentence(value):
    with pytest.raises(MicromotionError, match=r"^The frames are .*; give a whole number from 1 to 100000\.$"):
        limits.FRAMES.checked(value, "The frames are")


def test_every_limit_reads_as_a_sentence():
    assert str(limits.FPS) == "a number from 0.1 to 240" and str(limits.SEED) == "a whole number from 0 to 4294967295"
