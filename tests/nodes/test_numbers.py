"""Numbers are bounded in one place for both doors: `files.limits`, through `sockets.number` here and ``within`` on the command line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from micromotion import __main__ as command_line
from micromotion.files import limits

ROOT = Path(__file__).resolve().parents[2]
# The same number in both doors: input of a node, command, option, and the value below its bounds that means "not given" in the node.
SAME = [
    ("SampleFaces", "seed", "animate", "--seed", None),
    ("SampleFaces", "truncation", "animate", "--truncation", None),
    ("SampleFaces", "count", "fit", "--faces", None),
    ("InvertFace", "steps", "animate", "--invert-steps", 0),
    ("TextAnchors", "seeds", "fit", "--faces", None),
    ("TextAnchors", "first_seed", "fit", "--seed", None),
    ("TextAnchors", "steps", "fit", "--steps", None),
    ("TextAnchors", "views", "fit", "--views", -1),
    ("TextAnchors", "truncation", "dataset", "--truncation", None),
    ("VideoAnchors", "positive", "fit", "--positive", -1),
    ("FitSubspace", "rank", "fit", "--rank", None),
    ("FitSubspace", "sparsity", "fit", "--sparsity", 0),
    ("Calibrate", "instrument.faces", "calibrate", "--faces", None),
    ("Calibrate", "instrument.reach", "calibrate", "--reach", None),
    ("Calibrate", "change", "calibrate", "--change", 0),
    ("Calibrate", "component", "calibrate", "--component", None),
    ("Combine", "weight", "combine", "--weight", None),
    ("Combine", "factor", "combine", "--weight", None),
    ("Sweep", "frames", "animate", "--frames", None),
    ("Sweep", "shape.end", "animate", "--range", None),
    ("SweepToVideo", "coefficient", "animate", "--range", None),
    ("SweepToVideo", "fps", "animate", "--fps", None),
    ("ReadCoefficients", "smooth", "animate", "--smooth", None),
    ("Synthesize", "size", "animate", "--size", 0),
    ("AlignFace", "size", "dataset", "--size", None),
]


def numbers(node) -> dict:
    """The number inputs of a node, those of options under the option's name too."""
    found = {}
    for put in node.define_schema().inputs:
        for name, one in [(put.id, put), *((f"{put.id}.{i.id}", i) for inner in getattr(put, "inner", {}).values() for i in inner)]:
            if one.io_type in ("INT", "FLOAT"):
                found[name] = one.keywords
    return found


def option(command: str, name: str):
    """The bounds of an option of the command line."""
    parsers = next(a for a in command_line.build_parser()._actions if a.dest == "command").choices
    action = next(a for a in parsers[command]._actions if name in a.option_strings)
    return dict(zip(action.type.__code__.co_freevars, (cell.cell_contents for cell in action.type.__closure__)))["limit"]


@pytest.mark.parametrize(("node", "name", "command", "flag", "unset"), SAME)
def test_both_doors_have_one_bound(pack, node, name, command, flag, unset):
    put, limit = numbers(pack.nodes[node])[name], option(command, flag)
    assert (put["min"], put["max"]) == (limit.low if unset is None else unset, limit.high)
    assert unset is None or unset < limit.low


def test_every_number_of_a_node_has_its_bounds_from_one_place():
    """No node writes an io.Int or io.Float input by itself; sliders travel less far, and what is typed beyond is checked by a limit."""
    for file in (ROOT / "nodes").glob("*.py"):
        calls = [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        written = [n for n in calls if ast.unparse(n.func) in ("io.Int.Input", "io.Float.Input")]
        assert len(written) == (file.name == "sliders.py"), file.name


def test_every_number_of_the_command_line_has_a_bound():
    for name, parser in next(a for a in command_line.build_parser()._actions if a.dest == "command").choices.items():
        for action in parser._actions:
            if action.type in (int, float):
                pytest.fail(f"{name} {action.option_strings} takes any number")
    assert {limit.low <= limit.high for limit in vars(limits).values() if isinstance(limit, limits.Limit)} == {True}
