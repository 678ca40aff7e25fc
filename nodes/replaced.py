"""Nodes of former versions and what stands for each today: the page offers the exchange when a workflow still names one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from comfy_api.v0_0_2 import ComfyAPI, io


@dataclass(frozen=True)
class Former:
    """A node that is gone, ids without ``Micromotion``: its ``widgets`` in order, and what the ``new`` one takes.

    Inputs that keep their name are in ``same``, others in ``inputs`` by their new name; ``values`` are set.
    """

    id: str
    new: str
    widgets: tuple[str, ...]
    same: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


TRACK = {f"instrument.{name}": name for name in ("sweep", "landmarks", "blendshapes", "images")}
FORMER = (
    Former("LoadCodes", "LoadFace", ("file",), ("file", "generator")),
    Former("SaveCodes", "SaveFace", ("name",), ("codes", "name")),
    Former("Scale", "Combine", ("factor", "layers", "name"), ("factor", "layers", "name"), {"motions.motion_1": "motion"}),
    Former(
        "CalibrateTrack",
        "Calibrate",
        ("blendshapes", "change", "component"),
        ("motion", "change", "identity", "component"),
        TRACK,
        {"instrument": "blendshapes"},
    ),
    Former(
        "SweepFromCurve",
        "Sweep",
        ("curve", "frames", "low", "high"),
        ("frames",),
        {f"shape.{name}": name for name in ("curve", "low", "high")},
        {"shape": "curve"},
    ),
    Former(
        "SweepFromKeyframes",
        "Sweep",
        ("keyframes", "frames", "easing", "loop"),
        ("frames",),
        {f"shape.{name}": name for name in ("keyframes", "easing", "loop")},
        {"shape": "keyframes"},
    ),
)


def mapping(former: Former) -> Iterator[dict]:
    """The inputs of the new node as ComfyUI takes them; what is set comes first, as it opens the inputs below it."""
    yield from ({"new_id": new, "set_value": value} for new, value in former.values.items())
    yield from ({"new_id": new, "old_id": old} for new, old in (*zip(former.same, former.same), *former.inputs.items()))


async def register() -> None:
    """Tell ComfyUI what to offer in the place of nodes that are gone."""
    for one in FORMER:
        names = {"new_node_id": f"Micromotion{one.new}", "old_node_id": f"Micromotion{one.id}"}
        puts = {"old_widget_ids": list(one.widgets), "input_mapping": list(mapping(one)), "output_mapping": [{"new_idx": 0, "old_idx": 0}]}
        await ComfyAPI().node_replacement.register(io.NodeReplace(**names, **puts))
