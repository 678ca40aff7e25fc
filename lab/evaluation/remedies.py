"""What was tried against the misses: the ablations' figures before and after each remedy, in one table."""

from __future__ import annotations

from .baselines import ALL
from .study import CLEANED, POOLED, TEXT, TEXTS, VIDEO

COLUMNS = ("ablation_response", "ablation_leakage", "ablation_cosine")


def table(sections: dict[str, dict]) -> list[str]:
    """Markdown blocks, none where the ablations were not measured."""
    ablations = sections.get("ablations", {"rows": []})
    found = {(r["group"], r["metric"]): r["value"] for r in ablations["rows"] if r["motion"] == ALL}
    lines = [line for remedy, groups in _remedies(found) for line in _lines(remedy, groups, found)]
    if not lines:
        return []
    titles = {m["key"]: m["title"] for m in ablations["metrics"]}
    head = ["tried", "with", *(titles[c] for c in COLUMNS)]
    text = (
        "The remedies, mean over motions, each at one length (from the ablations below): what each changes, and where it stops helping."
        " Calibration changes no direction; what it is worth is under Published against ours. A generator that was trained further is"
        " measured in [avatars.md](avatars.md)."
    )
    return ["## What was tried", text, "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines])]


def _remedies(found: dict) -> list[tuple[str, list[str]]]:
    """Each remedy with the ablation groups that show it, from without to with it."""

    def asked(question: str) -> list[str]:
        return [g for g, metric in found if metric == COLUMNS[0] and g.startswith(f"{question} | ")]

    pools = next((g.rpartition(" | ")[0] for g, _ in found if g.startswith("how text anchors are made, ") and "one face" not in g), "")
    return [
        (f"more anchors, {TEXT}", asked(f"anchors, {TEXT}, first face")),
        (f"pooling faces, {TEXT}", asked(f"faces, {TEXT}")),
        (f"pooling faces, {VIDEO}", asked(f"faces, {VIDEO}")),
        ("other settings of the anchors", [f"{pools} | {name}" for name in reversed(TEXTS)]),
        (f"orthogonalising, {TEXT}", [f"source | {TEXT}, {how}" for how in (POOLED, CLEANED)]),
        (f"orthogonalising, {VIDEO}", [f"source | {VIDEO}, {how}" for how in (POOLED, CLEANED)]),
        (f"layer masks, {TEXT}", asked(f"layers, {TEXT}")),
        (f"layer masks, {VIDEO}", asked(f"layers, {VIDEO}")),
    ]


def _lines(remedy: str, groups: list[str], found: dict) -> list[str]:
    rows = [g for g in groups if (g, COLUMNS[0]) in found]
    return [f"| {remedy} | {g.rpartition(' | ')[2]} | " + " | ".join(f"{found[g, c]:.2f}" for c in COLUMNS) + " |" for g in rows]
