"""One page and one JSON file of what was found on anyone's generator, and the run that writes them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ...stylegan2 import load, load_inverter
from ...subspaces.anchors import load_scorer
from .cache import Cache
from .misses import goal
from .open_instruments import load_geometry, load_recognizer
from .real import CLIPS, LOT, RANDOM, TEXT, WALK, RealStudy, Sizes, document, measure_all, read_clips, setting, write_frames
from .tables import table

SIZES = {"full": Sizes(), "brief": Sizes(seeds=60, calibrated=12), "quick": Sizes(seeds=6, calibrated=4, pool=2, frames=8, steps=4, held=2)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    real = parser.add_argument_group("anyone's generator", "measured by open instruments, without any truth: text anchors, clips, or both")
    real.add_argument("--real", type=Path, metavar="GENERATOR", help="the generator's file; all below belong to it")
    real.add_argument("--inverter", type=Path, help="its inverter, which reads the clips")
    real.add_argument("--scorer", help="what text anchors are optimized against: a file or an open_clip name")
    real.add_argument("--clips", type=Path, help="folder of aligned clips named <motion>-<anything>: films or folders of frames")
    real.add_argument("--predictor", type=Path, help="dlib's 68-point file (default: that of face_recognition_models)")
    real.add_argument("--identity", type=Path, help="dlib's identity network (.dat) or an ArcFace file")
    real.add_argument("--frames", type=Path, help="also write the pictures of the sweeps here, for a tracker")
    real.add_argument("--blendshapes", type=Path, help="what the tracker found in them, as ComfyUI's face landmarks write it (JSON)")
    real.add_argument("--seeds", type=int, help="tested faces (default: 200)")


def run(args: argparse.Namespace) -> None:
    """Measure ``args.real`` and write ``real.md`` and ``real.json`` into ``args.docs``."""
    if bool(args.clips) != bool(args.inverter) or not (args.scorer or args.clips):
        raise SystemExit("Give --scorer for text anchors, or --clips with --inverter for clips, or all three.")
    given = {k: getattr(args, k) for k in ("real", "inverter", "scorer", "clips", "identity", "blendshapes")}
    names = {("generator" if k == "real" else k): Path(v).name for k, v in given.items() if v}
    sizes = SIZES[args.size] if args.seeds is None else Sizes(**{**vars(SIZES[args.size]), "seeds": args.seeds})
    geometry, generator = load_geometry(args.predictor), load(args.real).eval().requires_grad_(False).to(args.device)
    scorer = load_scorer(args.scorer).to(args.device) if args.scorer else None
    study = RealStudy(generator, geometry, Cache(args.out, ""), scorer, sizes=sizes)
    study.cache = Cache(args.out, setting(study, names, [generator.fingerprint]))
    if args.clips:
        study.clips = read_clips(args.clips, generator, load_inverter(args.inverter).to(args.device), sizes.frames, study.cache)
    study.recognizer = load_recognizer(args.identity, geometry) if args.identity else None
    if args.frames:
        print(f"{write_frames(study, args.frames)} pictures in {args.frames}; let a tracker read them, then add --blendshapes.")
    made = document(study, measure_all(study, args.blendshapes), names)
    args.docs.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(json.dumps(made), parse_float=lambda x: float(f"{float(x):.6g}"))
    (args.docs / "real.json").write_text(json.dumps(rounded, separators=(",", ":"), ensure_ascii=False) + "\n", encoding="utf-8")
    (args.docs / "real.md").write_text(page(made), encoding="utf-8")


def page(made: dict) -> str:
    """The page of a document of `real.document`."""
    files = ", ".join(f"{kind} `{name}`" for kind, name in made["files"].items())
    head = (
        f"Measured on {files} (generator {made['generator']}). Nobody knows the truth of these faces, so what measures is open: landmarks,"
        f" a face recognizer, a tracker's blendshapes where they are given. None of them took part in making a direction; the landmarks set"
        f" its scale and, for a turn, its side. {made['drawn']} drawn faces, in {made['measured']} of which a face was found; anchors of"
        f" {made['sizes']['pool']} other faces; brackets are 95 % bootstrap intervals over faces. Nulls: random directions shaped as the"
        " codes of faces are, and the anchors of all motions drawn by lot, both with the better sign."
    )
    parts = ["# The hypotheses on this generator", head, "\n".join(f"- {line}" for line in findings(made["sections"]))]
    for found in made["sections"].values():
        shown = [table(found, m) for m in found["metrics"] if any(r["metric"] == m["key"] for r in found["rows"])]
        parts += [f"## {found['title']}", found["text"], *shown]
    return "\n\n".join(parts) + "\n"


def findings(sections: dict[str, dict]) -> list[str]:
    """What the figures say, in words that follow from them."""
    lines = []
    for source in (TEXT, CLIPS):
        first, walk = (_values(sections, "lowrank", "evr1", group) for group in (source, f"{source}, {WALK}"))
        if not first:
            continue
        above = [m for m in first if first[m] > walk[m]]
        lines.append(
            f"**Low rank (H1), {source}.** First component {_list(first)}; a random walk {_list(walk)}. Above it: {_names(above)}."
        )
        lines += _alike(sections, source) + _moved(sections, source)
    kept = [_values(sections, "identity", "open_kept", f"{source}, pooled") for source in (TEXT, CLIPS)]
    lines += [f"**Identity, {s}.** Still the same person: {_list(k)}." for s, k in zip((TEXT, CLIPS), kept) if k]
    verdicts = [r for s in sections.values() for r in s["rows"] if r["met"] is not None]
    by_metric = {m["key"]: m["title"] for s in sections.values() for m in s["metrics"]}
    missed = {key: [r for r in verdicts if r["metric"] == key] for key in by_metric}
    met = [f"{by_metric[k]} ({goal(rows)}) {sum(r['met'] for r in rows)} of {len(rows)}" for k, rows in missed.items() if rows]
    return [*lines, f"**Targets met.** {'; '.join(met)}."]


def _alike(sections: dict, source: str) -> list[str]:
    two = _values(sections, "alignment", "cosine_one", source)
    chance = [_values(sections, "alignment", "cosine_one", f"{source}, {kind}") for kind in (RANDOM, LOT)]
    if not two:
        return []
    above = [m for m in two if two[m] > max(c[m] for c in chance)]
    most = max(max(c.values()) for c in chance)
    return [f"**One direction for everybody (H2), {source}.** Cosine between two faces {_list(two)}; nulls at most {most:.2f}."
            f" Above their own nulls: {_names(above)}."]  # fmt: skip


def _moved(sections: dict, source: str) -> list[str]:
    reached = _values(sections, "response", "reached", f"{source}, pooled")
    chance = [_values(sections, "response", "reached", f"{source}, {kind}") for kind in (RANDOM, LOT)]
    leak = _values(sections, "response", "open_leakage", f"{source}, pooled")
    if not reached:
        return []
    most = {m: max(c[m] for c in chance) for m in reached}
    return [f"**Transfer (H2), {source}.** Unseen faces that get half of the asked change: {_list(reached)}; the best null {_list(most)}."
            f" What else moves, over it: {_list(leak)}."]  # fmt: skip


def _values(sections: dict, name: str, key: str, group: str) -> dict[str, float]:
    rows = sections.get(name, {"rows": []})["rows"]
    return {r["motion"]: r["value"] for r in rows if (r["metric"], r["group"]) == (key, group)}


def _list(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in found.items())


def _names(found: list[str]) -> str:
    return ", ".join(found) or "none"
