"""``results/rows.md``: every figure of ``results.json`` as a table, and why targets were missed. No number is written by hand."""

from __future__ import annotations

from .baselines import ALL
from .misses import goal, ordered, why
from .naming import said
from .study import CLEANED, ORACLE, POOLED, SHIPPED

WIDE = ("Baselines", "Ablations")
MARKS = {True: " ✓", False: " ✗", None: ""}


def appendix(document: dict) -> str:
    """Every figure of a results document: a section each, and why its targets were missed."""
    parts = ["# Results: every figure", preamble(document)]
    for section in document["sections"].values():
        parts += render(section)
    return "\n\n".join(parts) + "\n"


def preamble(document: dict) -> str:
    sizes = ", ".join(f"{k.replace('_', ' ')} {_plain(v)}" for k, v in document["sizes"].items())
    return (
        "The figures behind [Results](../results.md), which says what was asked and what they are worth. They are written from"
        f" [results.json](results.json) by `{document['command']} --from-json`. Generator `{document['generator']}`, seed"
        f" {document['seed']}. Sizes: {sizes}. Brackets are 95 % bootstrap intervals. ✓ and ✗ say whether a target is met; figures"
        " without a mark have no target."
    )


def render(section: dict) -> list[str]:
    """A section as Markdown blocks."""
    blocks = [f"## {section['title']}", section["text"]]
    blocks += _wide(section) if section["title"] in WIDE else [table(section, m) for m in section["metrics"] if _rows(section, m)]
    blocks += _matrices(section)
    blocks += pictures(section, "")
    reasons = why(section)
    if reasons:
        blocks.append("**Missed:**\n\n" + "\n".join(f"- {r}" for r in reasons))
    blocks.append(f"*Computed in {section['seconds']:.0f} s.*")
    return [b for b in blocks if b]


def pictures(section: dict, folder: str) -> list[str]:
    """The pictures of a section, seen from a page beside ``folder`` ("results/") or in it ("")."""
    return [f"![{said(caption)}]({folder}{path.rpartition('/')[2]})" for caption, path in section.get("pictures", [])]


def _rows(section: dict, metric: dict) -> list[dict]:
    return [r for r in section["rows"] if r["metric"] == metric["key"]]


def table(section: dict, metric: dict) -> str:
    """Groups down, motions across."""
    rows = _rows(section, metric)
    motions, groups = ordered(rows, "motion"), ordered(rows, "group")
    judged = [r for r in rows if r["met"] is not None]
    title = f"**{metric['title']}**" + (f", {goal(judged)}" if judged else "")
    found = {(r["group"], r["motion"]): r for r in rows}
    lines = [f"| | {' | '.join(m or 'value' for m in motions)} |", "|---|" + "---|" * len(motions)]
    for g in groups:
        cells = [cell(found.get((g, m)), metric["decimals"]) for m in motions]
        lines.append(f"| {said(g)} | {' | '.join(cells)} |")
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
    head = [said(question), *(["told"] if told else []), *(m["title"] for m in metrics)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for g in ordered([r for r in rows if r["met"] is None], "group"):
        name, hint = said(g.rpartition(" | ")[2]), [told.get(g, "")] if told else []
        lines.append("| " + " | ".join([name, *hint, *(cell(found.get((g, m["key"])), m["decimals"]) for m in metrics)]) + " |")
    return "\n".join(lines)


def _matrices(section: dict) -> list[str]:
    blocks = []
    for group, matrix in section.get("matrices", {}).items():
        if not group.endswith((POOLED, CLEANED, SHIPPED, ORACLE)):
            continue
        motions = ordered(section["rows"], "motion")
        lines = [f"| {said(group)} | {' | '.join(section['factors'])} |", "|---|" + "---|" * len(matrix[0])]
        lines += [f"| {name} | " + " | ".join(f"{v:+.2f}" for v in values) + " |" for name, values in zip(motions, matrix)]
        blocks.append("Median change of every factor (in sigmas) when a motion is asked for one sigma:\n\n" + "\n".join(lines))
    return blocks


def cell(r: dict | None, decimals: int) -> str:
    if r is None:
        return ""
    interval = "" if r["low"] is None else f" [{r['low']:.{decimals}f}, {r['high']:.{decimals}f}]"
    return f"{r['value']:.{decimals}f}{interval}{MARKS[r['met']]}"


def _plain(value) -> str:
    return "default" if value is None else "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
