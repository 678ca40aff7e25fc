"""What is kept on the disk, and what others do to it: names, folders, slashes, emptied folders, a second copy of the pack."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import types

import pytest
import torch
from PIL import ImageFont

NAMES = ["face", "sub/", "sub", "sub/face", ".", "...", "face.safetensors", "x" * 300, "ä" * 200, "a\0b", "\ud800", "con", " ", "a\\b"]


def test_nothing_saved_replaces_anything_whatever_the_name(pack):
    folder = pack.base / "models" / "stylegan2_codes"
    kept = {p: p.read_bytes() for p in folder.rglob("*.safetensors")}
    for i, name in enumerate([*NAMES, *NAMES]):
        said = pack.nodes["SaveFace"].execute(torch.full((1, 6, 8), float(i)), name, "float16").ui["text"][0]
        made = {p: p.read_bytes() for p in folder.rglob("*.safetensors")}
        assert len(made) == len(kept) + 1 and all(made[p] == content for p, content in kept.items())
        new = (set(made) - set(kept)).pop()
        assert said == "Saved as models/stylegan2_codes/" + new.relative_to(folder).as_posix()
        assert not new.name.startswith(".") and new.name.count(".safetensors") == 1
        kept = made


@pytest.mark.parametrize("name", ["../x", "/etc/x", "C:\\x"])
def test_a_name_that_leads_out_is_refused(pack, run, name):
    with pytest.raises(Exception, match="leaves the folder"):
        run("SaveFace", codes=torch.zeros(1, 6, 8), name=name)


@pytest.mark.parametrize(
    ("number", "words"), [(30, "read-only"), (28, "the disk is full"), (13, "may not be written to"), (2, "does not exist")]
)
def test_a_folder_that_refuses_is_told_as_it_is(pack, monkeypatch, number, words):
    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(pack.fake.folders, "get_save_image_path", refuse)
    with pytest.raises(pack.host.HostError, match=words):
        pack.host.save_path("codes", "face")
    with pytest.raises(pack.host.HostError, match=words):
        pack.host.temporary_video()


def test_both_slashes_lead_into_subfolders(pack):
    folder = pack.base / "models" / "stylegan2_inverters" / "both"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.pt").touch()
    for choice in ("both/mine.pt", "both\\mine.pt"):
        assert pack.host.find("inverter", choice) == folder / "mine.pt"
        assert pack.host.check_file("inverter", choice) is True
    shutil.rmtree(folder)
    assert pack.host.find("inverter", "..\\..\\secret.pt") is None and pack.host.find("inverter", "a\0b") is None


def test_a_subfolder_that_leads_to_another_disk_keeps_its_name(pack, monkeypatch, tmp_path):
    """Some versions of ComfyUI save there, others refuse; ours are said under the name that the user gave."""
    link = pack.base / "models" / "stylegan2_codes" / "elsewhere"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.setattr(
        pack.fake.folders, "get_save_image_path", lambda name, root, *_: (os.path.join(root, os.path.dirname(name)), "me", 1, "", name)
    )
    path = pack.host.save_path("codes", "elsewhere/me")
    assert pack.host.shown("codes", path) == "Saved as models/stylegan2_codes/elsewhere/me_00001_.safetensors"
    assert pack.host.tuning_of(path) == pack.base / "models" / "stylegan2_tunings" / "elsewhere" / "me_00001_.safetensors"
    link.unlink()


def test_landmarks_are_looked_for_where_the_user_said(pack, monkeypatch):
    monkeypatch.setitem(pack.fake.folders.folder_names_and_paths, "dlib", (["/elsewhere/dlib"], set()))
    assert pack.host.landmark_folders() == [str(pack.base / "models" / "dlib"), "/elsewhere/dlib"]


def test_a_video_is_made_again_once_the_temp_folder_was_emptied(pack, run, loaded):
    codes = run("SampleFaces", generator=loaded.generator)[0]
    motion = run("LoadSubspace", file="smile (embedded)")[0]
    inputs = {"generator": loaded.generator, "codes": codes, "motion": motion, "sweep": torch.linspace(0, 1, 3)}
    run("SweepToVideo", **inputs)
    node, before = pack.nodes["SweepToVideo"], pack.nodes["SweepToVideo"].fingerprint_inputs(fps=24)
    assert node.fingerprint_inputs(fps=24) == before, "a cached result stays one"
    for path in (pack.base / "temp").glob("*.mp4"):
        path.unlink()
    assert node.fingerprint_inputs(fps=24) != before


def test_an_optional_file_is_never_fatal(pack, monkeypatch, caplog):
    (pack.base / "flat").write_bytes(b"")
    monkeypatch.setattr(pack.fake.folders, "get_temp_directory", lambda: str(pack.base / "flat" / "temp"))
    with caplog.at_level(logging.WARNING):
        assert pack.host.resume_path("text_anchors") is None
    assert "a canceled run will begin again" in caplog.text


class Routes(list):
    def post(self, path):
        return lambda handler: self.append(types.SimpleNamespace(path=path, handler=handler)) or handler

    get = post


@pytest.fixture
def server(pack, monkeypatch):
    module = types.ModuleType("server")
    made = types.SimpleNamespace(routes=Routes(), add_on_prompt_handler=lambda handler: None)
    module.PromptServer = types.SimpleNamespace(instance=made)
    module.web = types.SimpleNamespace(json_response=lambda data, status=200: (status, data))
    monkeypatch.setitem(__import__("sys").modules, "server", module)
    return made


def extension(pack):
    return importlib.import_module(pack.host.__name__.rpartition(".")[0] + ".extension")


def test_a_second_copy_names_both_folders_and_stays_out(pack, server, caplog, awaited):
    module = extension(pack)

    async def load():
        made = module.Micromotion()
        await made.on_load()
        return await made.get_node_list()

    assert len(awaited(load())) > 20
    with caplog.at_level(logging.ERROR):
        assert awaited(load()) == []
    assert len(server.routes) == 3 and "installed twice" in caplog.text and "Remove one" in caplog.text


def test_the_route_of_the_examples_answers_nonsense(pack, server, monkeypatch, caplog, awaited):
    examples = importlib.import_module(extension(pack).__name__.replace("extension", "examples"))
    examples.register(server)
    handler = server.routes[0].handler

    def ask(body):
        async def json():
            if isinstance(body, Exception):
                raise body
            return body

        return awaited(handler(types.SimpleNamespace(json=json)))

    assert ask(ValueError("not JSON"))[0] == 400 and ask({"a": 1})[0] == 400 and ask(5)[0] == 400
    assert ask([1, None, "nothing.png"]) == (200, [])
    name = next(path.name for path in examples.FOLDER.iterdir() if path.suffix == ".png")
    (pack.base / "flat").write_bytes(b"")
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(pack.fake.folders, "get_input_directory", lambda: str(pack.base / "flat" / "input"))
        assert ask([name]) == (200, []) and "are not put into" in caplog.text
    for prompt in ({}, {"prompt": None}, {"prompt": {"1": 5, "2": {"inputs": None}}}, None):
        assert examples.before_prompt(prompt) == prompt
    assert ask([name]) == (200, [name]) and ask([name]) == (200, [])


def test_an_old_pillow_costs_no_plot(pack, monkeypatch):
    plain = ImageFont.load_default

    def old(*size):
        if size:
            raise TypeError("load_default() takes 0 positional arguments but 1 was given")
        return plain()

    monkeypatch.setattr(ImageFont, "load_default", old)
    plots = importlib.import_module(pack.host.__name__.rpartition(".")[0] + ".plots")
    assert plots.plot({"a": [0, 1]}, [0, 1], "title", "x").size == (720, 420)
    assert plots.bars([1, 2, 3], "title", "x").size == (720, 420)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((2, 8, 8, 2), "has shape"), ((0, 8, 8, 3), "at least one frame"), ((1, 0, 8, 3), "at least one frame"), ((8, 8, 3), "has shape")],
)
def test_images_of_no_kind_are_named(pack, shape, words):
    with pytest.raises(pack.host.HostError, match=words):
        pack.host.from_image(torch.zeros(shape))


def test_gray_is_taken_and_bytes_are_named_in_every_node(pack, run, loaded):
    gray = torch.rand(1, 64, 64, 1)
    assert torch.equal(pack.host.from_image(gray), pack.host.from_image(gray.expand(-1, -1, -1, 3)))
    run("InvertFace", generator=loaded.generator, inverter=loaded.inverter, image=gray)
    for node, extra in {
        "InvertFace": {"generator": loaded.generator, "inverter": loaded.inverter},
        "RefineFace": {"generator": loaded.generator, "codes": torch.zeros(1, 1, 1)},
        "AlignFace": {"path": "by hand"},
    }.items():
        with pytest.raises(pack.host.HostError, match="values up to 255; an IMAGE is 0..1"):
            run(node, image=torch.full((1, 64, 64, 3), 255.0), **extra)


def test_align_face_looks_for_cuts_once(pack, run, monkeypatch):
    faces = importlib.import_module(pack.host.__name__.rpartition(".")[0] + ".faces")
    detection = importlib.import_module(faces.detect.__module__)
    clips = importlib.import_module(faces.align_clip.__module__)
    looks = []

    def look(frames, **_):
        looks.append(len(frames))
        return (2,)

    for module in (faces, detection, clips):
        monkeypatch.setattr(module, "find_cuts", look)
    given = []
    monkeypatch.setattr(faces, "detect", lambda image, **options: given.append(options["cuts"]) or [[]] * len(image))
    with pytest.raises(Exception, match="face"):
        run("AlignFace", image=torch.rand(4, 40, 60, 3))
    assert looks == [4] and given == [(2,)]
