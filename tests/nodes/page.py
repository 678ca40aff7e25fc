"""ComfyUI's own page in a headless browser: open a workflow, look at it, run it."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import shutil
from pathlib import Path

START_MS = 240_000
SETTLE_MS = 1500
STILL_MS, STILL_ROUNDS = 250, 40  # a page is still when two looks in a row see the same
RENDERERS = {"canvas": False, "nodes 2.0": True}
OWN = (  # what the pages say of themselves, with any graph
    "legacy queue/history menu", "MaskEditor", "Invalid layout total size", "input.link is deprecated", "GL Driver Message", "WebGL",
)  # fmt: skip
HARMLESS = ("favicon", "net::ERR_INTERNET_DISCONNECTED", "net::ERR_NAME_NOT_RESOLVED", "fonts.g", "googletagmanager", "sentry")

OPEN = """async ([workflow, vue]) => {
  const { app } = window.comfyAPI.app;
  await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', vue);
  await app.loadGraphData(workflow, true, true);
}"""
OPEN_TEMPLATE = """async ([name, vue, path]) => {
  const { app } = window.comfyAPI.app;
  await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', vue);
  await app.loadGraphData(await (await fetch(path)).json(), true, true, name, { openSource: 'template' });
}"""
READ = """() => {
  const { app } = window.comfyAPI.app;
  const box = (node) => {
    const element = document.querySelector(`[data-node-id="${node.id}"]`);
    const scale = app.canvas.ds.scale;
    const vue = element?.getBoundingClientRect();
    const size = vue?.width ? [vue.width / scale, vue.height / scale] : [node.size[0], node.size[1] + 30];
    const parts = vue?.width ? [...element.querySelectorAll('input, textarea, video, img, canvas')] : [];
    const lowest = Math.max(0, ...parts.map((part) => part.getBoundingClientRect().bottom));
    const drawn = (node.widgets ?? []).filter((widget) => !widget.element && !widget.name.startsWith('$$') && !widget.hidden);
    const last = Math.max(0, ...drawn.map((widget) => (widget.last_y ?? 0) + (widget.computedHeight ?? 20)));
    const cut = vue?.width ? (lowest - vue.bottom) / scale : last - node.size[1];
    return { id: node.id, type: node.type, x: node.pos[0], y: node.pos[1] - 30, w: size[0], h: size[1], cut, vue: Boolean(vue?.width) };
  };
  const unknown = app.graph._nodes.filter((n) => !LiteGraph.registered_node_types[n.type] && !n.subgraph).map((n) => n.type);
  return { boxes: app.graph._nodes.map(box), unknown };
}"""
PROMPT = "async () => (await window.comfyAPI.app.app.graphToPrompt()).output"
IDLE = """async () => {
  const queue = await (await fetch('/queue')).json();
  return queue.queue_running.length + queue.queue_pending.length === 0;
}"""
RUN = "async () => { await window.comfyAPI.app.app.queuePrompt(0); }"
SAID = """() => window.comfyAPI.app.app.graph._nodes.map((node) => {
  const widget = node.widgets?.find((one) => one.name === 'micromotion_remark');
  const shown = widget?.element;
  return shown && [node.type, shown.textContent, shown.offsetHeight > 15 && shown.offsetHeight >= shown.scrollHeight - 1];
}).filter(Boolean)"""
WHERE = """([id, name]) => {
  const { app } = window.comfyAPI.app;
  const node = app.graph.getNodeById(id), { scale, offset } = app.canvas.ds, box = app.canvas.canvas.getBoundingClientRect();
  const widget = node.widgets.find((one) => one.name === name);
  const x = node.pos[0] + node.size[0] / 2, y = node.pos[1] + widget.last_y + 10;
  return [box.x + (x + offset[0]) * scale, box.y + (y + offset[1]) * scale];
}"""
RUN_BUTTON = "[data-testid=queue-button]"
CANCEL_BUTTON = "button[aria-label='Cancel current run']"


def chromium() -> str | None:
    """A browser's path: ``CHROMIUM``, or one on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)


@functools.cache
def _playwright():
    """The one driver of all pages: a thread cannot have two. It ends with the process."""
    driver = importlib.import_module("playwright.sync_api").sync_playwright().start()
    atexit.register(driver.stop)
    return driver


class Page:
    """A loaded page; use as a context manager."""

    def __init__(self, url: str, size: tuple[int, int] = (1900, 1050)):
        self.url, self.size = url, size
        self.errors: list[str] = []
        self.warnings: list[str] = []  # the page's own left out
        self.ours: list[str] = []  # warnings and errors, the page's too, that a script of this pack brought about

    def __enter__(self) -> Page:
        self._browser = _playwright().chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        self.page = self._browser.new_page(viewport={"width": self.size[0], "height": self.size[1]})
        self.page.set_default_timeout(START_MS)
        self.page.on("console", self._console)
        console = self.page.context.new_cdp_session(self.page)
        console.on("Runtime.consoleAPICalled", self._called)
        console.send("Runtime.enable")
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(self.url, wait_until="domcontentloaded")
        self.page.wait_for_function("() => window.comfyAPI?.app?.app?.graph && window.LiteGraph?.registered_node_types?.MicromotionSweep")
        self.page.wait_for_timeout(SETTLE_MS)
        return self

    def __exit__(self, *_) -> None:
        self._browser.close()

    def open(self, workflow: dict, renderer: str) -> dict:
        """Load a workflow; what is drawn (boxes, with the pixels by which a node is too small) and which types are unknown."""
        self.errors.clear()
        self.warnings.clear()
        self.page.evaluate(OPEN, [workflow, RENDERERS[renderer]])
        self.page.wait_for_timeout(STILL_MS)
        self.page.keyboard.press("Escape")
        return self.look()

    def open_template(self, name: str, renderer: str, path: str) -> dict:
        """Open a template as the Template Browser does, which fits it into the window; what is drawn."""
        self.errors.clear()
        self.warnings.clear()
        self.page.evaluate(OPEN_TEMPLATE, [name, RENDERERS[renderer], path])
        self.page.wait_for_timeout(SETTLE_MS // 2)
        self.page.keyboard.press("Escape")
        self.page.wait_for_timeout(SETTLE_MS // 2)
        return self.look()

    def look(self) -> dict:
        """What is drawn once nothing moves any more."""
        before = None
        for _ in range(STILL_ROUNDS):
            seen = self.page.evaluate(READ)
            if seen == before:
                return seen
            before = seen
            self.page.wait_for_timeout(STILL_MS)
        return before

    def prompt(self) -> dict:
        """The open workflow as the page sends it to the API."""
        return self.page.evaluate(PROMPT)

    def run(self) -> None:
        """Press Run, and wait until the queue is empty and what came out is drawn."""
        self.page.evaluate(RUN)
        self.wait()

    def press_run(self, wait: bool = True) -> None:
        """Press the page's own button, and wait as ``run`` does."""
        self.page.locator(RUN_BUTTON).first.click()
        if wait:
            self.wait()

    def press_cancel(self) -> None:
        """Press the page's own button that ends the run, and wait until it has ended."""
        self.page.locator(CANCEL_BUTTON).first.click()
        self.wait()

    def wait(self) -> None:
        """Until the queue is empty and what came out is drawn."""
        self.page.wait_for_timeout(2 * STILL_MS)
        while not self.page.evaluate(IDLE):
            self.page.wait_for_timeout(STILL_MS)
        self.page.wait_for_timeout(SETTLE_MS)

    def click_widget(self, node: int, name: str) -> None:
        """Click a switch of a node where it is drawn."""
        switch = self.page.locator(f"[data-node-id='{node}'] [role=switch]")
        if switch.count():
            switch.first.click()
        else:
            self.page.mouse.click(*self.page.evaluate(WHERE, [node, name]))
        self.page.wait_for_timeout(STILL_MS)

    def said(self) -> dict[str, str]:
        """What stands under nodes, by their type."""
        return {kind: text for kind, text, _ in self.page.evaluate(SAID)}

    def error_report(self) -> str:
        """What the page shows of a failed run once its user asks for details."""
        details = self.page.get_by_test_id("error-overlay-see-errors")
        if details.count() and details.first.is_visible():
            details.first.click()
            self.page.wait_for_timeout(SETTLE_MS)
        report = self.page.evaluate("() => document.body.innerText")
        self.page.keyboard.press("Escape")
        return report

    def fit(self) -> None:
        """Show the whole graph."""
        self.page.keyboard.press("Escape")
        self.page.evaluate("() => window.comfyAPI.app.app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        self.page.wait_for_timeout(SETTLE_MS)

    def picture(self, path: Path) -> Path:
        self.page.screenshot(path=str(path))
        return path

    def _console(self, message) -> None:
        if message.type == "error" and not any(part in message.text + str(message.location) for part in HARMLESS):
            self.errors.append(f"{message.text} {message.location.get('url', '')}")
        if message.type == "warning" and not any(part in message.text for part in OWN):
            self.warnings.append(message.text)

    def _called(self, event: dict) -> None:
        frames = event.get("stackTrace", {}).get("callFrames", [])
        if event["type"] in ("warning", "error") and any("/extensions/micromotion/" in frame["url"] for frame in frames):
            self.ours.append(str(event["args"][0].get("value")))


def why_not() -> str | None:
    """Why no page can be opened, None when one can."""
    if importlib.util.find_spec("playwright") is None:
        return "no playwright: pip install playwright"
    return None if chromium() else "no Chromium found: install one, or set CHROMIUM"


def overlaps(boxes: list[dict]) -> list[tuple[int, int]]:
    """Pairs of nodes that cover each other."""
    found = []
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
            if not apart:
                found.append((a["id"], b["id"]))
    return found


def graph(*nodes: tuple, links: tuple = ()) -> dict:
    """A small workflow of ``(type, widget values)``; links are (from node, slot, to node, input name, type), nodes counted from 1."""
    made = [
        {"id": i, "type": kind, "pos": [340 * i - 300, 100], "size": [300, 200], "mode": 0, "widgets_values": values, "inputs": []}
        for i, (kind, values) in enumerate(nodes, 1)
    ]
    drawn = []
    for number, (source, slot, target, name, kind) in enumerate(links, 1):
        inputs = made[target - 1]["inputs"]
        drawn.append([number, source, slot, target, len(inputs), kind])
        inputs.append({"name": name, "type": kind, "link": number})
    return {"nodes": made, "links": drawn, "groups": [], "extra": {}, "version": 0.4}
