"""Algebra of motions."""

from __future__ import annotations

import pytest
import torch
from micromotion.subspaces import (
    Calibration,
    Subspace,
    SubspaceError,
    add,
    combine,
    cosine_table,
    cosines,
    merge,
    negate,
    orthogonalize,
    restrict,
    scale,
    subtract,
)
from synthetic import cosine, direction

A = Subspace(direction().float(), name="smile", license="CC0", calibration=Calibration("one smile", (2.0,), ((-1.0, 2.0),)))
B = Subspace(direction(seed=1).float(), name="age")


def test_sums_and_differences_work_on_calibrated_directions():
    assert torch.allclose(add(A, B, 0.5).direction, A.direction + 0.5 * B.direction)
    assert torch.allclose(subtract(A, B).direction, A.direction - B.direction)
    assert add(A, B).calibration.safe == ()
    assert add(A, B).license == "CC0"
    assert add(A, B, name="both").name == "both"


def test_negating_and_scaling_carry_the_safe_range_along():
    assert torch.equal(negate(A).direction, -A.direction)
    assert negate(A).safe_range == (-2.0, 1.0)
    assert torch.allclose(scale(A, 4.0).direction, 4 * A.direction)
    assert scale(A, 4.0).safe_range == (-0.25, 0.5)
    assert torch.equal(negate(negate(A)).direction, A.direction)


@pytest.mark.parametrize("per_layer", [False, True])
def test_orthogonalizing_takes_out_the_other_motion_and_nothing_else(per_layer):
    rest = orthogonalize(add(A, B, 0.7), [B], per_layer=per_layer)
    assert abs(cosine(rest.direction, B.direction)) < 1e-5
    assert cosine(rest.direction, A.direction) > 0.95
    if per_layer:
        assert (rest.direction * B.direction).sum(1).abs().max() < 1e-4
    assert torch.allclose(orthogonalize(rest, B, per_layer=per_layer).direction, rest.direction, atol=1e-5)


def test_restricting_keeps_the_chosen_rows_as_they_are():
    part = restrict(A, "2-3")
    assert part.layers == (2, 3)
    assert torch.equal(part.direction[2:4], A.direction[2:4])
    assert part.direction.norm() < A.direction.norm()
    assert not part.direction[[0, 1, 4, 5]].any()


def test_merging_seeds_outvotes_a_bad_one_and_turns_them_to_one_side():
    noisy = [Subspace((k * (direction() + 0.02 * torch.randn(6, 32))).float()) for k in (1, -1, 1.5, 0.7)]
    wrong = Subspace(direction(seed=5).float())
    together = merge([*noisy, wrong])
    assert cosine(together.direction, direction()) > 0.97
    assert together.direction.norm() == pytest.approx(3, rel=0.15)


def test_the_cosine_table_names_its_motions():
    table = cosines([A, B, negate(A)])
    assert table[0].tolist() == pytest.approx([1, cosine(A.direction, B.direction), -1], abs=1e-5)
    text = cosine_table([A, B])
    assert "smile" in text.splitlines()[0]
    assert text.splitlines()[1].endswith(f"{table[0, 1]:.2f}")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: add(A, Subspace(torch.ones(4, 32))), "different shapes"),
        (lambda: merge([Subspace(torch.ones(2, 2), fingerprint=f) for f in "ab"]), "different generators"),
        (lambda: merge([]), "no motions"),
        (lambda: merge([A, Subspace(torch.zeros(6, 32))]), "length 0"),
        (lambda: scale(A, 0.0), "other than 0"),
        (lambda: orthogonalize(A, negate(A)), "same motion"),
        (lambda: restrict(restrict(A, "0-2"), "4"), "touches 0, 1, 2"),
    ],
)
def test_bad_combinations_get_one_sentence(call, words):
    with pytest.raises(SubspaceError, match=words):
        call()


def test_operations_by_name_are_the_functions_themselves():
    first, second, third = (Subspace(torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(i))) for i in range(3))
    assert torch.equal(combine("add", [first, second, third], weight=0.5).direction, add(add(first, second, 0.5), third, 0.5).direction)
    assert torch.equal(combine("subtract", [first, second], weight=2.0).direction, subtract(first, second, 2.0).direction)
    layers = combine("without", [first, second, third], per_layer=True).direction
    assert torch.equal(layers, orthogonalize(first, [second, third], per_layer=True).direction)
    assert torch.equal(combine("merge", [first, second, third]).direction, merge([first, second, third]).direction)
    for operation, motions, words in (("add", [first], "two motions or more"), ("divide", [first, second], "choose one of add")):
        with pytest.raises(SubspaceError, match=words):
            combine(operation, motions)


@pytest.mark.parametrize("call", [lambda s, x: add(s, s, x), lambda s, x: scale(s, x)])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e30])
def test_factors_have_bounds(call, number):
    with pytest.raises(SubspaceError, match="give a number from -1000 to 1000"):
        call(Subspace(torch.ones(6, 8)), number)
