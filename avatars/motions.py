"""The motions of the avatars, the paper's five and further moves: what says them in words, and what they change in a render."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Motion:
    """A template whose ``{degree}`` text anchors fill, the parameter or move it changes, and the value of that at degree 0 and at 1."""

    name: str
    template: str
    parameter: str
    low: float
    high: float

    def value(self, degree: float) -> float:
        """The parameter's value at ``degree`` (0..1)."""
        return self.low + (self.high - self.low) * degree

    @property
    def both_ways(self) -> bool:
        """Whether degree 0 is the middle of the range, so that negative degrees are the opposite motion."""
        return self.low == 0.5


MOTIONS = (
    Motion("smile", "a person with {degree} smile", "smile", 0.0, 1.0),
    Motion("eyes", "a person with eyes {degree} closed", "eyes", 1.0, 0.0),
    Motion("anger", "a person {degree} angry", "anger", 0.0, 1.0),
    Motion("turn", "a person with the head {degree} turned right", "yaw", 0.5, 1.0),
    Motion("age", "a {degree} old person with gray hair", "age", 0.0, 1.0),
)
FURTHER = (
    Motion("mouth_open", "a person with the mouth {degree} open", "mouth_open", 0.0, 1.0),
    Motion("brows", "a person with {degree} raised brows", "brows", 0.5, 1.0),
    Motion("gaze", "a person glancing {degree} to the right", "gaze", 0.5, 1.0),
    Motion("nod", "a person with the head {degree} bowed", "nod", 0.5, 1.0),
    Motion("tilt", "a person with the head {degree} tilted to the right", "tilt", 0.5, 1.0),
    Motion("wink_left", "a person with the eye on the left {degree} closed", "wink_left", 0.0, 1.0),
    Motion("wink_right", "a person with the eye on the right {degree} closed", "wink_right", 0.0, 1.0),
)
