"""Set micromotion up beside itself and run it: ``python bootstrap.py animate``, ``python bootstrap.py test``.

Standard library only. Makes ``.venv`` in this folder, installs the pack into it (editable), then runs
``micromotion ...``, the tests (``test``) or the checks of style and types (``lint``). When nothing that decides the
installation has changed since the last run, the installation is skipped.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
INPUTS = ("pyproject.toml", "requirements.txt", "requirements-host.txt")
FLOOR = (3, 10)
USAGE = """usage: python bootstrap.py COMMAND [ARGUMENTS]

  animate      set up, then make a clip and a contact sheet from the embedded avatars
  test         set up, then run the tests; further arguments go to pytest
  lint         set up, then check the style and the types of the code
  setup        set up only
  inspect, convert, download, fit, doctor
               set up, then run that command of micromotion

Write py instead of python on Windows, python3 on Linux and macOS."""


class SetupError(Exception):
    """A sentence for the user: what is missing, and how to get it."""


def main(arguments: list[str]) -> int:
    """Set up what the command needs, run it, and return its exit code (2 when the set-up fails)."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command, *rest = arguments
    try:
        install(VENV, ("test",) if command in ("test", "lint") else ())
        return run(VENV, command, rest)
    except SetupError as error:
        print(f"bootstrap.py: {error}", file=sys.stderr)
        return 2


def run(venv: Path, command: str, rest: list[str]) -> int:
    """Run one command inside ``venv``; the tests and checks run in the checkout, the rest where the user stands."""
    if command == "setup":
        return 0
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait starve one another on a busy machine
    if command == "test":
        return call([program(venv, "pytest"), *rest], cwd=ROOT)
    if command == "lint":
        return max(check_style(venv), check_types(venv))
    return call([program(venv, "micromotion"), command, *rest])


def check_style(venv: Path) -> int:
    """What ruff says of all code, tests included."""
    return max(call([program(venv, "ruff"), *check], cwd=ROOT) for check in (["check", "."], ["format", "--check", "."]))


def check_types(venv: Path) -> int:
    """What pyright says of the packages and of lab/, which import ``micromotion`` whatever the name of this folder."""
    with tempfile.TemporaryDirectory() as folder:
        link(ROOT, Path(folder) / "micromotion")
        options = {**os.environ, "PYTHONPATH": folder, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
        settings = ["--project", str(ROOT / "pyproject.toml")]  # else a pyrightconfig.json of a folder above would go first
        return call([program(venv, "pyright"), *settings, "--pythonpath", program(venv, "python")], cwd=ROOT, env=options)


def link(target: Path, name: Path) -> None:
    """A second name for a folder; on Windows a junction, which needs no right of its own."""
    if os.name != "nt":
        name.symlink_to(target, target_is_directory=True)
    elif call(["cmd", "/c", "mklink", "/J", str(name), str(target)], stdout=subprocess.DEVNULL):
        raise SetupError(f"{target} could not be linked to in {name.parent}; is that folder on a local disk?")


def install(venv: Path, extras: tuple[str, ...]) -> None:
    """Make ``venv`` and install the pack with ``extras`` into it, unless the same installation is already there."""
    stamp = venv / "micromotion-stamp.txt"
    wanted = fingerprint()
    done = stamp.read_text(encoding="utf-8").split() if stamp.is_file() else []
    if done[:1] == [wanted] and set(extras) <= set(done[1:]):
        return
    kept = set(done[1:]) if done[:1] == [wanted] else set()
    extras = tuple(sorted({*extras, *kept}))
    stamp.unlink(missing_ok=True)
    pip = make_venv(venv)
    target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    print("Setting micromotion up (torch is large: some minutes, once) ...", file=sys.stderr, flush=True)
    if call([*pip, "install", "--disable-pip-version-check", "--editable", target], stdout=sys.stderr):
        raise SetupError("the installation failed; pip says why above. Once that is solved, run the same command again.")
    stamp.write_text(" ".join([wanted, *extras]), encoding="utf-8")


def fingerprint() -> str:
    """Name what decides the installation: this Python, this folder, and the files that list the dependencies."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {sys.base_prefix} {ROOT}".encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def make_venv(venv: Path) -> list[str]:
    """Make the environment, or keep one of the same Python, and return the command that is its pip."""
    has_pip = importlib.util.find_spec("ensurepip") is not None
    if importlib.util.find_spec("venv") is None or not (has_pip or importlib.util.find_spec("pip")):
        raise SetupError(
            "this Python cannot make virtual environments (venv or ensurepip is missing). On Debian and Ubuntu:"
            f" sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv; then run the same command again."
        )
    options = ([] if has_pip else ["--without-pip"]) + ([] if same_python(venv) else ["--clear"])
    if call([sys.executable, "-m", "venv", *options, str(venv)], stdout=sys.stderr):
        raise SetupError(f"no virtual environment could be made in {venv}; is the folder writable, and the disk not full?")
    python = program(venv, "python")
    return [python, "-m", "pip"] if has_pip else [sys.executable, "-m", "pip", "--python", python]


def same_python(venv: Path) -> bool:
    """Tell whether ``venv`` runs and is of this Python's version, so that a broken-off installation goes on in it."""
    test = f"import sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    return Path(program(venv, "python")).exists() and call([program(venv, "python"), "-c", test]) == 0


def program(venv: Path, name: str) -> str:
    """Return the path of an installed program on this operating system."""
    return str(venv / "Scripts" / f"{name}.exe") if os.name == "nt" else str(venv / "bin" / name)


def call(command: list[str], **options) -> int:
    """Run a program and return its exit code; an interrupt ends it as it ends us."""
    try:
        return subprocess.run(command, **options).returncode
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        raise SetupError(
            f"{command[0]} could not be run ({error.strerror}); remove the folder {VENV} and run the same command again."
        ) from error


if __name__ == "__main__":
    if sys.version_info < FLOOR:
        sys.exit(f"bootstrap.py: micromotion needs Python 3.10 or newer; this is {sys.version.split()[0]}.")
    sys.exit(main(sys.argv[1:]))
