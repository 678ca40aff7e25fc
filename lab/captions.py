"""Sentences about renders, each with the parameter values it claims: what the scorer learns, beside the templates of the motions."""

from __future__ import annotations

import random

from ..avatars.motions import FURTHER, Motion
from ..avatars.motions import MOTIONS as PAPER
from ..avatars.regressor import READ
from ..subspaces.anchors.degrees import DEGREES, fill

MOTIONS = (*PAPER, *FURTHER)
OPPOSITES = (
    Motion("left", "a person with the head {degree} turned left", "yaw", 0.5, 0.0),
    Motion("frown", "a person with {degree} lowered brows", "brows", 0.5, 0.0),
    Motion("glance", "a person glancing {degree} to the left", "gaze", 0.5, 0.0),
    Motion("up", "a person with the head {degree} raised", "nod", 0.5, 0.0),
    Motion("lean", "a person with the head {degree} tilted to the left", "tilt", 0.5, 0.0),
)
VARIANTS = {
    "smile": ("{degree} smile", "a face with {degree} smile", "a person {degree} smiling", "a {degree} happy person"),
    "eyes": ("eyes {degree} closed", "a face with eyes {degree} closed", "a person with {degree} closed eyes"),
    "anger": ("{degree} angry", "a face {degree} angry", "an {degree} angry person", "a person with {degree} anger"),
    "turn": ("head {degree} turned right", "a face {degree} turned to the right", "a person facing {degree} right"),
    "left": ("head {degree} turned left", "a face {degree} turned to the left", "a person facing {degree} left"),
    "mouth_open": ("mouth {degree} open", "a face with {degree} open mouth", "a person {degree} opening the mouth"),
    "brows": ("{degree} raised brows", "a face with eyebrows {degree} raised", "a person {degree} raising the eyebrows"),
    "frown": ("{degree} lowered brows", "a face with eyebrows {degree} lowered", "a person {degree} lowering the eyebrows"),
    "gaze": ("glancing {degree} right", "a face with the eyes {degree} to the right", "a person looking {degree} right"),
    "glance": ("glancing {degree} left", "a face with the eyes {degree} to the left", "a person looking {degree} left"),
    "nod": ("head {degree} bowed", "a face {degree} bowed", "a person {degree} nodding", "a person looking {degree} down"),
    "up": ("head {degree} raised", "a face {degree} raised", "a person looking {degree} up"),
    "tilt": ("head {degree} tilted right", "a face {degree} tilted to the right", "a person tilting the head {degree} right"),
    "lean": ("head {degree} tilted left", "a face {degree} tilted to the left", "a person tilting the head {degree} left"),
    "wink_left": ("left eye {degree} closed", "a face with the left eye {degree} closed", "a person {degree} winking on the left"),
    "wink_right": ("right eye {degree} closed", "a face with the right eye {degree} closed", "a person {degree} winking on the right"),
    "age": ("{degree} old", "a {degree} old person", "a person {degree} aged", "a face {degree} old with wrinkles"),
}
WORDS = {
    "no": 0.0, "not": 0.0, "barely": 0.1, "slightly": 0.25, "slight": 0.25, "a little": 0.25, "half": 0.5, "medium": 0.5,
    "quite": 0.7, "very": 0.9, "big": 0.9, "fully": 1.0, "full": 1.0, "completely": 1.0, "": 0.85,
}  # fmt: skip
TRAITS = {
    "glasses": (("with glasses", 1.0), ("without glasses", 0.3)),
    "beard": (("with a beard", 1.0), ("without a beard", 0.3)),
    "hair_length": (("with long hair", 0.9), ("with short hair", 0.1)),
    "hair_light": (("with blond hair", 0.95), ("with black hair", 0.05), ("with brown hair", 0.5)),
    "skin": (("with light skin", 0.1), ("with dark skin", 0.9)),
    "eye_color": (("with brown eyes", 0.05), ("with blue eyes", 0.95), ("with green eyes", 0.66)),
}


def degree_value(text: str) -> float:
    """The number that a degree word stands for, 0..1."""
    return int(text[:-1]) / 100 if text.endswith("%") else WORDS[text]


def random_degree(rng: random.Random) -> str:
    if rng.random() < 0.7:
        return rng.choice(DEGREES) if rng.random() < 0.6 else f"{rng.randint(1, 100)}%"
    return rng.choice(tuple(WORDS))


def random_caption(rng: random.Random) -> tuple[str, dict[str, float]]:
    """One sentence with one to three claims, and the claimed values by parameter name."""
    claims: dict[str, float] = {}
    phrases = []
    for motion in rng.sample((*MOTIONS, *OPPOSITES), rng.choice((1, 1, 1, 2, 2, 3))):
        if motion.parameter in claims:
            continue
        degree = random_degree(rng)
        template = rng.choice((motion.template, *VARIANTS[motion.name]))
        claims[motion.parameter] = motion.value(degree_value(degree))
        phrases.append(fill(template, degree))
    if rng.random() < 0.35:
        parameter = rng.choice(tuple(TRAITS))
        phrase, claims[parameter] = rng.choice(TRAITS[parameter])
        phrases.append(phrase)
    return " and ".join(phrases), claims


def claim_arrays(claims: list[dict[str, float]]) -> tuple[list[list[float]], list[list[float]]]:
    """Values and masks ``[T, P + M]`` (nested lists) of claims."""
    values = [[c.get(name, 0.0) for name in READ] for c in claims]
    masks = [[float(name in c) for name in READ] for c in claims]
    return values, masks
