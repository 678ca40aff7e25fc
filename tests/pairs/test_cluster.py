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
from micromotion.pairs import PairsError, make
from micromotion.pairs.cluster import connected

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


def test_an_address_that_does_not_answer():
    ray.shutdown()
    with pytest.raises(PairsError, match="No Ray cluster answers at 127.0.0.1:9"):
        connected("127.0.0.1:9")
    connected("local")
