"""Templates and degrees: how a motion is put into sentences."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import SubspaceError

SLOT = "{degree}"
DEGREES = ("no", *(f"{d}%" for d in range(10, 101, 10)))
WORDS = {"no": 0.0, "not": 0.0, "without": 0.0, "half": 0.5, "full": 1.0, "fully": 1.0, "completely": 1.0}


def fill(template: str, degree: str) -> str:
    """``template`` with ``{degree}`` replaced, and nothing else of it interpreted; the gap of an empty degree is closed."""
    if SLOT not in template:
        raise SubspaceError(f"The template {template!r} has no {SLOT}; write for example 'a person with {SLOT} smile'.")
    return " ".join(template.replace(SLOT, degree).split())


def parse_degrees(degrees: Sequence[str | float] | None) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Words and values 0..1 of degrees: words, percentages ("40%") or numbers (0.4, or 40 for a percentage).

    0 reads "no". Words that mean no number ("slight", "big") make all values even steps from 0 to 1, in the order given. None: the
    published eleven, "no", "10%" to "100%". Errors: none given, out of range, or two the same.
    """
    given = DEGREES if degrees is None else (degrees,) if isinstance(degrees, str) else tuple(degrees)
    if not given:
        raise SubspaceError("There are no degrees; give some, for example no, 50%, 100%.")
    labels = tuple(d.strip() if isinstance(d, str) else _percentage(_fraction(d)) for d in given)
    values = [_value(d) for d in given]
    if None in values:
        values = [i / max(1, len(given) - 1) for i in range(len(given))]
    if not all(0 <= v <= 1 for v in values):
        raise SubspaceError("A degree lies outside 0 to 100 %; keep degrees in that range.")
    if len(set(labels)) < len(labels) or len(set(values)) < len(values):
        raise SubspaceError("Two of the degrees are the same; give each once.")
    return labels, tuple(values)


def _value(degree: str | float) -> float | None:
    if not isinstance(degree, str):
        return _fraction(degree)
    word = degree.strip().lower()
    if word in WORDS:
        return WORDS[word]
    try:
        return float(word[:-1]) / 100 if word.endswith("%") else _fraction(float(word))
    except ValueError:
        return None


def _fraction(number: float) -> float:
    return number / 100 if number > 1 else float(number)


def _percentage(fraction: float) -> str:
    return "no" if fraction == 0 else f"{fraction:.4%}".rstrip("%").rstrip("0").rstrip(".") + "%"
