"""Files damaged by chance: every reader reads them or says why not, and the process does nothing else.

They are read in a process of its own, because what decodes pictures, films and landmarks is not Python.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EACH = 2000
READERS = ("generator", "values", "inverter", "identity", "tuning", "subspace", "direction", "motion", "codes", "described", "scorer")
READERS += ("picture", "clip", "landmarks", "pairs")
RUN = (
    "import sys; sys.path.insert(0, sys.argv[1]); import watch; watch.import_pack(sys.argv[2]);"
    "from micromotion.lab import fuzz; sys.exit(fuzz.main(sys.argv[3:]))"
)


def run(*arguments):
    command = [sys.executable, "-c", RUN, str(HERE), str(HERE.parents[1]), "--json", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.timeout(1000)
def test_no_damaged_file_gets_past_a_border():
    pytest.importorskip("dlib")
    pytest.importorskip("open_clip")
    done = run("--each", EACH)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert tuple(f["reader"] for f in found) == READERS
    assert all(sum(f["ends"].values()) == EACH and not f["wrong"] for f in found)
    assert all(0 < f["ends"]["read"] < EACH for f in found), "some damage harms nothing, most does"


def test_the_fuzz_sees_what_it_looks_for(tmp_path):
    """A reader that lets a foreign error out, and one that writes: both are told."""
    from micromotion.lab import fuzz

    sound = tmp_path / "sound.txt"
    sound.write_bytes(b"12345678" * 40)

    def fragile(path):
        if path.read_bytes() != sound.read_bytes():
            raise KeyError("x")

    def writing(path):
        if path != sound:
            (tmp_path / "trace").write_text("x")

    for read, said in ((fragile, "KeyError"), (writing, "open")):
        watch = fuzz.Watch()
        tally = fuzz.damage_and_read(fuzz.Reader("r", read, (sound,)), 20, 0, watch, tmp_path, tmp_path / "kept")
        assert len(tally.wrong) >= 18 and said in tally.wrong[0]
        assert len(list((tmp_path / "kept").iterdir())) >= 18


def test_the_table_counts_every_file():
    from micromotion.lab import fuzz

    tally = fuzz.Tally(fuzz.Counter(read=2, DamagedFileError=5, KeyError=1), ["KeyError"], 0.5)
    head, _, row, together = fuzz.table([("codes", 8, tally)]).splitlines()
    assert row == "| codes | 8 | 2 | 5 | 1 | 0.50 |" and together == "| together | 8 | 2 | 5 | 1 |  |"
    assert head.count("|") == row.count("|")


def test_the_same_seed_damages_alike():
    from micromotion.lab import fuzz

    content = bytes(range(256)) * 20
    first, again, other = (fuzz.damaged(content, random.Random(f"a {n}")) for n in (0, 0, 1))
    assert first == again != other and first != content
