"""What was tried against the misses: the ablations' figures before and after each remedy, in one table."""

from __future__ import annotations

from .baselines import ALL
from .naming import said
from .study import TEXT, TEXTS, VIDEO

COLUMNS = ("ablation_response", "ablation_leakage", "ablation_cosine")


def table(sections: dict[str, dict]) -> list[str]:
    """Markdown blocks, none where the ablations were not measured."""
    ablations = sections.get("ablations", {"rows": []})
    found = {(r["group"], r["metric"]): r["value"] for r in ablations["rows"] if r["motion"] == ALL}
    lines = [line for remedy, groups in _remedies(found) if (line := _line(remedy, groups, found))]
    if not lines:
        return []
    titles = {m["key"]: m["title"] for m in ablations["metrics"]}
    head = ["tried", "with", *(titles[c] for c in COLUMNS)]
    text = (
        "The remedies, mean over motions, each at one length. A cell holds one figure for each setting, so that it shows what a remedy"
        " changes and where it stops helping. A generator that was trained further is measured in [avatars.md](avatars.md)."
    )
    return ["## What was tried", text, "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines])]


def estimators(sections: dict[str, dict]) -> list[str]:
    """What the estimators are worth: on clean clips, on clips as they come, and beside what pooling and the anchors' settings give."""
    said = " ".join(line for part in (_on_clean_clips, _matters_more) if (line := part(sections)))
    blocks = [said] if said else []
    near = sections.get("spoiled", {"rows": []})["rows"]
    cells: dict[tuple[str, str], list[float]] = {}
    for r in near:
        kind, _, name = r["group"].partition(" | ")
        cells.setdefault((kind, name), []).append(r["value"])
    names = list(dict.fromkeys(name for _, name in cells))
    lines = [
        f"| {kind} | " + " | ".join(f"{sum(cells[kind, n]) / len(cells[kind, n]):.2f}" for n in names) + " |"
        for kind in dict.fromkeys(kind for kind, _ in cells)
    ]
    if lines:
        head = f"| mean over motions | {' | '.join(names)} |\n|---|{'---|' * len(names)}"
        blocks += [sections["spoiled"]["text"], "\n".join([head, *lines])]
    return ["## Which estimator, and does it matter?", *blocks] if blocks else []


def _on_clean_clips(sections: dict[str, dict]) -> str:
    """The estimators on clean clips of single faces: from the table of methods."""
    rows = sections.get("baselines", {"rows": []})["rows"]
    share = {r["group"]: r["value"] for r in rows if (r["metric"], r["motion"]) == ("efficiency", ALL) and "one face" in r["group"]}
    robust = next((v for g, v in share.items() if g.startswith(f"ours, {VIDEO}")), None)
    plain = [v for g, v in share.items() if VIDEO in g and g.split(",")[0] in ("secant", "PCA", "least squares")]
    if robust is None or not plain:
        return ""
    others = " to ".join(dict.fromkeys(f"{v:.2f}" for v in (min(plain), max(plain))))
    return (
        f"On clean clips robust PCA gains nothing: one face gives {robust:.2f} of the oracle's response with it, and {others} with the"
        " secant, PCA or least squares. It is there for anchors that are not clean."
    )


def _matters_more(sections: dict[str, dict]) -> str:
    """Pooling and the anchors' settings, from the ablations."""
    rows = sections.get("ablations", {"rows": []})["rows"]
    cosine = {r["group"]: r["value"] for r in rows if (r["metric"], r["motion"]) == (COLUMNS[2], ALL)}
    pools = {g.rpartition(" | ")[2]: v for g, v in cosine.items() if g.startswith(f"faces, {TEXT} | ")}
    made = [v for g, v in cosine.items() if g.startswith("how text anchors are made, ") and "one face" not in g]
    if not pools or not made:
        return ""
    least, most = min(pools, key=int), max(pools, key=int)
    return (
        f"Pooling faces and the settings of the anchors matter more. Cosine to the oracle's direction, text: {pools[least]:.2f} from"
        f" {least}"
        f" face, {pools[most]:.2f} from {most}; {min(made):.2f} to {max(made):.2f} between ways of making the anchors."
    )


def _remedies(found: dict) -> list[tuple[str, list[str]]]:
    """Each remedy with the ablation groups that show it, from without to with it."""

    def asked(question: str) -> list[str]:
        return [g for g, metric in found if metric == COLUMNS[0] and g.startswith(f"{question} | ")]

    def bad(source: str, estimator: str) -> list[str]:
        return [g for g in asked(f"bad anchors, {source}") if g.endswith(f", {estimator}")]

    pools = next((g.rpartition(" | ")[0] for g, _ in found if g.startswith("how text anchors are made, ") and "one face" not in g), "")
    return [
        (f"more anchors, {TEXT}", asked(f"anchors, {TEXT}, first face")),
        (f"pooling faces, {TEXT}", asked(f"faces, {TEXT}")),
        (f"pooling faces, {VIDEO}", asked(f"faces, {VIDEO}")),
        ("other settings of the anchors", [f"{pools} | {name}" for name in reversed(TEXTS)]),
        (f"bad anchors, {TEXT}, ours", bad(TEXT, "ours")),
        (f"bad anchors, {TEXT}, PCA", bad(TEXT, "pca")),
        (f"layer masks, {VIDEO}", asked(f"layers, {VIDEO}")),
    ]


def _line(remedy: str, groups: list[str], found: dict) -> str:
    """One remedy: its settings, then a series of figures for each column; "" where it was not measured."""
    rows = [g for g in groups if (g, COLUMNS[0]) in found]
    settings = "; ".join(said(g.rpartition(" | ")[2].removesuffix(", ours").removesuffix(", pca")) for g in rows)
    series = (", ".join(f"{found[g, c]:.2f}" for g in rows) for c in COLUMNS)
    return f"| {said(remedy)} | {settings} | {' | '.join(series)} |" if rows else ""
