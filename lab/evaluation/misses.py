"""Why a target was missed: what the other lines of the same table say about it."""

from __future__ import annotations

from .naming import said
from .study import CLEANED, FLOOR, INVERTED, ONE, ORACLE, POOLED, TEXT, VIDEO

SIGNS = {">=": "at least", "<=": "at most"}


def ordered(rows: list[dict], key: str) -> list[str]:
    """The values of ``key`` in the order they come, each once."""
    return list(dict.fromkeys(r[key] for r in rows))


def goal(rows: list[dict]) -> str:
    """The target of judged rows in words."""
    targets = sorted({r["target"] for r in rows})
    return f"{SIGNS[rows[0]['sense']]} {' or '.join(f'{t:g}' for t in targets)}"


def why(section: dict) -> list[str]:
    """A sentence per group and metric that missed, with what the other lines of the same table say about the reason."""
    sentences = []
    for metric in section["metrics"]:
        rows = [r for r in section["rows"] if r["metric"] == metric["key"]]
        for group in ordered(rows, "group"):
            missed = [r for r in rows if r["group"] == group and r["met"] is False]
            if missed:
                sentences.append(_sentence(metric, group, missed, rows))
    return sentences


def _sentence(metric: dict, group: str, missed: list[dict], rows: list[dict]) -> str:
    d, lead = metric["decimals"], _lead(group)
    found = {(r["group"].removeprefix(lead), r["motion"]): r for r in rows if r["group"].startswith(lead)}
    cells = ", ".join(f"{r['motion'] or 'value'} {r['value']:.{d}f}" for r in missed)
    reason = reasons(group.removeprefix(lead), missed, found, d)
    return f"{metric['title']}, {said(group)}: {cells} against {goal(missed)}{'; ' + reason if reason else ''}."


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
        saying = "with exact latents in place of inverted codes it holds ({cells}), so the inverter loses it"
        found.append((join(VIDEO) if group != INVERTED else VIDEO, saying))
    if source == TEXT or group == TEXT:
        saying = "the exact latents of clips reach it ({cells}), so it is lost in the text anchors"
        found.append((join(VIDEO) if group != TEXT else VIDEO, saying))
    found.append((ORACLE, "the direction fitted on labels reaches it ({cells}), so it is the anchors that lose it, not the generator"))
    return found
