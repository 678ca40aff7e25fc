"""The five motions of the avatars: the templates whose ``{degree}`` text anchors fill, and what they move in a render."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Motion:
    """A template, the parameter it moves, and the parameter's value at degree 0 and at degree 1."""

    name: str
    template: str
    parameter: str
    low: float
    high: float

    def value(self, degree: float) -> float:
        """The parameter's value at ``degree`` (0..1)."""
        return self.low + (self.high - self.low) * degree


MOTIONS = (
    Motion("smile", "a person with {degree} smile", "smile", 0.0, 1.0),
    Motion("eyes", "a person with eyes {degree} closed", "eyes", 1.0, 0.0),
    Motion("anger", "a person {degree} angry", "anger", 0.0, 1.0),
    Motion("turn", "a person with the head {degree} turned right", "yaw", 0.5, 1.0),
    Motion("age", "a {degree} old person with gray hair", "age", 0.0, 1.0),
)
