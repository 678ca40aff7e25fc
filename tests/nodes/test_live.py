"""Pictures beside the queue while a slider moves: what is drawn, what is declined, what is kept."""

from __future__ import annotations

import copy
import gc
import importlib
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

GRAPH = {
    "load": {"class_type": "MicromotionLoadFace", "inputs": {"file": "me.safetensors"}},
    "apply": {"class_type": "MicromotionApplySubspace", "inputs": {"codes": ["load", 0], "coefficient": 0.25, "component": 1}},
    "draw": {"class_type": "MicromotionSynthesize", "inputs": {"codes": ["apply", 0], "noise": "const"}},
    "show": {"class_type": "PreviewImage", "inputs": {"images": ["draw", 0]}},
}


@pytest.fixture
def live(pack, monkeypatch):
    """The module, with nothing remembered."""
    module = importlib.import_module(pack.host.__name__.replace("host", "live"))
    monkeypatch.setattr(module, "_memories", type(module._memories)())
    return module


@pytest.fixture
def graph(pack, live, run, monkeypatch):
    """``GRAPH`` after a run of its nodes by the host, and what they were given: ``(prompt, given)``."""
    prompt, given = copy.deepcopy(GRAPH), {}
    generator = run("LoadGenerator", file="avatar (embedded)")[0]
    given["apply"] = {"codes": run("SampleFaces", generator=generator)[0], "motion": run("LoadSubspace", file="smile (embedded)")[0]}
    given["apply"]["coefficient"] = 0.25
    execute(pack, live, monkeypatch, "apply", "ApplySubspace", prompt, given["apply"])
    given["draw"] = {"generator": generator, "codes": given["apply"]["codes"] + 0, "noise": "const"}
    execute(pack, live, monkeypatch, "draw", "Synthesize", prompt, given["draw"])
    return prompt, given


def execute(pack, live, monkeypatch, name, node, prompt, given):
    monkeypatch.setattr(live, "get_executing_context", lambda: types.SimpleNamespace(node_id=name, prompt_id="run"))
    monkeypatch.setattr(pack.nodes[node], "hidden", types.SimpleNamespace(prompt=copy.deepcopy(prompt)), raising=False)
    with torch.inference_mode():
        output = pack.nodes[node].execute(**given)
    monkeypatch.setattr(live, "get_executing_context", lambda: None)
    return output


def drawn(pack, picture) -> np.ndarray:
    return np.asarray(Image.open(Path(pack.fake.folders.get_temp_directory()) / picture["filename"]).convert("RGB"), dtype=float) / 255


def test_the_picture_is_the_one_that_a_run_would_show(pack, live, graph, run):
    prompt, given = graph
    prompt["apply"]["inputs"]["coefficient"] = -0.75
    picture = live._draw(prompt)["show"]
    moved = run("ApplySubspace", codes=given["apply"]["codes"], motion=given["apply"]["motion"], coefficient=-0.75)[0]
    wanted = run("Synthesize", generator=given["draw"]["generator"], codes=moved)[0][0].numpy()
    assert abs(drawn(pack, picture) - wanted).mean() < 0.02
    rest = live._draw(GRAPH)["show"]  # a slider that is back where it was
    assert not np.array_equal(drawn(pack, rest), drawn(pack, picture))


def test_pictures_beside_the_queue_show_no_progress_and_remark_nothing(pack, live, graph, caplog):
    pack.fake.progress.seen.clear()
    graph[0]["apply"]["inputs"]["coefficient"] = 900
    with caplog.at_level("INFO"):
        live._draw(graph[0])
    assert not pack.fake.progress.seen and not caplog.records


@pytest.mark.parametrize(
    "change",
    [
        lambda prompt: prompt["load"]["inputs"].update(file="you.safetensors"),
        lambda prompt: prompt["apply"]["inputs"].update(component=2),
        lambda prompt: prompt["draw"]["inputs"].update(noise="random"),
        lambda prompt: prompt["apply"]["inputs"].update(coefficient=["load", 0]),
        lambda prompt: prompt["apply"]["inputs"].update(coefficient_9=0.5),
        lambda prompt: prompt["apply"]["inputs"].update(coefficient=float("nan")),
        lambda prompt: prompt["draw"]["inputs"].update(codes=["apply", 7]),
        lambda prompt: prompt["load"]["inputs"].update(file=["show", 0]),
        lambda prompt: prompt["show"].update(class_type="SaveImage"),
        lambda prompt: prompt.pop("show"),
        lambda prompt: prompt.pop("load"),
        lambda prompt: prompt["show"].update(inputs=None),
        lambda prompt: prompt["show"].update(inputs={"picture": ["draw", 0]}),
        lambda prompt: prompt.clear(),
    ],
)
def test_whatever_else_has_changed_is_left_to_a_run(pack, live, graph, change):
    prompt = copy.deepcopy(graph[0])
    change(prompt)
    with pytest.raises((live.DeclinedError, pack.host.MicromotionError)):
        live._draw(prompt)


@pytest.mark.parametrize("prompt", [None, 5, [], "x", {"1": 5}, {"1": {"inputs": {}}}])
def test_what_is_not_a_graph_is_declined(live, graph, prompt):
    with pytest.raises(live.DeclinedError):
        live._draw(prompt)


def test_several_pictures_are_left_to_a_run(pack, live, graph, monkeypatch):
    prompt, given = graph
    many = given["apply"] | {"codes": given["apply"]["codes"].expand(3, -1, -1).clone()}
    execute(pack, live, monkeypatch, "apply", "ApplySubspace", prompt, many)
    with pytest.raises(live.DeclinedError, match="more than one"):
        live._draw(prompt)


def test_nothing_is_kept_that_the_host_lets_go(live, graph):
    prompt, given = graph
    given.clear()
    gc.collect()
    with pytest.raises(live.DeclinedError, match="gone"):
        live._draw(prompt)


def test_only_the_newest_nodes_and_pictures_are_kept(pack, live, graph, monkeypatch):
    prompt, given = graph
    first = drawn(pack, live._draw(prompt)["show"]) is not None and live._files[-1]
    for _ in range(live.FILES):
        live._draw(prompt)
    assert not first.exists() and len(live._files) == live.FILES
    for number in range(live.KEPT):
        execute(pack, live, monkeypatch, str(number), "ApplySubspace", prompt | {str(number): prompt["apply"]}, given["apply"])
    assert len(live._memories) == live.KEPT and "apply" not in live._memories


def test_a_run_does_not_change_what_a_picture_is_being_drawn_from(pack, live, graph, monkeypatch):
    prompt, given = graph
    before = live._memories
    names = list(before)
    execute(pack, live, monkeypatch, "apply", "ApplySubspace", prompt, given["apply"])
    execute(pack, live, monkeypatch, "more", "ApplySubspace", prompt | {"more": prompt["apply"]}, given["apply"])
    assert list(before) == names and list(live._memories) == ["draw", "apply", "more"]


def test_the_route_answers_pictures_or_why_not(live, graph, monkeypatch, awaited):
    routes = {}
    answers = types.SimpleNamespace(json_response=lambda data, status=200: (status, data))
    monkeypatch.setitem(sys.modules, "server", types.SimpleNamespace(web=answers))
    queue = types.SimpleNamespace(left=0, get_tasks_remaining=lambda: queue.left)
    posts = types.SimpleNamespace(post=lambda path: lambda handler: routes.setdefault(path, handler))
    live.register(types.SimpleNamespace(routes=posts, prompt_queue=queue))

    def ask(body):
        async def json():
            if isinstance(body, Exception):
                raise body
            return body

        return awaited(routes[live.ROUTE](types.SimpleNamespace(json=json)))

    assert set(ask(graph[0])[1]["pictures"]) == {"show"}
    assert "declined" in ask({})[1] and "declined" in ask(ValueError("not JSON"))[1]
    queue.left = 1
    assert "at work" in ask(graph[0])[1]["declined"]
