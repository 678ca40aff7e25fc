"""What a set of training pairs consists of, decided by the plan alone: every sample can be named, drawn and made again on its own.

A plan lists faces (identities) and motions. Each face gives one neutral picture and its *variants*: the same face moved by known
coefficients. Random draws and the split between training and test depend on the plan's seed and the face's own key, never on the
order of the work, so that the set is the same whatever made it: one process, or a cluster that lost a machine in the middle.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product

from ..files import limits
from .errors import PairsError

KINDS = ("seed", "code", "photo")
FORMATS = ("png", "webp", "jpg")
MOST_FACES, MOST_VARIANTS = int(limits.PAIR_FACES.high), int(limits.DRAWS.high)
NUMBERS = {
    "truncation": limits.TRUNCATION,
    "draws": limits.DRAWS,
    "size": limits.SIZE.or_unset(0),
    "quality": limits.PERCENT,
    "test": limits.SHARE,
    "seed": limits.SEED,
    "shard": limits.SHARD,
    "threads": limits.THREADS,
    "batch": limits.BATCH,
}
DIGITS = 4  # of a drawn coefficient: what a caption or a file name can still say


@dataclass(frozen=True)
class MotionPlan:
    """A motion and how far it goes: a grid of ``strengths`` (coefficients), or random draws from ``span``.

    ``plus`` and ``minus`` say the motion's two signs as an instruction with ``{degree}``, ``caption`` the result as a description with
    ``{degree}``.
    """

    name: str
    file: str
    strengths: tuple[float, ...] = ()
    span: tuple[float, float] = (0.0, 1.0)
    plus: str = ""
    minus: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Variant:
    """One pair of a face: its place in the plan and the coefficient of each motion."""

    face: int
    number: int
    coefficients: tuple[tuple[str, float], ...]

    @property
    def name(self) -> str:
        """The name of the pair's files, the same in every layout."""
        return f"{self.face:07}-{self.number:03}"


@dataclass(frozen=True)
class Plan:
    """Faces, motions, and how they are written down. Raises PairsError for numbers that make no set.

    ``kind``: what the ``keys`` are: seeds of the generator, ``FILE#INDEX`` of saved codes, or photo files. ``category``: the class of
    drawn faces, where the generator has classes. ``draws``: random variants per face (0: the grids). ``mixed``: variants move all
    motions at once, else one motion each. ``test``: share of the faces that are kept for the test split. ``shard``: faces per unit of
    work, which is also the unit of resuming. ``batch``: pictures of a face that are synthesized together, and ``threads`` of each worker
    on a CPU; both belong to the plan, because sums in another order round otherwise.
    """

    kind: str
    keys: tuple[str, ...]
    motions: tuple[MotionPlan, ...]
    generator: str = ""
    inverter: str = ""
    truncation: float = 0.7
    category: str = ""
    draws: int = 0
    mixed: bool = False
    size: int = 0
    format: str = "png"
    quality: int = 95
    paste: bool = False
    test: float = 0.1
    seed: int = 0
    shard: int = 8
    threads: int = 1
    batch: int = 1

    def __post_init__(self):
        _require(self.kind in KINDS, f"Faces come from one of {', '.join(KINDS)}, not from {self.kind!r}.")
        _require(0 < len(self.keys) <= MOST_FACES, f"A set has 1 to {MOST_FACES:,} faces; this plan has {len(self.keys):,}.")
        _require(len(set(self.keys)) == len(self.keys), "A face is listed twice; list each once, so that no pair is made twice.")
        _require(bool(self.motions), "A set needs a motion; name at least one.")
        names = [m.name for m in self.motions]
        _require(len(set(names)) == len(names), "A motion is listed twice; list each once.")
        for name in names:
            fine = bool(re.fullmatch(r"[\w][\w .+-]{0,60}", name)) and name[-1] not in " ."
            _require(fine, f"A motion's name becomes part of file names; {name[:60]!r} cannot: use letters, digits, spaces and dashes.")
        _require(self.format in FORMATS, f"Pictures are written as {', '.join(FORMATS)}, not as {self.format!r}.")
        for name, limit in NUMBERS.items():
            limit.checked(getattr(self, name), f"Of a set of pairs, {name} is", PairsError)
        _require(self.test < 1, f"The share of test faces is 0 to below 1, not {self.test}.")
        drawn = self.kind != "seed" or len(self.keys) == 1 or self.truncation > 0
        _require(drawn, "At truncation 0 every seed draws the mean face; give a truncation above 0.")
        for motion in self.motions:
            for value in (*motion.strengths, *motion.span):
                limits.COEFFICIENT.checked(value, f"A strength of {motion.name} is", PairsError)
        _require(self.draws > 0 or all(m.strengths for m in self.motions), "Give each motion its strengths, or ask for random draws.")
        _require(0 < len(self.grid) <= MOST_VARIANTS, f"This plan has {len(self.grid):,} variants per face; 1 to {MOST_VARIANTS} are made.")

    @cached_property
    def grid(self) -> list[tuple[tuple[str, float], ...]]:
        """Coefficients of the variants of every face; with random draws only their number counts."""
        if self.draws:
            return [()] * self.draws
        if self.mixed:
            size = math.prod(len(m.strengths) for m in self.motions)
            _require(size <= MOST_VARIANTS, f"This plan mixes {size:,} combinations per face; at most {MOST_VARIANTS} are made.")
            steps = product(*([(m.name, s) for s in m.strengths] for m in self.motions))
            return [v for v in steps if any(s for _, s in v)]
        return [((m.name, s),) for m in self.motions for s in m.strengths if s]

    @property
    def pairs(self) -> int:
        """How many pairs the whole set has before the quality gate."""
        return len(self.keys) * len(self.grid)

    @property
    def shards(self) -> int:
        return -(-len(self.keys) // self.shard)

    def faces_of(self, shard: int) -> range:
        """The faces of one unit of work."""
        return range(shard * self.shard, min(len(self.keys), (shard + 1) * self.shard))

    def variants(self, face: int) -> Iterator[Variant]:
        """The variants of a face, in the order of their numbers."""
        for number, fixed in enumerate(self.grid):
            yield Variant(face, number, fixed or self._drawn(face, number))

    def split(self, face: int) -> str:
        """``train`` or ``test``, by the face alone: all pairs of a face lie on one side."""
        return "test" if self._random("split", face).random() < self.test else "train"

    def _drawn(self, face: int, number: int) -> tuple[tuple[str, float], ...]:
        dice = self._random("draw", face, number)
        chosen = self.motions if self.mixed else (dice.choice(self.motions),)
        return tuple((m.name, round(dice.uniform(*m.span), DIGITS)) for m in chosen)

    def _random(self, use: str, face: int, *more: int) -> random.Random:
        return random.Random(f"{self.seed}/{use}/{self.keys[face]}/{more}")

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen digits that name this plan; a folder that was begun with another plan is not gone on with."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def plain_name(text: str) -> str:
    """``text`` as a motion's name: what cannot be part of a file's name becomes a dash."""
    return re.sub(r"[^\w .+-]+", "-", text)[:60].strip(" .-+") or "motion"


def _require(fine: bool, sentence: str) -> None:
    if not fine:
        raise PairsError(sentence)
