"""In ComfyUI's own page, in both renderers: every template opens whole, means what its file says, and hides nothing."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from micromotion.subspaces import Subspace

pytestmark = pytest.mark.comfyui

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
RENDERERS = ("canvas", "nodes 2.0")


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
    assert not page.errors and not page.warnings


def changed(sent: dict, meant: dict) -> dict:
    """What the page would run that the file does not say, by node and input; the page adds widgets of its own."""
    assert set(sent) == set(meant)
    return {
        (number, name): sent[number]["inputs"].get(name)
        for number, node in meant.items()
        for name, value in node["inputs"].items()
        if sent[number]["inputs"].get(name) != value
    }


@pytest.mark.parametrize("renderer", RENDERERS)
def test_pick_face_sends_order_and_index_and_no_box(browser, page, renderer):
    page.open(browser.graph(("LoadImage", ["micromotion_group.png", "image"]), ("MicromotionPickFace", ["largest", 2, 0.5, 0.5])), renderer)
    sent = next(node for node in page.prompt().values() if node["class_type"] == "MicromotionPickFace")["inputs"]
    assert (sent["order"], sent["index"]) == ("largest", 2) and "box" not in sent


def beyond(browser, coefficient: float) -> dict:
    """A face that is moved along a motion, and its picture."""
    nodes = [("MicromotionLoadGenerator", ["avatar (embedded)"]), ("MicromotionSampleFaces", [7, "fixed", 1, 0.7])]
    nodes += [("MicromotionLoadSubspace", ["smile (embedded)"]), ("MicromotionApplySubspace", [coefficient])]
    nodes += [("MicromotionSynthesize", ["const"]), ("PreviewImage", [])]
    generator, codes = "STYLEGAN2_GENERATOR", "STYLEGAN2_CODES"
    links = ((1, 0, 2, "generator", generator), (2, 0, 4, "codes", codes), (3, 0, 4, "motion", "MICROMOTION_SUBSPACE"))
    links += ((1, 0, 5, "generator", generator), (4, 0, 5, "codes", codes), (5, 0, 6, "images", "IMAGE"))
    return browser.graph(*nodes, links=links)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_remark_stays_under_its_node_on_a_cached_run_too(browser, page, renderer):
    for _ in range(2):
        page.open(beyond(browser, 4.25), renderer)
        page.run()
        said = {kind: (text, whole) for kind, text, whole in page.page.evaluate(browser.SAID)}
        assert "goes from 4.25 to 4.25" in said["MicromotionApplySubspace"][0] and all(whole for _, whole in said.values())
    page.open(beyond(browser, 0.5), renderer)
    page.run()
    assert "MicromotionApplySubspace" not in {kind for kind, *_ in page.page.evaluate(browser.SAID)}


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_failure_is_one_sentence_under_its_node(browser, page, renderer):
    page.open(beyond(browser, 0.5), renderer)
    page.page.evaluate("() => { window.comfyAPI.app.app.graph._nodes[3].widgets.find((w) => w.name === 'component').value = 5 }")
    page.run()
    page.errors.clear()
    sentence = "There is no component 5; this motion has 1, counted from 1."
    assert ["MicromotionApplySubspace", sentence, True] in page.page.evaluate(browser.SAID)
    assert f"micromotion: {sentence}" in page.error_report(), "the page puts the path of a module before the sentence"


SLIDERS = """() => {
  const { app } = window.comfyAPI.app;
  const around = app.graph._nodes.find((node) => node.subgraph);
  const inside = around.subgraph.nodes.find((node) => node.type.endsWith('FaceSliders'));
  const given = (node, name) => node.inputs.find((put) => put.widget?.name === name)?.link != null; // page 1.58 hides these too
  const told = (node) => node.widgets.filter((one) => one.type === 'slider' && (!one.hidden || given(node, one.name)));
  return [around, inside].map((node) => told(node).map((one) => [one.label, one.options.min, one.options.max, one.value]));
}"""
MIDDLE = """(at) => {
  const { canvas, graph } = window.comfyAPI.app.app;
  const node = graph._nodes.find((one) => one.subgraph), widget = node.widgets[at];
  const [x, y] = canvas.ds.convertOffsetToCanvas([node.pos[0] + node.size[0] / 2, node.pos[1] + widget.y + 10]);
  const around = canvas.canvas.getBoundingClientRect();
  return [x + around.left, y + around.top];
}"""
LIVE = "03 Expression sliders, live"
LOOKED_MS = 900  # sliders.js looks every 300 ms


def type_into(page, renderer: str, label: str, text: str) -> None:
    """Give the slider of a subgraph a number as its user does."""
    if renderer == "nodes 2.0":
        field = page.locator("[data-node-id]", has=page.get_by_text("Edit Expression", exact=True)).get_by_role("textbox", name=label)
        field = field.or_(page.locator("[data-node-id]").get_by_role("spinbutton", name=label)).first
        field.click()
    else:
        page.mouse.dblclick(*page.evaluate(MIDDLE, 1))
    page.keyboard.press("Control+a")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.mouse.click(10, 500)
    page.wait_for_timeout(LOOKED_MS)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_sliders_bear_names_and_ranges_of_their_motions_and_take_a_number_beyond(page, renderer):
    page.open(json.loads((ROOT / "workflows" / f"{LIVE}.json").read_text(encoding="utf-8")), renderer)
    page.page.wait_for_timeout(LOOKED_MS)
    around, inside = page.page.evaluate(SLIDERS)
    shown = ["smile", "close eyes", "anger", "head turn", "age", "open mouth", "nod", "wink"]
    assert [name for name, *_ in around] == shown, "a subgraph's own names stay"
    names = ["smile", "eyes", "anger", "turn", "age", "mouth_open", "nod", "wink_left"]
    assert [name for name, *_ in inside] == names
    ranges = [list(Subspace.load(ROOT / "avatars" / "weights" / "motions" / f"{name}.safetensors").safe_range) for name in names]
    assert [span[1:3] for span in around] == ranges
    low, high = ranges[1]
    if page.page.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__").startswith("1.45."):
        pytest.xfail("page 1.45 cuts a number that is typed at a subgraph's slider to the slider's end")
    type_into(page.page, renderer, "close eyes", "2.5")
    assert page.page.evaluate(SLIDERS)[0][1] == ["close eyes", low, 2.5, 2.5]
    sent = next(node["inputs"] for node in page.prompt().values() if node["class_type"] == "MicromotionFaceSliders")
    assert sent["coefficient_2"] == 2.5
    type_into(page.page, renderer, "close eyes", "0.4")
    assert page.page.evaluate(SLIDERS)[0][1] == ["close eyes", low, high, 0.4]


LONG_GRAPH = "17 How a StyleGAN2 motion works"  # the one that shows the machinery; the titles of all others can be read
SCREEN = (1600, 900)
LEAST_ZOOM = 0.8
SEEN = """() => {
  const { canvas, graph } = window.comfyAPI.app.app;
  const { scale, offset } = canvas.ds, around = canvas.canvas.getBoundingClientRect();
  const onScreen = ([x, y]) => [(x + offset[0]) * scale + around.left, (y + offset[1]) * scale + around.top];
  const titles = graph._nodes.map((node) => [node.title, ...onScreen([node.pos[0], node.pos[1] - 30]), node.size[0] * scale]);
  const box = (node) => [node.pos[0] + 2, node.pos[1] - 28, node.pos[0] + node.size[0] - 2, node.pos[1] + node.size[1] - 2];
  const behind = [];
  for (const link of graph.links.values?.() ?? Object.values(graph.links)) {
    const from = graph.getNodeById(link.origin_id), to = graph.getNodeById(link.target_id);
    const [a, b] = [from.getOutputPos(link.origin_slot), to.getInputPos(link.target_slot)];
    const reach = Math.hypot(b[0] - a[0], b[1] - a[1]) / 4;
    for (let t = 0; t <= 1; t += 0.02) {
      const [p, q, r, s] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
      const x = p * a[0] + q * (a[0] + reach) + r * (b[0] - reach) + s * b[0], y = (p + q) * a[1] + (r + s) * b[1];
      for (const node of graph._nodes.filter((one) => one !== from && one !== to)) {
        const [left, top, right, bottom] = box(node);
        if (x > left && x < right && y > top && y < bottom) behind.push(`${from.title} to ${to.title} behind ${node.title}`);
      }
    }
  }
  return { scale, titles, behind: [...new Set(behind)] };
}"""


@pytest.fixture(scope="module")
def screen(server, browser):
    with browser.Page(server.url, SCREEN) as opened:
        yield opened


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_wire_runs_behind_a_node_and_every_title_is_legible_as_it_opens(screen, name, renderer):
    screen.open_template(name, renderer, f"api/workflow_templates/micromotion/{quote(name)}.json")
    seen = screen.page.evaluate(SEEN)
    assert seen["behind"] == [] and (seen["scale"] >= LEAST_ZOOM or name == LONG_GRAPH)
    left, right = 40, SCREEN[0]  # the side bar covers what is farther left
    assert [title for title, x, y, width in seen["titles"] if x < left or x + width > right or y < 0 or y + 30 > SCREEN[1]] == []
