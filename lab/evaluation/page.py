"""``results.md`` from the figures alone: tables, verdicts, and why a target was missed. No number is written by hand."""

from __future__ import annotations

from . import remedies
from .baselines import ALL
from .study import CLEANED, FLOOR, INVERTED, ONE, ORACLE, POOLED, SHIPPED, TEXT, VIDEO

WIDE = ("Baselines", "Ablations")
SIGNS = {">=": "at least", "<=": "at most"}
MARKS = {True: " ✓", False: " ✗", None: ""}


def page(document: dict) -> str:
    """The whole page of a results document."""
    parts = ["# Results", preamble(document)]
    if not document["sections"]["gate"]["passed"]:
        parts += [closed(document), *render("gate", document["sections"]["gate"])]
        return "\n\n".join(parts) + "\n"
    parts += ["## Verdicts", verdicts(document), *remedies.table(document["sections"])]
    for name, section in document["sections"].items():
        parts += render(name, section)
    return "\n\n".join(parts) + "\n"


def preamble(document: dict) -> str:
    sizes = ", ".join(f"{k.replace('_', ' ')} {_plain(v)}" for k, v in document["sizes"].items())
    return (
        f"Written by `{document['command']}`; the same figures are in [results.json](results/results.json). Generator"
        f" `{document['generator']}`, seed {document['seed']}. Sizes: {sizes}. The sections took"
        f" {document['seconds'] / 60:.0f} minutes, making text anchors {document['anchor_seconds'] / 60:.0f}, on a machine as busy as it"
        " was.\n\nThe generator is the embedded one, which was distilled from a renderer of avatars, so that each of its faces has a known"
        " truth; what is measured here says how well motions are decoded and transferred in such a generator, and nothing about"
        " photographs of people. The scorer makes text anchors and the inverter reads pictures; neither measures. The measuring"
        " instrument was trained on renders alone and is never optimised against. Brackets are 95 % bootstrap intervals. ✓ and ✗ say"
        " whether a target is met; figures without a mark have none."
    )


def closed(document: dict) -> str:
    missed = [r for r in document["sections"]["gate"]["rows"] if r["met"] is False]
    names = ", ".join(sorted({r["motion"] for r in missed}))
    return (
        f"**The instrument does not pass its gate** ({names}), so nothing else is published: a figure read with it could be the"
        " instrument's error. Train the regressor longer, then run this again."
    )


def verdicts(document: dict) -> str:
    """One line per judged metric: in how many cells the target is met, and which of the directions that a user would keep miss it."""
    lines = ["| target | met by ours | met in all | ours missed by |", "|---|---|---|---|"]
    for section in document["sections"].values():
        for metric in section["metrics"]:
            judged = [r for r in section["rows"] if r["metric"] == metric["key"] and r["met"] is not None]
            if judged:
                lines.append(_verdict(metric, judged))
    return "\n".join(lines)


def _verdict(metric: dict, judged: list[dict]) -> str:
    ours = [r for r in judged if r["group"].endswith((POOLED, CLEANED, SHIPPED))]
    groups: dict[str, list[str]] = {}
    for r in (r for r in ours or judged if not r["met"]):
        groups.setdefault(r["group"], []).append(r["motion"])
    who = "; ".join(f"{_escape(g)}{': ' + ', '.join(m) if any(m) else ''}" for g, m in groups.items())
    return f"| {metric['title']}, {_goal(judged)} | {_met(ours)} | {_met(judged)} | {who or 'none'} |"


def _met(rows: list[dict]) -> str:
    return f"{sum(r['met'] for r in rows)} of {len(rows)}" if rows else ""


def _goal(rows: list[dict]) -> str:
    targets = sorted({r["target"] for r in rows})
    return f"{SIGNS[rows[0]['sense']]} {' or '.join(f'{t:g}' for t in targets)}"


def render(name: str, section: dict) -> list[str]:
    """A section as Markdown blocks."""
    blocks = [f"## {section['title']}", section["text"]]
    blocks += _wide(section) if section["title"] in WIDE else [table(section, m) for m in section["metrics"] if _rows(section, m)]
    blocks += _matrices(section)
    blocks += [f"![{caption}]({path})" for caption, path in section.get("pictures", [])]
    reasons = why(section)
    if reasons:
        blocks.append("**Missed:**\n\n" + "\n".join(f"- {r}" for r in reasons))
    blocks.append(f"*Computed in {section['seconds']:.0f} s.*")
    return [b for b in blocks if b]


def _rows(section: dict, metric: dict) -> list[dict]:
    return [r for r in section["rows"] if r["metric"] == metric["key"]]


def table(section: dict, metric: dict) -> str:
    """Groups down, motions across."""
    rows = _rows(section, metric)
    motions, groups = _ordered(rows, "motion"), _ordered(rows, "group")
    judged = [r for r in rows if r["met"] is not None]
    title = f"**{metric['title']}**" + (f", {_goal(judged)}" if judged else "")
    found = {(r["group"], r["motion"]): r for r in rows}
    lines = [f"| | {' | '.join(m or 'value' for m in motions)} |", "|---|" + "---|" * len(motions)]
    for g in groups:
        cells = [_cell(found.get((g, m)), metric["decimals"]) for m in motions]
        lines.append(f"| {_escape(g)} | {' | '.join(cells)} |")
    return title + "\n\n" + "\n".join(lines)


def _wide(section: dict) -> list[str]:
    """Groups down, metrics across, the mean over motions, a table for each question; then the judged metrics by motion."""
    rows = [r for r in section["rows"] if r["motion"] == ALL]
    metrics = [m for m in section["metrics"] if any(r["metric"] == m["key"] and r["met"] is None for r in rows)]
    questions: dict[str, list[dict]] = {}
    for r in rows:
        questions.setdefault(r["group"].rpartition(" | ")[0], []).append(r)
    tables = [_across(question, answers, metrics, section.get("told", {})) for question, answers in questions.items()]
    return [*tables, *(table(section, m) for m in section["metrics"] if m["target"] is not None)]


def _across(question: str, rows: list[dict], metrics: list[dict], told: dict[str, str]) -> str:
    found = {(r["group"], r["metric"]): r for r in rows}
    head = [question, *(["told"] if told else []), *(m["title"] for m in metrics)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for g in _ordered([r for r in rows if r["met"] is None], "group"):
        name, hint = g.rpartition(" | ")[2], [told.get(g, "")] if told else []
        lines.append("| " + " | ".join([name, *hint, *(_cell(found.get((g, m["key"])), m["decimals"]) for m in metrics)]) + " |")
    return "\n".join(lines)


def _matrices(section: dict) -> list[str]:
    blocks = []
    for group, matrix in section.get("matrices", {}).items():
        if not group.endswith((POOLED, CLEANED, SHIPPED, ORACLE)):
            continue
        motions = _ordered(section["rows"], "motion")
        lines = [f"| {_escape(group)} | {' | '.join(section['factors'])} |", "|---|" + "---|" * len(matrix[0])]
        lines += [f"| {name} | " + " | ".join(f"{v:+.2f}" for v in values) + " |" for name, values in zip(motions, matrix)]
        blocks.append("Median change of every factor (in sigmas) when a motion is asked for one sigma:\n\n" + "\n".join(lines))
    return blocks


def _cell(r: dict | None, decimals: int) -> str:
    if r is None:
        return ""
    interval = "" if r["low"] is None else f" [{r['low']:.{decimals}f}, {r['high']:.{decimals}f}]"
    return f"{r['value']:.{decimals}f}{interval}{MARKS[r['met']]}"


def _escape(text: str) -> str:
    return text.replace(" | ", ": ")


def _ordered(rows: list[dict], key: str) -> list[str]:
    return list(dict.fromkeys(r[key] for r in rows))


def _plain(value) -> str:
    return "default" if value is None else "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def why(section: dict) -> list[str]:
    """A sentence per group and metric that missed, with what the other lines of the same table say about the reason."""
    sentences = []
    for metric in section["metrics"]:
        rows = _rows(section, metric)
        for group in _ordered(rows, "group"):
            missed = [r for r in rows if r["group"] == group and r["met"] is False]
            if missed:
                sentences.append(_sentence(metric, group, missed, rows))
    return sentences


def _sentence(metric: dict, group: str, missed: list[dict], rows: list[dict]) -> str:
    d, lead = metric["decimals"], _lead(group)
    found = {(r["group"].removeprefix(lead), r["motion"]): r for r in rows if r["group"].startswith(lead)}
    cells = ", ".join(f"{r['motion'] or 'value'} {r['value']:.{d}f}" for r in missed)
    reason = reasons(group.removeprefix(lead), missed, found, d)
    return f"{metric['title']}, {_escape(group)}: {cells} against {_goal(missed)}{'; ' + reason if reason else ''}."


def _lead(group: str) -> str:
    """What stands before the name of the direction: a style, an inversion, or nothing; lines with the same lead are compared."""
    before, bar, _ = group.rpartition(" | ")
    return before + bar or ("ours, " if group.startswith("ours, ") else "")


def reasons(group: str, missed: list[dict], found: dict, decimals: int) -> str:
    """What lies behind: the first comparison that tells the missed cells apart from a line that differs in one thing only."""
    for other, saying in _comparisons(group):
        pairs = [(r, found[other, r["motion"]]) for r in missed if (other, r["motion"]) in found]
        judged = [(r, o) for r, o in pairs if _holds(r, o)]
        if judged:
            cells = ", ".join(f"{o['value']:.{decimals}f} for {o['motion'] or 'it'}" for _, o in judged)
            return saying.format(cells=cells)
    own = [found[FLOOR, r["motion"]] for r in missed if (FLOOR, r["motion"]) in found]
    if own and not any(_holds(r, o) for r, o in zip(missed, own)):
        cells = ", ".join(f"{o['value']:.{decimals}f} for {o['motion']}" for o in own)
        return f"even the generator's own drawing of the asked face gets {cells}, so its unlikeness to the renderer sets the limit"
    limit = [(r, found[ORACLE, r["motion"]]) for r in missed if (ORACLE, r["motion"]) in found and group != ORACLE]
    if limit:
        cells = ", ".join(f"{o['value']:.{decimals}f} for {o['motion']}" for _, o in limit)
        return f"even the direction fitted on every label gets {cells}, so a straight line in this generator's codes cannot do it"
    return ""


def _holds(missed: dict, other: dict) -> bool:
    """Whether the other line would meet the target that was missed."""
    return other["value"] >= missed["target"] if missed["sense"] == ">=" else other["value"] <= missed["target"]


def _comparisons(group: str) -> list[tuple[str, str]]:
    """Lines that differ from ``group`` in one thing, and what it means when they do better."""
    source, _, how = group.rpartition(", ")
    if not source:
        source, how = group, ""
    join = (lambda s: f"{s}, {how}") if how else (lambda s: s)
    found = []
    if how == ONE:
        found.append((f"{source}, {POOLED}", "pooling several faces mends it ({cells})"))
    if how == POOLED:
        found.append((f"{source}, {CLEANED}", "taking the other motions out of it mends it ({cells})"))
    if source == INVERTED or group == INVERTED:
        saying = "with exact codes in place of inverted ones it holds ({cells}), so the inverter loses it"
        found.append((join(VIDEO) if group != INVERTED else VIDEO, saying))
    if source == TEXT or group == TEXT:
        found.append((join(VIDEO) if group != TEXT else VIDEO, "anchors from clips reach it ({cells}), so it is lost in the text anchors"))
    found.append((ORACLE, "the direction fitted on labels reaches it ({cells}), so it is the anchors that lose it, not the generator"))
    return found
