"""What a user does in ComfyUI's page with mouse and keyboard: search, App Mode, a blueprint, a dropped file, a dragged slider.

Every function takes a loaded ``page.Page`` and works on the pages 1.45 to 1.58.
"""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path

SETTLE_MS = 700
STEP_MS = 16  # between two positions of a dragged mouse
ANSWER_MS = 20_000  # a busy machine's time for a last picture
TEMPLATE = "template-workflow-"
NAMED = "(found) => found.filter((one) => one.offsetParent).map((one) => [one.dataset.testid ?? '', one.innerText])"

# Notes every run, every picture, and where the mouse was. A picture counts once the old renderer draws it or the new one has loaded it.
WATCH = """() => {
  const { app } = window.comfyAPI.app, { api } = window.comfyAPI.api, now = () => performance.now();
  const installed = window.watched, seen = (window.watched ??= {});
  Object.assign(seen, { moves: [], runs: [], declined: [], shown: {}, drawn: {}, sides: {}, most: 0 });
  if (installed) return;
  const note = (source, side) => {
    const name = /[?&]filename=([^&]+)/.exec(source)?.[1];
    if (!name || source.includes("type=input")) return;
    seen.drawn[name] ??= now();
    seen.sides[name] = Math.max(seen.sides[name] ?? 0, side);
  };
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (image, ...where) {
    const [width, height] = where.slice(where.length > 4 ? 6 : 2);
    if (image instanceof HTMLImageElement && width) note(image.src, Math.min(width, height));
    return draw.call(this, image, ...where);
  };
  const loaded = ({ target }) => {
    if (!(target instanceof HTMLImageElement) || !target.closest("[data-node-id]")) return;
    const box = target.getBoundingClientRect(), shape = target.naturalWidth / target.naturalHeight;
    note(target.src, Math.min(box.width, box.width / shape, box.height, box.height * shape) / app.canvas.ds.scale);
  };
  document.addEventListener("load", loaded, true);
  window.addEventListener("pointermove", () => seen.moves.push(now()), true);
  const queue = api.queuePrompt;
  api.queuePrompt = async function (...given) {
    const run = { sent: now(), prompt: given[1].output };
    seen.runs.push(run);
    const answer = await queue.apply(this, given);
    run.id = answer.prompt_id;
    return answer;
  };
  const ask = api.fetchApi;
  api.fetchApi = async function (route, ...given) {
    if (route !== "/micromotion/live") return ask.call(this, route, ...given);
    const run = { sent: now(), prompt: JSON.parse(given[0].body), id: `live ${seen.runs.length}`, live: true };
    const answer = await ask.call(this, route, ...given);
    run.answered = now();
    const { pictures, declined } = await answer.clone().json();
    if (declined) return seen.declined.push(declined), answer;
    seen.runs.push(run);
    seen.shown[run.id] = Object.values(pictures).at(-1).filename;
    return answer;
  };
  api.addEventListener("status", ({ detail }) => (seen.most = Math.max(seen.most, detail?.exec_info?.queue_remaining ?? 0)));
  api.addEventListener("executed", ({ detail }) => {
    const shown = detail.output?.images?.at(-1)?.filename;
    if (shown) seen.shown[detail.prompt_id] = shown; // may come before the run's id is known
  });
}"""
SEEN = "() => ({ ...window.watched, now: performance.now() })"
SETTLED = """() => {
  const { runs, shown, drawn } = window.watched;
  const queued = runs.filter((run) => !run.live).slice(-1); // the page may show a newer picture instead of an older one
  return queued.length > 0 && queued.every((run) => shown[run.id] in drawn);
}"""
SLIDER = """(name) => {
  const { app } = window.comfyAPI.app, named = (widget) => (widget.label ?? widget.name) === name && widget.type === "slider";
  const node = app.graph._nodes.find((one) => one.widgets?.some(named));
  const place = node.widgets.filter((one) => one.type === "slider").findIndex(named);
  const knob = document.querySelectorAll(`[data-node-id="${node.id}"] [role=slider]`)[place];
  if (knob) {
    const [box, track] = [knob.getBoundingClientRect(), knob.parentElement.getBoundingClientRect()];
    return { x: box.x + box.width / 2, y: box.y + box.height / 2, left: track.x, width: track.width };
  }
  const widget = node.widgets.find(named), frame = app.canvas.canvas.getBoundingClientRect(), { scale, offset } = app.canvas.ds;
  const left = frame.x + (node.pos[0] + 15 + offset[0]) * scale, width = (node.size[0] - 30) * scale;
  const { min, max } = widget.options, y = frame.y + (node.pos[1] + (widget.last_y ?? widget.y) + 10 + offset[1]) * scale;
  return { x: left + (width * (widget.value - min)) / (max - min), y, left, width };
}"""
VALUE = """(name) => {
  const widgets = window.comfyAPI.app.app.graph._nodes.flatMap((node) => node.widgets ?? []);
  return widgets.find((one) => (one.label ?? one.name) === name && one.type === "slider").value;
}"""
FREE = "() => getComputedStyle(document.body).pointerEvents !== 'none'"
SHOWN = """() => [...document.querySelectorAll("video, img")].filter((one) => one.offsetParent).map((one) => one.currentSrc || one.src)"""


def command(page, name: str) -> None:
    """One of the page's own commands, as its menus execute them."""
    page.page.evaluate("(id) => window.comfyAPI.app.app.extensionManager.command.execute(id)", name)
    page.page.wait_for_timeout(SETTLE_MS)


def clear(page, renderer: str = "nodes 2.0") -> None:
    page.open({"nodes": [], "links": [], "groups": [], "extra": {}, "version": 0.4}, renderer)


def search_templates(page, words: str) -> list[str]:
    """Titles that the Template Browser shows for these words, in its order; the browser stays open."""
    box = page.page.get_by_placeholder("Search").last
    if not page.page.get_by_test_id("template-workflows-content").is_visible():
        command(page, "Comfy.BrowseTemplates")
        page.page.wait_for_timeout(4 * SETTLE_MS)  # it lists nothing before its files are there
    box.fill(words)
    page.page.wait_for_timeout(2 * SETTLE_MS)
    found = page.page.locator(f"[data-testid^='{TEMPLATE}']").evaluate_all(NAMED)
    return [name.removeprefix(TEMPLATE) for name, _ in found]


def open_template(page, title: str) -> None:
    """Find a template by its title in the Template Browser and click it."""
    search_templates(page, title)
    page.page.get_by_test_id(f"{TEMPLATE}{title}").click()
    page.page.wait_for_function("() => window.comfyAPI.app.app.graph._nodes.length > 0 && !document.querySelector('[role=dialog]')")
    page.page.wait_for_timeout(2 * SETTLE_MS)


def search_nodes(page, words: str) -> list[tuple[str, str]]:
    """Name and origin of what the node search shows for these words, in its order; the origin of a blueprint is ``Blueprint``."""
    command(page, "Workspace.SearchBox.Toggle")
    page.page.keyboard.type(words)
    page.page.wait_for_timeout(2 * SETTLE_MS)
    found = page.page.locator("[role=option]").evaluate_all(NAMED)
    for _ in range(3):  # the first only closes what hovers
        page.page.keyboard.press("Escape")
        page.page.wait_for_timeout(SETTLE_MS // 2)
    lines = [text.split("\n") for _, text in found if text.strip()]
    return [(line[0], line[1] if len(line) > 1 else "") for line in lines]


def enter_app_mode(page) -> list[str]:
    """Open App Mode, past its welcome; the names of the widgets that it shows."""
    page.page.get_by_role("button", name="Enter app mode").click()
    page.page.get_by_test_id("linear-run-button").wait_for()
    page.page.wait_for_timeout(2 * SETTLE_MS)
    skip = page.page.get_by_role("button", name="Skip", exact=True)
    if skip.count() and skip.first.is_visible():
        skip.first.click()
        page.page.wait_for_timeout(SETTLE_MS)
    return [text.strip() for _, text in page.page.get_by_test_id("builder-widget-label").evaluate_all(NAMED)]


def run_in_app_mode(page) -> list[str]:
    """Press App Mode's Run; the addresses of the pictures and videos that it then shows."""
    page.page.get_by_test_id("linear-run-button").get_by_role("button", name="Run").last.click()
    page.wait()
    return page.page.evaluate(SHOWN)


def leave_app_mode(page) -> None:
    page.page.get_by_role("button", name="Enter node graph").click()
    page.page.wait_for_timeout(SETTLE_MS)


def drag_from_library(page, name: str, to: tuple[int, int]) -> None:
    """Find a node or blueprint in the node library of the side bar, drag it onto the graph, and close the library."""
    library = page.page.get_by_role("button", name="Node Library (n)")
    library.click()
    page.page.get_by_placeholder("Search").first.fill(name)
    item = page.page.locator(".group\\/tree-node", has_text=name).first
    item.wait_for()
    page.page.wait_for_timeout(SETTLE_MS)
    box = item.bounding_box()
    move(page, (box["x"] + box["width"] / 3, box["y"] + box["height"] / 2), to)
    library.click()
    page.page.wait_for_timeout(SETTLE_MS)


def move(page, start: tuple[float, float], end: tuple[float, float], steps: int = 20) -> None:
    """Press the mouse, move it, let it go."""
    page.page.mouse.move(*start)
    page.page.mouse.down()
    page.page.mouse.move(*end, steps=steps)
    page.page.mouse.up()


def drop(page, path: Path, at: tuple[int, int] = (800, 500)) -> None:
    """Drag a file from outside the browser onto the graph; a saved picture or video brings its own graph."""
    session = page.page.context.new_cdp_session(page.page)
    dragged = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for event in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": event, "x": at[0], "y": at[1], "data": dragged})
    page.page.wait_for_timeout(2 * SETTLE_MS)
    page.look()


def choose_run(page, mode: str) -> None:
    """Choose in the menu beside the Run button, such as ``Run (On Change)``."""
    page.page.get_by_test_id("queue-mode-menu-trigger").click()
    page.page.locator("[role^=menuitem]").filter(has_text=re.compile(rf"^\s*{re.escape(mode)}\s*$")).click()
    page.page.mouse.click(page.size[0] / 2, page.size[1] - 60)  # the menu keeps the mouse until it is pressed elsewhere
    page.page.wait_for_function(FREE)


def drag_slider(page, name: str, rounds: float = 1.0, steps: int = 60) -> dict:
    """Drag a slider to and fro; what was ``sent`` and ``drawn`` meanwhile, times in ms.

    ``moving`` is what was seen before the mouse was let go, ``most`` the longest queue, ``sides`` how large pictures stood in pixels.
    """
    page.page.evaluate(WATCH)
    place = page.page.evaluate(SLIDER, name)
    page.page.mouse.move(place["x"], place["y"])
    page.page.mouse.down()
    reach = place["x"] - (place["left"] + 0.45 * place["width"])  # towards the middle and back
    for i in range(1, steps + 1):
        page.page.mouse.move(place["x"] - reach * (1 - math.cos(2 * math.pi * rounds * i / steps)) / 2, place["y"])
        page.page.wait_for_timeout(STEP_MS)
    moving = page.page.evaluate(SEEN)
    page.page.mouse.up()
    page.wait()
    page.page.wait_for_function(SETTLED, timeout=ANSWER_MS)
    return {**page.page.evaluate(SEEN), "moving": moving, "value": page.page.evaluate(VALUE, name)}


def latencies(seen: dict) -> list[float]:
    """Milliseconds from every move of the mouse to the first picture that was asked for after it."""
    pictures = [(run["sent"], seen["shown"].get(run.get("id"))) for run in seen["runs"]]
    answers = [(sent, drawn) for sent, picture in pictures if (drawn := seen["drawn"].get(picture, 0)) > sent]
    later = ([drawn for sent, drawn in answers if sent >= moved] for moved in seen["moves"])
    return [min(drawn) - moved for moved, drawn in zip(seen["moves"], later) if drawn]


def median(values: list[float]) -> float:
    return statistics.median(values) if values else math.nan
