"""What nodes say of themselves, search words included, comes from ``locales/en/nodeDefs.json``, as translations do from theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from comfy_api.v0_0_2 import io

ENGLISH = Path(__file__).resolve().parent.parent / "locales" / "en" / "nodeDefs.json"


def schema(node_id: str, category: str, *, inputs: Sequence, outputs: Sequence, **rest) -> io.Schema:
    """The schema of a node with its English texts filled in. Raises KeyError where ``locales/en/nodeDefs.json`` lacks one."""
    texts = _english()[node_id]
    for key, put in every(inputs):
        _say(put, texts["inputs"][key])
        if isinstance(put, io.Autogrow.Input):
            put.template.input.tooltip = put.tooltip
    for place, put in enumerate(outputs):
        _say(put, texts["outputs"][str(place)])
        put.display_name = texts["outputs"][str(place)]["name"]  # ComfyUI shows the type where an output has none
    named = {"node_id": node_id} | {key: texts[key] for key in ("display_name", "description", "search_aliases")}
    return io.Schema(**named, category=category, inputs=list(inputs), outputs=list(outputs), **rest)


def every(inputs: Sequence, prefix: str = "") -> Iterator[tuple[str, io.Input]]:
    """Inputs under the keys of their texts; those of a dynamic combo's options come after it, under its name and theirs."""
    for put in inputs:
        yield f"{prefix}{put.id}", put
        for option in put.options if isinstance(put, io.DynamicCombo.Input) else ():
            yield from every(option.inputs, f"{put.id}_")


def _say(put: io.Input | io.Output, text: dict[str, str]) -> None:
    put.tooltip = text["tooltip"]
    put.display_name = None if text["name"] == put.id else text["name"]


@cache
def _english() -> dict:
    return json.loads(ENGLISH.read_text(encoding="utf-8"))
