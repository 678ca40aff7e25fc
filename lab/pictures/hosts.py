"""The real ComfyUI and the real page that the tests drive (tests/nodes/hosted.py, page.py), for the pictures too."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).resolve().parents[2] / "tests" / "nodes"


def load(name: str) -> ModuleType:
    """The module ``tests/nodes/NAME.py``, under its own name."""
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hosted, page = load("hosted"), load("page")
