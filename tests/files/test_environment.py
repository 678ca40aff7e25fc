"""What a bug report is told: versions, devices, model files, optional packages, and nothing about the user."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from micromotion.files import catalog, environment

BROKEN = environment.Package("json", ("pytest",), "a test")


def test_the_report_names_everything_a_bug_report_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    generators = tmp_path / "models" / catalog.GENERATORS / "mine"
    generators.mkdir(parents=True)
    (generators / "ffhq.pkl").write_bytes(b"12345")
    text = environment.report(tmp_path / "models", "StyleGAN2 operations on cpu: eager (a reason).")
    assert re.match(r"micromotion \d+\.\d+\.\d+\nPython 3\.\d+", text)
    assert "  torch: 2." in text and "eager (a reason)" in text and "  cpu, " in text
    assert "stylegan2: mine/ffhq.pkl (5 bytes)" in text and "stylegan2_inverters: none" in text
    assert "generator.safetensors (" in text
    assert "Model files in ~/models" in text and str(tmp_path) not in text


def test_every_optional_package_says_what_it_is_for(tmp_path):
    text = environment.report(tmp_path, "")
    for package in environment.OPTIONAL:
        assert re.search(rf"^  {package.names[0]}: .+ \({re.escape(package.purpose)}\)$", text, re.M)


def test_a_missing_package_and_a_broken_one_are_told_apart(monkeypatch):
    assert environment.state(environment.Package("no_such_module_xyz", ("no-such",), "")) == "missing"
    monkeypatch.setattr(importlib, "import_module", lambda name: (_ for _ in ()).throw(OSError("a DLL\nis missing")))
    assert re.fullmatch(r"\d+\.\S+, but cannot be imported: OSError: a DLL is missing", environment.state(BROKEN))
    assert re.fullmatch(r"\d+\.\S+", environment.state(BROKEN, load=False))


def test_a_long_folder_is_cut(tmp_path):
    for i in range(environment.LISTED + 3):
        (tmp_path / f"{i:03}.pt").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"")
    listed = environment.model_files({"x": [tmp_path]})["x"]
    assert len(listed) == environment.LISTED + 1 and listed[-1] == "and 3 more"
    assert environment.count([tmp_path, tmp_path / "missing"]) == environment.LISTED + 3


def test_the_version_of_a_comfyui_around_the_pack_is_read_without_running_it(tmp_path, monkeypatch):
    pack = tmp_path / "ComfyUI" / "custom_nodes" / "micromotion"
    pack.mkdir(parents=True)
    monkeypatch.setattr(environment, "PACK", pack)
    assert environment.comfyui_version() == ""
    (tmp_path / "ComfyUI" / "comfyui_version.py").write_text('raise SystemExit\n__version__ = "0.46.0"\n', encoding="utf-8")
    assert environment.comfyui_version() == "0.46.0"
    monkeypatch.setattr(environment, "PACK", tmp_path / "elsewhere")
    assert environment.comfyui_version() == ""
    monkeypatch.setitem(sys.modules, "comfyui_version", SimpleNamespace(__version__="0.47.0"))
    assert environment.comfyui_version() == "0.47.0"


@pytest.mark.parametrize("missing", ["dlib", "open_clip"])
def test_the_summary_is_one_line_and_imports_nothing(tmp_path, monkeypatch, missing):
    real = importlib.util.find_spec
    monkeypatch.setattr(environment, "version", lambda: "0.0.0")
    monkeypatch.setattr(importlib, "import_module", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else real(name))
    (tmp_path / "a.pt").write_bytes(b"")
    line = environment.summary("A backend.", {"stylegan2": [tmp_path]})
    name = next(p.names[0] for p in environment.OPTIONAL if p.module == missing)
    assert "\n" not in line and name in line.partition("not installed: ")[2].partition("; devices")[0]
    assert "A backend. Model files: stylegan2 1." in line
