"""The shape of the house: ``python -m micromotion.lab.house`` prints packages, the arrows between rooms, and lines of code.

The test of the house reads the same walk. Every import counts, those inside functions and for types only too.
"""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {"tests", "lab", "docs", "bootstrap.py"}
LIBRARY = {"subspaces", "media", "stylegan2", "faces", "files"}
ARROWS = {
    "__init__": {"nodes"},
    "__main__": {"cli", "files"},
    "cli": LIBRARY | {"avatars", "pairs"},
    "nodes": LIBRARY | {"avatars", "pairs"},
    "pairs": LIBRARY,
    "avatars": {"stylegan2", "files"},
    "subspaces": {"stylegan2", "files"},
    "stylegan2": {"files"},
    "media": {"files"},
    "faces": {"files"},
    "files": set(),
    "lab": LIBRARY | {"avatars", "pairs"},
}
HOST = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "nodes", "execution", "aiohttp"}


@dataclass(frozen=True)
class Import:
    """One imported module, as absolute dotted parts inside the pack (``ours``) or outside it."""

    file: Path
    line: int
    parts: tuple[str, ...]
    ours: bool
    top_level: bool
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT).as_posix()}:{self.line} imports {'.'.join(self.parts)}"


def tracked(*patterns: str) -> list[Path]:
    """The repository's own files, whether or not git is there to list them."""
    git = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if git.returncode == 0:
        files = [ROOT / name for name in git.stdout.split("\0") if name]
    else:
        files = [p for p in ROOT.rglob("*") if p.is_file() and not any(part.startswith(".venv") for part in p.parts)]
    return [p for p in files if p.is_file() and any(p.match(pattern) for pattern in patterns)]


def pack_files() -> list[Path]:
    return [p for p in tracked("*.py") if p.relative_to(ROOT).parts[0] not in OUTSIDE]


def room(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def walk(node: ast.AST, top_level: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether it runs when the module is imported."""
    yield node, top_level
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        top_level = False
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        top_level = False
    for child in ast.iter_child_nodes(node):
        yield from walk(child, top_level)


def imports(file: Path) -> list[Import]:
    """Every import of a file, relative ones resolved."""
    return imports_of(parsed(file), file)


def imports_of(tree: ast.Module, file: Path) -> list[Import]:
    nodes = [(n, top) for n, top in walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
    return [Import(file, n.lineno, *found[:2], top, found[2]) for n, top in nodes for found in _targets(n, file)]


def _targets(node: ast.Import | ast.ImportFrom, file: Path) -> list[tuple[tuple[str, ...], bool, tuple[str, ...]]]:
    if isinstance(node, ast.Import):
        return [_own(tuple(a.name.split(".")), ()) for a in node.names]
    named = tuple(node.module.split(".")) if node.module else ()
    names = tuple(a.name for a in node.names)
    if not node.level:
        return [_own(named + names, ())] if named == ("micromotion",) else [_own(named, names)]
    package = file.relative_to(ROOT).parts[:-1]
    base = package[: len(package) - node.level + 1]
    return [(base + named, True, names)] if named else [(base + (a.name,), True, ()) for a in node.names]


def _own(parts: tuple[str, ...], names: tuple[str, ...]) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """An absolute import; outside the pack (lab, tests) ours begin with the pack's name."""
    ours = parts[:1] == ("micromotion",) and len(parts) > 1
    return (parts[1:] if ours else parts), ours, names


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def targets(found: Import, modules: set[str]) -> set[str]:
    """The modules of ours that an import reads: the deepest ones that are files, not the packages on the way to them."""
    whole = ".".join(found.parts)
    named = {f"{whole}.{name}" for name in found.names} & modules
    return named if named and len(named) == len(found.names) else named | ({whole} & modules)


def circles(found: list[Import], modules: set[str]) -> list[str]:
    """Every ring of modules that import one another, wherever in a file the import stands."""
    reads: dict[str, set[str]] = {m: set() for m in modules}
    for i in found:
        if i.ours:
            reads[module_of(i.file)] |= targets(i, modules) - {module_of(i.file)}
    order = graphlib.TopologicalSorter(reads)
    try:
        order.prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def packages() -> list[str]:
    """Every package that is shipped, dotted."""
    folders = {f.parent.relative_to(ROOT) for f in pack_files() if f.name == "__init__.py"}
    return sorted(".".join(("micromotion", *folder.parts)) for folder in folders)


def arrows(found: list[Import]) -> dict[str, set[str]]:
    """Which rooms each room imports."""
    drawn: dict[str, set[str]] = {}
    for i in found:
        if i.ours and i.parts[0] != room(i.file):
            drawn.setdefault(room(i.file), set()).add(i.parts[0])
    return drawn


def lines(files: list[Path]) -> int:
    return sum(len(f.read_text(encoding="utf-8").splitlines()) for f in files)


def report() -> str:
    """Packages, the imports between rooms and the lines of each, and what breaks the rules, as text."""
    pack, lab = pack_files(), [p for p in tracked("*.py") if room(p) == "lab"]
    tests = [p for p in tracked("*.py") if room(p) == "tests"]
    found = [i for f in pack + lab for i in imports(f)]
    drawn, shipped = arrows(found), lines(pack)
    out = ["Packages that are shipped:", *(f"  {name}" for name in packages()), "", "Rooms, their lines and what they import:"]
    for name in ARROWS:
        count = lines([f for f in pack + lab if room(f) == name])
        share = f"{count / shipped:4.0%}" if name != "lab" else "    "
        out.append(f"  {name:<11} {count:>6} {share}  -> {', '.join(sorted(drawn.get(name, set()))) or '(nothing of ours)'}")
    ring = circles(found, {module_of(f) for f in pack + lab})
    up = [str(i) for i in found if i.ours and i.parts[0] not in ARROWS[room(i.file)] | {room(i.file)}]
    out += ["", f"Shipped: {shipped} lines in {len(pack)} files. Tests: {lines(tests)} lines in {len(tests)} files."]
    out += [f"Circles: {' -> '.join(ring) or 'none'}.", f"Arrows that run up: {'; '.join(up) or 'none'}."]
    return "\n".join(out)


if __name__ == "__main__":
    sys.stdout.write(report() + "\n")
