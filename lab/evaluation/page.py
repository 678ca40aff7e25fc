"""``results.md``, the page that is read; all of its numbers come from the figures."""

from __future__ import annotations

from . import drawn, recognizer, remedies
from .baselines import ALL
from .misses import goal, ordered
from .naming import EXACT, SOURCES, THROUGH, said, source_of
from .study import CLEANED, INVERTED, ONE, ORACLE, POOLED, SHIPPED, TEXT, VIDEO
from .tables import cell, pictures

RENDERER = "the renderer itself"
KEPT = (f"{VIDEO}, {POOLED}", f"{INVERTED}, {POOLED}", f"{TEXT}, {POOLED}", SHIPPED, ORACLE)
BOUNDS = {"evr1", "rank1_response", "cosine_one", "cosine_pooled", "cosine_other", "success", "domain_success", "domain_share"}
BOUND = " †"
READY = {"slope": 1, "leakage": 100, "identity": 1, "success": 100}
MULTIPLIERS = (5, 8)  # of the published scripts: their default, and that for a direction that one decodes oneself
WHOSE = ("ours", "published", "published throughout")
MORE_ESTIMATORS = ("secant", "PCA", "least squares", "Theil-Sen", "robust PCA")  # of the same anchors as ours: in the appendix
SHOWN = ("Response over", "Leakage", "each motion, shipped motion]")
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
    for part in (verdicts, lines_and_faces, motions, methods, published, styles, inverted, remedies.table, remedies.estimators, shown):
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
    """The few figures that most readers want, each from its table, each with the faces that it holds for."""
    lines = [line for part in (_ready, _drawn, _recognized, _against_published, _inverter) if (line := part(sections))]
    return ["## In short", "\n".join(f"- {line}" for line in lines)] if lines else []


def _ready(sections: dict) -> str:
    slope, leakage, identity, success = (_range(sections, "response", k, SHIPPED, unit) for k, unit in READY.items())
    return (
        f"**On unseen faces at rest**, one unit of a ready motion moves its factor by {slope} units (median) and the other factors by"
        f" {leakage} % of that. The identity cosine at one sigma is {identity}, and {success} % of transfers succeed."
        if slope
        else ""
    )


def _drawn(sections: dict) -> str:
    """The same for faces as drawn: all of them, and those in which the motion still has room."""

    def range_of(key: str, faces: str, unit: int) -> str:
        return _range(sections, "drawn", f"drawn_{key}", f"{faces} | {SHIPPED}", unit)

    room = _range(sections, "drawn", "drawn_room", SHIPPED, 100)
    if not room:
        return ""
    return (
        f"**On faces as they are drawn** (truncation {drawn.TRUNCATION:g}: some smile already) a motion makes"
        f" {range_of('gain', drawn.EVERY, 1)} of the asked change, and {range_of('success', drawn.EVERY, 100)} % of transfers succeed. Much"
        f" of that is want of headroom: where the asked change stays within the factor's range ({room} % of these faces) it makes"
        f" {range_of('gain', drawn.ROOMY, 1)} of it, and {range_of('success', drawn.ROOMY, 100)} % succeed. The rest is the person: the"
        f" identity cosine is {range_of('identity', drawn.ROOMY, 1)} there, and 0.90 is asked."
    )


def _recognized(sections: dict) -> str:
    kept, own = (_range(sections, "recognizer", recognizer.KEPT.key, g, 100) for g in (SHIPPED, recognizer.RENDERED))
    near, nearest = (_range(sections, "recognizer", recognizer.SAME.key, g, 1) for g in (SHIPPED, recognizer.RENDERED))
    return (
        f"A recognizer that never saw the renderer's numbers still takes {kept} % of faces at rest for the same person after one sigma of a"
        f" ready motion (cosine {near}); of renders of the same change, which are the same person, {own} % (cosine {nearest})."
        if kept
        else ""
    )


def _against_published(sections: dict) -> str:
    cosines = [_mean(sections, "published", "cosine_oracle", f"{who}, {TEXT}") for who in WHOSE]
    if None in cosines:
        return ""
    ours, theirs, throughout = (f"{v:.2f}" for v in cosines)
    return (
        f"From one sentence and one random face, the direction has cosine {ours} to the oracle's. The published estimator gets {theirs}"
        f" from the"
        f" same anchors, and {throughout} from anchors made with the published settings."
    )


def _inverter(sections: dict) -> str:
    rows = sections.get("inversion", {"rows": []})["rows"]
    last = next((r for r in rows if r["metric"] == "psnr" and r["met"] is not None), None)
    return f"The inverter reaches {last['value']:.1f} dB on unseen renders of faces at rest after {last['group']}." if last else ""


def _range(sections: dict, name: str, key: str, group: str, unit: int) -> str:
    """The smallest and the largest figure over motions, times ``unit``, as text; "" where there are none."""
    section = sections.get(name, {"rows": [], "metrics": []})
    values = [r["value"] for r in section["rows"] if (r["metric"], r["group"]) == (key, group)]
    digits = 2 if unit == 1 else 0
    ends = [f"{unit * v:.{digits}f}" for v in (min(values), max(values))] if values else []
    return " to ".join(dict.fromkeys(ends))


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
        " was trained on renders alone, nothing is ever optimized against it, another one calibrates the ready motions, and it must pass"
        " its own test first. The scorer and the inverter make anchors; they never measure. None of this says anything about photographs"
        " of people. "
        f"What is measured are the generator's pictures of {document['px']} px. The shipped one's last block, trained alone, makes 128 px"
        " of those of 64, and leaves them bit for bit as they are.\n\n"
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
        " themselves. Where the oracle misses too, even a direction fitted on labels cannot do it. Built in: what is marked †. Other"
        " styles are judged by their share of the oracle's success."
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
    rows = _by_motion(sections, "lowrank", ("evr1",), lambda g: "noise" not in g and (VIDEO not in g or "walk" not in g))
    rows += _by_motion(sections, "alignment", ("cosine_one", "cosine_pooled", "cosine_other"), lambda g: True)
    text = (
        "*Built in:* that motions are lines, the same for every face; z was given the factors. *Found:* how much of it is left when anchors"
        " go through the inverter or come from text, and that any smooth path looks low-rank: see the random walk."
    )
    return [f"## M1 and M2: near a line, the same line{BOUND}", text, *_motions_table(rows)] if rows else []


def motions(sections: dict) -> list[str]:
    """M3 to M7 for the directions that a user would keep, beside the oracle."""
    rows = _by_motion(sections, "response", ("slope", "leakage", "identity", "success"), KEPT.__contains__)
    rows += _by_motion(sections, "counterfactual", ("counterfactual",), KEPT.__contains__)
    text = (
        "*Built in:* that a direction which moves one factor alone exists (success †). *Found:* how near to it text and clips come, on"
        " unseen"
        " **faces at rest**. Directions were scaled on other faces, so that one unit is the whole range of a factor. A transfer succeeds"
        " when 0.8 of the asked"
        " change comes, leakage stays within 0.30 and the identity cosine is 0.90 or more."
    )
    tables = [*_motions_table(rows), *_as_drawn(sections), *_further(sections)]
    return ["## M3 to M7: what a motion does on unseen faces", text, *tables] if rows else []


def _as_drawn(sections: dict) -> list[str]:
    """The ready motions on drawn faces, and by the recognizer."""
    rows = _by_motion(sections, "drawn", ("drawn_room", "drawn_gain", "drawn_success"), lambda g: SHIPPED in g or g == ORACLE)
    rows = [r for r in rows if not (r[0]["key"] == "drawn_room" and r[1] == ORACLE)]
    rows += _by_motion(sections, "recognizer", (recognizer.SAME.key,), (recognizer.RENDERED, SHIPPED, ORACLE).__contains__)
    text = (
        "The same on **faces as drawn** (truncation 0.7), all of them and those with headroom; and the person by a recognizer that never"
        f" saw the renderer's numbers, on faces at rest.{_verified(sections)}"
    )
    return [text, *_motions_table(rows)] if rows else []


def _further(sections: dict) -> list[str]:
    """The ready motions beyond the paper's five."""
    rows = _by_motion(sections, "further", ("slope", "leakage", "identity", "success"), lambda g: True)
    return [f"**{sections['further']['title']}.** {sections['further']['text']}", *_motions_table(rows)] if rows else []


def _verified(sections: dict) -> str:
    """How good the recognizer itself is, on people that it never saw."""
    rows = {r["metric"]: r["value"] for r in sections.get("recognizer", {"rows": []})["rows"] if not r["motion"]}
    if not rows:
        return ""
    return (
        f" Of pairs of pictures of one unseen person it finds {100 * rows[recognizer.FOUND.key]:.0f} %, where 1 % of other pairs pass (area"
        f" under the curve {rows[recognizer.AREA.key]:.3f})."
    )


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
    section, others = sections.get("baselines"), sections.get("spaces", {"rows": [], "told": {}})
    if not section:
        return []
    keys = ("efficiency", "baseline_leakage", "baseline_identity", "baseline_success", "baseline_counterfactual", "seconds")
    chosen, told = [m for m in section["metrics"] if m["key"] in keys], {**section["told"], **others["told"]}
    found = {(r["group"], r["metric"]): r for r in [*section["rows"], *others["rows"]] if r["motion"] == ALL}
    groups = [g for g in dict.fromkeys(g for g, _ in found) if not (g.endswith(CLEANED) or g.startswith(MORE_ESTIMATORS))]
    lines = [[said(g), told.get(g, ""), *(_value(found.get((g, m["key"])), m["decimals"]) for m in chosen)] for g in groups]
    text = (
        "*Built in:* that linear directions in W do well here at all. *Found:* how the methods compare, all calibrated alike and measured"
        " on the same unseen faces at rest, mean over motions; *told* is what a method was given. Response at the oracle's length compares"
        " directions before calibration; what moves styles, or each face its own way, has none. Further estimators: the appendix. Seconds"
        " leave out labels and the pushing of every style channel, which serve all motions."
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
        lines.append([said(group), *(f"{v:.{m['decimals']}f}" for v, m in zip(values, chosen)), _multiplied(sections, group)])
    text = (
        "*Built in:* nothing that favors one side. Mean over motions of single-face directions; both estimators get the same anchors."
        " *Published throughout* makes the text anchors"
        " with the published settings too, in our implementation and without the identity network, which avatars do not have. The last"
        f" column is what a direction does under its own multiplier: the published scripts multiply by {MULTIPLIERS[0]} by default and by"
        f" {MULTIPLIERS[1]} for a direction that one decodes oneself, ours by 1; 1.00 is the whole range of a factor."
    )
    head = ["", *(m["title"] for m in chosen), "Factor units at its own multiplier"]
    return ["## The published settings against ours", text, _table(head, lines)]


def _multiplied(sections: dict, group: str) -> str:
    """Factor units per unit as fitted, times what the code that fits it multiplies by."""
    unit = _mean(sections, "published", "raw_slope", group) or 0.0
    return ", ".join(f"{unit * k:.2f} (x {k})" for k in (MULTIPLIERS if group.startswith("published") else (1,)))


def styles(sections: dict) -> list[str]:
    """M8: transfer success in every style, mean over motions."""
    section = sections.get("domains")
    if not section:
        return []
    found: dict[str, dict[str, list[float]]] = {}
    for r in section["rows"]:
        style, _, group = r["group"].rpartition(" | ")
        if r["metric"] == "domain_success":
            found.setdefault(style.replace(", renders", ", inverted"), {}).setdefault(group, []).append(r["value"])
    columns = [g for g in KEPT if any(g in groups for groups in found.values())] + [RENDERER]
    means = {style: {g: sum(v) / len(v) for g, v in groups.items()} for style, groups in found.items()}
    lines = [[style, *(_of_oracle(groups, c) for c in columns)] for style, groups in means.items()]
    text = (
        "*Built in:* that the same line serves every trained style; the style is one more coordinate of z. *Found:* what the motions keep"
        " of"
        " what the labels' direction can do there. Transfer success, mean over motions, in brackets its share of the oracle's, by which"
        " motions are judged; the motions were made from photo-styled faces only. *Own code* is the generator's own face"
        " in that style, *inverted* a render of it through the inverter. The renderer draws before and after itself: what is missing there"
        " is the instrument's. In sketch the instrument misses its own test, so sketch has no verdict. Bronze was never shown to the"
        " generator."
    )
    return [f"## M8: other styles{BOUND}", text, _table(["", *(said(c) for c in columns)], lines), *_oracle_by_motion(section)]


def _of_oracle(groups: dict[str, float], column: str) -> str:
    if column not in groups:
        return ""
    best = groups.get(ORACLE, 0.0)
    return f"{groups[column]:.2f}" + (f" ({groups[column] / best:.0%})" if best and column not in (ORACLE, RENDERER) else "")


def _oracle_by_motion(section: dict) -> list[str]:
    """Where the labels' direction itself falls short: the ceiling of every motion in every style."""
    rows = [r for r in section["rows"] if r["metric"] == "domain_success" and r["group"].endswith(f" | {ORACLE}")]
    names = ordered(rows, "motion")
    found = {(r["group"].rpartition(" | ")[0], r["motion"]): r["value"] for r in rows}
    lines = [[style, *(f"{found[style, m]:.2f}" for m in names)] for style in dict.fromkeys(s for s, _ in found) if "own code" not in style]
    return (
        [
            "The oracle by motion: where the direction fitted on labels falls short of 0.9, a motion can hardly do better.",
            _table(["", *names], lines),
        ]
        if rows
        else []
    )


def inverted(sections: dict) -> list[str]:
    """How well pictures become codes, over the steps spent."""
    section = sections.get("inversion")
    if not section:
        return []
    chosen = [m for m in section["metrics"] if m["key"] in ("psnr", "factor_error")]
    found = {(r["group"], r["metric"]): r for r in section["rows"]}
    groups = [g for g in ordered(section["rows"], "group") if (g, chosen[0]["key"]) in found]
    cells = {g: [cell(found.get((g, m["key"])), m["decimals"]) for m in chosen] for g in groups}
    lines = [[g, *made] for i, (g, made) in enumerate(cells.items()) if made not in list(cells.values())[:i]]
    text = "*Found*, on unseen renders of faces at rest; the inverter was trained with labels. Steps that change nothing are left out."
    return ["## Inversion", text, _table(["", *(m["title"] for m in chosen)], lines)]


def shown(sections: dict) -> list[str]:
    found = [line for section in sections.values() for line in pictures(section, "results/")]
    chosen = [line for line in found if any(said(name) in line for name in SHOWN)]
    return ["## Pictures", "\n".join(chosen), "The other pictures are in [results/rows.md](results/rows.md)."] if chosen else []


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(line)} |" for line in lines)])
