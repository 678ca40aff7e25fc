"""bootstrap.py: one command from a bare Python; nothing is installed here, the programs that it calls are recorded."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bootstrap(tmp_path, monkeypatch):
    """The script as a module, with its folder in tmp_path and its calls recorded in ``.calls``."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", ROOT / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in module.INPUTS:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    module.calls, module.exit_code = [], 0

    def call(command, **options):
        module.calls.append(command)
        if command[1:3] == ["-m", "venv"]:
            Path(command[-1]).mkdir(exist_ok=True)
        return module.exit_code

    monkeypatch.setattr(module, "call", call)
    return module


def installs(bootstrap) -> list[str]:
    """What pip was asked to install, in order."""
    return [command[-1] for command in bootstrap.calls if "install" in command]


def test_standard_library_only():
    tree = ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"))
    names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    names += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_source_is_read_by_a_python_too_old_to_run_it():
    ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def test_animate_makes_a_venv_installs_and_runs(bootstrap, tmp_path):
    assert bootstrap.main(["animate", "--seed", "3"]) == 0
    venv, pip, run = bootstrap.calls
    assert venv[:3] == [sys.executable, "-m", "venv"] and venv[-1] == str(tmp_path / ".venv")
    assert pip[-2:] == ["--editable", str(tmp_path)]
    assert Path(run[0]).stem == "micromotion" and run[1:] == ["animate", "--seed", "3"]


def test_tests_install_their_extra_and_pass_arguments_on(bootstrap, tmp_path):
    bootstrap.main(["test", "-k", "house"])
    assert installs(bootstrap) == [f"{tmp_path}[test]"]
    assert Path(bootstrap.calls[-1][0]).stem == "pytest" and bootstrap.calls[-1][1:] == ["-k", "house"]


def test_second_run_skips_the_installation(bootstrap):
    bootstrap.main(["animate"])
    bootstrap.calls.clear()
    bootstrap.main(["animate"])
    assert [Path(command[0]).stem for command in bootstrap.calls] == ["micromotion"]


def test_changed_requirements_are_installed_again(bootstrap, tmp_path):
    bootstrap.main(["setup"])
    with open(tmp_path / "requirements.txt", "a", encoding="utf-8") as file:
        file.write("something-new\n")
    bootstrap.main(["setup"])
    assert len(installs(bootstrap)) == 2


def test_test_extra_stays_when_the_main_job_runs_next(bootstrap, tmp_path):
    bootstrap.main(["setup"])
    bootstrap.main(["test"])
    bootstrap.main(["animate"])
    assert installs(bootstrap) == [str(tmp_path), f"{tmp_path}[test]"]


def test_failed_installation_is_said_and_tried_again(bootstrap, capsys, monkeypatch):
    bootstrap.exit_code = 1
    monkeypatch.setattr(bootstrap, "make_venv", lambda venv: [venv.mkdir(exist_ok=True) or "python", "-m", "pip"])
    assert bootstrap.main(["animate"]) == 2
    assert "run the same command again" in capsys.readouterr().err
    bootstrap.exit_code = 0
    assert bootstrap.main(["animate"]) == 0
    assert len(installs(bootstrap)) == 2


def test_missing_ensurepip_names_the_package(bootstrap, capsys, monkeypatch):
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    assert bootstrap.main(["animate"]) == 2
    error = capsys.readouterr().err
    assert f"apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in error and error.count("\n") == 1
    assert bootstrap.calls == []


def test_pip_of_this_python_helps_out_where_ensurepip_is_missing(bootstrap, monkeypatch):
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    assert bootstrap.main(["setup"]) == 0
    venv, pip = bootstrap.calls
    assert "--without-pip" in venv and pip[:4] == [sys.executable, "-m", "pip", "--python"]


def test_exit_codes_are_passed_on_and_lint_reports_the_worst(bootstrap, monkeypatch):
    codes = {"check": 1, "format": 0}
    monkeypatch.setattr(bootstrap, "install", lambda *_: None)
    monkeypatch.setattr(bootstrap, "call", lambda command, **_: codes.get(command[1], 5))
    assert bootstrap.main(["lint"]) == 5  # pyright's own, the worst
    codes["--project"] = 0
    assert bootstrap.main(["lint"]) == 1
    codes["check"] = 0
    assert bootstrap.main(["lint"]) == 0
    assert bootstrap.main(["test", "-q"]) == 5


def test_types_are_checked_under_the_name_of_the_package(bootstrap, tmp_path, monkeypatch):
    """lab/ imports micromotion, and the folder of the checkout may have any name."""
    seen = []

    def call(command, **options):
        name = Path(options["env"]["PYTHONPATH"]) / "micromotion"
        seen.append((Path(command[0]).stem, options["cwd"], (name / "pyproject.toml").is_file(), name.resolve()))
        return 0

    monkeypatch.setattr(bootstrap, "call", call)
    assert bootstrap.check_types(tmp_path / ".venv") == 0
    assert seen == [("pyright", tmp_path, True, tmp_path.resolve())] and (tmp_path / "pyproject.toml").is_file()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_installs_nothing(bootstrap, capsys, arguments):
    assert bootstrap.main(arguments) == 0
    assert "python bootstrap.py COMMAND" in capsys.readouterr().out and bootstrap.calls == []


def test_programs_are_found_where_each_system_has_them(bootstrap, monkeypatch):
    assert Path(bootstrap.program(Path("v"), "pytest")).parts[-2] == ("Scripts" if sys.platform == "win32" else "bin")
    monkeypatch.setattr(bootstrap.os, "name", "nt")
    assert bootstrap.program(bootstrap.VENV, "pytest").endswith("pytest.exe")
