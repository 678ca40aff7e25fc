"""The same job over Ray: equal bytes, whatever the number of workers, and after one of them was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from micromotion import __main__ as command_line
from micromotion import stylegan2
from micromotion.files.embedded import embedded_root
from micromotion.media import to_bytes
from micromotion.pairs import PairsError, make
from micromotion.pairs.cluster import PATIENCE, STARTS, connected, spread
from micromotion.subspaces import Subspace
from micromotion.subspaces.anchors import draw_faces
from PIL import Image

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import micromotion.pairs"], cwd=Path(sys.prefix), capture_output=True).returncode != 0,
    reason="Ray's workers import micromotion by name: install the pack (bootstrap.py does)",
)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    connected("local")
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def many_threads():
    """The threads of this process must not matter; Ray gives its workers one each."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_workers_make_the_same_bytes(job, digest, tmp_path):
    make(job("webdataset"), ray="local", workers=2)
    make(job("webdataset", out=tmp_path / "alone"))
    assert digest(tmp_path / "set") == digest(tmp_path / "alone")


def test_a_killed_worker_loses_nothing_and_doubles_nothing(job, digest, tmp_path):
    faces = {"keys": tuple(map(str, range(16))), "shard": 1}
    killed = []

    def kill_one(done, total):
        if done == 3 and not killed:
            killed.append(_kill_a_worker())

    make(job("webdataset", **faces), ray="local", workers=2, progress=kill_one)
    assert killed
    make(job("webdataset", out=tmp_path / "alone", **faces))
    assert digest(tmp_path / "set") == digest(tmp_path / "alone")


def _kill_a_worker() -> int:
    for _ in range(50):
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            if name.startswith("ray::") and "MapWorker" in name:
                os.kill(int(folder.name), signal.SIGKILL)
                return int(folder.name)
        time.sleep(0.1)
    pytest.fail("no worker was found to kill")


def test_an_address_that_does_not_answer(job, tmp_path):
    ray.shutdown()
    with pytest.raises(PairsError, match="No Ray cluster answers at 127.0.0.1:9"):
        make(job(), ray="127.0.0.1:9")
    assert not (tmp_path / "set").exists()
    connected("local")


def test_a_machine_too_busy_for_ray_is_told_in_a_sentence(monkeypatch):
    tries = []

    def busy(**_):
        tries.append(1)
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", busy)
    with pytest.raises(PairsError, match="cannot be started on this machine .*timed out.*one process makes the same"):
        connected("local")
    assert len(tries) == STARTS


@pytest.mark.parametrize("patient", [True, False])
def test_one_item_may_take_as_long_as_it_takes(patient, monkeypatch):
    class Slow:
        def __call__(self, item):
            time.sleep(8)
            return item

    context = ray.data.DataContext.get_current()
    if not hasattr(context, PATIENCE):
        pytest.skip("this Ray waits for ever")
    monkeypatch.setattr(context, PATIENCE, 2)
    if patient:
        assert [row["n"] for row in spread(Slow, (), [{"n": 7}], ray="local", workers=1)] == [7]
        return
    monkeypatch.setattr("micromotion.pairs.cluster.connected", lambda address: ray)
    with pytest.raises(PairsError, match="The cluster could not finish the work"):
        list(spread(Slow, (), [{"n": 7}], ray="local", workers=1))


def test_whoever_stops_early_stops_the_cluster_and_can_go_on(job, digest, tmp_path):
    class StopError(Exception):
        pass

    def stop(done, total):
        raise StopError

    faces = {"keys": tuple(map(str, range(12))), "shard": 1}
    with pytest.raises(StopError):
        make(job("webdataset", **faces), ray="local", workers=1, progress=stop)
    made = len(list((tmp_path / "set" / ".shards").iterdir()))
    time.sleep(2)
    assert made < 12 and len(list((tmp_path / "set" / ".shards").iterdir())) <= made + 2, "the worker goes on"
    make(job("webdataset", **faces), ray="local", workers=2)
    make(job("webdataset", out=tmp_path / "alone", **faces))
    assert digest(tmp_path / "set") == digest(tmp_path / "alone")


def test_many_clips_are_fitted_over_workers_to_the_same_motion(tmp_path):
    frames, room = torch.linspace(-0.5, 1, 6), tmp_path / "clips"
    room.mkdir()
    generator = stylegan2.load(embedded_root() / "generator.safetensors").eval().requires_grad_(False)
    turn = Subspace.load(embedded_root() / "motions" / "turn.safetensors")
    for seed in (1, 2, 3):
        images = [Image.fromarray(p) for p in to_bytes(generator.synthesize(turn.apply(draw_faces(generator, [seed]), frames)))]
        images[0].save(room / f"{seed}.gif", save_all=True, append_images=images[1:], duration=100)
    torch.set_num_threads(1)
    command = ["--anyway", "--device", "cpu"]
    assert command_line.main(["fit", str(room), str(tmp_path / "one.safetensors"), *command]) == 0
    assert command_line.main(["fit", str(room), str(tmp_path / "two.safetensors"), *command, "--ray", "--workers", "2"]) == 0
    one, two = (Subspace.load(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert one.parameters["groups"] == two.parameters["groups"] == 3 and torch.equal(one.basis, two.basis)
