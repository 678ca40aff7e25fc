"""Absurd numbers and texts on the command line: one sentence each, before any time or memory is spent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import micromotion
import pytest
import torch
from micromotion import __main__ as command_line
from micromotion import stylegan2, subspaces

ABSURD = (
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e30",
    "-1e30",
    "1" + "0" * 40,
    "-1" + "0" * 40,
    "1" + "0" * 5000,
    "0.5",
    "",
    "many",
    "0x10",
    "\u0663",
)
PARSERS = next(a for a in command_line.build_parser()._actions if a.dest == "command").choices
REQUIRED = {
    "fit": ["a {degree} smile", "out.safetensors"],
    "calibrate": ["smile", "out.safetensors", "--factor", "smile"],
    "combine": ["scale", "smile", "--out", "out.safetensors"],
    "inspect": ["file"],
    "convert": ["in", "out.safetensors"],
    "dataset": ["out", "--motion", "smile"],
}
NUMBERS = [(name, a) for name, p in PARSERS.items() for a in p._actions if a.type is not None and a.type.__name__ == "number"]


@pytest.mark.parametrize(("command", "action"), NUMBERS, ids=[f"{c}{a.option_strings[0]}" for c, a in NUMBERS])
def test_a_number_is_within_its_bounds_or_refused(command, action, capsys):
    for text in ABSURD:
        try:
            given = [f"{action.option_strings[0]}", text, "1"] if action.nargs == 2 else [f"{action.option_strings[0]}={text}"]
            args = command_line.build_parser().parse_args([command, *REQUIRED.get(command, []), *given])
        except SystemExit as end:
            said = capsys.readouterr().err
            assert end.code == 2 and action.option_strings[0] in said and "Traceback" not in said and len(said) < 8000
            continue
        value = getattr(args, action.dest)
        assert all(abs(v) < 1e10 for v in (value if isinstance(value, list) else [value])), text


@pytest.fixture
def place(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = make()
    stylegan2.save(generator, "g.safetensors")
    subspaces.Subspace(torch.ones(generator.num_layers, generator.width)).save("m.safetensors")
    stylegan2.save_codes("c.safetensors", generator.map(torch.randn(3, 20)), names=["a", "b", "c"])
    return ["--generator", "g.safetensors", "--device", "cpu"]


HUGE = "9" * 5000
FILM = ["animate", "--motion", "m.safetensors", "--out", "a.mp4", "--size", "16"]
FIT = ["fit", "a {degree} smile", "n.safetensors"]
RESTRICT = ["combine", "restrict", "m.safetensors", "--out", "n.safetensors"]
SCALE = ["combine", "scale", "m.safetensors", "--out", "n.safetensors"]
GRIDS = ("nan", "inf", "1e999", "0", "1,,2", HUGE, ",".join(["1"] * 5000), ":")
DEVICES = ("", "cuda:99999999999999999999", "cpu:7", "meta", "tpu", "cpu:-1", "mps:x")
TEXTS = [
    *([*FILM, "--keyframes", t] for t in ("0: nan", "0: inf, 3: 1", "1e400: 0", f"{HUGE}: 1", "0: 1e30", ":", "0", "nan: 1", "-5: 0,,")),
    *([*FILM, "--code", "c.safetensors", "--face", t] for t in ("0", "-1", HUGE, "nan", "4", "\u0663", "", " ")),
    *([*FILM, "--class", t] for t in ("0", HUGE, "-1")),
    *([*FILM, "--range", "0", "0", "--frames", "1"], [*FILM, "--frames", "100000", "--size", "4096", "--out", "a.gif"]),
    *([*FIT, f"--degrees={t}"] for t in ("", ",", "nan%", "1e999%", HUGE, "100%, 100%", "-%")),
    *([*FIT, f"--layers={t}"] for t in (f"0-{HUGE}", "0-99999999999", "-1", "3-1", "nan", "", ",")),
    *([*RESTRICT, f"--layers={t}"] for t in (HUGE, "0-9999999999", "1.5", "", "\u0663")),
    *([*SCALE, f"--weight={t}"] for t in ("0", "1e-30", "-0")),
    *(["dataset", "d", "--motion", f"m.safetensors={t}"] for t in GRIDS),
    *(["dataset", "d", "--draws", "3", "--motion", f"m.safetensors={t}"] for t in ("nan:1", "0:inf", "1:1:1", "0:1e30", "a:b")),
    ["dataset", "d", "--motion", "m.safetensors=1", "--faces", "1000000", "--size", "4096", "--codes", "c.safetensors"],
    ["dataset", "d", "--motion", "m.safetensors=1", "--test", "1", "--faces", "1"],
    *(["inspect", t] for t in ("", ".", "no\0such", "a" * 5000, "c.safetensors")),
    *(["convert", t, "n.safetensors"] for t in ("", "m.safetensors:", "m.safetensors:nan", f"c.safetensors:{HUGE}", "no\0such:1")),
    *(["animate", "--device", t] for t in DEVICES),
    *(["animate", "--out", t] for t in ("", ".", "a.mp4/b.mp4", "a\0.mp4", "a" * 5000 + ".mp4", "/proc/nothing/a.mp4", "a.exe")),
]


@pytest.mark.parametrize("arguments", TEXTS, ids=[" ".join(t[-2:])[:60] for t in TEXTS])
def test_a_text_that_makes_no_sense_gets_a_sentence(arguments, place, capsys):
    common = [] if arguments[0] in ("inspect", "convert", "combine") or "--device" in arguments else place
    code = command_line.main([*arguments, *common])
    said = capsys.readouterr().err
    assert code in (0, 2) and "unexpected" not in said and "Traceback" not in said
    assert all(len(line) < 1200 for line in said.splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="needs a bound on a process's memory")
def test_absurd_lengths_take_no_memory():
    """With 1 GB more than torch has: the longest sweep is planned, and what is longer refused before anything is allocated for it."""
    code = """
import resource
from micromotion.files.errors import MicromotionError
from micromotion.subspaces import keyframes, sweep
from micromotion.subspaces.layers import parse_layers

taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 30),) * 2)

assert len(sweep(100_000)) == len(keyframes("0: 0, 99999: 1", 100_000)) == 100_000
for ask in (
    lambda: sweep(10**12),
    lambda: sweep(10, hold_start=10**15),
    lambda: sweep(9, cycles=10**9),
    lambda: keyframes("0: 0", 10**11),
    lambda: parse_layers("0-" + "9" * 400, 18),
    lambda: parse_layers(range(10**13), 18),
):
    try:
        ask()
    except MicromotionError:
        continue
    raise SystemExit("not refused")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, env=_with_the_pack())
    assert run.returncode == 0, run.stderr[-2000:]


def _with_the_pack() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(micromotion.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
