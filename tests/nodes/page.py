"""ComfyUI's own page in a headless browser: open a workflow, look at it, run it."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path

START_MS = 240_000
SETTLE_MS = 1500
RENDERERS = {"canvas": False, "nodes 2.0": True}
HARMLESS = ("favicon", "net::ERR_INTERNET_DISCONNECTED", "net::ERR_NAME_NOT_RESOLVED", "fonts.g", "googletagmanager", "sentry")

OPEN = """async ([workflow, vue]) => {
  const { app } = window.comfyAPI.app;
  await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', vue);
  await app.loadGraphData(workflow, true, true);
}"""
READ = """() => {
  const { app } = window.comfyAPI.app;
  const box = (node) => {
    const element = document.querySelector(`[data-node-id="${node.id}"]`);
    const scale = app.canvas.ds.scale;
    const vue = element?.getBoundingClientRect();
    const size = vue?.width ? [vue.width / scale, vue.height / scale - (node.flags.collapsed ? 0 : 0)] : [node.size[0], node.size[1] + 30];
    return { id: node.id, type: node.type, x: node.pos[0], y: node.pos[1] - 30, w: size[0], h: size[1], vue: Boolean(vue?.width) };
  };
  const unknown = app.graph._nodes.filter((n) => !LiteGraph.registered_node_types[n.type] && !n.subgraph).map((n) => n.type);
  return { boxes: app.graph._nodes.map(box), unknown, saved: app.graph.serialize() };
}"""
PROMPT = "async () => (await window.comfyAPI.app.app.graphToPrompt()).output"
RUN = "async () => { await window.comfyAPI.app.app.queuePrompt(0); }"


def chromium() -> str | None:
    """A browser's path: ``CHROMIUM``, or one on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)


class Page:
    """A loaded page; use as a context manager."""

    def __init__(self, url: str, size: tuple[int, int] = (1900, 1050)):
        self.url, self.size = url, size
        self.errors: list[str] = []

    def __enter__(self) -> Page:
        playwright = importlib.import_module("playwright.sync_api")
        self._playwright = playwright.sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        self.page = self._browser.new_page(viewport={"width": self.size[0], "height": self.size[1]})
        self.page.set_default_timeout(START_MS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(self.url, wait_until="domcontentloaded")
        self.page.wait_for_function("() => window.comfyAPI?.app?.app?.graph && window.LiteGraph?.registered_node_types?.MicromotionSweep")
        self.page.wait_for_timeout(SETTLE_MS)
        return self

    def __exit__(self, *_) -> None:
        self._browser.close()
        self._playwright.stop()

    def open(self, workflow: dict, renderer: str) -> dict:
        """Load a workflow; what is drawn (boxes), what is unknown, and how the page would save it."""
        self.errors.clear()
        self.page.evaluate(OPEN, [workflow, RENDERERS[renderer]])
        self.page.wait_for_timeout(SETTLE_MS)
        self.page.keyboard.press("Escape")
        return self.page.evaluate(READ)

    def prompt(self) -> dict:
        """The open workflow as the page sends it to the API."""
        return self.page.evaluate(PROMPT)

    def run(self) -> None:
        self.page.evaluate(RUN)

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


def overlaps(boxes: list[dict]) -> list[tuple[int, int]]:
    """Pairs of nodes that cover each other."""
    found = []
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
            if not apart:
                found.append((a["id"], b["id"]))
    return found
