"""Every input of every node reaches the library: it is read, and changing it changes what the library is asked or what comes out."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import sys
import textwrap
import types
from pathlib import Path

import pytest
import torch
from micromotion.faces import Crop
from micromotion.files.errors import MicromotionError
from micromotion.subspaces import Subspace, sweep
from micromotion.subspaces.anchors import Anchors

# Nodes that run on tiny networks alone, with what makes each of their inputs matter. The others are checked by what they read.
GIVEN = {
    "AlignFace by hand": {"path": "by hand", "size": 32},
    "ApplySubspace": {"sweep": None, "coefficient": 0.5},
    "CalibrateSubspace": {"faces": 1, "reach": 1.0},
    "CombineSubspaces": {"operation": "add", "layers": ""},
    "FaceSliders": {f"coefficient_{i}": 0.1 * i for i in range(1, 9)} | {"sweep": None},
    "FitSubspace": {"estimator": "rpca", "rank": 1},
    "InvertFace": {"steps": 0},
    "PasteFace": {},
    "SampleFaces": {"count": 2},
    "SavePairs": {},
    "Sweep": {"frames": 12, "hold_start": 1, "hold_end": 2},
    "Sweep curve": {"shape": "curve", "frames": 6},
    "Sweep keyframes": {"shape": "keyframes", "frames": 12, "keyframes": "0: 0, 4: 1, 9: 0.2"},
    "SweepToVideo": {"coefficient": 0.5},
    "Synthesize": {},
    "TextAnchors": {},
    "VideoAnchors": {"max_frames": 4},
}
CANNED = {"text_anchors"}  # what takes long is asked, and not done
OPTIONAL = {"SweepToVideo": ("photo", "crop", "unedited"), "PasteFace": ("unedited",), "SavePairs": ("neutral",)}
OTHER = {
    "layers": "0-1",
    "keyframes": "0: 1, 5: 0",
    "degrees": "no, 100%",
    "size": 64,
    "tilt": 20.0,
    "stay_near": 0.01,
    "stay_natural": 0.2,
}
ONLY_TOGETHER = {
    ("CombineSubspaces", "per_layer"): {"operation": "remove the others"},
    ("CombineSubspaces", "weight"): {"operation": "add"},
    ("PasteFace", "shape"): {"blend": "difference"},
    ("SweepToVideo", "shape"): {"blend": "difference"},
}
# Words for the user, a name that only a class has, what only a stranger's picture brings about, and what only a search for faces reads.
SILENT = {("SampleFaces", "class_of"), ("InvertFace", "unknown")}
SILENT |= {("AlignFace by hand", "missing"), ("AlignFace by hand", "no_face")}


def parameters_of(node) -> list[str]:
    return [p.name for p in inspect.signature(node.execute).parameters.values() if p.kind is not p.VAR_KEYWORD]


DYNAMIC, GROWING = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"


def every(node, given: dict) -> list:
    """The inputs of a node, those of the chosen options among them."""
    puts = []
    for put in node.define_schema().inputs:
        puts.append(put)
        if put.io_type == DYNAMIC:
            puts += put.inner[given.get(put.id, put.keywords["options"][0])]
    return puts


def read_by(node) -> set[str]:
    """The names that ``execute`` reads."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(node.execute)))
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def test_execute_takes_exactly_what_the_schema_offers_and_reads_all_of_it(pack):
    for name, node in pack.nodes.items():
        inputs = [put.id for put in node.define_schema().inputs]
        named, code = parameters_of(node), node.execute.__func__.__code__
        assert sorted(named) == sorted(inputs) or (code.co_flags & inspect.CO_VARKEYWORDS and set(named) < set(inputs)), name
        assert set(named) <= read_by(node), name


@pytest.fixture(scope="module")
def nodes(pack):
    """The nodes by the names of their classes."""
    return {node.__name__: node for node in pack.nodes.values()}


def mark(value):
    """What can be compared of anything: numbers and text themselves, tensors by their bytes, the rest by what it is made of."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), hashlib.sha256(value.detach().float().contiguous().numpy().tobytes()).hexdigest()
    if isinstance(value, (str, int, float, type(None))):
        return value
    if isinstance(value, dict):
        return {k: mark(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [mark(v) for v in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "patcher"):
        return {f.name: mark(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return type(value).__name__


@pytest.fixture(scope="module")
def things(pack, loaded, face, call):
    """A value for each socket, by its type and, where one type means several things, by the input's name."""
    generator = loaded.generator.value
    codes = call("SampleFaces", generator=loaded.generator, count=1)[0]
    torch.manual_seed(5)
    moved = codes + torch.linspace(0, 1, 6)[:, None, None] * torch.randn(1, generator.num_layers, generator.width)
    motions = {n: Subspace(torch.randn(1, generator.num_layers, generator.width), fingerprint=generator.fingerprint) for n in "abc"}
    curve = sys.modules["comfy_api.input"].CurveInput([(0, 0), (0.5, 1), (1, 0.3)])
    square = torch.nn.functional.interpolate(face.movedim(-1, 1), size=(32, 32), mode="area").movedim(1, -1)
    return {
        "STYLEGAN2_GENERATOR": loaded.generator,
        "STYLEGAN2_INVERTER": loaded.inverter,
        "SCORER": loaded.scorer,
        "STYLEGAN2_CODES": codes,
        "MICROMOTION_SUBSPACE": motions["a"],
        "MICROMOTION_SWEEP": sweep(3, 0.2, 0.6),
        "MICROMOTION_ANCHORS": Anchors(moved),
        "FACE_CROP": [Crop.aligned((48, 48), 32)],
        "IMAGE": face,
        "CURVE": curve,
        "second": motions["b"],
        "third": motions["c"],
        "faces": 1 - square,
        "images": torch.cat([face, 1 - face, face / 2]),
        "unedited": square,
        "clip": moved,
    }


def of_socket(put, node: str, things: dict):
    if node == "VideoAnchors" and put.id == "codes":
        return things["clip"]
    if node == "PasteFace" and put.id == "crop":
        return [things["FACE_CROP"][0], Crop.from_square((20, 22), (9, 2), (48, 48), 32)]
    if put.id == "scorer":
        return things["SCORER"]
    return things.get(put.id, things.get(put.io_type))


WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def given_to(case: str, node, things: dict) -> dict:
    """Inputs that the node runs with: sockets from ``things``, widgets at their defaults or as ``GIVEN`` says."""
    inputs, node_name = {}, case.split()[0]
    for put in every(node, GIVEN[case]):
        if put.io_type == GROWING:
            inputs[put.id] = growing(put, things)
        elif put.io_type in (*WIDGETS, DYNAMIC):
            options = put.keywords.get("options")
            inputs[put.id] = put.keywords.get("default", options[0] if options else "")
        elif not put.optional or put.id in OPTIONAL.get(node_name, ()):
            inputs[put.id] = of_socket(put, node_name, things)
    return {**inputs, **GIVEN[case]}


def growing(put, things: dict) -> list:
    """Several values for a socket that grows."""
    if put.template.input.io_type != "MICROMOTION_SUBSPACE":
        return [things[put.template.input.io_type]]
    return [things["MICROMOTION_SUBSPACE"], things["second"], things["third"]] + [things["second"]] * 5


def other(put, value):
    """Another allowed value of a widget."""
    k = put.keywords
    if put.id in OTHER and OTHER[put.id] != value:
        return OTHER[put.id]
    if put.io_type == "BOOLEAN":
        return not value
    if put.io_type == "COMBO":
        return next(option for option in k["options"] if option != value)
    if put.io_type == "STRING":
        return f"{value} otherwise".strip()
    step = 1 if put.io_type == "INT" else max(k.get("step", 0.1), (k["max"] - k["min"]) / 20)
    return value + step if value + step <= k["max"] else value - step


def asked(monkeypatch, grouped, node, inputs: dict):
    """Every call of the library that the node makes with these inputs, and what it gives back; or the sentence it raises."""
    module, calls = sys.modules[node.__module__], []

    def recorded(name, function):
        def call(*args, **options):
            calls.append((name, mark(args), mark({k: v for k, v in options.items() if k not in ("progress", "state")})))
            return None if name in CANNED else function(*args, **options)

        return call

    with monkeypatch.context() as patch, torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(0)
        for name, value in list(vars(module).items()):
            ours = isinstance(value, types.FunctionType) and value.__module__.startswith("micromotion.")
            if ours and not value.__module__.startswith("micromotion.nodes"):
                patch.setattr(module, name, recorded(name, value))
        try:
            result = node.execute(**grouped(node.define_schema().inputs, inputs))
        except MicromotionError as error:
            return calls, str(error)
    return [call for call in calls if call[0] != "whole_file"], mark([v for v in result.args if not isinstance(v, (str, Path))])


@pytest.mark.parametrize("name", GIVEN)
def test_changing_an_input_changes_what_the_library_does(nodes, monkeypatch, grouped, things, name):
    node = nodes[name.split()[0]]
    inputs = given_to(name, node, things)
    usual = asked(monkeypatch, grouped, node, inputs)
    assert usual == asked(monkeypatch, grouped, node, inputs), "the same inputs ask the same"
    unread = []
    for put in every(node, GIVEN[name]):
        if put.io_type not in WIDGETS or (name, put.id) in SILENT:
            continue
        together = {**inputs, **ONLY_TOGETHER.get((name, put.id), {})}
        before = usual if together == inputs else asked(monkeypatch, grouped, node, together)
        if before == asked(monkeypatch, grouped, node, {**together, put.id: other(put, together[put.id])}):
            unread.append(put.id)
    assert not unread


@pytest.mark.parametrize("name, socket", [(name, socket) for name, sockets in OPTIONAL.items() for socket in sockets if socket != "crop"])
def test_an_optional_picture_reaches_the_library(nodes, monkeypatch, grouped, things, name, socket):
    node = nodes[name]
    inputs = given_to(name, node, things)
    assert asked(monkeypatch, grouped, node, inputs) != asked(monkeypatch, grouped, node, {**inputs, socket: inputs[socket] * 0.9})


ABSURD = (-1, 0, float("nan"), float("inf"), float("-inf"), 1e30, -1e30, 10**40, -(10**40), 2**63, 0.5)
QUICK = {"TextAnchors": {"seeds": 1, "steps": 1, "degrees": "no, 100%"}, "InvertFace": {"steps": 2}}


@pytest.mark.parametrize("name", GIVEN)
def test_absurd_numbers_get_a_sentence(nodes, grouped, things, name):
    """What comes over a link is not checked by the host: whatever the number, a node works or says one sentence."""
    node = nodes[name.split()[0]]
    inputs = given_to(name, node, things) | QUICK.get(name, {})
    unexplained = []
    for put in every(node, GIVEN[name]):
        for value in ABSURD if put.io_type in ("INT", "FLOAT") else ():
            try:
                with torch.inference_mode(), torch.random.fork_rng():
                    node.execute(**grouped(node.define_schema().inputs, {**inputs, put.id: value}))
            except MicromotionError as error:
                assert len(str(error)) < 600
            except Exception as error:
                unexplained.append(f"{put.id} = {value}: {error!r}"[:200])
    assert not unexplained
