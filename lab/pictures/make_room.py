"""Give every node of the workflows the room that its widgets take in ComfyUI's page: ``python lab/pictures/make_room.py``.

To be run after a node got a new input: too small nodes grow, and what stands below them in their column moves down.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hosts import hosted
from hosts import page as browser

ROOT = Path(__file__).resolve().parents[2]
TITLE = 30  # pixels above a node's size
SPARE = 4


def main() -> None:
    with tempfile.TemporaryDirectory() as base, hosted.Server(Path(base)) as server, browser.Page(server.url) as page:
        for path in sorted((ROOT / "workflows").glob("*.json")):
            workflow = json.loads(path.read_text(encoding="utf-8"))
            lacking = missing_room(page, workflow)
            for node in sorted(workflow["nodes"], key=lambda node: node["pos"][1]):
                if lacking[node["id"]] > 1:
                    grow(workflow["nodes"], node, round(lacking[node["id"]]) + SPARE)
            path.write_text(json.dumps(workflow, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def missing_room(page, workflow: dict) -> dict[int, float]:
    """By how many pixels each node is too low, in the renderer that needs more."""
    sizes = {node["id"]: node["size"][1] for node in workflow["nodes"]}
    lacking = dict.fromkeys(sizes, 0.0)
    for renderer in browser.RENDERERS:
        for box in page.open(workflow, renderer)["boxes"]:
            number = int(box["id"])
            grown = box["h"] - TITLE - sizes[number] if box["vue"] else 0
            lacking[number] = max(lacking[number], box["cut"], grown)
    return lacking


def grow(nodes: list[dict], node: dict, pixels: int) -> None:
    """Make a node taller and move down what stands below it."""
    (left, top), right = node["pos"], node["pos"][0] + node["size"][0]
    node["size"][1] += pixels
    for other in nodes:
        if other["pos"][1] > top and other["pos"][0] < right and other["pos"][0] + other["size"][0] > left:
            other["pos"][1] += pixels


if __name__ == "__main__":
    main()
