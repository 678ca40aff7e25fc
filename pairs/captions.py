"""Words for a change of known strength: an instruction ("make the person smile slightly") and a caption of the result."""

from __future__ import annotations

from .plan import MotionPlan, Variant

DEGREES = ((0.35, "slightly", "slight"), (0.75, "", "clear"), (float("inf"), "strongly", "strong"))  # up to, adverb, adjective
KNOWN = {
    "smile": ("make the person smile {degree}", "make the person smile {degree} less", "a person with a {degree} smile"),
    "eyes": ("close the person's eyes {degree}", "open the person's eyes {degree} wider", "a person with {degree} closing of the eyes"),
    "anger": ("make the person look {degree} angry", "make the person look {degree} less angry", "a person with {degree} anger"),
    "turn": ("turn the head {degree} to one side", "turn the head {degree} to the other side", "a person with a {degree} head turn"),
    "age": ("make the person {degree} older", "make the person {degree} younger", "a person with a {degree} change of age"),
    "mouth_open": (
        "open the person's mouth {degree}",
        "close the person's mouth {degree}",
        "a person with a {degree} open mouth",
    ),
    "brows": ("raise the person's brows {degree}", "lower the person's brows {degree}", "a person with a {degree} raise of the brows"),
    "gaze": ("turn the person's gaze {degree} to one side", "turn the person's gaze {degree} to the other side", "a {degree} side glance"),
    "nod": ("tip the head {degree} down", "tip the head {degree} up", "a person with a {degree} nod"),
    "tilt": ("tilt the head {degree} to one side", "tilt the head {degree} to the other side", "a person with a {degree} head tilt"),
    "wink_left": ("close the eye on the left {degree}", "open the eye on the left {degree} wider", "a person with a {degree} wink"),
    "wink_right": ("close the eye on the right {degree}", "open the eye on the right {degree} wider", "a person with a {degree} wink"),
}
OTHER = ("apply {degree} more {name}", "apply {degree} less {name}", "a person with {degree} {name}")


def worded(motion: MotionPlan) -> MotionPlan:
    """The motion with the words that it lacks filled in: those known for its name, else plain ones that say the name."""
    plus, minus, caption = (text.replace("{name}", motion.name) for text in KNOWN.get(motion.name, OTHER))
    known = {"plus": motion.plus or plus, "minus": motion.minus or minus, "caption": motion.caption or caption}
    return MotionPlan(**{**vars(motion), **known})


def instruction(motions: tuple[MotionPlan, ...], variant: Variant) -> str:
    """What to do to the neutral picture, plain words, one clause for each motion that moves."""
    clauses = [_say(m.plus if c > 0 else m.minus, c, 1) for m, c in _moved(motions, variant)]
    return " and ".join(clauses) or "leave the picture as it is"


def caption(motions: tuple[MotionPlan, ...], variant: Variant) -> str:
    """What the edited picture shows."""
    parts = [_say(m.caption, c, 2) if c > 0 else _say(m.minus, c, 1) for m, c in _moved(motions, variant)]
    return ", ".join(parts) or "a person"


def _moved(motions: tuple[MotionPlan, ...], variant: Variant) -> list[tuple[MotionPlan, float]]:
    named = {m.name: m for m in motions}
    return [(worded(named[name]), c) for name, c in variant.coefficients if c]


def _say(text: str, coefficient: float, word: int) -> str:
    """A template with its degree; the braces are plain text, so that nothing else in it is read as a field."""
    degree = next(d for d in DEGREES if abs(coefficient) <= d[0])
    return " ".join(text.replace("{degree}", str(degree[word])).split())
