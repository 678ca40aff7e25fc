"""What importing the nodes does to a machine: little, quickly, and without the optional libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = ("dlib", "open_clip", "av", "matplotlib", "scipy", "transformers", "lpips")
AUDIT = """
import importlib.util as u, json, sys, time
import numpy, PIL.Image, safetensors.torch, torch, torch.nn.functional
root, base, blocked = sys.argv[1], sys.argv[2], sys.argv[3].split(",")

def load(name, path, **more):
    spec = u.spec_from_file_location(name, path, **more)
    module = sys.modules[name] = u.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

from pathlib import Path
fake = load("fake_host", root + "/tests/nodes/fake_host.py").install(Path(base))
for name in blocked: sys.modules[name] = None
seen, watching = [], True

def audit(event, details):
    if not watching: return
    writes = event == "open" and isinstance(details[1], str) and set(details[1]) & set("wax+")
    others = ("socket.", "subprocess.", "os.system", "os.exec", "os.mkdir", "os.rename", "os.remove", "urllib.", "ctypes.dlopen")
    if writes or event.startswith(others):
        seen.append([event, str(details[0])])

sys.dont_write_bytecode = True
sys.addaudithook(audit)
start = time.process_time()
load("micromotion", root + "/__init__.py", submodule_search_locations=[root])
import asyncio, logging
told = []
logging.getLogger("micromotion").addHandler(type("Told", (logging.Handler,), {"emit": lambda self, r: told.append(r.getMessage())})())
logging.getLogger("micromotion").setLevel(logging.INFO)
extension = asyncio.run(sys.modules["micromotion"].comfy_entrypoint())
asyncio.run(extension.on_load())
schemas = [node.define_schema() for node in asyncio.run(extension.get_node_list())]
seconds = time.process_time() - start
watching = False
nodes = {s.node_id: n for s, n in zip(schemas, asyncio.run(extension.get_node_list()))}
align = ("MicromotionAlignFace", {"image": torch.rand(1, 64, 64, 3), "size": 64, "path": {"path": "smooth"}})
scorer = ("MicromotionLoadScorer", {"file": "avatar (embedded)"})
messages = []
for node, inputs in (align, scorer):
    try: nodes[node].execute(**inputs)
    except ValueError as error: messages.append(str(error))
print(json.dumps({"seen": seen, "seconds": seconds, "nodes": len(schemas), "messages": messages, "told": told}))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory, tiny):
    base = tmp_path_factory.mktemp("audit")
    command = [sys.executable, "-c", AUDIT, str(ROOT), str(base), ",".join(BLOCKED)]
    weights = tiny.write(tmp_path_factory.mktemp("weights"))
    env = {**os.environ, "MICROMOTION_WEIGHTS": str(weights)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"base": base}


def test_the_nodes_load_without_the_optional_libraries(report):
    assert report["nodes"] >= 25


def test_loading_takes_less_than_a_second_beside_torch(report):
    assert report["seconds"] < 1


def test_loading_starts_nothing_calls_nobody_and_writes_nothing(report):
    harmless = {"socket.__new__", "socket.bind", "socket.getaddrinfo"}  # asyncio's own wake-up pipe
    assert [event for event in report["seen"] if event[0] not in harmless] == []
    assert not list(report["base"].iterdir())


def test_the_log_says_in_one_line_what_a_bug_report_needs(report):
    (line,) = [said for said in report["told"] if said.startswith("micromotion ")]
    assert "torch 2." in line and "operations on cpu: eager" in line and "stylegan2 0" in line and "dlib 0." in line
    assert "dlib-bin" in line.partition("not installed: ")[2]


def test_a_missing_library_is_named_only_by_the_node_that_needs_it(report):
    assert "pip install dlib-bin" in report["messages"][0] and "pip install open_clip_torch" in report["messages"][1]
