"""In ComfyUI's own page, with mouse and keyboard, in both renderers: App Mode, a blueprint, dropped files, a dragged slider."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.comfyui

ROOT = Path(__file__).resolve().parents[2]
RENDERERS = ("canvas", "nodes 2.0")
START, LIVE = "01 Animate a face, start here", "03 Expression sliders, live"
BLUEPRINTS = {path.stem for path in (ROOT / "subgraphs").glob("*.json")}
LARGE = 384  # pixels that a live picture measures at least
EMPTY: dict = {"nodes": [], "links": [], "groups": [], "extra": {}, "version": 0.4}


def template(name: str) -> dict:
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))


def newest(server, suffix: str) -> Path:
    return max((server.base / "output").rglob(f"*{suffix}"), key=lambda path: path.stat().st_mtime_ns)


def drawn_face(browser, *end: tuple) -> dict:
    """A drawn face, and what becomes of its picture."""
    load, faces = ("MicromotionLoadGenerator", ["avatar (embedded)"]), ("MicromotionSampleFaces", [7, "fixed", 1, 0.7])
    nodes = [load, faces, ("MicromotionSynthesize", ["const"]), *end]
    links = [(1, 0, 2, "generator", "STYLEGAN2_GENERATOR"), (1, 0, 3, "generator", "STYLEGAN2_GENERATOR")]
    return browser.graph(*nodes, links=(*links, (2, 0, 3, "codes", "STYLEGAN2_CODES"), (3, 0, 4, "images", "IMAGE")))


@pytest.mark.parametrize("renderer", RENDERERS)
def test_app_mode_opens_without_a_warning_and_runs(page, hands, renderer):
    workflow = template(START)
    page.open(workflow, renderer)
    page.warnings.clear()
    labels = hands.enter_app_mode(page)
    assert labels == [name for _, name in workflow["extra"]["linearData"]["inputs"]]
    before = page.page.evaluate(hands.SHOWN)
    made = [address for address in hands.run_in_app_mode(page) if address not in before]
    hands.leave_app_mode(page)
    assert any(".mp4" in address and "subfolder=micromotion" in address for address in made)
    assert not page.errors and not page.warnings


CONNECT = """(name) => {
  const nodes = window.comfyAPI.app.app.graph._nodes, of = (type) => nodes.find((node) => node.type === type);
  const blueprint = nodes.find((node) => node.title === name);
  of("LoadImage").connect(0, blueprint, blueprint.findInputSlot("image"));
  blueprint.connect(0, of("PreviewImage"), 0);
  return [of("PreviewImage").id, blueprint.inputs.length, blueprint.subgraph.nodes.length];
}"""
MADE = "(id) => (window.comfyAPI.app.app.nodeOutputs[id]?.images ?? []).length"


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_blueprint_is_found_dropped_and_runs(page, browser, hands, renderer):
    page.open(browser.graph(("LoadImage", ["micromotion_avatar.png", "image"]), ("PreviewImage", [])), renderer)
    assert hands.search_nodes(page, "animate face")[0] == ("Animate Face", "Blueprint")
    hands.drag_from_library(page, "Animate Face", (900, 620))
    preview, inputs, inside = page.page.evaluate(CONNECT, "Animate Face")
    assert inputs > 3 and inside > 5
    page.run()
    assert page.page.evaluate(MADE, preview) == 48 and not page.errors


WORDS = ("face animation", "talking head", "portrait", "expression", "smile", "age", "mouth", "morph", "liveportrait alternative", "gan")
FIRST = 5  # what one sees without scrolling


@pytest.mark.parametrize("words", WORDS)
def test_the_words_that_people_type_find_this_pack_among_the_first(page, hands, words):
    shown = hands.search_nodes(page, words)
    ours = [name for name, source in shown[:FIRST] if source == "micromotion" or name in BLUEPRINTS]
    assert ours, [name for name, _ in shown[:FIRST]]


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("suffix", [".mp4", ".png"])
def test_a_saved_file_dropped_on_the_page_brings_its_graph(server, page, browser, hands, suffix, renderer):
    page.open(template(START) if suffix == ".mp4" else drawn_face(browser, ("SaveImage", ["micromotion/face"])), renderer)
    meant = page.prompt()
    page.run()
    page.open(EMPTY, renderer)
    assert page.prompt() == {}
    hands.drop(page, newest(server, suffix))
    assert page.prompt() == meant


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_dragged_slider_shows_large_pictures_while_the_mouse_moves(server, page, hands, renderer):
    page.open(template(LIVE), renderer)
    page.run()
    hands.choose_run(page, "Run (On Change)")
    try:
        seen = hands.drag_slider(page, "smile")
    finally:
        hands.choose_run(page, "Run")
    moving = seen["moving"]
    shown = [server.base / "temp" / name for name in moving["drawn"]]
    assert len({path.read_bytes() for path in shown if path.exists()}) >= 3, "the picture waits for the mouse to be let go"
    assert moving["most"] <= 1, "runs pile up"
    assert sum("live" in one for one in seen["runs"]) >= 3, f"nothing came beside the queue: {seen['declined'][:1]}"
    assert "live" not in seen["runs"][-1], "the last picture is not one of the graph"
    assert min(seen["sides"].values()) >= LARGE
    assert seen["runs"][-1]["prompt"] == page.prompt(), "the last picture is not of where the slider was left"
    assert not page.errors
