"""Plans: what a set consists of is decided by the plan alone."""

import pytest
from micromotion.pairs import MotionPlan, PairsError, Plan
from micromotion.pairs.captions import caption, instruction
from micromotion.pairs.plan import Variant

SMILE = MotionPlan("smile", "smile.safetensors", (-0.5, 0.0, 0.5, 1.0), (-1.0, 1.0))
AGE = MotionPlan("age", "age.safetensors", (0.5, 1.0), (0.0, 1.0))


def plan(**changes) -> Plan:
    return Plan(**{"kind": "seed", "keys": tuple(map(str, range(40))), "motions": (SMILE, AGE), **changes})


def test_grids_move_one_motion_each_and_leave_zero_out():
    found = [dict(v.coefficients) for v in plan().variants(3)]
    assert found == [{"smile": -0.5}, {"smile": 0.5}, {"smile": 1.0}, {"age": 0.5}, {"age": 1.0}]
    assert plan().pairs == 40 * 5


def test_mixed_grids_combine_all_motions():
    found = [dict(v.coefficients) for v in plan(mixed=True).variants(0)]
    assert len(found) == 8 and {"smile": 0.0, "age": 0.5} in found and all(len(c) == 2 for c in found)


def test_draws_depend_on_the_face_and_the_seed_and_not_on_its_place():
    first, again, other = plan(draws=6), plan(draws=6, keys=("7", "3")), plan(draws=6, seed=1)
    assert [v.coefficients for v in first.variants(7)] == [v.coefficients for v in again.variants(0)]
    assert [v.coefficients for v in first.variants(7)] != [v.coefficients for v in other.variants(7)]
    assert all(-1 <= c <= 1 for f in range(40) for v in first.variants(f) for _, c in v.coefficients)
    assert len({v.coefficients for v in first.variants(7)}) == 6
    assert {n for f in range(40) for v in first.variants(f) for n, _ in v.coefficients} == {"smile", "age"}
    assert all(len(v.coefficients) == 2 for v in plan(draws=2, mixed=True).variants(0))


def test_a_face_is_on_one_side_by_its_key_alone():
    whole, part = plan(test=0.3), plan(test=0.3, keys=("9", "2"))
    assert whole.split(9) == part.split(0) and whole.split(2) == part.split(1)
    sides = [whole.split(f) for f in range(40)]
    assert 4 <= sides.count("test") <= 20
    assert {plan(test=0.0).split(f) for f in range(40)} == {"train"}


def test_shards_cover_every_face_once():
    shards = plan(shard=7)
    assert [f for s in range(shards.shards) for f in shards.faces_of(s)] == list(range(40))


def test_names_are_unique_and_sorted_by_face():
    names = [v.name for f in range(40) for v in plan().variants(f)]
    assert names == sorted(set(names)) and names[5] == "0000001-000"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "film"}, "not from 'film'"),
        ({"keys": ()}, "has 0"),
        ({"keys": ("1", "1")}, "listed twice"),
        ({"motions": ()}, "needs a motion"),
        ({"motions": (SMILE, SMILE)}, "motion is listed twice"),
        ({"format": "gif"}, "not as 'gif'"),
        ({"size": 100_000}, "size is 100000; give a whole number from 0 to 4096"),
        ({"quality": 0}, "quality is 0"),
        ({"test": 1.0}, "not 1.0"),
        ({"test": float("nan")}, "test is nan"),
        ({"draws": 5000}, "from 0 to 1000"),
        ({"shard": 0}, "shard is 0"),
        ({"motions": (MotionPlan("smile", "", (float("nan"),)),)}, "strength of smile is nan"),
        ({"motions": (MotionPlan("smile", "", (1e9,)),)}, "of smile is 1000000000.0; give a number from -1000 to 1000"),
        ({"motions": (MotionPlan("smile", ""),)}, "strengths, or ask for random"),
        ({"motions": (MotionPlan("smile", "", (0.0,)),)}, "0 variants"),
        ({"motions": tuple(MotionPlan(str(i), "", tuple(range(1, 11))) for i in range(7)), "mixed": True}, "10,000,000 combinations"),
    ],
)
def test_plans_that_make_no_set_are_refused_with_a_sentence(changes, words):
    with pytest.raises(PairsError, match=words):
        plan(**changes)


def test_a_plan_is_named_by_everything_that_changes_its_set():
    names = {plan(**c).fingerprint for c in ({}, {"seed": 1}, {"size": 64}, {"format": "jpg"}, {"draws": 2}, {"truncation": 0.5})}
    assert len(names) == 6 and plan().fingerprint == plan().fingerprint


@pytest.mark.parametrize(
    ("coefficients", "order", "shown"),
    [
        ((("smile", 0.2),), "make the person smile slightly", "a person with a slight smile"),
        ((("smile", 0.5),), "make the person smile", "a person with a clear smile"),
        ((("smile", 1.0),), "make the person smile strongly", "a person with a strong smile"),
        ((("smile", -1.0),), "make the person smile strongly less", "make the person smile strongly less"),
        ((("smile", 0.5), ("age", -0.2)), "make the person smile and make the person slightly younger", None),
        ((("smile", 0.0), ("age", 1.0)), "make the person strongly older", "a person with a strong change of age"),
    ],
)
def test_words_follow_sign_and_strength(coefficients, order, shown):
    variant = Variant(0, 0, coefficients)
    assert instruction((SMILE, AGE), variant) == order
    assert shown is None or caption((SMILE, AGE), variant) == shown


def test_braces_in_a_users_words_are_plain_text():
    odd = MotionPlan("nod", "", (1.0,), plus="nod {degree} {__class__} {0}", caption="{degree}{")
    assert instruction((odd,), Variant(0, 0, (("nod", 1.0),))) == "nod strongly {__class__} {0}"
    assert instruction((MotionPlan("wag", ""),), Variant(0, 0, (("wag", -1.0),))) == "apply strongly less wag"
