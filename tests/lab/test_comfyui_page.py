"""What the report on ComfyUI's page counts, on made-up graphs: wires behind nodes, finds of a search, waits of a drag."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def report():
    sys.path.insert(0, str(ROOT / "lab" / "benchmarks"))
    yield importlib.import_module("comfyui_page")
    sys.path.remove(str(ROOT / "lab" / "benchmarks"))


def test_a_wire_behind_a_node_is_one_that_passes_it_and_does_not_belong_to_it(report):
    boxes = [{"id": i, "x": 300 * i, "y": y, "w": 200, "h": 100} for i, y in enumerate((0, 0, 0))]
    past = {"from": 0, "to": 2, "a": [200, 50], "b": [600, 50]}
    assert report.behind(past, boxes)
    assert not report.behind({**past, "to": 1, "b": [300, 50]}, boxes)
    assert not report.behind(past, [boxes[0], {**boxes[1], "y": 80}, boxes[2]])


def test_finds_are_ours_by_their_pack_or_as_our_blueprints(report):
    shown = [("Face Detailer", "another-pack"), ("Face Sliders", "micromotion"), ("Animate Face", "Blueprint"), ("Upscale", "Blueprint")]
    assert report.found(shown) == ["Face Sliders (2.)", "2 of 4"]
    assert report.found(shown[:1]) == ["none", "0 of 1"]


def test_a_diffusion_template_is_made_small_where_its_sampler_stands(report):
    workflow = json.loads((ROOT / "workflows" / "16 Animate a Stable Diffusion face.json").read_text("utf-8"))
    nodes = [node for graph in report.smaller(workflow)["definitions"]["subgraphs"] for node in graph["nodes"]]
    sampler = next(node for node in nodes if node["type"] == "KSampler")
    assert sampler["widgets_values"][1:3] == ["fixed", 2]
    assert next(node for node in nodes if node["type"] == "EmptyLatentImage")["widgets_values"] == [256, 256, 1]


def test_a_wait_ends_with_the_first_picture_that_was_asked_for_after_the_move(report):
    runs = [{"sent": 10, "id": "a"}, {"sent": 50, "id": "b"}, {"sent": 90, "id": "c"}]
    seen = {
        "moves": [0, 20, 60, 100],
        "runs": runs,
        "shown": {"a": "1.png", "b": "2.png", "c": "2.png"},
        "drawn": {"1.png": 40, "2.png": 70},
    }
    assert report.hands.latencies(seen) == [40, 50]
