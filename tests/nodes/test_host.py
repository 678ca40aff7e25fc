"""The border: folders and combos, managed weights, progress and interrupt, image layout."""

from __future__ import annotations

import os

import pytest
import torch
from micromotion.files.timing import Announcement
from torch import nn


def test_embedded_entries_come_first_and_files_follow(pack):
    assert pack.host.choices("generator")[0] == "avatar (embedded)"
    assert pack.host.choices("motion")[:5] == [f"{name} (embedded)" for name in ("smile", "eyes", "anger", "turn", "age")]
    folder = pack.base / "models" / "stylegan2_inverters" / "sub"
    folder.mkdir(parents=True)
    (folder / "mine.pt").touch()
    (folder / "notes.txt").touch()
    assert pack.host.choices("inverter") == ["avatar (embedded)", os.path.join("sub", "mine.pt")]


def test_doctor_looks_into_every_folder_that_the_nodes_read(pack):
    from micromotion.files import environment

    assert {folder.name for folder in pack.host.FOLDERS.values()} < set(environment.FOLDERS)


def test_a_missing_file_is_named_with_folder_source_and_license(pack):
    answer = pack.nodes["LoadGenerator"].validate_inputs(file="gone.pkl")
    assert all(part in answer for part in ("'gone.pkl'", "models/stylegan2", "https://", "NVIDIA Source Code License"))
    empty = pack.nodes["LoadIdentity"].validate_inputs(file=pack.host.choices("identity")[0])
    assert empty.startswith("models/stylegan2_identity holds no identity file yet; put one there and press R.") and "https://" in empty
    with pytest.raises(pack.host.HostError, match="models/micromotion"):
        pack.host.resolve("motion", "gone.safetensors")
    assert pack.nodes["LoadGenerator"].validate_inputs(file="avatar (embedded)") is True


def test_a_missing_embedded_file_is_the_installations_fault(pack, monkeypatch, tmp_path):
    monkeypatch.setenv("MICROMOTION_WEIGHTS", str(tmp_path))
    assert "install the pack again" in pack.nodes["LoadScorer"].validate_inputs(file="avatar (embedded)")


@pytest.mark.parametrize("choice", ["../../secret.safetensors", "smile", " (embedded)", "../x (embedded)"])
def test_a_name_from_a_workflow_reaches_nothing_else(pack, choice):
    (pack.base / "secret.safetensors").touch()
    assert pack.host.find("motion", choice) is None


def test_a_changed_file_changes_the_fingerprint(pack):
    folder = pack.base / "models" / "micromotion"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "a.safetensors"
    path.write_bytes(b"one")
    node = pack.nodes["LoadSubspace"]
    first = node.fingerprint_inputs(file="a.safetensors")
    assert node.fingerprint_inputs(file="a.safetensors") == first
    path.write_bytes(b"other")
    assert node.fingerprint_inputs(file="a.safetensors") != first
    path.unlink()


def test_weights_are_loaded_by_the_host_before_each_use(pack, run, loaded):
    pack.fake.management.loaded.clear()
    codes = run("SampleFaces", generator=loaded.generator)[0]
    run("Synthesize", generator=loaded.generator, codes=codes)
    patchers, memory = zip(*pack.fake.management.loaded)
    assert all(p == [loaded.generator.patcher] for p in patchers) and memory[-1] > 0


def test_weights_moved_in_inference_mode_can_be_used_for_gradients_again(pack):
    module = nn.BatchNorm1d(3)
    managed = pack.host.manage(module)
    with torch.inference_mode():
        module.weight = nn.Parameter(torch.ones(3), requires_grad=False)
        module.running_mean = torch.zeros(3)
        assert module.weight.is_inference()
        pack.host.ready(managed)
        with pack.host.gradients():
            x = torch.ones(2, 3, requires_grad=True)
            module(x).sum().backward()
    assert x.grad is not None and not module.weight.is_inference() and not module.running_mean.is_inference()


def test_images_cross_the_border_unharmed(pack):
    image = torch.rand(2, 5, 7, 4).half()
    images = pack.host.from_image(image)
    assert images.shape == (2, 3, 5, 7) and images.dtype == torch.float32
    back = pack.host.to_image(images)
    assert back.shape == (2, 5, 7, 3) and torch.allclose(back, image[..., :3].float(), atol=1e-6)
    assert torch.equal(pack.host.to_image(torch.tensor([-3.0, 5.0]).expand(1, 3, 1, 2))[0, 0, :, 0], torch.tensor([0.0, 1.0]))


def test_progress_carries_pictures_and_stops_at_once(pack, run, loaded):
    codes = run("SampleFaces", generator=loaded.generator, count=20)[0]
    run("Synthesize", generator=loaded.generator, codes=codes)
    value, total, preview = pack.fake.progress.seen[-1]
    assert (value, total) == (20, 20) and preview[0] == "JPEG" and preview[1].size == (32, 32)
    pack.fake.progress.seen.clear()
    pack.fake.management.interrupt_after = 3
    with pytest.raises(BaseException) as caught:
        run("Synthesize", generator=loaded.generator, codes=codes)
    assert type(caught.value).__name__ == "Interrupted" and len(pack.fake.progress.seen) == 3


def test_what_a_node_remarked_is_in_its_output_once_and_only_there(pack, monkeypatch):
    running = ["a failed one"]
    monkeypatch.setattr(pack.host, "get_executing_context", lambda: running[0])
    pack.host.remark("of a node that failed")
    running[0] = "this one"
    for text in ("first", "second", "first"):
        pack.host.remark(text)
    assert pack.host.output(1, 2, said="saved").ui == {"text": ["first", "second", "saved"]}
    assert pack.host.output(1).ui is None


def test_what_remarks_keeps_its_text_with_the_cached_result(pack):
    """A node whose ``execute`` ends in ``host.output`` says so to ComfyUI, which sends the text again on a cached run."""
    for name, node in pack.nodes.items():
        schema, speaks = node.define_schema(), "output" in node.execute.__func__.__code__.co_names
        assert not speaks or schema.has_intermediate_output or schema.is_output_node, name


def test_a_saved_file_is_shown_with_its_subfolder(pack, run):
    from micromotion.subspaces import Subspace

    made = pack.nodes["SaveSubspace"].execute(Subspace(torch.ones(1, 8, 32)), "faces/nod")
    assert made.ui == {"text": ["Saved as models/micromotion/faces/nod_00001_.safetensors"]}


def test_examples_are_copied_once_and_never_over_another(pack, monkeypatch, tmp_path):
    examples = pack.extension.examples
    shipped, target = tmp_path / "shipped", tmp_path / "input"
    shipped.mkdir()
    (shipped / "micromotion_a.png").write_bytes(b"ours")
    monkeypatch.setattr(examples, "FOLDER", shipped)
    monkeypatch.setattr(examples.folder_paths, "get_input_directory", lambda: str(target))
    prompt = {
        "prompt": {"1": {"class_type": "LoadImage", "inputs": {"image": "micromotion_a.png", "x": 3}}, "2": {"inputs": {"image": "../b"}}}
    }
    assert examples.before_prompt(prompt) is prompt and (target / "micromotion_a.png").read_bytes() == b"ours"
    (target / "micromotion_a.png").write_bytes(b"the user's")
    assert examples.provide(["micromotion_a.png", "../micromotion_a.png"]) == []
    assert (target / "micromotion_a.png").read_bytes() == b"the user's"


def test_a_file_written_again_with_as_many_bytes_is_another_file(pack, tmp_path, monkeypatch):
    file = tmp_path / "motion.safetensors"
    file.write_bytes(b"12345678")
    monkeypatch.setattr(pack.host, "find", lambda kind, choice: file)
    before = pack.host.file_fingerprint("motion", file.name)
    assert before == pack.host.file_fingerprint("motion", file.name)
    stamp = file.stat()
    file.write_bytes(b"87654321")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1_000_000_000))
    assert pack.host.file_fingerprint("motion", file.name) != before


def test_long_work_is_announced_under_the_node(pack, monkeypatch):
    pack.host.output(1)  # takes along what was said before
    seconds = iter([0.0, 10.0])
    monkeypatch.setattr(pack.host, "Announcement", lambda say, cheaper: Announcement(say, cheaper, lambda: next(seconds)))
    report = pack.host.progress("Fewer steps take less.")
    for done in (1, 2, 3):
        report(done, 62)
    assert pack.host.output(1).ui["text"] == ["This will take about 10 minutes more. Fewer steps take less."]
    pack.host.progress()(1, 1)
    assert pack.host.output(1).ui is None
