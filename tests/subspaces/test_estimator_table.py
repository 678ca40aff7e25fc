"""The table of docs/subspaces.md: its command still gives its figures, and they say what the text beside it says."""

from __future__ import annotations

import importlib.util
import statistics
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRIALS = 6


@pytest.fixture(scope="module")
def command():
    folder = str(ROOT / "lab" / "benchmarks")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("estimators_benchmark", ROOT / "lab" / "benchmarks" / "estimators.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def page(command):
    """Cosine by estimator and kind of error, as published."""
    text = (ROOT / "docs" / "subspaces.md").read_text("utf-8").split("<!-- estimators -->")[1].split("<!-- end of estimators -->")[0]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert cells[0][1:] == list(command.KINDS)
    return {row[0]: dict(zip(command.KINDS, map(float, row[1:]))) for row in cells[2:]}


@pytest.mark.parametrize("name", ["secant", "published", "pca", "least_squares", "rpca", "theil_sen"])
def test_the_command_gives_the_figures_of_the_page(command, page, name):
    for kind, options in command.KINDS.items():
        found = command.scores(command.METHODS[name], TRIALS, **options)
        noise = 3 * statistics.stdev(found) / TRIALS**0.5 + 0.02
        assert statistics.mean(found) == pytest.approx(page[name][kind], abs=noise), kind


def test_the_page_says_which_estimators_stand_what(page):
    errors = [kind for kind in next(iter(page.values())) if kind not in ("clean", "small motion, 2 %")]
    assert all(page[name][kind] > 0.95 for name in ("rpca", "theil_sen") for kind in errors)
    assert page["pca"]["1 bad anchor"] < 0.2 and page["rpca, mean-centered"]["1 bad anchor"] < 0.2
    assert max(page[name]["5 %"] for name in ("secant", "pca", "least_squares", "published")) < 0.85
    assert page["published"]["small motion, 2 %"] < page["theil_sen"]["small motion, 2 %"]
