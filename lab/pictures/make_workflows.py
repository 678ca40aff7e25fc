"""Write the templates and blueprints: ``python lab/pictures/make_workflows.py [NAME ...]``. Nodes get the room that both renderers need."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import graphs
import templates
from hosts import hosted
from hosts import page as browser

ROOT = Path(__file__).resolve().parents[2]
SPARE = 6  # pixels
STEP = 1000  # pixels between nodes that are measured
TITLE = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    with tempfile.TemporaryDirectory() as base, hosted.Server(Path(base)) as server:
        info = server.get("/object_info")
        with browser.Page(server.url) as page:
            rooms = measured(page, info)
    for name, make in templates.TEMPLATES.items():
        if not names or name in names:
            save(ROOT / "workflows" / f"{name}.json", make(graphs.Graph(info, rooms=rooms), name))
    for make in templates.BLUEPRINTS:
        subgraph = make(graphs.Graph(info, rooms=rooms))
        save(ROOT / "subgraphs" / f"{subgraph.name}.json", graphs.blueprint(subgraph))


def measured(page, info: dict) -> dict:
    """Heights by ``graphs.room_key`` of all nodes in all templates, in the renderer that needs more."""
    wanted = {}
    for name, make in templates.TEMPLATES.items():
        top = graphs.Graph(info)
        make(top, name)
        for node in (node for graph in (top, *graphs.every(top)) for node in graph.nodes if node.kind in info):
            wanted[graphs.room_key(node)] = node
    sheet = graphs.Graph(info)
    for i, node in enumerate(wanted.values()):
        one = sheet.add(node.kind, width=node.width, height=30, **node.values)
        one.x, one.y = STEP * (i % 10), STEP * (i // 10)
    workflow = graphs.workflow(sheet, "rooms", [], [])
    rooms = dict.fromkeys(wanted, 0.0)
    for renderer in browser.RENDERERS:
        for key, box in zip(wanted, sorted(page.open(workflow, renderer)["boxes"], key=lambda box: int(box["id"]))):
            rooms[key] = max(rooms[key], box["h"] - TITLE + SPARE, box["h"] - TITLE + box["cut"] + SPARE)
    return {key: round(height) for key, height in rooms.items()}


def save(path: Path, workflow: dict) -> None:
    path.write_text(json.dumps(workflow, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
