"""A real ComfyUI in a subprocess: found, started in an empty base directory, asked by its API.

``COMFYUI_PATH`` and ``COMFYUI_PYTHON`` name another one, ``COMFYUI_ARGUMENTS`` what else it is started with; with ``COMFYUI_GPU=1`` it
runs on the GPU.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 600
RUN_SECONDS = 600
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "CURVE", "COMFY_DYNAMICCOMBO_V3"}
DYNAMIC = "COMFY_DYNAMICCOMBO_V3"
SUBGRAPH_INPUT = -10  # the node id of a subgraph's inputs
SEED_CONTROLS = {"fixed", "increment", "decrement", "randomize"}


class RunError(Exception):
    """ComfyUI refused or failed a prompt; the message is what its user would see, ``kind`` the class of what a node raised."""

    def __init__(self, message: str, kind: str = ""):
        super().__init__(message)
        self.kind = kind


def find_comfyui() -> Path | None:
    """``COMFYUI_PATH``, then above the pack, then comfy-cli's default workspace."""
    candidates = [
        os.environ.get("COMFYUI_PATH"),
        ROOT.parents[1] if ROOT.parent.name == "custom_nodes" else None,
        Path.home() / "comfy/ComfyUI",
    ]
    found = (Path(c) for c in candidates if c)
    return next((path for path in found if (path / "main.py").is_file() and (path / "comfy_api").is_dir()), None)


def find_python(comfyui: Path) -> str:
    """``COMFYUI_PYTHON``, then a virtual environment in or beside ComfyUI, then this interpreter."""
    if given := os.environ.get("COMFYUI_PYTHON"):
        return given
    inner = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    candidates = [folder / name / inner for folder in (comfyui, comfyui.parent) for name in (".venv", "venv")]
    return str(next((path for path in candidates if path.is_file()), sys.executable))


def why_not() -> str | None:
    """Why no host can be started, None when one can."""
    comfyui = find_comfyui()
    if comfyui is None:
        return "no ComfyUI found: set COMFYUI_PATH, or put the pack into custom_nodes, or install to ~/comfy/ComfyUI"
    probe = subprocess.run([find_python(comfyui), "-c", "import aiohttp, torch, torchaudio, av"], capture_output=True, text=True)
    if probe.returncode:
        return f"ComfyUI's Python lacks its requirements: {probe.stderr.strip().splitlines()[-1]}"
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running ComfyUI with only this pack, on the CPU unless ``COMFYUI_GPU`` is set; use as a context manager."""

    def __init__(self, base: Path, *, env: dict[str, str] | None = None, arguments: tuple[str, ...] = ()):
        self.base, self.env, self.arguments = base, env or {}, arguments
        self.port = free_port()
        self.log_path = base / "comfyui.log"

    def __enter__(self) -> Server:
        for name in ("custom_nodes", "input", "output", "models"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        link = self.base / "custom_nodes" / "micromotion"
        if not link.exists():
            link.symlink_to(ROOT, target_is_directory=True)
        comfyui = find_comfyui()
        device = [] if os.environ.get("COMFYUI_GPU") else ["--cpu"]
        command = [find_python(comfyui), "main.py", *device, "--base-directory", str(self.base), "--port", str(self.port)]
        command += ["--database-url", "sqlite:///:memory:", *self.arguments, *os.environ.get("COMFYUI_ARGUMENTS", "").split()]
        self._log = self.log_path.open("w")
        own = {name: value for name, value in os.environ.items() if name != "MICROMOTION_WEIGHTS"}  # other tests set it
        env = {**own, "PYTHONDONTWRITEBYTECODE": "1", **self.env}
        self.process = subprocess.Popen(command, cwd=comfyui, stdout=self._log, stderr=subprocess.STDOUT, env=env)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._log.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def get(self, path: str):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body: dict):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or "{}")
        except urllib.error.HTTPError as error:
            raise RunError(error.read().decode(errors="replace")) from error

    def run(self, prompt: dict, seconds: float = RUN_SECONDS, every: float = 0.1) -> dict:
        """Execute an API prompt and return its history entry; raises RunError with the user's message."""
        number = self.submit(prompt)
        return self.wait(number, seconds, every)

    def submit(self, prompt: dict) -> str:
        answer = self.post("/prompt", {"prompt": prompt, "client_id": "tests"})
        if answer.get("node_errors"):
            raise RunError(json.dumps(answer["node_errors"]))
        return answer["prompt_id"]

    def wait(self, number: str, seconds: float = RUN_SECONDS, every: float = 0.1) -> dict:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            entry = self.get(f"/history/{number}").get(number)
            if entry:
                return _checked(entry)
            time.sleep(every)
        raise RunError(f"nothing after {seconds} s")

    def resident(self) -> int:
        """Bytes of memory that the process holds; Linux only."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.3)
        raise RunError(f"ComfyUI did not start:\n{self.log[-3000:]}")


def _checked(entry: dict) -> dict:
    status = entry["status"]
    if status["status_str"] == "success":
        return entry
    for name, message in status["messages"]:
        if name == "execution_error":
            said = f"{message['node_type']}: {message['exception_message']}\n{''.join(message['traceback'])}"
            raise RunError(said, message["exception_type"])
    raise RunError(json.dumps(status))


def to_prompt(workflow: dict, info: dict) -> dict:
    """A saved workflow as the API takes it: what the page's own conversion does, subgraphs opened as ``5:12``.

    ``info`` is ``/object_info``. Muted and bypassed nodes are left out with their links, and so are notes.
    """
    subgraphs = {one["id"]: one for one in workflow.get("definitions", {}).get("subgraphs", [])}
    prompt: dict = {}
    _Level(workflow, info, subgraphs, prompt).write()
    return prompt


class _Level:
    """The nodes of a workflow or of one use of a subgraph; ``given`` are links and values from the node around it, by slot."""

    def __init__(self, graph: dict, info: dict, subgraphs: dict, prompt: dict, prefix: str = "", given: dict | None = None):
        self.info, self.subgraphs, self.prompt, self.prefix, self.given = info, subgraphs, prompt, prefix, given or {}
        self.graph = graph
        self.active = {n["id"]: n for n in graph["nodes"] if n.get("mode", 0) == 0 and (n["type"] in info or n["type"] in subgraphs)}
        self.source = dict(_link(link) for link in graph["links"])
        self.inner: dict[int, _Level] = {}

    def write(self) -> None:
        for number in self.active:
            self.level(number) if self.active[number]["type"] in self.subgraphs else self.put(number)

    def put(self, number: int) -> None:
        node = self.active[number]
        inputs = widget_values(self.info[node["type"]], node.get("widgets_values") or [])
        linked = {put["name"]: self.origin(put["link"]) for put in node.get("inputs", []) if put.get("link") is not None}
        inputs |= {name: value for name, value in linked.items() if value is not None}
        self.prompt[f"{self.prefix}{number}"] = {"class_type": node["type"], "inputs": inputs}

    def level(self, number: int) -> _Level:
        """The inside of a subgraph's node, written once."""
        if number not in self.inner:
            node = self.active[number]
            values = iter(node.get("widgets_values") or [])
            own = [(put, next(values) if "widget" in put else None) for put in node["inputs"]]
            given = {i: value if put["link"] is None else self.origin(put["link"]) for i, (put, value) in enumerate(own)}
            graph = self.subgraphs[node["type"]]
            self.inner[number] = _Level(graph, self.info, self.subgraphs, self.prompt, f"{self.prefix}{number}:", given)
            self.inner[number].write()
        return self.inner[number]

    def origin(self, link: int):
        """What an input is linked to, ``[node, slot]``, or the value that comes from a subgraph's widget; None for nothing."""
        node, slot = self.source[link]
        if node == SUBGRAPH_INPUT:
            return self.given.get(slot)
        if node not in self.active:
            return None
        if self.active[node]["type"] in self.subgraphs:
            inner = self.level(node)
            return inner.origin(inner.graph["outputs"][slot]["linkIds"][0])
        return [f"{self.prefix}{node}", slot]


def _link(link) -> tuple[int, tuple[int, int]]:
    return (link["id"], (link["origin_id"], link["origin_slot"])) if isinstance(link, dict) else (link[0], (link[1], link[2]))


def widget_values(definition: dict, values: list) -> dict:
    """Widget values by name: inputs in order, a seed's control and an upload button skipped, dynamic combos opened."""
    found, rest = {}, list(values)
    for name, kind, options in puts(definition["input"]):
        _take(name, kind, options, rest, found)
    return found


def puts(sections: dict):
    """Name, type and options of every input."""
    for section in ("required", "optional"):
        for name, spec in sections.get(section, {}).items():
            yield name, spec[0], spec[1] if len(spec) > 1 else {}


def _take(name: str, kind, options: dict, rest: list, found: dict) -> None:
    if not (isinstance(kind, list) or kind in WIDGETS) or options.get("forceInput"):
        return
    if kind == DYNAMIC:
        found[name] = rest.pop(0) if rest else options["options"][0]["key"]
        chosen = next(option for option in options["options"] if option["key"] == found[name])
        for inner, inner_kind, inner_options in puts(chosen["inputs"]):
            _take(f"{name}.{inner}", inner_kind, inner_options, rest, found)
        return
    if rest:
        found[name] = rest.pop(0)
    elif "default" in options:
        found[name] = options["default"]
    if options.get("control_after_generate") and rest and rest[0] in SEED_CONTROLS:
        rest.pop(0)
    if options.get("image_upload") or options.get("video_upload"):
        del rest[:1]
