"""Templates and degrees: how a motion is put into sentences."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import SubspaceError

SLOT = "{degree}"
DEGREES = ("no", *(f"{d}%" for d in range(10, 101, 10)))
FEWER_DEGREES = ("no", "25%", "50%", "75%", "100%")  # of large pictures, each of whose steps takes seconds on a processor
WORDS = {"no": 0.0, "not": 0.0, "without": 0.0, "half": 0.5, "full": 1.0, "fully": 1.0, "completely": 1.0}


def fill(template: str, degree: str) -> str:
    """``template`` with ``{degree}`` replaced, and nothing else of it interpreted; the gap of an empty degree is closed."""
    if SLOT not in template:
        raise SubspaceError(f"The template {template!r} has no {SLOT}; write for example 'a person with {SLOT} smile'.")
    return " ".join(template.replace(SLOT, degree).split())


def parse_degrees(degrees: Sequence[str | float] | None) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Words and values 0..1 of degrees: words, percentages ("40%") or numbers, from 0 to 1 or, if one is above 1, from 0 to 100.

    A text holds them with commas: "no, 50%, 100%". A number reads as a percentage in the sentence, 0 as "no". Words that mean no number
    ("slight", "big") make all values even steps from 0 to 1, in the order given. None: the published eleven, "no", "10%" to "100%".
    Errors: none given, out of range, two the same, or words between percentages.
    """
    given = DEGREES if degrees is None else _split(degrees) if isinstance(degrees, str) else tuple(degrees)
    if not given:
        raise SubspaceError("There are no degrees; give some, for example no, 50%, 100%.")
    numbers = [_number(d) for d in given]
    unit = 100 if any(n is not None and n > 1 for n in numbers) else 1
    labels = tuple(str(d).strip() if n is None else _percentage(n / unit) for d, n in zip(given, numbers))
    meant = [_value(str(d)) if n is None else n / unit for d, n in zip(given, numbers)]
    values = [v for v in meant if v is not None]
    if len(values) < len(meant):
        values = _even_steps(meant, labels)
    if not all(0 <= v <= 1 for v in values):
        raise SubspaceError("A degree lies outside 0 to 100 %; keep degrees in that range.")
    if len(set(labels)) < len(labels) or len(set(values)) < len(values):
        raise SubspaceError("Two of the degrees are the same; give each once.")
    return labels, tuple(values)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text.strip() else ()


def _number(degree: str | float) -> float | None:
    """A plain number, also one that is written as text; None for words and percentages."""
    if not isinstance(degree, str) and (isinstance(degree, bool) or not isinstance(degree, (int, float))):
        raise SubspaceError(f"The degree {degree!r} is not a word, a percentage or a number; write for example no, 50%, 100%.")
    return _as_float(degree)


def _value(degree: str) -> float | None:
    """What a word or percentage means, None for a word that means no number."""
    word = degree.strip().lower()
    if word in WORDS:
        return WORDS[word]
    percentage = _as_float(word[:-1]) if word.endswith("%") else None
    return None if percentage is None else percentage / 100


def _as_float(text: str | float) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _even_steps(values: list[float | None], labels: tuple[str, ...]) -> list[float]:
    """0 to 1 in as many steps as there are words; what is known of them must agree, or nobody knows how far along the others are."""
    steps = [i / (len(values) - 1) for i in range(len(values))] if len(values) > 1 else [1.0]
    if any(v is not None and abs(v - s) > 1e-6 for v, s in zip(values, steps)):
        unknown = next(label for label, v in zip(labels, values) if v is None)
        raise SubspaceError(f"How far along {unknown!r} is beside percentages is not known; give words only, or percentages only.")
    return steps


def _percentage(fraction: float) -> str:
    return "no" if fraction == 0 else f"{fraction:.4%}".rstrip("%").rstrip("0").rstrip(".") + "%"
