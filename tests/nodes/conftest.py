"""The nodes on a stand-in for ComfyUI, and a real ComfyUI where there is one; both on tiny random networks."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch


def _helper(name: str):
    spec = importlib.util.spec_from_file_location(f"nodes_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _working(name: str):
    """A helper that needs something of this machine; skips, saying why, where it is not there."""
    helper = _helper(name)
    if reason := helper.why_not():
        pytest.skip(reason)
    return helper


@pytest.fixture(scope="session")
def awaited():
    """Runs a coroutine to its end, in a thread of its own: playwright's loop goes on in this one once a page was open."""

    def run(coroutine):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, coroutine).result()

    return run


@pytest.fixture(scope="session")
def tiny():
    return _helper("tiny")


@pytest.fixture(scope="session")
def hosted():
    """The harness of a real ComfyUI; skips, saying why, where there is none."""
    return _working("hosted")


@pytest.fixture(scope="session")
def server(hosted, tmp_path_factory, tiny):
    """A ComfyUI with only this pack, on the shipped weights, or on tiny ones while there are none."""
    base = tmp_path_factory.mktemp("base")
    shipped = Path(__file__).resolve().parents[2] / "avatars" / "weights" / "generator.safetensors"
    env = {} if shipped.is_file() else {"MICROMOTION_WEIGHTS": str(tiny.write(base / "weights", typical_psnr=None))}
    with hosted.Server(base, env=env) as running:
        running.info = running.get("/object_info")
        yield running


@pytest.fixture(scope="session")
def browser():
    """The harness of ComfyUI's page; skips, saying why, where there is no browser."""
    return _working("page")


@pytest.fixture(scope="module")
def page(server, browser):
    """ComfyUI's page, loaded; whatever a test does there, no script of the pack may bring about a warning."""
    with browser.Page(server.url) as opened:
        yield opened
        assert not opened.ours


@pytest.fixture(scope="session")
def hands():
    """What a user does in the page with mouse and keyboard."""
    return _helper("hands")


@pytest.fixture(scope="session")
def weights(tiny, tmp_path_factory):
    """A folder of tiny networks in place of the embedded weights."""
    return tiny.write(tmp_path_factory.mktemp("weights"), typical_psnr=None)


@pytest.fixture(scope="session")
def pack(weights, tmp_path_factory):
    """The nodes by name (``pack.InvertFace``), their ``host`` module, and the ``fake`` host that tests steer."""
    base = tmp_path_factory.mktemp("comfy")
    (base / "input").mkdir()
    before = set(sys.modules)
    fake = _helper("fake_host").install(base)
    patch = pytest.MonkeyPatch()
    patch.setenv("MICROMOTION_WEIGHTS", str(weights))
    extension = importlib.import_module("micromotion.nodes.extension")
    extension.host.register_folders()
    yield SimpleNamespace(extension=extension, host=extension.host, fake=fake, base=base, nodes=_nodes(extension))
    patch.undo()
    for name in set(sys.modules) - before:
        if name.startswith(("comfy", "folder_paths", "server", "micromotion.nodes")):
            del sys.modules[name]


def _nodes(extension) -> dict[str, type]:
    groups = extension.groups()
    return {node.define_schema().node_id.removeprefix("Micromotion"): node for group in groups for node in group}


@pytest.fixture(scope="session")
def call(pack):
    """Execute a node as ComfyUI does: in inference mode, missing inputs at their defaults; returns its outputs."""

    def execute(node_name: str, /, **inputs):
        node = pack.nodes[node_name]
        puts = node.define_schema().inputs
        given = _grouped(puts, inputs)
        defaults = {put.id: _default(put) for put in puts if not put.optional and put.id not in given}
        with torch.inference_mode():
            return node.execute(**defaults, **given).args

    return execute


@pytest.fixture
def run(pack, call):
    """``call`` on a host that has seen nothing yet and interrupts nothing."""
    pack.fake.management.interrupt_after = None
    pack.fake.progress.seen.clear()
    yield call
    pack.fake.management.interrupt_after = None


@pytest.fixture(scope="session")
def grouped():
    """Inputs by name as ComfyUI hands them to ``execute``: ``grouped(puts, inputs)``."""
    return _grouped


def _grouped(puts, inputs: dict) -> dict:
    """Inputs by name as ComfyUI hands them over: those of an option in its dictionary, those that grow (given as a list) by name."""
    given = dict(inputs)
    for put in puts:
        if put.io_type == "COMFY_DYNAMICCOMBO_V3":
            key = given.pop(put.id, put.keywords["options"][0])
            inner = put.inner[key]
            own = {one.id: given.pop(one.id) for one in inner if one.id in given}
            given[put.id] = {put.id: key} | {one.id: _default(one) for one in inner if not one.optional} | own
        if put.io_type == "COMFY_AUTOGROW_V3" and put.id in given:
            given[put.id] = dict(zip(put.template.names, given[put.id]))
    return given


def _default(put):
    keywords = put.keywords
    return keywords["default"] if "default" in keywords else (keywords.get("options") or [None])[0]


@pytest.fixture(scope="session")
def face():
    """An IMAGE of one square picture with structure in it."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 48), indexing="ij")
    return torch.stack([x, y, (x * y * 9).sin().abs()], -1)[None]


@pytest.fixture(scope="session")
def loaded(call):
    """Generator, inverter and scorer sockets of the embedded entries."""
    return SimpleNamespace(generator=call("LoadGenerator")[0], inverter=call("LoadInverter")[0], scorer=call("LoadScorer")[0])
