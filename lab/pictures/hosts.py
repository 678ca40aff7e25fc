"""The real ComfyUI and the real page that the tests drive (tests/nodes/hosted.py, page.py), for the pictures too; and the pack itself."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "nodes"

if importlib.util.find_spec("micromotion") is None:
    own = importlib.util.spec_from_file_location("micromotion", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert own is not None and own.loader is not None
    sys.modules["micromotion"] = importlib.util.module_from_spec(own)
    own.loader.exec_module(sys.modules["micromotion"])

from micromotion.files import catalog  # noqa: E402, F401


def load(name: str) -> ModuleType:
    """The module ``tests/nodes/NAME.py``, under its own name."""
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hosted, page = load("hosted"), load("page")
