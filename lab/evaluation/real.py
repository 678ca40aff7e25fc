"""M1 to M5 and M9 on anyone's generator, by instruments that need no truth: what settles the question on real faces.

Anchors come from text (the paper's templates) and from clips through the generator's own inverter. Landmark geometry measures, a face
recognizer says whether the person stays, a tracker's blendshapes are taken where they are given. One unit of a direction is one standard
deviation of its quantity over drawn faces, set on faces that are not tested.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ...avatars.motions import MOTIONS
from ...files.errors import MicromotionError
from ...media.clips import read_clip, thinned
from ...stylegan2 import Generator
from ...stylegan2.frames import synthesize_frames
from ...subspaces import Anchors, Subspace, fit, pool
from ...subspaces.anchors import draw_faces, text_anchors, video_anchors
from . import metrics
from .cache import Cache
from .lowrank import ACROSS, FIRST, TEXT_TARGET, VIDEO_TARGETS, WITHIN
from .measure import LONGEST, ROUNDS, edited
from .open_instruments import Embed, Geometry, blendshape, pixels, read_blendshapes
from .response import LINE, MONOTONE, ORDER
from .rows import Metric, Row, row, section, spread
from .steadiness import FRAMES, ZERO

log = logging.getLogger(__name__)
TEXT, CLIPS = "text", "clips (inverted)"
RANDOM, LOT, NOISE, WALK = "null: random directions", "null: anchors drawn by lot", "null: independent noise", "null: random walk"
QUANTITY = {
    "smile": ("corner lift", 1.0), "eyes": ("eye opening", -1.0), "anger": ("brow height", -1.0), "turn": ("yaw", 1.0),
    "mouth_open": ("mouth opening", 1.0), "brows": ("brow height", 1.0), "nod": ("pitch", 1.0),
}  # fmt: skip
TEMPLATES = {m.name: m.template for m in MOTIONS}
COEFFICIENTS = torch.linspace(0, 1.5, 7)
ONE = 4  # the coefficient of these that is one unit
ALARM = 0.01  # share of pairs of different faces that pass for one person
TRUNCATION, TESTED, CALIBRATED, ANCHORED = 0.7, 1_000_000, 2_000_000, 3_000_000  # first seeds
SHARE = Metric("unit", "Change at one unit, in spreads of the quantity over faces")
REACHED = Metric("reached", "Faces that get at least half of what is asked", ">=", 0.95)
LEAKAGE = Metric("open_leakage", "Change of the other quantities over that of the asked one, both in spreads")
SAME = Metric("open_identity", "Cosine of the recognizer with the unmoved face at one unit", "", None, 3)
KEPT = Metric("open_kept", "Still the same person at one unit, share of faces", ">=", 0.95)
DRIFT = Metric("open_drift", "Change of mean luminance at one unit, 255ths")
JITTER = Metric("open_jitter", "Spread of the quantity under fresh noise at one unit, in spreads", "", None, 3)
BLEND_ORDER = Metric("blend_order", "Spearman (coefficient, blendshape)", ">=", 0.98)
BLEND_CHANGE = Metric("blend_change", "Change of the blendshape at one unit")


@dataclass(frozen=True)
class Sizes:
    """How much is measured: faces tested and calibrated on, faces of a pool of anchors, frames of a clip, steps of text anchors."""

    seeds: int = 200
    calibrated: int = 16
    pool: int = 5
    frames: int = 24
    steps: int = 40
    held: int = 16  # faces on which noise is drawn anew


@dataclass(eq=False)
class RealStudy:
    """A generator with what makes anchors and what measures. ``clips`` are codes ``[F, L, D]`` by motion, a clip of one face each."""

    generator: Generator
    geometry: Geometry
    cache: Cache
    scorer: Any = None
    clips: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    recognizer: Embed | None = None
    sizes: Sizes = field(default_factory=Sizes)

    @property
    def motions(self) -> dict[str, list[str]]:
        """The motions of each source."""
        found = {TEXT: list(TEMPLATES) if self.scorer is not None else [], CLIPS: list(self.clips)}
        return {source: names for source, names in found.items() if names}

    def show(self, codes: torch.Tensor, noise: str = "const") -> torch.Tensor:
        return torch.cat([images.cpu() for images in synthesize_frames(self.generator, codes, noise=noise)])

    @cached_property
    def faces(self) -> Faces:
        """The tested faces."""
        return self._faces(TESTED, self.sizes.seeds)

    @cached_property
    def calibration(self) -> Faces:
        return self._faces(CALIBRATED, self.sizes.calibrated)

    def _faces(self, first: int, count: int) -> Faces:
        codes = draw_faces(self.generator, range(first, first + count), TRUNCATION)
        boxes = [box for part in codes.split(8) for box in self.geometry.boxes(self.show(part))]
        seen = torch.tensor([box is not None for box in boxes])
        if not seen.any():
            raise MicromotionError("No face was found in any picture of this generator, so landmarks cannot measure it.")
        codes, kept = codes[seen], [box for box in boxes if box is not None]
        return Faces(codes, kept, self.geometry.read(self.show(codes), kept), count)

    def anchors(self, source: str, motion: str, which: int) -> Anchors:
        if source == CLIPS:
            return video_anchors(self.clips[motion][which], max_frames=self.sizes.frames)
        made = self.cache.tensors(f"text-{motion}-{which}", lambda: self._optimize(motion, which))
        return Anchors(made["codes"], degrees=made["degrees"], start=made["start"], source="text")

    def _optimize(self, motion: str, which: int) -> dict[str, torch.Tensor]:
        log.info("text anchors: %s, face %d", motion, which + 1)
        made = text_anchors(self.generator, self.scorer, TEMPLATES[motion], seeds=[ANCHORED + which], steps=self.sizes.steps)
        assert made.degrees is not None and made.start is not None  # text anchors know both
        return {"codes": made.codes, "degrees": made.degrees, "start": made.start}

    def members(self, source: str, motion: str) -> range:
        return range(len(self.clips[motion]) if source == CLIPS else self.sizes.pool)

    def singles(self, source: str, motion: str) -> torch.Tensor:
        """A direction of each anchor face, ``[S, L, D]``."""
        return torch.stack([fit(self.anchors(source, motion, i)).direction for i in self.members(source, motion)])

    def pooled(self, source: str, motion: str) -> torch.Tensor:
        return fit(pool([self.anchors(source, motion, i) for i in self.members(source, motion)])).direction[None]

    def null(self, kind: str, source: str, motion: str) -> torch.Tensor:
        """Directions ``[S, L, D]`` that know nothing of the motion: shaped as codes of faces are, or of anchors of all motions by lot."""
        g = torch.Generator().manual_seed(self.motions[source].index(motion) + 100 * (kind == LOT))
        members = self.members(source, motion)
        if kind == RANDOM:
            codes = draw_faces(self.generator, range(2000), 1.0)[:, 0]
            root = torch.linalg.cholesky(torch.cov(codes.T) + 1e-6 * torch.eye(codes.shape[1]))
            noise = torch.randn(len(members), 1, codes.shape[1], generator=g) @ root.T
            return noise.expand(-1, self.generator.num_layers, -1)
        return torch.stack([self._by_lot(source, motion, i, g) for i in members])

    def _by_lot(self, source: str, motion: str, which: int, g: torch.Generator) -> torch.Tensor:
        names = [name for name in self.motions[source] if which in self.members(source, name)]
        codes = torch.cat([self.anchors(source, name, which).codes for name in names])
        count = len(self.anchors(source, motion, which))
        return fit(codes[torch.randperm(len(codes), generator=g)[:count]], degrees=torch.linspace(0, 1, count)).direction

    def column(self, motion: str) -> tuple[int, float] | None:
        """Which quantity the motion moves, and where to; None where geometry does not see it."""
        found = QUANTITY.get(motion)
        return found and (self.geometry.names.index(found[0]), found[1])

    def scaled(self, directions: torch.Tensor, motion: str) -> torch.Tensor:
        """Directions of which one unit is one spread of the motion's quantity over faces; longest where it moves nothing, and a fifth of
        the usual distance of faces where geometry sees nothing of the motion."""
        return torch.stack([self._scaled(d, motion) for d in directions])

    def _scaled(self, direction: torch.Tensor, motion: str) -> torch.Tensor:
        codes, asked = self.calibration.codes, self.column(motion)
        usual = (codes - codes.mean(0)).flatten(1).norm(dim=1).square().mean().sqrt() / direction.flatten().norm().clamp(min=1e-12)
        if asked is None:
            return direction * usual / 5
        scale, steps = usual / 5, torch.tensor([0.0, 0.5, 1.0])
        for _ in range(ROUNDS):
            change = self.change(self.calibration, (direction * scale)[None], steps, motion)
            slope = metrics.slopes(steps, change).median()
            scale = (scale / slope.clamp(min=0.25, max=4.0)).clamp(max=LONGEST * usual).float()
        return direction * scale

    def signed(self, directions: torch.Tensor, motion: str) -> torch.Tensor:
        """The side of each direction that moves calibration faces as asked: chance's best, and a turn to whichever side."""
        length, steps = self.calibration.codes.std(0).norm(), torch.tensor([0.0, 0.5])
        changes = [self.change(self.calibration, (d * length / d.norm())[None], steps, motion)[:, 1].mean() for d in directions]
        return torch.stack([d * change.sign() for d, change in zip(directions, changes)])

    def change(self, faces: Faces, directions: torch.Tensor, steps: torch.Tensor, motion: str) -> torch.Tensor:
        """Change of the motion's quantity in spreads, ``[N, F]``."""
        column, sign = self.column(motion) or (0, 1.0)
        return sign * self.changes(faces, directions, steps)[0][:, :, column]

    def changes(self, faces: Faces, directions: torch.Tensor, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Change of every quantity in spreads ``[N, F, Q]``, and of mean luminance ``[N, F]``; coefficient 0 comes first."""
        read, light = [], []
        for c in steps.tolist():
            images = self.show(edited(faces.codes, directions, c))
            read.append(self.geometry.read(images, faces.boxes))
            light.append(metrics.luminance(images))
        read, light = torch.stack(read, 1), torch.stack(light, 1)
        return (read - read[:, :1]) / self.spreads, light - light[:, :1]

    @cached_property
    def spreads(self) -> torch.Tensor:
        """Standard deviation of each quantity over the tested faces at rest."""
        return self.faces.read.std(0).clamp(min=1e-6)

    def same(self, faces: Faces, directions: torch.Tensor) -> torch.Tensor:
        """Cosine of the recognizer with the unmoved face at one unit, ``[N]``."""
        assert self.recognizer is not None
        moved = self.recognizer(self.show(edited(faces.codes, directions, 1.0)), faces.boxes)
        return (self.people * moved).sum(1)

    @cached_property
    def people(self) -> torch.Tensor:
        assert self.recognizer is not None
        return self.recognizer(self.show(self.faces.codes), self.faces.boxes)

    @cached_property
    def threshold(self) -> float:
        """The cosine that ``ALARM`` of the pairs of different drawn faces pass."""
        i, j = torch.triu_indices(len(self.people), len(self.people), 1)
        return float((self.people @ self.people.T)[i, j].double().quantile(1 - ALARM))

    def groups(self) -> Iterator[tuple[str, str, torch.Tensor]]:
        """(group, motion, scaled directions) of all that is measured on faces, made once."""
        for source, names in self.motions.items():
            for motion in names:
                for kind in ("", RANDOM, LOT) if self.column(motion) else ("",):
                    group = f"{source}, {kind}" if kind else f"{source}, pooled"
                    name = "unit-" + re.sub(r"[^a-z0-9]+", "-", f"{group} {motion}".lower())
                    yield group, motion, self.cache.tensors(name, lambda k=kind, s=source, m=motion: {"d": self._made(k, s, m)})["d"]

    def _made(self, kind: str, source: str, motion: str) -> torch.Tensor:
        raw = self.null(kind, source, motion)[:2] if kind else self.pooled(source, motion)
        return self.scaled(self.signed(raw, motion) if kind or motion == "turn" else raw, motion)


@dataclass(frozen=True, eq=False)
class Faces:
    """Drawn faces in which a face was found: codes ``[N, L, D]``, its boxes, its quantities at rest ``[N, Q]``, and how many were drawn."""

    codes: torch.Tensor
    boxes: list[tuple]
    read: torch.Tensor
    drawn: int


def low_rank(study: RealStudy) -> dict:
    rows = []
    for source, names in study.motions.items():
        for motion in names:
            codes = [study.anchors(source, motion, i).kept().codes for i in study.members(source, motion)]
            target = TEXT_TARGET if source == TEXT else VIDEO_TARGETS.get(motion, min(VIDEO_TARGETS.values()))
            rows.append(spread(FIRST, source, motion, torch.stack([metrics.shares(c)[0] for c in codes]), target=target))
            nulls = {
                name: metrics.null_shares(len(codes[0]), codes[0][0].numel(), kind) for name, kind in ((NOISE, "noise"), (WALK, "walk"))
            }
            rows += [row(FIRST, f"{source}, {name}", motion, float(share), judged=False) for name, share in nulls.items()]
    text = "Variance of one face's anchors, centered, in their first component. Any smooth path resembles a random walk."
    return section("M1. Low rank", [FIRST], rows, text)


def alignment(study: RealStudy) -> dict:
    rows = []
    for source, names in study.motions.items():
        pools = {name: study.pooled(source, name) for name in names}
        for motion in names:
            if len(study.members(source, motion)) > 1:
                rows.append(spread(WITHIN, source, motion, metrics.pair_cosines(study.singles(source, motion))))
                nulls = {kind: metrics.pair_cosines(study.null(kind, source, motion)) for kind in (RANDOM, LOT)}
                rows += [spread(WITHIN, f"{source}, {kind}", motion, c, judged=False) for kind, c in nulls.items()]
            others = [float(metrics.cosine(pools[motion], pools[o]).abs()) for o in names if o != motion]
            rows += [row(ACROSS, source, motion, max(others))] if others else []
    text = "Absolute cosines of whole directions: of one motion from two faces, and of pooled directions of different motions."
    return section("M2. Alignment", [WITHIN, ACROSS], rows, text)


def responses(study: RealStudy) -> dict:
    """M3, M4 and the drift of M9, from one sweep of each direction."""
    rows: list[Row] = []
    for group, motion, directions in study.groups():
        null = "null" in group
        steps = COEFFICIENTS[[0, ONE]] if null else COEFFICIENTS
        changes, light = study.changes(study.faces, directions, steps)
        rows.append(spread(DRIFT, group, motion, light[:, 1 if null else ONE].abs()))
        if asked := study.column(motion):
            rows += _rows(group, motion, changes, steps, asked, null)
    quantities = ", ".join(f"{name} by {q}" for name, (q, _) in QUANTITY.items() if any(name in n for n in study.motions.values()))
    text = (
        f"Quantities of landmarks: {quantities}. One unit is one standard deviation of the quantity over drawn faces (truncation"
        f" {TRUNCATION:g}), set on other faces; motions that geometry does not see are moved by a fifth of the usual distance of faces. The"
        " landmarks' own error counts against every figure."
    )
    return section("M3, M4. Response and leakage", [ORDER, LINE, MONOTONE, SHARE, REACHED, LEAKAGE, DRIFT], rows, text)


def _rows(group: str, motion: str, changes: torch.Tensor, steps: torch.Tensor, asked: tuple[int, float], null: bool) -> list[Row]:
    column, sign = asked
    response, at = sign * changes[:, :, column], 1 if null else ONE
    others = [j for j in range(changes.shape[2]) if j != column]
    leak = changes[:, at, others].square().mean(1).sqrt() / response[:, at].abs().clamp(min=0.1)
    rows = [
        spread(SHARE, group, motion, response[:, at]),
        spread(REACHED, group, motion, (response[:, at] >= 0.5).double(), metrics.mean, judged=not null),
        spread(LEAKAGE, group, motion, leak),
    ]
    if not null:
        rows += [
            spread(ORDER, group, motion, metrics.spearman(steps, response)),
            spread(LINE, group, motion, metrics.linearity(steps, response)),
            spread(MONOTONE, group, motion, metrics.monotone(response), metrics.mean),
        ]
    return rows


def identity(study: RealStudy) -> dict:
    if study.recognizer is None:
        return section("M5. Identity", [], [], "No identity network was given (--identity).")
    rows = []
    for group, motion, directions in study.groups():
        if "null" not in group:
            cosines = study.same(study.faces, directions)
            rows.append(spread(SAME, group, motion, cosines))
            rows.append(spread(KEPT, group, motion, (cosines > study.threshold).double(), metrics.mean))
    text = (
        f"Still the same person: the cosine is above {study.threshold:.3f}, which {ALARM:.0%} of the pairs of different drawn faces pass."
    )
    return section("M5. Identity", [SAME, KEPT], rows, text)


def time(study: RealStudy) -> dict:
    rows, codes = [], study.faces.codes[: study.sizes.held]
    for group, motion, directions in study.groups():
        if "null" in group:
            continue
        rows.append(row(ZERO, group, motion, _still(study, codes[:4], directions[0])))
        if asked := study.column(motion):
            rows.append(spread(JITTER, group, motion, _jitter(study, edited(codes, directions, 1.0), asked[0])))
    for motion, (quantity, _) in QUANTITY.items():
        if any(motion in names for names in study.motions.values()):
            rows.append(spread(JITTER, "at rest", motion, _jitter(study, codes, study.geometry.names.index(quantity))))
    text = (
        "Frames at coefficient 0 between moved ones; and what fresh noise pictures alone change, of which the landmarks' own error is part."
    )
    return section("M9. Time", [ZERO, JITTER], rows, text)


def _still(study: RealStudy, codes: torch.Tensor, direction: torch.Tensor) -> float:
    motion, track = Subspace(direction), torch.tensor([0.0, 0.5] * (FRAMES // 2))
    equal = []
    for code in codes:
        moved = motion.apply(code, track)
        still = study.show(moved)[track == 0]
        equal += [torch.equal(c, code) and torch.equal(p, still[0]) for c, p in zip(moved[track == 0], still)]
    return sum(equal) / len(equal)


def _jitter(study: RealStudy, codes: torch.Tensor, column: int) -> torch.Tensor:
    held, boxes = codes.repeat_interleave(FRAMES, 0), [b for b in study.faces.boxes[: len(codes)] for _ in range(FRAMES)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        read = study.geometry.read(study.show(held, noise="random"), boxes)[:, column]
    return read.unflatten(0, (-1, FRAMES)).std(1) / study.spreads[column]


def tracked(study: RealStudy) -> Iterator[tuple[str, str, torch.Tensor]]:
    """(group, motion, codes ``[N * F, L, D]``) of the pictures that a tracker is to read, in the order of their numbers."""
    for group, motion, directions in study.groups():
        if "null" not in group:
            frames = torch.stack([edited(study.faces.codes, directions, c) for c in COEFFICIENTS.tolist()], 1)
            yield group, motion, frames.flatten(0, 1)


def write_frames(study: RealStudy, folder: Path) -> int:
    """Write every picture that a tracker is to read, numbered, and return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for _, _, codes in tracked(study):
        for part in codes.split(64):
            for image in study.show(part):
                Image.fromarray(pixels(image[None])[0]).save(folder / f"{count:06d}.png")
                count += 1
    return count


def blendshapes(study: RealStudy, path: Path) -> dict:
    """M3 by what a tracker read in the pictures of `write_frames`."""
    per = len(study.faces.codes) * len(COEFFICIENTS)
    order = [(group, motion) for group, motion, _ in study.groups() if "null" not in group]
    frames, rows = read_blendshapes(path, per * len(order)), []
    for k, (group, motion) in enumerate(order):
        values = blendshape(frames[k * per : (k + 1) * per], motion)
        if values is None:
            continue
        values = values.unflatten(0, (-1, len(COEFFICIENTS)))
        values = values[values.isfinite().all(1)]
        if len(values):
            rows.append(spread(BLEND_ORDER, group, motion, metrics.spearman(COEFFICIENTS, values)))
            rows.append(spread(BLEND_CHANGE, group, motion, values[:, ONE] - values[:, 0]))
    text = "The same sweeps by a tracker that took no part in scaling them. Faces that it lost in any frame do not count."
    return section("M3 by blendshapes", [BLEND_ORDER, BLEND_CHANGE], rows, text)


def read_clips(folder: Path, generator: Generator, inverter, frames: int, cache: Cache) -> dict[str, list[torch.Tensor]]:
    """Codes of every clip in ``folder``: films, animated pictures or folders of frames named ``<motion>-<anything>``, of aligned faces."""
    found: dict[str, list[torch.Tensor]] = {}
    for path in sorted(p for p in folder.iterdir() if "-" in p.stem and not p.name.startswith(".")):
        made = cache.tensors(f"clip-{path.name}", lambda p=path: {"codes": _inverted(p, generator, inverter, frames)})
        found.setdefault(path.stem.partition("-")[0], []).append(made["codes"])
    if not found:
        raise MicromotionError(f"{folder} holds no clips; name them by their motion, as smile-1.mp4 or turn-2/ (a folder of frames).")
    return found


def _inverted(path: Path, generator: Generator, inverter, frames: int) -> torch.Tensor:
    pictures = torch.stack(thinned(read_clip(path), frames)[0]).float() / 127.5 - 1
    pictures = torch.nn.functional.interpolate(pictures, size=generator.size, mode="bicubic", antialias=True).clamp(-1, 1)
    return inverter.invert(generator, pictures.to(generator.w_avg.device)).cpu()


def measure_all(study: RealStudy, shapes: Path | None) -> dict[str, dict]:
    """All sections, each made or read from the cache."""
    makers = {"lowrank": low_rank, "alignment": alignment, "response": responses, "identity": identity, "time": time}
    done = {}
    for name, make in makers.items():
        log.info("%s ...", name)
        done[name] = study.cache.json(f"real-{name}", lambda m=make: m(study))
    return done if shapes is None else {**done, "blendshapes": blendshapes(study, shapes)}


def document(study: RealStudy, sections: dict[str, dict], names: dict[str, str]) -> dict:
    """Everything that the JSON file holds; ``names`` of the files that were measured and used."""
    return {
        "files": names,
        "generator": study.generator.fingerprint,
        "sizes": asdict(study.sizes),
        "drawn": study.faces.drawn,
        "measured": len(study.faces.codes),
        "spreads": dict(zip(study.geometry.names, study.spreads.tolist())),
        "sections": sections,
    }


def setting(study: RealStudy, names: dict[str, str], prints: list[str]) -> str:
    """What figures depend on, as text."""
    return json.dumps([asdict(study.sizes), names, prints])
