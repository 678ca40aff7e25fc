"""The quality gate, against an instrument whose truth is known: brightness of the left and of the right half; identity is the color."""

import pytest
import torch
from micromotion.pairs import Gate
from micromotion.pairs.gates import meanings, measure


class Halves:
    quantities = ("left", "right")

    def read(self, images):
        return torch.stack([images[:, 0, :, :2].mean((1, 2)), images[:, 0, :, 2:].mean((1, 2))], 1)

    def identity(self, images):
        return images[:, 1:].mean((2, 3))

    def meant_by(self, motion):
        return {"brighten": {"left": 1.0}, "darken": {"left": -2.0}, "shine": {"left": None}, "glow": dict.fromkeys(self.quantities)}.get(
            motion, {}
        )


def picture(left=0.0, right=0.0, color=(1.0, 0.0)):
    image = torch.zeros(1, 3, 4, 4)
    image[:, 0, :, :2], image[:, 0, :, 2:] = left, right
    image[:, 1], image[:, 2] = color
    return image


def measured(edited, *asked):
    return measure(Halves(), picture(), edited, [asked], meanings(Halves(), [name for name, _ in asked], response))[0]


def response(motion):
    """What one unit does to the mean face: most of it on the left; of a glint nearly nothing."""
    return torch.tensor([2.0, 1.0]) if motion != "glint" else torch.tensor([0.1, 0.0])


def test_a_change_is_measured_in_what_was_asked_for():
    assert measured(picture(0.5), ("brighten", 0.5)) == {"identity": 1.0, "change": 1.0, "leakage": 0.0}
    assert measured(picture(0.25), ("brighten", 0.5))["change"] == 0.5
    assert measured(picture(-1.0), ("darken", 0.5))["change"] == 1.0
    assert measured(picture(0.5), ("brighten", -0.5))["change"] == -1.0


def test_what_else_changes_is_leakage():
    assert measured(picture(0.5, 0.25), ("brighten", 0.5))["leakage"] == 0.5


def test_another_person_is_seen():
    assert measured(picture(0.5, color=(0.0, 1.0)), ("brighten", 0.5))["identity"] == 0.0


def test_where_only_the_mean_face_knows_it_is_asked():
    assert measured(picture(1.0, 0.5), ("shine", 0.5)) == {"identity": 1.0, "change": 1.0, "leakage": 0.5}
    assert measured(picture(1.0, 0.5), ("glow", 0.5)) == {"identity": 1.0, "change": 1.0, "leakage": 0.0}


def test_a_motion_that_the_instrument_hardly_sees_is_not_judged_by_it():
    class Faint(Halves):
        def meant_by(self, motion):
            return {"left": None}

    assert not meanings(Faint(), ["glint"], response)["glint"].any() and meanings(Faint(), ["shine"], response)["shine"].any()


def test_a_pair_without_a_face_is_left_out_and_people_need_a_network():
    class Blind(Halves):
        def read(self, images):
            return Halves.read(self, images).masked_fill(images[:, :1, 0, 0] > 0.4, float("nan"))

        def identity(self, images):
            return None

    found = measure(
        Blind(), picture(), torch.cat([picture(0.2), picture(0.5)]), [(("brighten", 0.2),)] * 2, {"brighten": torch.tensor([1.0, 0.0])}
    )
    assert found == [{"change": 1.0, "leakage": 0.0}, {"face": 0.0}]
    assert [Gate().verdict(f) for f in found] == ["", "no face"] and Gate(None, None, None).verdict(found[1]) == ""


def test_motions_that_no_quantity_stands_for_are_measured_in_identity_alone():
    assert measured(picture(0.5), ("wag", 1.0)) == {"identity": 1.0}


@pytest.mark.parametrize(
    ("measures", "reason"),
    [
        ({"identity": 0.95, "change": 0.9, "leakage": 0.1}, ""),
        ({"identity": 0.85, "change": 0.9, "leakage": 0.1}, "identity"),
        ({"identity": 0.95, "change": 0.4, "leakage": 0.1}, "change"),
        ({"identity": 0.95, "change": -1.0, "leakage": 0.1}, "change"),
        ({"identity": 0.95, "change": 0.9, "leakage": 0.6}, "leakage"),
        ({}, ""),
    ],
)
def test_the_gate_names_its_reason(measures, reason):
    assert Gate().verdict(measures) == reason
    assert Gate(None, None, None).verdict(measures) == ""
