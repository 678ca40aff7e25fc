"""What the pack takes from its host: versioned names of ComfyUI, and no global of the page that is kept for old extensions only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONED = "comfy_api.v0_0_2"
# What the versioned API lacks, by module: model management, progress, folders, who runs, the route for examples, a curve as it was drawn.
LACKING = {
    "comfy.model_management": {"management"},
    "comfy.model_patcher": set(),
    "comfy.utils": set(),
    "comfy_api.input": {"CurveInput"},
    "comfy_execution.utils": {"get_executing_context"},
    "folder_paths": set(),
    "server": {"PromptServer", "web"},
}
HOST = ("comfy", "comfy_api", "comfy_execution", "comfy_extras", "comfy_config", "execution", "folder_paths", "server")
PAGE = {"../../scripts/app.js", "../../scripts/api.js"}  # the two that the page serves without calling them deprecated
LEGACY = "LiteGraph|LGraph|LLink|LGraphNode|LGraphGroup|LGraphCanvas|LGraphBadge|DragAndScale|ContextMenu|comfyAPI|\\$el"
OF_THE_BROWSER = {"addEventListener"}


def imports(path: Path):
    """Module and names of every import in a file, relative ones left out."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, {alias.asname} - {None}) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module, {alias.name for alias in node.names}


def test_the_host_is_imported_by_its_versioned_api():
    found = {}
    for path in (ROOT / "nodes").glob("*.py"):
        for module, names in imports(path):
            if module.split(".")[0] in HOST and module != VERSIONED:
                found.setdefault(module, set()).update(names)
    assert found == LACKING


def test_scripts_use_no_global_that_the_page_keeps_for_old_extensions():
    scripts = list((ROOT / "web").glob("*.js"))
    siblings = {f"./{path.name}" for path in scripts}
    for path in scripts:
        text = re.sub(r"//.*", "", path.read_text("utf-8"))
        assert set(re.findall(r'from "([^"]+)"', text)) <= PAGE | siblings, path.name
        assert not re.findall(rf"(?<![\w.])(?:{LEGACY})(?!\w)", text), path.name
        assert set(re.findall(r"(?:window|globalThis|self)\.(\w+)", text)) <= OF_THE_BROWSER, path.name
