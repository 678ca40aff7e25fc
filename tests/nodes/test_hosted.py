"""In a real ComfyUI: the pack loads, every workflow runs by API on the embedded default, and the video moves."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.comfyui

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
START, TEXT, LONG = WORKFLOWS[0], "05 Make a micromotion from text", "13 Long video in little memory"
DIFFUSION = [name for name in WORKFLOWS if "Stable Diffusion" in name]
PHOTO = "02 Animate the face in your photo"  # needs files that are fetched
EMBEDDED = {"MicromotionLoadGenerator": "avatar", "MicromotionLoadInverter": "avatar", "MicromotionLoadSubspace": "smile"}
FEWER = {"MicromotionSweep": ("frames", 8), "MicromotionTextAnchors": ("steps", 4)}


def prompt_of(server, hosted, name: str, shorter: bool = True) -> dict:
    workflow = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    prompt = hosted.to_prompt(workflow, server.info)
    for node in prompt.values() if shorter else ():
        name, value = FEWER.get(node["class_type"], (None, None))
        if name and node["inputs"][name] > value and not fills(node["inputs"]):
            node["inputs"][name] = value
    return prompt


def fills(inputs: dict) -> bool:
    """Whether a sweep needs its frames: for keyframes that lie far apart, or for many cycles."""
    return any(name.endswith("keyframes") for name in inputs) or any(inputs[n] > 1 for n in inputs if n.endswith("cycles"))


def files(server, entry: dict, suffix: str) -> list[Path]:
    found = [f for out in entry["outputs"].values() for group in out.values() for f in group if isinstance(f, dict) and "filename" in f]
    return [server.base / f["type"] / f["subfolder"] / f["filename"] for f in found if f["filename"].endswith(suffix)]


def frames(path: Path) -> np.ndarray:
    import av

    with av.open(str(path)) as clip:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]).astype(float)


def test_the_pack_loads_without_a_warning(server):
    start, told, _ = server.log.partition("To see the GUI go to")  # what follows is what other tests asked for
    ours = [line for line in start.splitlines() if "micromotion" in line.lower()]
    assert told
    assert any("seconds: " in line and "IMPORT FAILED" not in line for line in ours)
    assert not [line for line in ours if any(word in line for word in ("WARN", "ERROR", "Traceback", "FAILED"))]
    assert len([name for name in server.info if name.startswith("Micromotion")]) >= 25


def test_the_page_finds_templates_help_translations_and_blueprints(server):
    assert set(server.get("/workflow_templates")["micromotion"]) == set(WORKFLOWS)
    for name in WORKFLOWS:
        with urllib.request.urlopen(f"{server.url}/api/workflow_templates/micromotion/{urllib.parse.quote(name)}.json") as answer:
            assert answer.status == 200
    with urllib.request.urlopen(f"{server.url}/extensions/micromotion/docs/MicromotionSweep.md") as answer:
        assert answer.read().decode().startswith("# Make Sweep")
    assert server.get("/i18n")["zh"]["nodeDefs"]["MicromotionSweep"]["display_name"]
    assert any(entry["name"] == "Animate Face" for entry in server.get("/global_subgraphs").values())


@pytest.mark.parametrize("name", [n for n in WORKFLOWS if n not in (*DIFFUSION, PHOTO) and "Fetch" not in n])
def test_a_workflow_runs_and_what_it_makes_moves(server, hosted, name):
    entry = server.run(prompt_of(server, hosted, name))
    moves(files(server, entry, ".mp4"), files(server, entry, ".png"))


def moves(videos: list[Path], pictures: list[Path]) -> None:
    assert videos or pictures
    assert all(path.stat().st_size > 500 for path in (*videos, *pictures))
    for path in videos:
        clip = frames(path)
        assert len(clip) >= 8 and abs(clip - clip[0]).mean((1, 2, 3)).max() > 0.05, "the video stands still"


def test_the_photo_workflow_names_its_files_and_takes_avatars_without_rewiring(server, hosted):
    prompt = prompt_of(server, hosted, PHOTO)
    with pytest.raises(hosted.RunError) as error:
        server.run(prompt)
    for words in ("stylegan2-ffhq-config-f.pt", "e4e_ffhq_encode.pt", "smile.pt", "models/stylegan2_inverters", "drive.google.com"):
        assert words in str(error.value)
    for node in prompt.values():
        if node["class_type"] in EMBEDDED:
            node["inputs"]["file"] = f"{EMBEDDED[node['class_type']]} (embedded)"
    entry = server.run(prompt)
    moves(files(server, entry, ".mp4"), [])
    assert "The face was cut out" in json.dumps(entry["outputs"])


def test_a_photo_in_the_first_workflow_stops_with_the_remedy(server, hosted, photo):
    from PIL import Image

    Image.fromarray(photo).save(server.base / "input" / "me.png")
    prompt = prompt_of(server, hosted, START)
    next(node for node in prompt.values() if node["class_type"] == "LoadImage")["inputs"]["image"] = "me.png"
    with pytest.raises(hosted.RunError, match="MicromotionInvertFace: .*rendered avatars.*Fetch Model"):
        server.run(prompt)


def test_the_fetching_workflow_shows_the_terms_and_fetches_nothing(server, hosted):
    (name,) = (name for name in WORKFLOWS if "Fetch" in name)
    entry = server.run(prompt_of(server, hosted, name))
    assert "Nothing was fetched" in json.dumps(entry["outputs"])


def test_the_first_frame_is_the_photo(server, hosted):
    from PIL import Image

    video = files(server, server.run(prompt_of(server, hosted, START)), ".mp4")[0]
    photo = np.asarray(Image.open(ROOT / "web" / "examples" / "micromotion_avatar.png").convert("RGB"), dtype=float)
    assert abs(frames(video)[0] - photo).mean() < 2.5


def test_a_second_run_is_answered_from_the_cache_and_a_slider_only_redoes_what_follows(server, hosted):
    prompt = prompt_of(server, hosted, START)
    apply = next(number for number, node in prompt.items() if node["class_type"] == "MicromotionApplySubspace")
    server.run(prompt)
    assert cached(server.run(prompt)) >= set(prompt) - outputs(server, prompt)
    prompt[apply]["inputs"]["coefficient"] = 0.63
    kept = cached(server.run(prompt))
    invert = next(number for number, node in prompt.items() if node["class_type"] == "MicromotionInvertFace")
    assert invert in kept and apply not in kept


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(server, hosted):
    from micromotion.subspaces import Subspace

    shipped, folder = ROOT / "avatars" / "weights" / "motions", server.base / "models" / "micromotion"
    folder.mkdir(parents=True, exist_ok=True)
    prompt = prompt_of(server, hosted, START)
    load = next(number for number, node in prompt.items() if node["class_type"] == "MicromotionLoadSubspace")
    prompt[load]["inputs"]["file"] = "changing.safetensors"
    Subspace.load(shipped / "smile.safetensors").save(folder / "changing.safetensors")
    server.run(prompt)
    assert load in cached(server.run(prompt))
    Subspace.load(shipped / "age.safetensors").save(folder / "changing.safetensors")
    assert load not in cached(server.run(prompt))


def cached(entry: dict) -> set[str]:
    return {number for kind, message in entry["status"]["messages"] if kind == "execution_cached" for number in message["nodes"]}


def outputs(server, prompt: dict) -> set[str]:
    return {number for number, node in prompt.items() if server.info[node["class_type"]]["output_node"]}


def test_interrupt_stops_text_anchors_within_seconds(server, hosted):
    prompt = prompt_of(server, hosted, TEXT, shorter=False)
    for node in prompt.values():
        if node["class_type"] == "MicromotionTextAnchors":
            node["inputs"] |= {"steps": 900, "seeds": 5}
    number = server.submit(prompt)
    while "Requested to load" not in server.log or not server.get("/queue")["queue_running"]:
        time.sleep(0.2)
    time.sleep(5)
    server.post("/interrupt", {})
    start = time.monotonic()
    with pytest.raises(hosted.RunError, match="interrupted"):
        server.wait(number, 60)
    assert time.monotonic() - start < 30


def test_a_missing_file_is_named_with_its_folder(server, hosted):
    prompt = prompt_of(server, hosted, START)
    for node in prompt.values():
        if node["class_type"] == "MicromotionLoadGenerator":
            node["inputs"]["file"] = "ffhq.pkl"
    with pytest.raises(hosted.RunError, match="models/stylegan2"):
        server.run(prompt)


def test_a_motion_of_another_generator_is_one_sentence(server, hosted, tiny):
    import torch
    from micromotion.subspaces import Subspace

    folder = server.base / "models" / "micromotion"
    folder.mkdir(parents=True, exist_ok=True)
    Subspace(torch.ones(1, 18, 512), name="big").save(folder / "big.safetensors")
    prompt = prompt_of(server, hosted, START)
    for node in prompt.values():
        if node["class_type"] == "MicromotionLoadSubspace":
            node["inputs"]["file"] = "big.safetensors"
    with pytest.raises(hosted.RunError, match="was made for a 1024 px generator") as error:
        server.run(prompt)
    assert error.value.kind == "micromotion", "the page shows this before the sentence"


@pytest.fixture(scope="module")
def checkpoint(server, hosted):
    """A small random checkpoint under the name that the workflows ask for."""
    folder = server.base / "models" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "v1-5-pruned-emaonly-fp16.safetensors"
    comfyui = hosted.find_comfyui()
    command = [hosted.find_python(comfyui), str(Path(__file__).with_name("tiny_sd.py")), str(path)]
    done = subprocess.run(command, cwd=comfyui, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFUSION)
def test_a_diffusion_workflow_runs_on_a_random_checkpoint(server, hosted, checkpoint, name):
    videos = files(server, server.run(small_diffusion(server, hosted, name)), ".mp4")
    assert videos and len(frames(videos[0])) == 3


def small_diffusion(server, hosted, name: str) -> dict:
    """A diffusion workflow's prompt for three small frames in two steps."""
    prompt = prompt_of(server, hosted, name)
    small = {"KSampler": ("steps", 2), "EmptyLatentImage": ("width", 256), "MicromotionSweep": ("frames", 3)}
    for node in prompt.values():
        if node["class_type"] in small:
            key, value = small[node["class_type"]]
            node["inputs"][key] = value
        if node["class_type"] == "EmptyLatentImage":
            node["inputs"]["height"] = 256
    return prompt


@pytest.mark.gpu
@pytest.mark.skipif("COMFYUI_GPU" not in os.environ, reason="needs a ComfyUI on a GPU: COMFYUI_GPU=1")
@pytest.mark.parametrize("free_gb", [None, 6])
def test_gpu_frames_beside_a_diffusion_model_are_those_made_alone(hosted, tmp_path, free_gb, checkpoint):
    """Also where so little of the card is left that ComfyUI offloads."""
    import torch

    total = torch.cuda.get_device_properties(0).total_memory / 2**30
    arguments = ("--cache-none",) if free_gb is None else ("--cache-none", "--reserve-vram", f"{total - free_gb:.1f}")
    with hosted.Server(tmp_path, arguments=arguments) as running:
        running.info = running.get("/object_info")
        folder = tmp_path / "models" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / checkpoint.name).symlink_to(checkpoint)
        alone = prompt_of(running, hosted, START)
        before = frames(files(running, running.run(alone), ".mp4")[0])
        for name in DIFFUSION:
            made = [frames(files(running, running.run(small_diffusion(running, hosted, name)), ".mp4")[0]) for _ in range(2)]
            assert (made[0] == made[1]).all()
        assert (frames(files(running, running.run(alone), ".mp4")[0]) == before).all()
        assert "cuda" in running.log.lower()


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--fp16-intermediates", "--cache-none"])
def test_comfyui_may_be_told_otherwise(hosted, tmp_path, option):
    with hosted.Server(tmp_path, arguments=(option,)) as running:
        running.info = running.get("/object_info")
        for name in (START, LONG, TEXT):
            clip = frames(files(running, running.run(prompt_of(running, hosted, name)), ".mp4")[0])
            assert abs(clip - clip[0]).mean((1, 2, 3)).max() > 0.05


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of another process from /proc")
def test_fifty_runs_leak_nothing(server, hosted):
    prompt = prompt_of(server, hosted, START)
    apply = next(node for node in prompt.values() if node["class_type"] == "MicromotionApplySubspace")
    sizes = []
    for i in range(50):
        apply["inputs"]["coefficient"] = 0.5 + i / 100
        server.run(prompt)
        sizes.append(server.resident())
    assert max(sizes[40:]) - max(sizes[5:15]) < 50e6
