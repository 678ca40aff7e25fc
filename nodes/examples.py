"""Example pictures of the templates, copied into ComfyUI's input folder when a workflow names them and they are not there.

Load Image and Load Video read that folder only. Nothing is copied before a workflow is opened or run, and nothing is overwritten.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import folder_paths

from ..files.errors import UnwritableError
from ..files.writing import whole_file, writable
from . import host

ROUTE = "/micromotion/examples"
FOLDER = Path(__file__).resolve().parent.parent / "web" / "examples"


def provide(names: Iterable[str]) -> list[str]:
    """Copy those of ``names`` that are examples of this pack and missing from the input folder; returns the names copied.

    An input folder that cannot be written to is said in the log: Load Image says then what it lacks.
    """
    target = Path(folder_paths.get_input_directory())
    shipped = {path.name: path for path in FOLDER.iterdir()} if FOLDER.is_dir() else {}
    wanted = [name for name in dict.fromkeys(names) if name in shipped]
    try:
        return [name for name in wanted if _copied(shipped[name], target / name)]
    except UnwritableError as error:
        host.log.warning("The examples %s are not put into %s: %s", ", ".join(wanted), target, error)
        return []


def _copied(source: Path, target: Path) -> bool:
    if target.exists():
        return False
    with writable(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as part:
        shutil.copyfile(source, part)
    return True


def before_prompt(data: dict) -> dict:
    """Provide the examples that a prompt names; the prompt itself stays as it is."""
    prompt = data.get("prompt") if isinstance(data, dict) else None
    nodes = [node for node in prompt.values() if isinstance(node, dict)] if isinstance(prompt, dict) else []
    inputs = [node["inputs"] for node in nodes if isinstance(node.get("inputs"), dict)]
    provide(value for values in inputs for value in values.values() if isinstance(value, str))
    return data


def already_there(server) -> Path | None:
    """The folder of another copy of this pack that has added its routes before, or None."""
    for route in server.routes:
        if getattr(route, "path", None) == ROUTE:
            code = getattr(route.handler, "__code__", None)
            return Path(code.co_filename).parent.parent if code else Path("?")
    return None


def register(server) -> None:
    """Hook into the prompt queue, and answer the page that opens a template."""
    from server import web

    @server.routes.post(ROUTE)
    async def examples(request):
        try:
            names = await request.json()
        except ValueError:
            names = None
        if not isinstance(names, list):
            return web.json_response({"error": "The names of examples are a JSON list of texts."}, status=400)
        return web.json_response(provide(name for name in names if isinstance(name, str)))

    server.add_on_prompt_handler(before_prompt)
