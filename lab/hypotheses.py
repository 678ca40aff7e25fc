"""The paper's hypotheses on a StyleGAN2 that never saw a label, beside the shipped one, whose latents were given the factors.

H1: a motion lies on a low-rank subspace of the codes. H2: what one face shows moves others. On the label-free generator both can fail;
on the distilled one they hold by construction, so that its figures are upper bounds. Anchors are clips read by the generator's own
inverter, and text where there is a scorer. Beside the figures stand nulls: what chance, or any smooth path, would show.
``python -m micromotion.lab.hypotheses --label-free runs/label_free/weights`` writes ``docs/hypotheses.md`` and one JSON file.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..avatars import renderer as rendering
from ..avatars.motions import MOTIONS, Motion
from ..avatars.regressor import load_regressor
from ..stylegan2 import load, load_inverter
from ..subspaces import Anchors, fit, pool
from ..subspaces.anchors import load_scorer
from .evaluate import DOCS, anchor_setting, brief, setting
from .evaluation import domains, instrument, inversion, lowrank, metrics, recognizer, response, spoiled, steadiness
from .evaluation.anchors import ENDS
from .evaluation.cache import Cache
from .evaluation.measure import Readings, read, rest, sweep
from .evaluation.rows import Metric, row, section, spread
from .evaluation.study import CLEANED, INVERTED, ONE, ORACLE, POOLED, RIDGE, SHIPPED, VIDEO, Study
from .evaluation.tables import table
from .evaluation.world import FACTORS, INSTRUMENT, STEP, WEIGHTS, Faces, Sizes, World, factor_of
from .training import save_sheet
from .trunk import inverter_for, trunk_of

log = logging.getLogger(__name__)
SIZES = {
    "full": Sizes(identities=100, compared=100, coefficients=11, calibration=24, probes=12, gate=2048, labels=4000, inversion_steps=(1,)),
    "brief": Sizes(identities=50, compared=50, coefficients=9, calibration=16, probes=8, gate=1024, labels=3000, inversion_steps=(1,)),
    "quick": Sizes(
        identities=8, compared=8, coefficients=4, calibration=6, probes=4, pool=2, frames=6, degrees=4, steps=4, gate=1024, labels=300,
        pictures=2, inversion_steps=(1,), inverted=4, domains=4,
    ),
}  # fmt: skip
RANDOM, WALK, SHUFFLED = "null: random directions", "null: random walks", "null: clips, motions shuffled"
NULLS = (RANDOM, WALK, SHUFFLED)
SHARED = ("generator", "lowrank", "alignment", "response", "time", "inversion", "domains", "recognizer", "spoiled")  # those that are there
MORPH = "null: a face that turns into another"
LABEL_FREE, DISTILLED = "label-free", "distilled"
NULL_SEED = 77
BENT = 0.85  # share of the first component below which a motion is called bent
PATH = "mean path of clips"
RANKS = (1, 2)
LINEAR = Metric("linear", "R² of the factor, linear in unseen codes", "", None, 3)


@dataclass(frozen=True, eq=False)
class PictureWorld(World):
    """A generator whose codes no label shaped: the code of a face is what its own encoder reads off the render."""

    def faces(self, parameters: torch.Tensor, style: str = "photo") -> Faces:
        return Faces(parameters, self.invert(self.draw(parameters, style)), style)


class Hypotheses(Study):
    """A study of clips through the inverter and of text, with directions that hold no motion beside them."""

    @property
    def sources(self) -> list[str]:
        return [s for s in super().sources if s != VIDEO]  # exact latents are there only where labels made the codes

    @property
    def groups(self) -> list[str]:
        return [f"{source}, {how}" for source in self.sources for how in (ONE, POOLED)] + [ORACLE, *NULLS]

    @property
    def ours(self) -> list[str]:
        return [g for g in self.groups if g.endswith(POOLED)]

    def tests(self, group: str) -> Faces:
        return self.world.tests()

    def labeled(self, count: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """As in any study, but kept: every code is a picture that was drawn and read, and nulls ask for them often."""
        whole = super().labeled
        made = self.cache.tensors(f"labeled-{count or self.sizes.labels}", lambda: dict(zip(("codes", "labels"), whole(count))))
        return made["codes"], made["labels"]

    def directions(self, group: str, motion: Motion) -> torch.Tensor:
        if group not in NULLS:
            return super().directions(group, motion)
        return self.calibrated(group, motion, lambda: torch.stack([self._best_sign(d, motion) for d in self._null(group, motion)]))

    def _null(self, group: str, motion: Motion) -> torch.Tensor:
        """Directions ``[S, L, D]`` that know nothing of the motion; random ones are shaped as the codes of faces are."""
        g = torch.Generator().manual_seed(NULL_SEED + 10 * self.motions.index(motion) + NULLS.index(group))
        count, layers = self.sizes.pool, self.world.generator.num_layers
        if group == SHUFFLED:
            return torch.stack([self._shuffled(k, g) for k in range(count)])
        codes = self.labeled()[0]
        root = torch.linalg.cholesky(torch.cov(codes.T) + 1e-6 * torch.eye(codes.shape[1]))
        noise = torch.randn(count, self.sizes.frames, codes.shape[1], generator=g) @ root.T
        if group == RANDOM:
            return noise[:, :1].expand(-1, layers, -1)
        walks = noise.cumsum(1)[:, :, None].expand(-1, -1, layers, -1)
        return torch.stack([fit(w.contiguous()).direction for w in walks])

    def _shuffled(self, which: int, g: torch.Generator) -> torch.Tensor:
        """What the clips of one face give when a frame's motion and degree are drawn by lot. (Frames of one clip alone, in any order,
        still lie on its own line.)"""
        codes = torch.cat([self.anchors(INVERTED, m, which).codes for m in self.motions])
        chosen = torch.randperm(len(codes), generator=g)[: self.sizes.frames]
        return fit(codes[chosen], degrees=torch.linspace(0, 1, len(chosen))).direction

    def _best_sign(self, direction: torch.Tensor, motion: Motion) -> torch.Tensor:
        """The sign under which the direction raises its factor on calibration faces: the best that a null can do."""
        length = self.labeled()[0].std(0).norm() / direction[0].norm().clamp(min=1e-12)
        read = sweep(self.world, self.world.calibration(), direction[None] * length, [0.0, 0.5, 1.0])
        return direction * metrics.slopes(read.coefficients, read.response(motion)).mean().sign()


def written(study: Hypotheses) -> dict:
    """Whether each factor is written in the codes at all: R² of a ridge regression from codes, on faces that it did not see."""
    codes, labels = study.labeled()
    half = len(codes) // 2
    x, y = codes.double() - codes[:half].mean(0), labels[:, : len(FACTORS)].double()
    gram = x[:half].T @ x[:half] + RIDGE * half * torch.eye(x.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(gram, x[:half].T @ (y[:half] - y[:half].mean(0)))
    score = metrics.r2(x[half:] @ weights + y[:half].mean(0), y[half:])
    rows = [row(LINEAR, "codes", m.name, float(score[factor_of(m)])) for m in study.motions]
    return section("Are the factors in the codes?", [LINEAR], rows)


def low_rank(study: Hypotheses) -> dict:
    """M1, with one more null: clips in which one face turns into another, as smooth as any motion and no motion at all."""
    found = lowrank.low_rank(study)
    run = torch.linspace(0, 1, study.sizes.frames)[:, None]
    faces = study.world.neutral(2 * study.sizes.pool, NULL_SEED).unflatten(0, (-1, 2))
    clips = [study.world.invert(study.world.draw(torch.lerp(first[None], last[None], run))) for first, last in faces]
    shares = torch.stack([metrics.shares(codes)[0] for codes in clips])
    found["rows"] += [spread(lowrank.FIRST, MORPH, m.name, shares, judged=False).json() for m in study.motions]
    return found


def alignment(study: Hypotheses) -> dict:
    """M2, beside what directions that know nothing of the motion show: codes vary along few axes, so that chance is far from zero."""
    found = lowrank.alignment(study)
    for null in NULLS:
        cosines = {m.name: metrics.pair_cosines(study._null(null, m)) for m in study.motions}
        found["rows"] += [spread(lowrank.WITHIN, null, name, c, judged=False).json() for name, c in cosines.items()]
    return found


def mean_path(study: Hypotheses, motion: Motion) -> torch.Tensor:
    """How codes move through a clip, ``[F, L, D]`` from zero on, averaged over the anchor faces: no direction, no degree, no label."""
    codes = torch.stack([study.anchors(INVERTED, motion, i).codes for i in range(study.sizes.pool)])
    return (codes - codes[:, :1]).mean(0)


def flattened(path: torch.Tensor, rank: int) -> torch.Tensor:
    """``path [F, L, D]`` in the ``rank`` directions that hold the most of it."""
    u, s, v = torch.linalg.svd(path.flatten(1), full_matrices=False)
    return ((u[:, :rank] * s[:rank]) @ v[:rank]).view_as(path)


def along(path: torch.Tensor, motion: Motion, step: float) -> torch.Tensor:
    """The change of code ``[L, D]`` at the place of the path where the factor of its clips has changed by ``step``."""
    place = step / (abs(motion.high - motion.low) * (ENDS[1] - ENDS[0])) * (len(path) - 1)
    before = min(int(place), len(path) - 2)
    return torch.lerp(path[before], path[before + 1], place - before)


def paths(study: Hypotheses) -> dict:
    """H2 without the line: unseen faces follow the mean path of other faces' clips, whole and cut to few dimensions. Nothing is scaled."""
    rows, faces = [], study.world.tests()
    for motion in study.motions:
        path, step = mean_path(study, motion), STEP[motion.name]
        cut = {f"{PATH}, rank {k}": flattened(path, k) for k in RANKS}
        for group, way in {**cut, PATH: path}.items():
            shown = [study.world.show(faces.codes + along(way, motion, at)) for at in (metrics.SIGMA, step)]
            parts = zip(rest(study.world, faces), *(read(study.world, images) for images in shown))
            found = Readings(torch.tensor([0.0, metrics.SIGMA, step]), *(torch.stack(p, 1) for p in parts))
            rows += [
                spread(response.LEAKAGE, group, motion.name, found.leakage(motion, 1), judged=False),
                spread(response.IDENTITY, group, motion.name, found.same(1), judged=False),
                spread(response.SUCCESS, group, motion.name, found.success(motion, step), metrics.mean, judged=False),
            ]
    return section("Along a path", [response.LEAKAGE, response.IDENTITY, response.SUCCESS], rows)


def move_clips(study: Hypotheses, move: str) -> list[torch.Tensor]:
    """Codes ``[F, L, D]`` of each anchor identity's clip of a further move, from rest or from one side to the other."""
    values = rendering.rest_moves(study.sizes.frames)
    values[:, list(rendering.MOVES).index(move)] = torch.linspace(*ENDS, study.sizes.frames)
    faces = study.world.anchor_parameters()[: study.sizes.pool]
    size = study.world.generator.resolution
    return [study.world.invert(rendering.render(p.repeat(len(values), 1), size, "photo", values).images) for p in faces]


def moves(study: Hypotheses) -> dict:
    """M1 and M2 for the further moves, of clips that the inverter read."""
    clips = {name: move_clips(study, name) for name in rendering.MOVES}
    pooled = {name: fit(pool([Anchors(c) for c in codes])).direction[None] for name, codes in clips.items()}
    rows = []
    for name, codes in clips.items():
        singles = metrics.pair_cosines(torch.stack([fit(c).direction for c in codes]))
        across = max(float(metrics.cosine(pooled[name], d).abs()) for other, d in pooled.items() if other != name)
        rows += [
            spread(lowrank.FIRST, INVERTED, name, torch.stack([metrics.shares(c)[0] for c in codes]), judged=False),
            spread(lowrank.WITHIN, INVERTED, name, singles, judged=False),
            row(lowrank.ACROSS, INVERTED, name, across, judged=False),
        ]
    return section("Further moves", [lowrank.FIRST, lowrank.WITHIN, lowrank.ACROSS], rows)


def illustrate(study: Hypotheses, path: Path) -> None:
    """Every motion and move, pooled over clips of other faces, on three unseen faces: at rest, then at half and whole range."""
    size, faces = study.world.generator.resolution, study.world.tests().codes[:3]
    found = [study.fit(INVERTED, m, range(study.sizes.pool)).direction for m in study.motions]
    found += [fit(pool([Anchors(c) for c in move_clips(study, name)])).direction for name in rendering.MOVES]
    shown = torch.stack([study.world.show(torch.cat([faces + t * d for t in (0.0, 0.5, 1.0)])) for d in found])  # [M, 9, 3, S, S]
    order = shown.unflatten(1, (3, 3)).transpose(1, 2).flatten(0, 2)
    save_sheet(torch.nn.functional.interpolate(order, size=max(96, size), mode="bicubic"), 9, path)


def compare(study: Hypotheses, weights: Path, path: Path, count: int = 10) -> None:
    """Unseen renders, what the shipped inverter and generator make of them, and what the label-free ones do, in three rows."""
    world, parameters = study.world, study.world.tests().parameters[:count]
    generator = trunk_of(load(weights / "generator.safetensors").eval().requires_grad_(False), world.generator.resolution)
    inverter = inverter_for(load_inverter(weights / "inverter.safetensors"), generator)
    shipped = replace(world, generator=generator, inverter=inverter)
    rows = [world.draw(parameters), *(w.show(w.invert(w.draw(parameters))) for w in (shipped, world))]
    save_sheet(torch.nn.functional.interpolate(torch.cat(rows), size=max(96, rows[0].shape[-1]), mode="bicubic"), count, path)


SECTIONS: dict[str, Callable[[Hypotheses], dict]] = {
    "gate": instrument.gate,
    "generator": instrument.fidelity,
    "written": written,
    "lowrank": low_rank,
    "alignment": alignment,
    "spoiled": spoiled.run,
    "moves": moves,
    "response": response.responses,
    "paths": paths,
    "time": steadiness.run,
    "inversion": inversion.run,
    "domains": domains.run,
    "recognizer": recognizer.run,
}

TABLES = (
    ("Is a motion low-rank? (H1)", "lowrank", (lowrank.FIRST, lowrank.SECOND, lowrank.FORM)),
    ("Is it the same direction for everybody? (H2)", "alignment", (lowrank.WITHIN, lowrank.BETWEEN, lowrank.ACROSS)),
    ("Does a coefficient move the factor, and only it? (C3)", "response", (response.ORDER, response.LEAKAGE, response.IDENTITY)),
    ("Does it move unseen faces? (H2)", "response", (response.SUCCESS,)),
    ("Along the mean path of other faces' clips, which may bend", "paths", (response.SUCCESS, response.LEAKAGE, response.IDENTITY)),
    ("Is it still the same person, by a recognizer that saw no number of the renderer?", "recognizer", (recognizer.SAME, recognizer.KEPT)),
    ("How near is a picture read and drawn again?", "inversion", (instrument.PSNR, inversion.FACTOR_ERROR)),
    ("In other styles", "domains", (domains.STYLE_SUCCESS,)),
    ("Steady in time", "time", (steadiness.ZERO, steadiness.DRIFT, steadiness.JITTER)),
    ("Clips as they come: which estimator bears what", "spoiled", (spoiled.NEAR,)),
    ("Further moves", "moves", (lowrank.FIRST, lowrank.WITHIN, lowrank.ACROSS)),
    ("What the generators can draw at all", "generator", (instrument.PSNR, instrument.R2)),
    ("Are the factors in the codes?", "written", (LINEAR,)),
)  # fmt: skip
PICTURES = {
    "hypotheses-inversions": "unseen renders, the shipped generator's reconstructions of two passes, the label-free one's of one pass",
    "hypotheses": "every motion and move from clips of other faces, on three unseen faces of the label-free generator",
}
NAMES = {LABEL_FREE: "label-free", DISTILLED: "distilled (by construction)"}


def measure(study: Hypotheses, only: list[str], gate: dict | None = None) -> dict[str, dict]:
    """The sections by name, each made or read from the cache; none but the gate where the instrument does not pass it. ``gate``: what
    is known of the same instrument."""
    done: dict[str, dict] = {}
    for name in ["gate", *(n for n in SECTIONS if n in only and n != "gate")]:
        log.info("%s ...", name)
        known = gate if name == "gate" else None
        done[name] = known or study.cache.json(name, lambda n=name: SECTIONS[n](study))
        study.styles = done["gate"]["styles"]
        if not done["gate"]["passed"]:
            break
    return done


def page(document: dict) -> str:
    """One short page: what was found first, then a table for each question."""
    worlds = document["worlds"]
    if not all(sections["gate"]["passed"] for sections in worlds.values()):
        return "# The hypotheses\n\nThe instrument does not pass its gate, so that nothing is published.\n"
    parts = ["# The hypotheses, on a generator that saw no label", opening(document), "\n".join(f"- {s}" for s in findings(worlds))]
    for title, name, shown in TABLES:
        rows = [{**r, "group": f"{NAMES[w]}: {r['group']}"} for w, s in worlds.items() for r in s.get(name, {"rows": []})["rows"]]
        rows = [r for r in rows if r["motion"] in {m.name for m in MOTIONS} | {*FACTORS, *rendering.MOVES, ""}]
        parts += [f"## {title}", *(table({"rows": rows}, _plain(m)) for m in shown if any(r["metric"] == m.key for r in rows))]
    pictures = [f"![{said}](results/{name}.png)" for name, said in PICTURES.items()]
    return "\n\n".join([*parts, *pictures]) + "\n"


def _plain(metric: Metric) -> dict:
    return {"key": metric.key, "title": metric.title, "decimals": metric.decimals}


def opening(document: dict) -> str:
    sizes = document["sizes"]
    return (
        f"Written by `{document['command']}`; every figure is in [hypotheses.json](results/hypotheses.json). The **label-free** generator"
        " is a StyleGAN2 that was trained, with its encoder, on pictures alone: no label, mask or parameter of the renderer reached it, so"
        " that what is found in its codes was found by itself. The **distilled** generator's latents were given the factors: low rank,"
        " alignment and transfer hold on it by construction, and its figures are upper bounds of what the estimators can do, no evidence."
        " The factor regressor that measures was trained with labels and takes no part in making anything but the scale of a"
        f" direction. Clips are renders of one face whose factor moves, {sizes['frames']} frames, read by each generator's own inverter;"
        " *clips (exact latents)* take what no user has. Text anchors come from a scorer that was trained with labels. Random"
        f" directions have the covariance of faces' codes and the better sign. {sizes['identities']} unseen faces at rest, photo style; the"
        " distilled figures are those of [results.md](results.md), on the faces named there."
    )


def findings(worlds: dict[str, dict]) -> list[str]:
    """What the label-free figures say about each hypothesis, in words that follow from them; of what was measured."""
    free = worlds[LABEL_FREE]
    parts = {"lowrank": _on_a_line, "alignment": _the_same_line, "response": _transfer}
    return [tell(free) for name, tell in parts.items() if name in free] + ([_in_all(free)] if set(parts) <= set(free) else [])


def _on_a_line(free: dict) -> str:
    first, morph = values(free, "lowrank", lowrank.FIRST, INVERTED), values(free, "lowrank", lowrank.FIRST, MORPH)
    walk = values(free, "lowrank", lowrank.FIRST, f"{INVERTED}, null: random walk")
    above = [m for m in first if first[m] > max(morph[m], walk[m])]
    return (
        f"**Low rank (H1).** The first component of a clip's codes holds {_list(first)}; a random walk shows {_span(walk)} and a face that"
        f" turns into another {_span(morph)}. Above both nulls: {_names(above)}."
    )


def _the_same_line(free: dict) -> str:
    two, across = values(free, "alignment", lowrank.WITHIN, INVERTED), values(free, "alignment", lowrank.ACROSS, INVERTED)
    chance = [values(free, "alignment", lowrank.WITHIN, null) for null in NULLS]
    return (
        f"**One direction for everybody (H2).** Cosine between two faces {_list(two)}, where random directions, walks and shuffled clips"
        f" show at most {max(max(c.values()) for c in chance):.2f}; the largest with another motion {_list(across)}."
    )


def _transfer(free: dict) -> str:
    success, oracle, chance = _successes(free)
    return (
        f"**Transfer (H2).** Success on unseen faces {_list(success)}; the direction fitted on labels reaches {_list(oracle)}, the best"
        f" null {max(max(c.values()) for c in chance):.2f}. At least half, 0.95 of the labels' direction, and above the nulls:"
        f" {_names(_moved(free))}."
    )


def _successes(free: dict) -> tuple[dict[str, float], dict[str, float], list[dict[str, float]]]:
    """Transfer success by motion of the clips' directions, of the labels', and of each null."""
    success, oracle, *chance = (values(free, "response", response.SUCCESS, g) for g in (f"{INVERTED}, {POOLED}", ORACLE, *NULLS))
    return success, oracle, chance


def _moved(free: dict) -> list[str]:
    success, oracle, chance = _successes(free)
    return [m for m in success if success[m] >= max(0.5, 0.95 * oracle[m]) and success[m] > max(c[m] for c in chance)]


def _in_all(free: dict) -> str:
    """What all of it says about the paper, in words that follow from the figures."""
    first, two = values(free, "lowrank", lowrank.FIRST, INVERTED), values(free, "lowrank", lowrank.SECOND, INVERTED)
    bent, oracle = [m for m in first if first[m] < BENT], _successes(free)[1]
    held, beyond = [m for m in _moved(free) if m not in bent], [m for m in oracle if oracle[m] < 0.5]
    said = [f"**What this says about the paper.** On codes that no label shaped, motions as the paper has them: {_names(held)}."]
    if held:
        said.append("They lie near a line, it is the same line for every face, and a few clips find it as well as labels do.")
    if bent:
        said.append(f"Bent, so that a line does not hold them while two components do: {_list({m: two[m] for m in bent})}.")
    if bent and "paths" in free:
        path, secant = (values(free, "paths", response.SUCCESS, g) for g in (PATH, f"{PATH}, rank 1"))
        line = _successes(free)[0]
        said.append(
            "Along the mean path of other faces' clips, from rest and unscaled, transfers of these succeed in"
            f" {_list({m: path[m] for m in bent})} (by its main direction alone {_list({m: secant[m] for m in bent})}); along the fitted"
            f" line in {_list({m: line[m] for m in bent})}."
        )
    if beyond:
        said.append(
            f"Where even the labels' direction fails on most faces ({_names(beyond)}), the generator falls short, or its codes are not"
            " straight."
        )
    return " ".join([*said, "Low rank alone proves little: see the face that turns into another."])


def values(sections: dict, name: str, metric: Metric, group: str) -> dict[str, float]:
    """One line of a table, by motion."""
    return {r["motion"]: r["value"] for r in sections[name]["rows"] if (r["metric"], r["group"]) == (metric.key, group)}


def _list(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in found.items())


def _span(found: dict[str, float]) -> str:
    low, high = min(found.values()), max(found.values())
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"


def _names(found: list[str]) -> str:
    return ", ".join(found) or "none"


def label_free_study(folder: Path, sizes: Sizes, seed: int, out: Path, text: bool) -> Hypotheses:
    """The study of the generator and inverter in ``folder``; instrument and scorer are the shipped ones."""
    generator, inverter = load(folder / "generator.safetensors"), load_inverter(folder / "inverter.safetensors")
    scorer = load_scorer(WEIGHTS / "scorer.safetensors") if text else None
    regressor = load_regressor(INSTRUMENT)
    world = PictureWorld(generator.eval().requires_grad_(False), regressor, scorer, inverter, sizes, seed)
    return Hypotheses(world, Cache(out, setting(world)), made=Cache(out, anchor_setting(world)))


def distilled_sections(results: Path) -> dict[str, dict]:
    """What `lab.evaluate` measured on the shipped generator with the same metrics, of the directions that are measured here."""
    document = json.loads(results.read_text(encoding="utf-8"))
    shipped = trunk_of(load(WEIGHTS / "generator.safetensors")).fingerprint
    if document["generator"] != shipped:
        raise SystemExit(f"{results} was measured on generator {document['generator']}, shipped is {shipped}; run lab.evaluate first.")
    kept = {name: document["sections"][name] for name in ("gate", *SHARED) if name in document["sections"]}
    rows = {name: [r for r in s["rows"] if not r["group"].endswith((CLEANED, SHIPPED))] for name, s in kept.items()}
    return {name: {**{k: s[k] for k in s if k in ("passed", "styles", "title")}, "rows": rows[name]} for name, s in kept.items()}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--label-free", type=Path, required=True, help="folder of the label-free generator and its inverter")
    parser.add_argument("--distilled", type=Path, default=DOCS / "results/results.json", help="the figures of lab.evaluate")
    parser.add_argument("--out", type=Path, default=Path("runs/hypotheses"), help="folder of intermediate results; resumes from it")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder that hypotheses.md and results/hypotheses.json are written to")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections to measure (the gate always)")
    parser.add_argument("--recognizer", type=Path, help="what lab.train_recognizer saved; without it that section is left out")
    parser.add_argument("--no-text", dest="text", action="store_false", help="leave text anchors out; they take most of the time")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sizes, given = SIZES[args.size], distilled_sections(args.distilled)
    study = label_free_study(args.label_free, sizes, args.seed, args.out, args.text)
    study.recognizer = args.recognizer
    only = [name for name in args.only if name != "recognizer" or args.recognizer]
    worlds = {LABEL_FREE: measure(study, only, given["gate"]), DISTILLED: given}
    options = f"{'' if args.size == 'full' else ' --size ' + args.size}{'' if args.text else ' --no-text'}"
    options += "" if len(only) == len(SECTIONS) else f" --only {' '.join(only)}"
    document = {
        "command": f"python -m micromotion.lab.hypotheses --label-free {args.label_free.name}{options}",
        "generator": study.world.generator.fingerprint,
        "seed": args.seed,
        "sizes": {k: getattr(sizes, k) for k in ("identities", "frames", "pool", "coefficients", "calibration", "labels")},
        "worlds": worlds,
    }
    (args.docs / "results").mkdir(parents=True, exist_ok=True)
    illustrate(study, args.docs / "results/hypotheses.png")
    compare(study, WEIGHTS, args.docs / "results/hypotheses-inversions.png")
    (args.docs / "results/hypotheses.json").write_text(brief(document) + "\n", encoding="utf-8")
    (args.docs / "hypotheses.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
