"""What every node promises: names, tooltips, help, translations, and a schema that never breaks a saved workflow."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("schema.json")
LANGUAGES = ("en", "zh", "ja")
VERBS = {"Load", "Save", "Convert", "Sample", "Pick", "Align", "Paste", "Invert", "Refine", "Synthesize", "Make", "Fit"}
VERBS |= {"Calibrate", "Combine", "Inspect", "Read", "Apply", "Sweep", "Measure", "Fetch", "Face"}  # Face Sliders: known by this name
TAKEN = {"LoadStyleGAN", "StyleGANSampler", "StyleGANInversion", "StyleGAN2ModelLoader", "StyleGAN2Sampler", "ExpressionEditor"}
DYNAMIC, GROWING = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"
MOST_NODES = 30
HOSTS_OWN = {
    DYNAMIC,
    GROWING,
    "INT",
    "FLOAT",
    "STRING",
    "BOOLEAN",
    "COMBO",
    "IMAGE",
    "MASK",
    "VIDEO",
    "CURVE",
    "FACE_LANDMARKS",
    "BOUNDING_BOX",
}


@pytest.fixture(scope="module")
def schemas(pack):
    return {node.define_schema().node_id: node.define_schema() for node in pack.nodes.values()}


def every(inputs: list):
    """Inputs and those inside their options, each with the name that the page sends."""
    for put in inputs:
        yield put.id, put
        for inner in getattr(put, "inner", {}).values():
            yield from ((f"{put.id}.{one.id}", one) for one in inner)
        if put.io_type == GROWING:
            yield f"{put.id}.*", put.template.input


def test_ids_are_prefixed_and_free(schemas):
    assert 25 <= len(schemas) <= MOST_NODES
    assert all(name.startswith("Micromotion") for name in schemas) and not TAKEN & set(schemas)


def test_sockets_are_ours_or_the_hosts(schemas):
    types = {put.io_type for s in schemas.values() for put in (*(one for _, one in every(s.inputs)), *s.outputs)}
    assert all(t in HOSTS_OWN or t.startswith(("STYLEGAN2_", "MICROMOTION_", "FACE_")) for t in types)


def test_names_begin_with_a_verb_and_say_what_they_do(schemas):
    assert {s.display_name.split()[0] for s in schemas.values()} <= VERBS
    assert all(len(s.description) > 40 and len(s.search_aliases) >= 3 and s.category.startswith("micromotion/") for s in schemas.values())


SOUGHT = {
    "face animation": {"FaceSliders", "ApplySubspace", "Sweep", "SweepToVideo"},
    "talking head": {"ReadCoefficients", "FaceSliders", "SweepToVideo"},
    "portrait": {"AlignFace", "PasteFace", "FaceSliders", "SampleFaces"},
    "expression": {"FaceSliders", "ApplySubspace", "LoadSubspace"},
    "smile": {"FaceSliders", "ApplySubspace", "LoadSubspace", "TextAnchors"},
    "age": {"FaceSliders", "ApplySubspace", "LoadSubspace"},
    "mouth": {"FaceSliders", "ApplySubspace", "LoadSubspace"},
    **dict.fromkeys(("wink", "open mouth", "nod", "tilt", "gaze", "brows"), {"LoadSubspace"}),
    "morph": {"FaceSliders", "ApplySubspace", "Combine"},
    "liveportrait alternative": {"FaceSliders", "ApplySubspace", "ReadCoefficients"},
    "stylegan": {"LoadGenerator", "InvertFace", "SampleFaces", "Synthesize", "ConvertCheckpoint"},
    "gan": {"LoadGenerator", "SampleFaces", "Synthesize", "ConvertCheckpoint"},
}


@pytest.mark.parametrize("word", SOUGHT)
def test_the_word_that_people_look_for_finds_the_nodes_that_fit(schemas, word):
    found = {name.removeprefix("Micromotion") for name, s in schemas.items() if word in s.search_aliases}
    assert SOUGHT[word] <= found and len(found) <= 12, "too many that fit are as bad as none"


def test_every_input_and_output_explains_itself(schemas):
    silent = [
        f"{name}.{put.id}"
        for name, s in schemas.items()
        for put in (*(one for _, one in every(s.inputs)), *s.outputs)
        if len(put.tooltip or "") < 15
    ]
    assert not silent


def test_numbers_state_their_range(schemas):
    numbers = [(name, put) for name, s in schemas.items() for _, put in every(s.inputs) if put.io_type in ("INT", "FLOAT")]
    assert all({"default", "min", "max"} <= put.keywords.keys() for _, put in numbers)
    assert all(put.keywords["min"] <= put.keywords["default"] <= put.keywords["max"] for _, put in numbers)


def test_the_tooltip_of_a_number_says_its_range(schemas):
    numbers = [(name, put) for name, s in schemas.items() for _, put in every(s.inputs) if put.io_type in ("INT", "FLOAT")]
    assert [f"{name}.{put.id}: {put.tooltip}" for name, put in numbers if spoken_range(put) not in put.tooltip] == []


def spoken_range(put) -> str:
    return f"{put.keywords['min']:g}..{put.keywords['max']:.10g}"


def test_combos_are_never_empty_and_begin_with_what_is_there(schemas):
    combos = [(name, put) for name, s in schemas.items() for _, put in every(s.inputs) if put.io_type == "COMBO"]
    assert all(put.keywords["options"] and all(put.keywords["options"]) for _, put in combos)
    embedded = {name: put.keywords["options"][0] for name, put in combos if put.id == "file"}
    assert embedded["MicromotionLoadGenerator"] == "avatar (embedded)" and embedded["MicromotionLoadSubspace"] == "smile (embedded)"


def test_no_input_and_output_share_an_id(schemas):
    for schema in schemas.values():
        ids = [put.id for put in (*schema.inputs, *schema.outputs)]
        assert len(ids) == len(set(ids)), schema.node_id


def test_every_input_is_read(schemas, pack):
    for node in pack.nodes.values():
        code = node.execute.__func__.__code__
        named, ids = set(code.co_varnames[1 : code.co_argcount]), {put.id for put in node.define_schema().inputs}
        assert named == ids or (code.co_flags & inspect.CO_VARKEYWORDS and named < ids)


def shown(inputs: list) -> list:
    """What the page shows a name for."""
    return [put for name, put in every(inputs) if not name.endswith(".*")]


def spoken(inputs: list) -> list[tuple]:
    """The same with the keys of translations, where dots are underscores."""
    return [(name.replace(".", "_"), put) for name, put in every(inputs) if not name.endswith(".*")]


def shape(schema) -> dict:
    return {
        "inputs": [[name, put.io_type, bool(put.optional)] for name, put in every(schema.inputs)],
        "outputs": [put.io_type for put in schema.outputs],
    }


def parts(puts: list) -> dict[str, list]:
    """Inputs of the node itself, and those of each dynamic combo's options: a new option comes after the others, before later inputs."""
    names = [put[0] if isinstance(put, list) else "" for put in puts]
    return {
        owner: [put for put, name in zip(puts, names) if name.rpartition(".")[0] == owner]
        for owner in {n.rpartition(".")[0] for n in names}
    }


def test_saved_workflows_stay_loadable(schemas):
    """Ids, inputs, types and order of the snapshot are forever; what is new comes after. MICROMOTION_UPDATE_SCHEMA=1 writes it anew."""
    now = {name: shape(s) for name, s in sorted(schemas.items())}
    if os.environ.get("MICROMOTION_UPDATE_SCHEMA"):
        SNAPSHOT.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    known = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert not set(known) - set(now), "nodes are gone"
    assert not set(now) - set(known), "new nodes belong into the snapshot"
    for name, old in known.items():
        for side in ("inputs", "outputs"):
            for part, before in parts(old[side]).items():
                assert parts(now[name][side])[part][: len(before)] == before, f"{name}: {side} changed"


def test_what_replaces_a_former_node_exists_with_its_inputs(schemas):
    from micromotion.nodes import replaced

    for former in replaced.FORMER:
        new = schemas[f"Micromotion{former.new}"]
        assert f"Micromotion{former.id}" not in schemas
        puts = {name: put for name, put in every(new.inputs)}
        for told in replaced.mapping(former):
            name = told["new_id"]
            assert name in puts or f"{name.partition('.')[0]}.*" in puts, f"{former.id}: {name}"
            if "set_value" in told:
                assert told["set_value"] in puts[name].inner
        assert set(former.widgets) <= {told.get("old_id") for told in replaced.mapping(former)}


def test_every_node_has_its_help_page(schemas):
    for name, schema in schemas.items():
        page = (ROOT / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {schema.display_name}\n"), name
        missing = [put.id for put in (*shown(schema.inputs), *schema.outputs) if f"`{put.display_name or put.id}`" not in page]
        assert not missing, f"{name}: {missing}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_name_and_tooltip_is_translated(schemas, language):
    texts = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert set(texts) == set(schemas)
    for name, schema in schemas.items():
        entry = texts[name]
        assert entry["display_name"] and entry["description"], name
        assert set(entry.get("inputs", {})) == {key for key, _ in spoken(schema.inputs)}, name
        assert set(entry.get("outputs", {})) == {str(i) for i in range(len(schema.outputs))}, name
        assert all(text["name"] and text["tooltip"] for side in ("inputs", "outputs") for text in entry.get(side, {}).values()), name
        puts = spoken(schema.inputs) + [(put.id, put) for put in schema.outputs]
        texts_of = dict(entry["inputs"]) | {put.id: entry["outputs"][str(i)] for i, put in enumerate(schema.outputs)}
        if language == "en":
            assert [put.display_name for put in schema.outputs] == [texts_of[put.id]["name"] for put in schema.outputs], name
            assert [key for key, put in puts if texts_of[key] != {"name": put.display_name or put.id, "tooltip": put.tooltip}] == [], name
        else:
            sentences = [entry["description"], *(text["tooltip"] for text in texts_of.values())]
            assert all(any(ord(letter) > 0x3000 for letter in sentence) for sentence in sentences), f"{name} is not translated"
            ranges = [(key, spoken_range(put)) for key, put in puts if put.io_type in ("INT", "FLOAT") and "min" in put.keywords]
            assert [key for key, told in ranges if told not in texts_of[key]["tooltip"]] == [], name


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_every_tip_of_a_help_page_is_translated(schemas, language):
    tips = json.loads((ROOT / "locales" / language / "help.json").read_text(encoding="utf-8"))
    for name in schemas:
        english = (ROOT / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8").rpartition("## Good to know")[2]
        page = (ROOT / "web" / "docs" / name / f"{language}.md").read_text(encoding="utf-8")
        assert len(tips[name]) == english.count("\n- ") > 0, name
        assert all(f"- {tip}\n" in page and any(ord(letter) > 0x3000 for letter in tip) for tip in tips[name]), name


WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_app_mode_names_widgets_and_results_that_exist(path):
    """``extra.linearData``: the widgets that App Mode shows as a form, and the nodes whose results it shows."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in workflow["nodes"] if node.get("mode", 0) == 0}
    form = workflow["extra"]["linearData"]
    widgets = {number: {put["name"] for put in node["inputs"] if "widget" in put and put["link"] is None} for number, node in nodes.items()}
    named = [(*identity.split(":"), name) for identity, name in form["inputs"]]
    assert named and {graph for graph, *_ in named} == {workflow["id"]}
    assert not [one for one in named if one[3] not in widgets.get(int(one[1]), ()) or unquote(one[2]) != one[3]]
    assert form["outputs"] and {nodes[number]["type"] for number in form["outputs"]} <= {
        "SaveVideo",
        "SaveImage",
        "PreviewImage",
        "MicromotionFetchModel",
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_teaches_and_says_where_its_parts_come_from(path, schemas):
    workflow = json.loads(path.read_text(encoding="utf-8"))
    inside = workflow["definitions"]["subgraphs"]
    nodes = [*workflow["nodes"], *(node for subgraph in inside for node in subgraph["nodes"])]
    notes = [node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote"]
    assert any(note.startswith("## ") and len(note) > 120 for note in notes)
    ours = [node for node in nodes if node["type"] in schemas or node["type"] in {subgraph["id"] for subgraph in inside}]
    assert ours and all(node["properties"]["cnr_id"] == "micromotion" for node in ours)
    models = [node for node in nodes if node["type"] in ("CheckpointLoaderSimple", "UNETLoader", "CLIPLoader", "VAELoader")]
    sources = [(node["widgets_values"][0], node["properties"]["models"][0]) for node in models]
    assert all(subgraph["extra"]["BlueprintDescription"] and subgraph["extra"]["BlueprintSearchAliases"] for subgraph in inside)
    assert all(name == source["name"] and source["url"].startswith("https://") and source["directory"] for name, source in sources)


def moving(path: Path) -> np.ndarray:
    """Frames ``[F, 16, 16, 3]`` of a thumbnail."""
    from PIL import Image, ImageSequence

    with Image.open(path) as picture:
        assert picture.format == "WEBP" and min(picture.size) >= 240, path.stem
        frames = [frame.convert("RGB").resize((16, 16)) for frame in ImageSequence.Iterator(picture)]
    return np.stack([np.asarray(frame, dtype=float) for frame in frames])


def test_every_thumbnail_moves_and_shows_a_face_of_its_own():
    clips = {path.stem: moving(path.with_suffix(".jpg")) for path in WORKFLOWS}
    assert {name: len(clip) for name, clip in clips.items() if len(clip) < 4} == {}
    assert {name for name, clip in clips.items() if np.abs(clip - clip[0]).max() < 15} == set(), "stands still"
    firsts = {name: clip[0] for name, clip in clips.items()}
    alike = [(a, b) for a in firsts for b in firsts if a < b and np.abs(firsts[a] - firsts[b]).mean() < 5]
    assert alike == []


def test_every_help_page_shows_its_node(schemas):
    for name in schemas:
        page = (ROOT / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert f"](pictures/{name}.jpg)" in page, name
        assert (ROOT / "web" / "docs" / "pictures" / f"{name}.jpg").stat().st_size > 5000, name
