"""In ComfyUI's own page, in both renderers: every template opens whole, means what its file says, and hides nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.comfyui

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
RENDERERS = ("canvas", "nodes 2.0")


@pytest.fixture(scope="module")
def page(server, browser):
    with browser.Page(server.url) as opened:
        yield opened


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_template_opens_whole(server, hosted, browser, page, name, renderer):
    workflow = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    seen = page.open(workflow, renderer)
    assert not seen["unknown"], "missing nodes"
    assert not browser.overlaps(seen["boxes"])
    assert not [box for box in seen["boxes"] if box["cut"] > 1], "nodes too small for their widgets"
    assert {box["vue"] for box in seen["boxes"]} == {renderer == "nodes 2.0"}
    assert changed(page.prompt(), hosted.to_prompt(workflow, server.info)) == {}
    assert not page.errors


def changed(sent: dict, meant: dict) -> dict:
    """What the page would run that the file does not say, by node and input; the page adds widgets of its own."""
    assert set(sent) == set(meant)
    return {
        (number, name): sent[number]["inputs"].get(name)
        for number, node in meant.items()
        for name, value in node["inputs"].items()
        if sent[number]["inputs"].get(name) != value
    }
