"""Measure the motions on faces whose truth is known, and write ``docs/results.md`` with its plots, pictures and JSON.

``python -m micromotion.lab.evaluate`` is the whole run; ``--size brief`` is the same with smaller numbers, ``--size quick`` a
smoke test. Finished sections and anchors are kept under ``--out``, so an interrupted run goes on where it stopped.
``--real GENERATOR --scorer S --inverter I --clips FOLDER`` measures anyone's generator instead, by instruments that need no truth, and
writes ``real.md`` and ``real.json`` into ``--docs``.
Processes with different ``--only`` may share one ``--out``: on a CPU two of one thread each (``OMP_NUM_THREADS=1``) do more than one of
two.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from ..pairs.cluster import spread
from .evaluation import (
    ablations,
    baselines,
    counterfactual,
    domains,
    drawn,
    further,
    instrument,
    inversion,
    lowrank,
    plots,
    published,
    real_page,
    recognizer,
    response,
    spaces,
    spoiled,
    steadiness,
    tables,
)
from .evaluation import page as report
from .evaluation.cache import Cache
from .evaluation.study import Study
from .evaluation.world import SIZES, WEIGHTS, World, load_world
from .train_generator import TRUNK

log = logging.getLogger(__name__)
DOCS = Path(__file__).parent.parent / "docs"
SECTIONS: dict[str, Callable[[Study], dict]] = {
    "gate": instrument.gate,
    "generator": instrument.fidelity,
    "lowrank": lowrank.low_rank,
    "alignment": lowrank.alignment,
    "response": response.responses,
    "further": further.run,
    "counterfactual": counterfactual.counterfactuals,
    "domains": domains.run,
    "time": steadiness.run,
    "inversion": inversion.run,
    "baselines": baselines.run,
    "ablations": ablations.run,
    "published": published.run,
    "drawn": drawn.run,
    "recognizer": recognizer.run,
    "spaces": spaces.run,
    "spoiled": spoiled.run,
}


def setting(world: World) -> str:
    """Everything that the figures depend on, as text."""
    networks = [n for n in (world.generator, world.regressor, world.scorer, world.inverter) if n is not None]
    prints = [_fingerprint(n) for n in networks] + [hashlib.sha256(m.direction.numpy().tobytes()).hexdigest() for m in world.motions]
    return json.dumps([asdict(world.sizes), world.seed, _options(world), prints])


def anchor_setting(world: World) -> str:
    """Everything that text anchors depend on, as text."""
    prints = [_fingerprint(n) for n in (world.generator, world.scorer) if n is not None]
    return json.dumps([world.sizes.pool, world.sizes.steps, world.seed, _options(world), prints])


def _options(world: World) -> str:
    """How the text anchors of every motion are optimized, as text."""
    return repr([] if world.scorer is None else [world.scorer.settings])


def _fingerprint(network: torch.nn.Module) -> str:
    from ..stylegan2.generator import _fingerprint

    return _fingerprint(network)


def run(study: Study, only: list[str], gate: dict | None = None) -> dict[str, dict]:
    """The sections by name, each made or read from the cache; none but the gate where the gate is not passed. ``gate``: as it is known."""
    done: dict[str, dict] = {}
    for name in ["gate", *(n for n in SECTIONS if n in only and n != "gate")]:
        known = gate if name == "gate" else None
        done[name] = known or study.cache.json(name, lambda n=name: timed(study, n))
        log.info("%-14s %6.0f s", name, done[name]["seconds"])
        study.styles = done["gate"]["styles"]
        if not done["gate"]["passed"]:
            log.warning("The instrument does not pass its gate; nothing else is measured.")
            break
    return done


class Sections:
    """Makes sections in whatever process it lives in; the cache hands them over."""

    def __init__(self, weights: Path, size: str, seed: int, device: str, out: Path, recognizer: Path | None, px: int, gate: dict | None):
        self.study, self.gate = study_of(weights, size, seed, device, out, recognizer, px), gate

    def __call__(self, item: dict[str, str]) -> dict[str, str]:
        """Make the section ``item["section"]`` unless it is there; Ray calls this with rows of its own."""
        run(self.study, [str(item["section"])], self.gate)
        return {"section": str(item["section"])}


def study_of(weights: Path, size: str, seed: int, device: str, out: Path, recognizer: Path | None, px: int) -> Study:
    """The study of the networks in ``weights``, of pictures of ``px``, with what ``out`` keeps of it."""
    world = load_world(weights, SIZES[size], seed, device, px)
    study = Study(world, Cache(out, setting(world)), made=Cache(out, anchor_setting(world)))
    study.recognizer = recognizer
    return study


def spread_out(study: Study, settings: tuple, only: list[str], address: str, workers: int | None) -> None:
    """Make the sections on Ray, so that `run` finds them in the cache; nothing where the gate is not passed.

    ``settings``: what `Sections` takes, the gate as it is known last.
    """
    if run(study, [], settings[-1])["gate"]["passed"]:
        items = [{"section": name} for name in only if name != "gate"]
        for made in spread(Sections, settings, items, ray=address, workers=workers):
            log.info("%-14s made", made["section"])


def timed(study: Study, name: str) -> dict:
    """A section with the seconds it took."""
    log.info("%-14s ...", name)
    begun = time.perf_counter()
    made = SECTIONS[name](study)
    return {**made, "seconds": time.perf_counter() - begun}


def document(study: Study, sections: dict[str, dict], command: str, before: dict | None = None) -> dict:
    """Everything that ``results.json`` holds; of ``before`` the sections that were not measured now, if all else was the same."""
    made = {
        "command": command,
        "generator": study.world.generator.fingerprint,
        "px": study.world.generator.resolution,
        "seed": study.world.seed,
        "sizes": json.loads(json.dumps(asdict(study.sizes))),
    }
    if before is not None:
        other = [k for k in made if k != "command" and before[k] != made[k]]
        if other:
            raise SystemExit(f"The figures to keep were measured with another {', '.join(other)}; measure all of them again.")
        made["command"] = before["command"]
        sections = {k: sections.get(k) or before["sections"][k] for k in SECTIONS if k in sections or k in before["sections"]}
    seconds = study.all_anchor_seconds() if before is None else before["anchor_seconds"]
    return {**made, "seconds": sum(s["seconds"] for s in sections.values()), "anchor_seconds": seconds, "sections": sections}


def write(study: Study, sections: dict[str, dict], docs: Path, command: str, before: dict | None = None) -> None:
    """Write ``results.md`` and the folder ``results`` beside it; what was measured ``before`` stays."""
    folder = docs / "results"
    made = document(study, sections, command, before)
    if sections["gate"]["passed"] and before is None:
        plots.illustrate(study, sections, folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(brief(made) + "\n", encoding="utf-8")
    write_pages(made, docs)


def write_pages(made: dict, docs: Path) -> None:
    """``results.md``, the page that is read, and ``results/rows.md`` with every figure where the instrument may publish them."""
    evidence = "hypotheses.md" if (docs / "hypotheses.md").is_file() else ""
    sections = made["sections"]
    if "domains" in sections:
        made = {**made, "sections": {**sections, "domains": domains.relative(sections["domains"], sections["gate"]["styles"])}}
    (docs / "results.md").write_text(report.markdown(made, evidence), encoding="utf-8")
    if made["sections"]["gate"]["passed"]:
        (docs / "results" / "rows.md").write_text(tables.appendix(made), encoding="utf-8")


def render(docs: Path) -> None:
    """Write the pages and plots again from ``results/results.json``; nothing is measured, and the JSON stays as it is."""
    made = json.loads((docs / "results" / "results.json").read_text(encoding="utf-8"))
    write_pages(made, docs)
    plots.redraw(made["sections"], docs / "results")


def brief(made: dict) -> str:
    """``made`` as JSON without spaces, its numbers to six digits."""
    rounded = json.loads(json.dumps(made), parse_float=lambda x: float(f"{float(x):.6g}"))
    return json.dumps(rounded, separators=(",", ":"), ensure_ascii=False)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/evaluation"), help="folder of intermediate results; resumes from it")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder that results.md and results/ are written to")
    parser.add_argument("--from-json", action="store_true", help="write the pages and plots from results/results.json, measuring nothing")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the four networks")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--quick", action="store_const", dest="size", const="quick", help="the same as --size quick")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections to measure (the gate always)")
    parser.add_argument("--keep", action="store_true", help="keep the figures of results.json that are not measured now")
    parser.add_argument("--recognizer", type=Path, help="what lab.train_recognizer saved; without it that section is left out")
    parser.add_argument("--again", nargs="+", choices=SECTIONS, default=[], help="sections to measure anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS", help="make the sections side by side on Ray: here, or there")
    parser.add_argument("--workers", type=int, metavar="N", help="--ray: how many processes (default: one for each GPU or core)")
    parser.add_argument("--px", type=int, default=TRUNK, help="measure the generator up to this block of it (default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    real_page.add_arguments(parser)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.real:
        return real_page.run(args)
    if args.from_json:
        return render(args.docs)
    settings = (
        args.weights.resolve(),
        args.size,
        args.seed,
        args.device,
        args.out.resolve(),
        args.recognizer and args.recognizer.resolve(),
        args.px,
    )
    study = study_of(*settings)
    for name in args.again:
        study.cache.forget(name)
    command = "python -m micromotion.lab.evaluate" + ("" if args.size == "full" else f" --size {args.size}")
    command += "" if args.px == TRUNK else f" --px {args.px}"
    command += "" if len(args.only) == len(SECTIONS) else f" --only {' '.join(args.only)}"
    chosen = [name for name in args.only if name != "recognizer" or args.recognizer]
    before = json.loads((args.docs / "results" / "results.json").read_text(encoding="utf-8")) if args.keep else None
    gate = before and before["sections"]["gate"]
    if args.ray is not None:
        spread_out(study, (*settings, gate), chosen, args.ray, args.workers)
    write(study, run(study, chosen, gate), args.docs, command, before)


if __name__ == "__main__":
    main()
