"""Example pictures of the templates, copied into ComfyUI's input folder when a workflow names them and they are not there.

Load Image and Load Video read that folder only. Nothing is copied before a workflow is opened or run, and nothing is overwritten.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import folder_paths

FOLDER = Path(__file__).resolve().parent.parent / "web" / "examples"


def provide(names: Iterable[str]) -> list[str]:
    """Copy those of ``names`` that are examples of this pack and missing from the input folder; returns the names copied."""
    target = Path(folder_paths.get_input_directory())
    shipped = {path.name: path for path in FOLDER.iterdir()} if FOLDER.is_dir() else {}
    wanted = [name for name in dict.fromkeys(names) if name in shipped and not (target / name).exists()]
    for name in wanted:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shipped[name], target / name)
    return wanted


def before_prompt(data: dict) -> dict:
    """Provide the examples that a prompt names; the prompt itself stays as it is."""
    nodes = (node for node in data.get("prompt", {}).values() if isinstance(node, dict))
    provide(value for node in nodes for value in node.get("inputs", {}).values() if isinstance(value, str))
    return data


def register(server) -> None:
    """Hook into the prompt queue, and answer the page that opens a template."""
    from server import web

    @server.routes.post("/micromotion/examples")
    async def examples(request):
        names = await request.json()
        return web.json_response(provide(name for name in names if isinstance(name, str)))

    server.add_on_prompt_handler(before_prompt)
