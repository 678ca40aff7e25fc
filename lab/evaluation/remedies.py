"""What was tried against the misses: the ablations' figures before and after each remedy, in one table."""

from __future__ import annotations

from .baselines import ALL
from .naming import said
from .study import CLEANED, POOLED, TEXT, TEXTS, VIDEO

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
        (f"bad anchors, {VIDEO}, ours", bad(VIDEO, "ours")),
        (f"bad anchors, {VIDEO}, PCA", bad(VIDEO, "pca")),
        (f"orthogonalizing, {TEXT}", [f"source | {TEXT}, {how}" for how in (POOLED, CLEANED)]),
        (f"orthogonalizing, {VIDEO}", [f"source | {VIDEO}, {how}" for how in (POOLED, CLEANED)]),
        (f"layer masks, {TEXT}", asked(f"layers, {TEXT}")),
        (f"layer masks, {VIDEO}", asked(f"layers, {VIDEO}")),
    ]


def _line(remedy: str, groups: list[str], found: dict) -> str:
    """One remedy: its settings, then a series of figures for each column; "" where it was not measured."""
    rows = [g for g in groups if (g, COLUMNS[0]) in found]
    settings = "; ".join(said(g.rpartition(" | ")[2].removesuffix(", ours").removesuffix(", pca")) for g in rows)
    series = (", ".join(f"{found[g, c]:.2f}" for g in rows) for c in COLUMNS)
    return f"| {said(remedy)} | {settings} | {' | '.join(series)} |" if rows else ""
