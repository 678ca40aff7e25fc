"""``results.md``, the page that is read; all of its numbers come from the figures."""

from __future__ import annotations

from . import remedies
from .baselines import ALL
from .misses import goal, ordered
from .naming import EXACT, SOURCES, THROUGH, said, source_of
from .study import CLEANED, INVERTED, ONE, ORACLE, POOLED, SHIPPED, TEXT, VIDEO
from .tables import cell, pictures

KEPT = (f"{VIDEO}, {POOLED}", f"{INVERTED}, {POOLED}", f"{TEXT}, {POOLED}", SHIPPED, ORACLE)
BOUNDS = {"evr1", "rank1_response", "cosine_one", "cosine_pooled", "cosine_other", "success", "domain_success"}
BOUND = " †"
READY = {"slope": 1, "leakage": 100, "identity": 1, "success": 100}
WHOSE = ("ours", "published", "published throughout")
SHOWN = ("Variance", "Response over", "Leakage", "each motion, video, inverted, pooled]", "each motion, shipped motion]")
QUESTIONS = """## What was asked

- M1: do the anchors of one motion lie near a line? M2: do the lines of different faces agree?
- M3: does the coefficient move the asked factor evenly? M4: what else does it move? M5: does the person stay?
- M6: how far is the edited picture from the one that the renderer draws of the asked face?
- M7 and M8: does a motion decoded from some faces work on other faces, and in other styles?
- M9: does a clip hold still where it should, and keep its brightness?
- And: is all this better than simpler methods, and better than the published code's settings?"""


def markdown(document: dict, evidence: str = "") -> str:
    """The whole page of a results document; ``evidence`` is the page on a generator whose codes no label shaped, where there is one."""
    sections = document["sections"]
    if not sections["gate"]["passed"]:
        return "\n\n".join(["# Results", built_in(evidence), measured(document), closed(document)]) + "\n"
    parts = ["# Results", built_in(evidence), *in_short(sections), QUESTIONS, measured(document)]
    for part in (verdicts, lines_and_faces, motions, methods, published, styles, inverted, remedies.table, shown):
        parts += part(sections)
    return "\n\n".join(parts) + "\n"


def built_in(evidence: str) -> str:
    elsewhere = f"[{evidence}]({evidence})" if evidence else "`python -m micromotion.lab.hypotheses`"
    return (
        "**What is built in, and what is found.** The embedded generator was distilled from a renderer, and the renderer's factors were"
        " written into its latents: z is a rotated code of the factors. That motions are straight lines there, and the same lines for every"
        " face, is true by construction, and W inherits most of it. So the figures of M1, M2 and M7 (marked †) are upper bounds of the"
        " estimators. They are not evidence for the two hypotheses of the paper. That needs a generator whose codes no label shaped; see"
        f" {elsewhere}. What is found here is how much each kind of anchor, each estimator and the inverter"
        f" lose against that bound. Rows called *{EXACT}* take the latents of a clip's true factors, which no user has: they are a bound"
        f" too. *{THROUGH}* and *text* are what a user can make; the inverter and the text scorer were themselves trained with labels."
    )


def in_short(sections: dict) -> list[str]:
    """The few figures that most readers want, each from its table."""
    lines = [line for part in (_ready, _against_published, _inverter) if (line := part(sections))]
    return ["## In short", "\n".join(f"- {line}" for line in lines)] if lines else []


def _ready(sections: dict) -> str:
    slope, leakage, identity, success = (_range(sections, "response", k, SHIPPED, unit) for k, unit in READY.items())
    return (
        f"One unit of a ready motion moves its factor by {slope} units on an unseen face (median) and the other factors by {leakage} % of"
        f" that. The identity cosine at one sigma is {identity}, and {success} % of transfers succeed."
        if slope
        else ""
    )


def _against_published(sections: dict) -> str:
    cosines = [_mean(sections, "published", "cosine_oracle", f"{who}, {TEXT}") for who in WHOSE]
    if None in cosines:
        return ""
    ours, theirs, throughout = (f"{v:.2f}" for v in cosines)
    return (
        f"From one sentence and one face, the direction has cosine {ours} to the oracle's. The published estimator gets {theirs} from the"
        f" same anchors, and {throughout} from anchors made with the published settings."
    )


def _inverter(sections: dict) -> str:
    rows = sections.get("inversion", {"rows": []})["rows"]
    last = next((r for r in rows if r["metric"] == "psnr" and r["met"] is not None), None)
    return f"The inverter reaches {last['value']:.1f} dB on unseen renders after {last['group']}." if last else ""


def _range(sections: dict, name: str, key: str, group: str, unit: int) -> str:
    """The smallest and the largest figure over motions, times ``unit``, as text; "" where there are none."""
    section = sections.get(name, {"rows": [], "metrics": []})
    values = [r["value"] for r in section["rows"] if (r["metric"], r["group"]) == (key, group)]
    digits = 2 if unit == 1 else 0
    return f"{unit * min(values):.{digits}f} to {unit * max(values):.{digits}f}" if values else ""


def _mean(sections: dict, name: str, key: str, group: str) -> float | None:
    rows = sections.get(name, {"rows": []})["rows"]
    values = [r["value"] for r in rows if (r["metric"], r["group"]) == (key, group)]
    return sum(values) / len(values) if values else None


def measured(document: dict) -> str:
    sizes = document["sizes"]
    faces = {
        "identities": "{} unseen faces for the directions that a user would keep",
        "compared": "{} for the others",
        "coefficients": "{} coefficients a sweep",
        "pool": "anchors pooled over {} faces",
        "gate": "{} renders for the instrument's own test",
    }
    said_sizes = ", ".join(words.format(sizes[name]) for name, words in faces.items() if name in sizes)
    return (
        "## How it was measured\n\nThe faces are avatars, so the truth of each is known. A regressor reads the factors out of pictures. It"
        " was trained on renders alone, nothing is ever optimized against it, and it must pass its own test first. The scorer and the"
        " inverter make anchors; they never measure. None of this says anything about photographs of people.\n\n"
        f"Sizes: {said_sizes}. Brackets are 95 % bootstrap intervals. `{document['command']}` made the figures in"
        f" {document['seconds'] / 60:.0f} minutes on a busy machine (text anchors: {document['anchor_seconds'] / 60:.0f} more);"
        f" `{document['command']} --from-json` writes this page from [results.json](results/results.json), where every figure is. As"
        " tables, with the reason of each miss: [results/rows.md](results/rows.md)."
    )


def closed(document: dict) -> str:
    missed = [r for r in document["sections"]["gate"]["rows"] if r["met"] is False]
    names = ", ".join(sorted({r["motion"] for r in missed}))
    return (
        f"**The instrument does not pass its gate** ({names}), so nothing else is published: a figure read with it could be the"
        " instrument's error. Train the regressor longer, then run this again."
    )


def verdicts(sections: dict) -> list[str]:
    """One line per target: in how many cells it is met, by where the direction comes from, and which motions miss it."""
    columns = [s for s in SOURCES if any(source_of(r["group"]) == s for section in sections.values() for r in section["rows"])]
    head = ["section", "target", *(SOURCES[s] for s in columns), "other", "missed by"]
    lines = []
    for section in sections.values():
        rows = [_verdict(m, judged, columns) for m in section["metrics"] if (judged := _judged(section, m))]
        lines += [[section["title"].partition(". ")[0] if i == 0 else "", *row] for i, row in enumerate(rows)]
    text = (
        "In how many cells (motions, times ways of fitting, times styles) each target is met. *Other* is the instrument and the inverter"
        " themselves. Where the oracle misses too, no straight line in this generator's codes can do it."
    )
    return ["## Verdicts", text, _table(head, lines)]


def _judged(section: dict, metric: dict) -> list[dict]:
    """The judged rows of a metric, without the directions of single faces, which nobody would keep."""
    return [r for r in section["rows"] if r["metric"] == metric["key"] and r["met"] is not None and not r["group"].endswith(ONE)]


def _verdict(metric: dict, judged: list[dict], columns: list[str]) -> list[str]:
    cells = [_met([r for r in judged if source_of(r["group"]) == source]) for source in (*columns, "")]
    missed = [r["motion"] for r in judged if not r["met"] and source_of(r["group"]) != ORACLE]
    who = ", ".join(f"{m} {missed.count(m)}" for m in sorted(dict.fromkeys(missed), key=lambda m: -missed.count(m)))
    return [metric["title"] + (BOUND if metric["key"] in BOUNDS else "") + f", {goal(judged)}", *cells, who]


def _met(rows: list[dict]) -> str:
    return f"{sum(r['met'] for r in rows)} of {len(rows)}" if rows else ""


def lines_and_faces(sections: dict) -> list[str]:
    """M1 and M2: the anchors' spread and the agreement of faces, with the null that any smooth path resembles."""
    rows = _by_motion(sections, "lowrank", ("evr1",), lambda g: "noise" not in g)
    rows += _by_motion(sections, "alignment", ("cosine_one", "cosine_pooled", "cosine_other"), lambda g: True)
    return [f"## M1 and M2: near a line, the same line{BOUND}", *_motions_table(rows)] if rows else []


def motions(sections: dict) -> list[str]:
    """M3 to M7 and M9 for the directions that a user would keep, beside the oracle."""
    rows = _by_motion(sections, "response", ("slope", "leakage", "identity", "success"), KEPT.__contains__)
    rows += _by_motion(sections, "counterfactual", ("counterfactual",), KEPT.__contains__)
    rows += _by_motion(sections, "time", ("drift",), KEPT.__contains__)
    text = (
        "Directions were scaled on other faces, so that one unit is the whole range of a factor. A transfer succeeds when 0.8 of the asked"
        " change comes, leakage stays within 0.30 and the identity cosine is 0.90 or more."
    )
    return ["## M3 to M7, M9: what a motion does on unseen faces", text, *_motions_table(rows)] if rows else []


def _by_motion(sections: dict, name: str, keys: tuple[str, ...], wanted) -> list[tuple[dict, str, dict[str, dict]]]:
    """(metric, group, rows by motion) of a section's metrics."""
    section = sections.get(name, {"metrics": [], "rows": []})
    found = []
    for metric in sorted((m for m in section["metrics"] if m["key"] in keys), key=lambda m: keys.index(m["key"])):
        rows = [r for r in section["rows"] if r["metric"] == metric["key"] and wanted(r["group"])]
        found += [(metric, g, {r["motion"]: r for r in rows if r["group"] == g}) for g in ordered(rows, "group")]
    return found


def _motions_table(rows: list[tuple[dict, str, dict[str, dict]]]) -> list[str]:
    names = list(dict.fromkeys(m for _, _, cells in rows for m in cells))
    lines, last = [], None
    for metric, group, cells in rows:
        title = metric["title"] + (BOUND if metric["key"] in BOUNDS else "") if metric is not last else ""
        lines.append([title, said(group), *(cell(cells.get(m), metric["decimals"]) for m in names)])
        last = metric
    return [_table(["", "", *names], lines)]


def methods(sections: dict) -> list[str]:
    """The table of all methods, mean over motions."""
    section = sections.get("baselines")
    if not section:
        return []
    keys = ("efficiency", "baseline_leakage", "baseline_identity", "baseline_success", "baseline_counterfactual", "seconds")
    chosen = [m for m in section["metrics"] if m["key"] in keys]
    found = {(r["group"], r["metric"]): r for r in section["rows"] if r["motion"] == ALL}
    groups = [g for g in dict.fromkeys(g for g, _ in found) if not g.endswith(CLEANED)]
    lines = [[said(g), section["told"].get(g, ""), *(_value(found.get((g, m["key"])), m["decimals"]) for m in chosen)] for g in groups]
    text = (
        "Mean over motions, all calibrated alike and measured on the same unseen faces; *told* is what a method was given. Response at the"
        " oracle's length compares directions before calibration."
    )
    return ["## Against other methods", text, _table(["", "told", *(m["title"] for m in chosen)], lines)]


def _value(row: dict | None, decimals: int) -> str:
    return "" if row is None else f"{row['value']:.{decimals}f}"


def published(sections: dict) -> list[str]:
    """Published against ours, mean over motions."""
    section = sections.get("published")
    if not section:
        return []
    keys = ("versus_success", "versus_leakage", "versus_identity", "cosine_oracle", "raw_slope", "raw_slope_variation")
    chosen = [m for m in section["metrics"] if m["key"] in keys]
    lines = []
    for group in ordered(section["rows"], "group"):
        values = [_mean(sections, "published", m["key"], group) for m in chosen]
        lines.append([said(group), *(f"{v:.{m['decimals']}f}" for v, m in zip(values, chosen))])
    text = (
        "Mean over motions of single-face directions; both estimators get the same anchors. *Published throughout* makes the text anchors"
        " with the published settings too, in our implementation and without the identity network, which avatars do not have."
    )
    return ["## The published settings against ours", text, _table(["", *(m["title"] for m in chosen)], lines)]


def styles(sections: dict) -> list[str]:
    """M8: transfer success in every style, mean over motions."""
    section = sections.get("domains")
    if not section:
        return []
    found: dict[str, dict[str, list[float]]] = {}
    for r in section["rows"]:
        style, _, group = r["group"].rpartition(" | ")
        if r["metric"] == "domain_success":
            found.setdefault(style, {}).setdefault(group, []).append(r["value"])
    columns = [g for g in KEPT if any(g in groups for groups in found.values())] + ["the renderer itself"]
    lines = [[s, *(f"{sum(groups[c]) / len(groups[c]):.2f}" if c in groups else "" for c in columns)] for s, groups in found.items()]
    text = (
        "Transfer success, mean over motions; the motions were made from photo-styled faces only. *Own code* is the generator's own face"
        " in that style, *inverted* a render of it through the inverter. The renderer draws before and after itself: what is missing there"
        " is the instrument's. In sketch the instrument misses its own test, so sketch has no verdict. Bronze was never shown to the"
        " generator."
    )
    return [f"## M8: other styles{BOUND}", text, _table(["", *(said(c) for c in columns)], lines)]


def inverted(sections: dict) -> list[str]:
    """How well pictures become codes, over the steps spent."""
    section = sections.get("inversion")
    if not section:
        return []
    chosen = [m for m in section["metrics"] if m["key"] in ("psnr", "factor_error")]
    found = {(r["group"], r["metric"]): r for r in section["rows"]}
    groups = [g for g in ordered(section["rows"], "group") if (g, chosen[0]["key"]) in found]
    lines = [[g, *(cell(found.get((g, m["key"])), m["decimals"]) for m in chosen)] for g in groups]
    return ["## Inversion", _table(["", *(m["title"] for m in chosen)], lines)]


def shown(sections: dict) -> list[str]:
    found = [line for section in sections.values() for line in pictures(section, "results/")]
    chosen = [line for line in found if any(said(name) in line for name in SHOWN)]
    return ["## Pictures", *chosen, "The other pictures are in [results/rows.md](results/rows.md)."] if chosen else []


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(line)} |" for line in lines)])
