"""Motions played in blocks: the same images as all at once, and never more codes than a block."""

from __future__ import annotations

import pytest
import torch
from micromotion.stylegan2.frames import synthesize_frames
from micromotion.subspaces import Subspace, SubspaceError, apply_motions, play, sweep
from micromotion.subspaces import playing as room


def test_blocks_make_no_difference(generator, monkeypatch):
    rng = torch.Generator().manual_seed(0)
    shape = generator.num_layers, generator.width
    one, two = (Subspace(torch.randn(rank, *shape, generator=rng)) for rank in (1, 2))
    motions = [(one, sweep(10)), (two, torch.randn(10, 2, generator=rng)), (one, 0.5)]
    code, many = torch.randn(1, *shape, generator=rng), torch.randn(10, *shape, generator=rng)
    made, seen = [], []
    monkeypatch.setattr(room, "BLOCK", 4)
    monkeypatch.setattr(room, "apply_motions", lambda *a: made.append(apply_motions(*a)) or made[-1])
    for codes in (code, many):
        whole = torch.cat(list(synthesize_frames(generator, apply_motions(codes, motions))))
        parts = torch.cat(list(play(generator, codes, motions, progress=lambda done, total, _: seen.append((done, total)))))
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)
    assert [len(m) for m in made] == [4, 4, 2] * 2 and seen[-1] == (10, 10)
    assert torch.equal(torch.cat(list(play(generator, code[0], []))), generator.synthesize(code))


def test_frames_that_do_not_match_are_refused_before_any_work(generator):
    codes = torch.zeros(3, generator.num_layers, generator.width)
    with pytest.raises(SubspaceError, match="3 and 4 frames"):
        next(play(generator, codes, [(Subspace(codes[0] + 1), sweep(4))]))
