"""The shape of the house: arrows between rooms, packaging, doors, and what must never be written."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from micromotion.lab import house, node_zip
from micromotion.lab.house import (
    ARROWS,
    HOST,
    OUTSIDE,
    ROOT,
    Import,
    circles,
    imports,
    imports_of,
    module_of,
    pack_files,
    parsed,
    room,
    tracked,
)

LAZY = {"dlib", "open_clip", "av", "matplotlib", "lpips", "face_recognition_models", "timm"}
THIRD_PARTY = {
    "PIL": "pillow",
    "skimage": "scikit-image",
    "open_clip": "open-clip-torch",
    "dlib": "dlib-bin",
    "huggingface_hub": "open-clip-torch",
}
OPTIONAL = {"mediapipe", "ray", "pyarrow", "fsspec", "lpips", "face_recognition_models", "psutil"}
PACK = pack_files()
LAB = [p for p in tracked("*.py") if room(p) == "lab"]
IMPORTS = [i for f in PACK for i in imports(f)]
LAB_IMPORTS = [i for f in LAB for i in imports(f)]


def test_the_walk_sees_the_rooms():
    assert set(ARROWS) <= {room(f) for f in PACK + LAB}
    assert len(IMPORTS) > 50


def test_arrows_between_rooms():
    wrong = [str(i) for i in IMPORTS + LAB_IMPORTS if i.ours and i.parts[0] not in ARROWS[room(i.file)] | {room(i.file)}]
    assert not wrong, "\n".join(wrong)


def test_no_circles():
    assert not circles(IMPORTS + LAB_IMPORTS, {module_of(f) for f in PACK + LAB})


@pytest.mark.parametrize("place", ["at the top", "in a function", "for types only"])
def test_a_planted_circle_is_seen(place):
    up = {
        "at the top": "from ..subspaces import fitting",
        "in a function": "def f():\n    from ..subspaces.fitting import fit",
        "for types only": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..subspaces.fitting import fit",
    }[place]
    planted = imports_of(ast.parse(up), ROOT / "stylegan2" / "generator.py")
    ring = circles(IMPORTS + planted, {module_of(f) for f in PACK})
    assert "stylegan2.generator" in ring and "subspaces.fitting" in ring
    assert [i for i in planted if i.ours and i.parts[0] not in ARROWS["stylegan2"] | {"stylegan2"}]


def test_the_house_can_be_printed():
    shown = house.report()
    assert all(name in shown for name in ("micromotion.stylegan2.ops", "Circles: none.", "Arrows that run up: none."))
    assert re.search(r"^  files +\d+ +\d+%  -> \(nothing of ours\)$", shown, re.M)
    assert re.search(r"^  nodes .*-> .*subspaces", shown, re.M)


def test_inside_the_pack_imports_are_relative():
    absolute = [(f, n) for f in PACK for n in ast.walk(parsed(f)) if isinstance(n, ast.ImportFrom) and not n.level]
    absolute = [f"{f.relative_to(ROOT)}:{n.lineno}" for f, n in absolute if n.module.split(".")[0] in {"micromotion", *ARROWS} - HOST]
    assert not absolute


def test_heavy_and_optional_libraries_are_imported_on_use():
    assert not [str(i) for i in IMPORTS if i.top_level and not i.ours and i.parts[0] in LAZY]


def test_only_nodes_know_the_host():
    assert not [str(i) for i in IMPORTS if not i.ours and i.parts[0] in HOST and room(i.file) != "nodes"]


def test_root_package_imports_nothing_at_the_top():
    assert not [str(i) for i in imports(ROOT / "__init__.py") if i.top_level]
    source = (ROOT / "__init__.py").read_text(encoding="utf-8")
    assert "NODE_CLASS_MAPPINGS" not in source


def test_pickle_lends_its_error_names_and_nothing_else():
    modules = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    nodes = [n for f in PACK for n in ast.walk(parsed(f))]
    from_them = [str(i) for i in IMPORTS if i.parts[0] in modules - {"pickle"}]
    from_them += [ast.unparse(n) for n in nodes if isinstance(n, ast.ImportFrom) and n.module == "pickle"]
    attributes = [n for n in nodes if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "pickle"]
    assert not from_them and {n.attr for n in attributes} <= {"UnpicklingError", "PicklingError"}


def project() -> dict:
    """pyproject.toml, read by the parser of the standard library or, on Python 3.10, of pytest's dependency."""
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    return importlib.import_module(name).loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_packages_list_equals_the_disk():
    folders = {f.parent.relative_to(ROOT) for f in PACK if f.name == "__init__.py"}
    on_disk = {".".join(("micromotion", *folder.parts)) for folder in folders}
    assert sorted(project()["tool"]["setuptools"]["packages"]) == sorted(on_disk)
    assert not {f.parent.relative_to(ROOT) for f in PACK} - folders, "a folder with Python files lacks its __init__.py"


def test_package_data_covers_what_the_rooms_read():
    data = project()["tool"]["setuptools"]["package-data"]
    folders = {
        "micromotion" + "".join(f".{p}" for p in f.parent.relative_to(ROOT).parts): f.parent for f in PACK if f.name == "__init__.py"
    }
    shipped = {p for package, patterns in data.items() for pattern in patterns for p in folders[package].glob(pattern)}
    rooms = {"workflows", "locales", "web", "subgraphs", "avatars", "stylegan2", "subspaces", "nodes"}
    read = {p for p in tracked("*") if p.suffix not in {".py", ".md"} and p.relative_to(ROOT).parts[0] in rooms}
    assert not sorted(str(p.relative_to(ROOT)) for p in read - shipped)


def requirement_names(*files: str) -> set[str]:
    lines = [line.split("#")[0].strip() for f in files for line in (ROOT / f).read_text(encoding="utf-8").splitlines()]
    return {re.split(r"[\s<>=!~\[;]", line)[0].lower().replace("_", "-") for line in lines if line}


def declared() -> set[str]:
    extras = [r for group in project()["project"]["optional-dependencies"].values() for r in group]
    names = {re.split(r"[\s<>=!~\[;]", r)[0].lower().replace("_", "-") for r in extras}
    return names | requirement_names("requirements.txt", "requirements-host.txt")


def foreign(found: list[Import]) -> dict[str, str]:
    """Distribution name -> where it is imported, for what is neither ours, the host's nor the standard library's."""
    helpers = {p.stem for p in tracked("*.py") if p.relative_to(ROOT).parts[0] in OUTSIDE}
    skip = sys.stdlib_module_names | HOST | helpers | {"micromotion", "tomli"}
    outside = [i for i in found if not i.ours and i.parts and i.parts[0] not in skip | OPTIONAL]
    return {THIRD_PARTY.get(i.parts[0], i.parts[0]).lower().replace("_", "-"): str(i) for i in outside}


def test_everything_imported_is_declared():
    everything = [i for f in tracked("*.py") for i in imports(f)]
    undeclared = {name: where for name, where in foreign(everything).items() if name not in declared()}
    assert not undeclared


def test_optional_libraries_are_guarded_by_their_users():
    bare = [i for i in IMPORTS if i.parts[0] in OPTIONAL and i.top_level]
    assert not [str(i) for i in bare]


def test_requirements_leave_the_host_alone():
    ships = {
        "torch",
        "torchvision",
        "torchaudio",
        "numpy",
        "einops",
        "transformers",
        "safetensors",
        "pillow",
        "scipy",
        "tqdm",
        "av",
        "kornia",
    }
    assert not requirement_names("requirements.txt") & ships
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8") + (ROOT / "requirements-host.txt").read_text(encoding="utf-8")
    lines = "\n".join(line.split(";")[0] for line in lines.splitlines())  # markers compare too, and pin nothing
    assert not re.search(r"<|==|~=", lines), "an upper bound or pin would downgrade the host"


@cache
def all_calls() -> list[tuple[Path, ast.Call, str]]:
    """Every call in the pack, with its function written out."""
    nodes = [(f, node) for f in PACK for node in ast.walk(parsed(f)) if isinstance(node, ast.Call)]
    return [(f, node, ast.unparse(node.func)) for f, node in nodes]


def calls(name: str) -> list[tuple[Path, ast.Call]]:
    """Every call of ``name``, whatever it is an attribute of."""
    return [(f, node) for f, node, function in all_calls() if function == name or function.endswith(f".{name}")]


def where(found: list[tuple[Path, ast.Call]]) -> list[str]:
    return [f"{f.relative_to(ROOT).as_posix()}:{n.lineno} {ast.unparse(n)[:80]}" for f, n in found]


def test_torch_load_is_always_restricted():
    loads = calls("torch.load")
    safe = [c for c in loads if any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in c[1].keywords)]
    assert where(loads) == where(safe)


@pytest.mark.parametrize("name", ["eval", "exec", "__import__", "os.system", "pickle.load", "pickle.loads", "cuda", "set_default_dtype"])
def test_never_called(name):
    bare = {"eval", "exec", "__import__"}
    found = [c for c in calls(name) if name not in bare or isinstance(c[1].func, ast.Name)]
    assert not where(found)


def test_no_prints_outside_the_command_line():
    scripts = {"cli", "__main__"}
    assert not where([c for c in calls("print") if isinstance(c[1].func, ast.Name) and room(c[0]) not in scripts])


def test_no_global_torch_flags():
    flags = re.compile(r"^\s*torch\.(backends\.[\w.]+\s*=|set_(num_threads|float32_matmul_precision|default_device|grad_enabled)\()", re.M)
    found = {f"{f.relative_to(ROOT).as_posix()}: {m.group(0).strip()}" for f in PACK for m in flags.finditer(f.read_text("utf-8"))}
    assert found == {"pairs/cluster.py: torch.set_num_threads("}, "a worker sets its own threads and puts them back; nobody else may"


def test_text_files_speak_of_the_project_alone():
    texts = tracked("*.py", "*.md", "*.toml", "*.txt", "*.json", "*.cu", ".ci/run")
    absolute = re.compile(r"(?<![\w.:/])(/(home|root|work|Users|mnt)/\w|[A-Z]:\\\\?Users)")
    found = [f"{p.relative_to(ROOT)}: {m.group(0)}" for p in texts if p != Path(__file__) for m in absolute.finditer(p.read_text("utf-8"))]
    assert not found


def public_doors() -> list[tuple[str, object]]:
    """Everything that a public package exports, and the public methods of exported classes."""
    doors = []
    for package in ("faces", "media", "stylegan2", "stylegan2.inversion", "stylegan2.ops", "subspaces", "subspaces.anchors"):
        module = importlib.import_module(f"micromotion.{package}")
        doors.append((package, module))
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                doors.append((f"{package}.{name}", value))
            if inspect.isclass(value) and not issubclass(value, Exception):
                doors += [(f"{package}.{name}.{k}", v) for k, v in vars(value).items() if inspect.isfunction(v) and _is_door(k)]
    return doors


def _is_door(name: str) -> bool:
    return not name.startswith("_") and name != "forward"


def test_every_public_door_has_its_sentence():
    doors = public_doors()
    assert len(doors) > 20
    silent = [name for name, value in doors if not (inspect.getdoc(value) or "").strip()]
    assert not silent


def test_python_files_open_with_a_sentence():
    silent = [str(f.relative_to(ROOT)) for f in PACK if f.read_text("utf-8").strip() and not ast.get_docstring(parsed(f))]
    assert not silent


def test_license_version_and_names():
    meta = project()
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert meta["project"]["license"] == "MIT" and meta["project"]["name"] == "micromotion"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[?([\d.]+)", changelog, re.M).group(1) == meta["project"]["version"]
    assert meta["tool"]["comfy"]["requires-comfyui"] == ">=0.26.0"


def test_the_registry_finds_repository_icon_and_banner():
    from PIL import Image

    meta = project()
    home = meta["project"]["urls"]["Repository"]
    assert home.startswith("https://github.com/") and all(url.startswith(home) for url in meta["project"]["urls"].values())
    for key, right in (("Icon", lambda w, h: w == h <= 400), ("Banner", lambda w, h: 9 * w == 21 * h)):
        file = ROOT / meta["tool"]["comfy"][key].partition("/main/")[2]
        assert right(*Image.open(file).size), key


def test_workflows_and_forms_can_be_read():
    yaml = pytest.importorskip("yaml", reason="PyYAML reads them")
    files = [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]
    assert len(files) >= 7
    found = {f.name: yaml.safe_load(f.read_text(encoding="utf-8")) for f in files}
    matrix = found["test.yml"]["jobs"]["test"]["strategy"]["matrix"]
    assert len(matrix["os"]) == 3
    listed = [c.rpartition(" ")[2] for c in project()["project"]["classifiers"] if re.search(r"Python :: 3\.\d", c)]
    assert matrix["python"] == listed
    floor = project()["tool"]["comfy"]["requires-comfyui"].removeprefix(">=")
    assert f"v{floor}" in {job["comfyui"] for job in found["test.yml"]["jobs"]["comfyui"]["strategy"]["matrix"]["include"]}


BRITISH = re.compile(
    r"(?<![\w`./])(?<!--)\w*(colour|licence|catalogue|behaviour|favour|neighbour|centre(d|s)?\b|centring|\bgrey|ageing|labelled|learnt|analyse"
    r"|(optim|orthogonal|recogn|random|normal|minim|maxim|initial|serial|summar|general|visual)is(e|ed|es|ing|ation|er)\b)[a-z]*(?![\w`(=])",
    re.I,
)
FOREIGN = re.compile(
    r"(?<!there )(?<!There )\b(is|are) no (?!longer|more)|\bis none\b|\bare none\b|\bthat is none\b| unasked\b| anew\b|\bshall\b"
)


def spoken(text: str) -> str:
    """Prose without code, addresses and generated blocks."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)|<[^>]*>", " ", text)


def sentences(file: Path) -> list[tuple[int, str]]:
    """The strings of a Python file that people read: those with a space in them, docstrings and what f-strings insert left out."""
    docs = {
        id(n.body[0].value)
        for n in ast.walk(parsed(file))
        if isinstance(getattr(n, "body", None), list) and n.body and isinstance(n.body[0], ast.Expr)
    }
    texts = [n for n in ast.walk(parsed(file)) if isinstance(n, ast.Constant) and isinstance(n.value, str) and " " in n.value.strip()]
    return [(n.lineno, n.value) for n in texts if id(n) not in docs]


def unspoken(file: Path) -> list[str]:
    """Where a page or a module writes British English, or a turn that no native speaker would."""
    pieces = sentences(file) if file.suffix == ".py" else enumerate(spoken(file.read_text(encoding="utf-8")).splitlines(), 1)
    where = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
    return [f"{where}:{n}: {m.group(0)!r}" for n, text in pieces for r in (BRITISH, FOREIGN) if (m := r.search(text))]


@pytest.mark.parametrize(
    "sentence",
    [
        "The colours differ.",
        "an optimised code",
        "This is no file.",
        "They are no numbers.",
        "Nothing is fetched unasked.",
        "it shall draw",
        "the catalogue",
    ],
)
def test_a_planted_foreign_turn_is_seen(sentence, tmp_path):
    page, module = tmp_path / "page.md", tmp_path / "module.py"
    page.write_text(f"{sentence}\n", encoding="utf-8")
    module.write_text(f"raise ValueError({sentence!r})\n", encoding="utf-8")
    assert unspoken(page) and (" " not in sentence or unspoken(module))


def test_american_english_as_it_is_spoken():
    fine = "There is no file here; this is no longer used. A color of the neighbor. `licence` and [x](catalogue.py)"
    assert not [m for m in (BRITISH.search(spoken(fine)), FOREIGN.search(spoken(fine))) if m]
    pages = [p for p in tracked("*.md") if p.relative_to(ROOT).parts[0] != "tests" and not re.fullmatch(r"ja|zh", p.stem)]
    modules = [f for f in PACK if f.name != "captions.py"]
    assert not [line for file in (*pages, *modules) for line in unspoken(file)]


def test_links_in_the_pages_lead_somewhere():
    broken = []
    for page in tracked("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text(encoding="utf-8")):
            link = target[0] or target[1]
            if not re.match(r"[a-z]+:", link) and not (page.parent / unquote(link)).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {link}")
    assert not broken


def test_contributing_names_files_and_commands_that_exist():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:[\w.]+/)+[\w.]*|\w+\.(?:md|toml))`", page)
    missing = {name for name in named if not (ROOT / name).exists() and "NAME" not in name and not name.startswith((".venv", "runs/"))}
    assert not missing and len(named) > 25
    modules = re.findall(r"micromotion\.(lab[.\w]+)", page)
    assert modules and all((ROOT / f"{m.replace('.', '/')}.py").is_file() for m in modules)


def test_readme_gives_the_two_commands_and_ci_runs_the_second():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^python3? bootstrap\.py animate$", readme, re.M)
    assert re.search(r"^python3? bootstrap\.py test$", readme, re.M)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().splitlines()
    assert ci[-1].startswith("python3 bootstrap.py test "), "pytest's closing line must be the last that CI prints"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="comfy-cli packs what git tracks; this is not a git checkout")
def test_the_registry_gets_the_pack_and_nothing_else():
    names = node_zip.files()
    rooms = {name.partition("/")[0] for name in names}
    assert {"nodes", "avatars", "web", "locales", "workflows", "subgraphs", "__init__.py", "requirements.txt", "LICENSE"} <= rooms
    assert not rooms & {"lab", "tests", "docs", ".github", ".ci", "bootstrap.py", "CONTRIBUTING.md", ".pre-commit-config.yaml"}
    assert {f.relative_to(ROOT).as_posix() for f in PACK} <= {*names, *untracked()}
    assert sum((ROOT / name).stat().st_size for name in names) < 50e6


def untracked() -> list[str]:
    done = subprocess.run(["git", "ls-files", "-o", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_shipped_files_are_small():
    big = {str(p.relative_to(ROOT)): p.stat().st_size for p in tracked("*") if p.stat().st_size > 12e6}
    assert not big
    weights = sum(p.stat().st_size for p in tracked("*.safetensors") if p.is_relative_to(ROOT / "avatars"))
    assert weights < 30e6


def fresh(code: str) -> list[str]:
    """Run code in a fresh interpreter that knows the pack by name, and return what it prints, as words."""
    prelude = (
        "import sys, importlib.util as u\n"
        f"s = u.spec_from_file_location('micromotion', {str(ROOT / '__init__.py')!r}, submodule_search_locations=[{str(ROOT)!r}])\n"
        "m = u.module_from_spec(s); sys.modules['micromotion'] = m; s.loader.exec_module(m)\n"
    )
    done = subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return done.stdout.split()


def test_importing_the_package_and_the_command_line_costs_nothing():
    loaded = fresh("import micromotion.__main__\nprint(*sys.modules)")
    assert "micromotion.__main__" in loaded
    assert not {"torch", "numpy", "PIL", "av", "open_clip", "matplotlib", "tqdm"} & set(loaded)


def test_importing_the_library_needs_no_optional_library():
    block = f"blocked = {sorted(LAZY)!r}\nfor name in blocked: sys.modules[name] = None\n"
    loaded = fresh(block + "import micromotion.subspaces.anchors, micromotion.faces, micromotion.stylegan2.inversion\nprint(*sys.modules)")
    assert "micromotion.subspaces.anchors" in loaded


def test_no_function_bears_the_name_of_its_module():
    defined = [(f, n) for f in PACK + LAB for n in parsed(f).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    assert not [str(f.relative_to(ROOT)) for f, n in defined if n.name == (f.parent.name if f.name == "__init__.py" else f.stem)]


def test_the_rooms_are_attributes_that_load_when_they_are_asked_for():
    rooms = "assert not {'torch', 'numpy'} & set(sys.modules)\nprint(m.__version__)\n"
    rooms += "for room in ('faces', 'media', 'stylegan2', 'subspaces'): print(getattr(m, room).__name__, room in dir(m))\n"
    rooms += "print(hasattr(m, 'NODE_CLASS_MAPPINGS'), m.stylegan2.load.__name__, m.subspaces.text_anchors.__name__)"
    said = fresh(rooms)
    assert said[0] == project()["project"]["version"]
    assert said[1:] == [
        *("micromotion.faces", "True", "micromotion.media", "True", "micromotion.stylegan2", "True", "micromotion.subspaces", "True"),
        *("False", "load", "text_anchors"),
    ]


def test_the_rooms_load_under_the_name_that_comfyui_gives_the_folder():
    name = "/somewhere/custom_nodes/micromotion"
    code = f"s = u.spec_from_file_location({name!r}, {str(ROOT / '__init__.py')!r})\n"
    code += f"m = u.module_from_spec(s); sys.modules[{name!r}] = m; s.loader.exec_module(m)\n"
    code += "print(m.stylegan2.__name__)"
    assert fresh(code) == [f"{name}.stylegan2"]


def test_type_checkers_are_told_that_the_pack_has_types():
    assert (ROOT / "py.typed").is_file()
    assert "py.typed" in project()["tool"]["setuptools"]["package-data"]["micromotion"]


def test_every_error_that_is_raised_is_of_one_family():
    from micromotion.files.errors import MicromotionError

    caught = {"predictor_file.py"}  # what its walk raises ends at its own border
    plain = [
        (f, n)
        for f in PACK
        if room(f) in {"subspaces", "media", "stylegan2", "faces", "cli", "nodes"} and f.name not in caught
        for n in ast.walk(parsed(f))
        if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call) and ast.unparse(n.exc.func) in {"ValueError", "IndexError", "KeyError"}
    ]
    assert not [f"{f.relative_to(ROOT)}:{n.lineno}" for f, n in plain]
    for package in ("faces", "media", "stylegan2", "stylegan2.inversion", "subspaces"):
        module = importlib.import_module(f"micromotion.{package}")
        errors = [v for v in vars(module).values() if inspect.isclass(v) and issubclass(v, Exception)]
        assert errors and all(issubclass(e, MicromotionError) for e in errors)


def runs_of(rooms: str, length: int) -> dict[tuple[str, ...], str]:
    """Every run of ``length`` lines that say something (no imports, blank lines or lone brackets) in a room, and where it stands."""
    found = {}
    for f in (f for f in PACK if room(f) == rooms):
        lines = [(i, line.strip()) for i, line in enumerate(f.read_text("utf-8").splitlines(), 1)]
        lines = [(i, line) for i, line in lines if len(line) > 3 and not line.startswith(("import ", "from ", "#"))]
        found |= {tuple(line for _, line in lines[k : k + length]): f"{f.name}:{lines[k][0]}" for k in range(len(lines) - length + 1)}
    return found


def test_the_doors_share_code_in_the_library_and_not_by_copying():
    nodes, cli = runs_of("nodes", 8), runs_of("cli", 8)
    assert len(nodes) > 500 and len(cli) > 500
    assert not [f"nodes/{nodes[run]} ~ cli/{cli[run]}" for run in nodes.keys() & cli.keys()]
