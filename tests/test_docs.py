"""The Python of the pages runs as it is written, on tiny networks that lie where the pages say."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from micromotion import faces, subspaces
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if FENCE.search(page.read_text(encoding="utf-8"))]


def code_of(page: Path) -> str:
    """All Python of a page, in order, each block on the line where it stands there."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for block in FENCE.finditer(text):
        first = text.count("\n", 0, block.start(1))
        lines[first : first + block.group(1).count("\n")] = block.group(1).splitlines()
    return "\n".join(lines)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with every file that the pages name."""
    spec = importlib.util.spec_from_file_location("tiny_weights", Path(__file__).parent / "nodes" / "tiny.py")
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    folder = tiny.write(tmp_path_factory.mktemp("pages"), typical_psnr=None)
    shutil.copy(folder / "motions" / "smile.safetensors", folder)
    shutil.copy(folder / "scorer.safetensors", folder / "ViT-B-32.pt")
    shutil.copy(Path(__file__).parent / "stylegan2" / "data" / "nvidia_ada_small_nosrc.pkl", folder / "ffhq.pkl")
    y, x = np.mgrid[0:90, 0:120]
    picture = Image.fromarray(np.stack([2 * x, 2 * y, x + y], -1).astype(np.uint8))
    picture.save(folder / "group.jpg")
    picture.crop((0, 0, 64, 64)).save(folder / "square.png")
    return folder


@pytest.fixture
def given(files, tmp_path, monkeypatch):
    """The folder, few steps, a scorer under the name of a public one, and a face without a detector."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    read, find = subspaces.load_scorer, subspaces.text_anchors
    known = tmp_path / "scorer.safetensors"
    monkeypatch.setattr(subspaces, "load_scorer", lambda path: read(known if path == "ViT-B-32.pt" else path))
    monkeypatch.setattr(subspaces, "text_anchors", functools.partial(find, steps=2))
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.stack([45 + 15 * np.cos(turn), 45 + 18 * np.sin(turn)], 1)
    points[36:42], points[42:48], points[48], points[54] = (39, 40), (51, 40), (40, 52), (50, 52)
    monkeypatch.setattr(faces, "detect", lambda photo: [[faces.Face(points, (25, 25, 65, 65))]])


def test_the_pages_hold_python():
    assert {"README.md", "checkpoints.md", "faces.md", "inversion.md", "subspaces.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, given):
    names: dict = {"__name__": "page"}
    with torch.random.fork_rng():
        exec(compile(code_of(page), str(page), "exec"), names)  # noqa: S102
    assert names.keys() - {"__name__", "__builtins__"}
