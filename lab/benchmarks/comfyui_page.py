"""ComfyUI's own page with this pack, looked at and timed: ``python lab/benchmarks/comfyui_page.py PART ... [--newest FOLDER] [--write]``.

``opening``: how the templates stand when they are opened, beside three of ComfyUI's own. ``sheet``: the same as pictures, and after a run.
``search``: what thirteen words find. ``drag``: from mouse to picture. ``first``: how long the first template takes.

``--newest`` is another page than the one that the ComfyUI asks for: ``pip install --target X comfyui-frontend-package``, then
``X/comfyui_frontend_package/static``. ``--write`` renews docs/comfyui.md. ``--official FOLDER`` keeps pictures of ComfyUI's own templates
to compare with; they belong to their makers and are not part of this pack.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from measuring import ROOT, helper, machine, publish, table
from PIL import Image, ImageDraw

hosted, browser, hands = (helper(f"nodes/{name}.py") for name in ("hosted", "page", "hands"))

PAGE, SHEET = ROOT / "docs" / "comfyui.md", ROOT / "docs" / "nodes" / "templates.webp"
WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
START, LIVE = "01 Animate a face, start here", "03 Expression sliders, live"
OFFICIAL = ("flux_kontext_dev_basic", "image_qwen_image_edit_2509", "video_wan2_2_14B_i2v")
WORDS = (
    "face animation", "talking head", "portrait", "expression", "smile", "age", "mouth", "morph", "liveportrait", "stylegan", "GAN",
    "micromotion", "wink",
)  # fmt: skip
WINDOW, SMALL_WINDOW = (1600, 900), (1024, 600)
CELL, LINE = (400, 225), 18  # pixels of a picture of the sheet, and of a line of text
LEGIBLE = 0.8  # of the page's own letters
DRAGS = 3
EMPTY = {"nodes": [], "links": [], "groups": [], "extra": {}, "version": 0.4}
SMALL = {"steps": 2, "width": 256, "height": 256, "frames": 8}  # of the diffusion templates, whose checkpoint is a random one here
BENT = 0.25  # of the distance: how far a wire leaves straight
SAMPLES = 40  # points of a wire

STANDS = """() => {
  const { app } = window.comfyAPI.app, { scale, offset } = app.canvas.ds, frame = app.canvas.canvas.getBoundingClientRect();
  const nodes = app.graph._nodes;
  const hidden = nodes.filter((node) => {
    const [x, y] = [frame.x + (node.pos[0] + 45 + offset[0]) * scale, frame.y + (node.pos[1] - 15 + offset[1]) * scale];
    const there = document.elementFromPoint(x, y);
    return !(there?.id === "graph-canvas" || there?.closest("[data-node-id]")?.dataset.nodeId === String(node.id));
  });
  const links = [...(app.graph.links.values?.() ?? Object.values(app.graph.links))].map((link) => {
    const [from, to] = [app.graph.getNodeById(link.origin_id), app.graph.getNodeById(link.target_id)];
    return { from: from.id, to: to.id, a: [...from.getOutputPos(link.origin_slot)], b: [...to.getInputPos(link.target_slot)] };
  });
  return { scale, count: nodes.length, hidden: hidden.map((node) => node.title), links };
}"""


@contextmanager
def opened(arguments: tuple[str, ...] = (), size: tuple[int, int] = WINDOW) -> Iterator:
    """A fresh ComfyUI and its page."""
    with tempfile.TemporaryDirectory() as base, hosted.Server(Path(base), arguments=arguments) as server:
        with browser.Page(server.url, size) as page:
            page.version = page.page.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__")
            page.base, page.comfyui = server.base, server.process.pid
            yield page


def show(page, name: str, renderer: str, official: bool = False) -> None:
    """Open a template as the Template Browser does."""
    path = f"templates/{name}.json" if official else f"api/workflow_templates/micromotion/{quote(name)}.json"
    page.open_template(name, renderer, path)


def behind(wire: dict, boxes: list[dict]) -> bool:
    """Whether a wire passes behind a node that it does not belong to."""
    (x0, y0), (x3, y3) = wire["a"], wire["b"]
    bend = BENT * ((x3 - x0) ** 2 + (y3 - y0) ** 2) ** 0.5
    others = [box for box in boxes if str(box["id"]) not in (str(wire["from"]), str(wire["to"]))]
    for i in range(1, SAMPLES):
        t = i / SAMPLES
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
        x, y = a * x0 + b * (x0 + bend) + c * (x3 - bend) + d * x3, (a + b) * y0 + (c + d) * y3
        if any(box["x"] < x < box["x"] + box["w"] and box["y"] < y < box["y"] + box["h"] for box in others):
            return True
    return False


def opening(pages: list[tuple[str, ...]], official: Path | None) -> str:
    rows = []
    for arguments in pages:
        with opened(arguments) as page:
            for name in (*WORKFLOWS, *OFFICIAL):
                show(page, name, "canvas", name in OFFICIAL)
                if official and name in OFFICIAL:
                    official.mkdir(parents=True, exist_ok=True)
                    page.picture(official / f"{name} {page.version}.png")
                rows.append([page.version, f"*{name}* (ComfyUI's own)" if name in OFFICIAL else name, *stands(page)])
                print(*rows[-1], flush=True)
    return table(["page", "template", "nodes", "zoom", "titles legible", "wires behind nodes"], rows)


def stands(page) -> list[str]:
    """Nodes, zoom, legible titles and wires behind nodes of the open graph."""
    seen, boxes = page.page.evaluate(STANDS), page.look()["boxes"]
    legible = 0 if seen["scale"] < LEGIBLE else seen["count"] - len(seen["hidden"])
    wires = sum(behind(wire, boxes) for wire in seen["links"])
    return [str(seen["count"]), f"{seen['scale']:.0%}", f"{legible} of {seen['count']}", f"{wires} of {len(seen['links'])}"]


TITLES = [f"{renderer}, {when}" for when in ("as it opens", "after a run") for renderer in browser.RENDERERS]


def sheet(arguments: tuple[str, ...], names: list[str], titles: list[str]) -> str:
    """Renew these rows and columns of the contact sheet, after every picture; a line that says what it is."""
    shots = kept()
    quickest = sorted(names, key=lambda name: "from text" in name)
    with opened(arguments) as page:
        write_checkpoint(page.base / "models" / "checkpoints")
        for title in titles:
            renderer, when = title.split(", ")
            for name in quickest:
                show(page, name, renderer)
                if when == "after a run":
                    run(page, name, renderer)
                shots[name, title] = picture(page)
                print(page.version, title, name, *wrong(page), flush=True)
                save(shots)
        version = page.version
    what = f"Page {version}, a window of {WINDOW[0]} x {WINDOW[1]} pixels; the Stable Diffusion templates ran on a small random checkpoint."
    return f"![every template in both renderers]({SHEET.relative_to(PAGE.parent).as_posix()})\n\n{what}"


def run(page, name: str, renderer: str) -> None:
    if "Stable Diffusion" in name:
        page.open(smaller(json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8"))), renderer)
    page.run()


def wrong(page) -> list[str]:
    """What the page complains of, and which nodes cover each other or their own widgets."""
    boxes = page.look()["boxes"]
    cut = [f"too small: {box['type']}" for box in boxes if box["cut"] > 1]
    return [f"overlap: {pair}" for pair in browser.overlaps(boxes)] + cut + page.errors + page.warnings + page.ours


def picture(page) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        return Image.open(page.picture(Path(folder) / "page.png")).convert("RGB").resize(CELL, Image.Resampling.LANCZOS)


def places() -> Iterator[tuple[str, str, int, int]]:
    """Template and title of every picture of the sheet, and where its left upper corner stands: a row for a template, under its name."""
    for j, name in enumerate(WORKFLOWS):
        for i, title in enumerate(TITLES):
            yield name, title, i * CELL[0], 2 * LINE + j * (CELL[1] + LINE)


def kept() -> dict[tuple[str, str], Image.Image]:
    """The pictures of the sheet that is there; empty places are not taken for pictures."""
    if not SHEET.exists():
        return {}
    whole = Image.open(SHEET).convert("RGB")
    found = {(name, title): whole.crop((x, y, x + CELL[0], y + CELL[1])) for name, title, x, y in places() if y + CELL[1] <= whole.height}
    return {place: shot for place, shot in found.items() if any(shot.convert("L").histogram()[:128])}


def save(shots: dict[tuple[str, str], Image.Image]) -> None:
    made = Image.new("RGB", (len(TITLES) * CELL[0], LINE + len(WORKFLOWS) * (CELL[1] + LINE)), "white")
    draw = ImageDraw.Draw(made)
    for name, title, x, y in places():
        if title == TITLES[0]:
            draw.text((4, y - LINE + 3), name, "black")
        if name == WORKFLOWS[0]:
            draw.text((x + 4, 3), title, "black")
        if (name, title) in shots:
            made.paste(shots[name, title], (x, y))
    made.save(SHEET, quality=80, method=4)


def smaller(workflow: dict) -> dict:
    for graph in (workflow, *workflow["definitions"]["subgraphs"]):
        for node in graph["nodes"]:
            named = [put["name"] for put in node.get("inputs", []) if "widget" in put]
            if node["type"] in ("KSampler", "EmptyLatentImage") or "frames" in named:
                if node["type"] == "KSampler":
                    named.insert(named.index("seed") + 1, "")  # the seed's control
                node["widgets_values"] = [SMALL.get(name, value) for name, value in zip(named, node["widgets_values"])]
    return workflow


def write_checkpoint(folder: Path) -> None:
    import subprocess

    folder.mkdir(parents=True, exist_ok=True)
    comfyui = hosted.find_comfyui()
    script, made = ROOT / "tests" / "nodes" / "tiny_sd.py", folder / "v1-5-pruned-emaonly-fp16.safetensors"
    subprocess.run([hosted.find_python(comfyui), str(script), str(made)], cwd=comfyui, check=True)


def search(pages: list[tuple[str, ...]]) -> str:
    rows = []
    for arguments in pages:
        with opened(arguments) as page:
            page.open(EMPTY, "canvas")
            nodes = [hands.search_nodes(page, words) for words in WORDS]
            titles = [hands.search_templates(page, words) for words in WORDS]
            for words, one, other in zip(WORDS, nodes, titles):
                templates = [(title, "micromotion" if title in WORKFLOWS else "") for title in other]
                rows.append([page.version, words, *found(one), *(found(templates) if any(titles) else ("not read", "not read"))])
                print(*rows[-1], flush=True)
    return table(["page", "words", "nodes and blueprints: first of ours", "ours of all", "templates: first of ours", "ours of all"], rows)


def found(shown: list[tuple[str, str]]) -> list[str]:
    """The first of ours with its place, and how many of all are ours."""
    ours = [(i, name) for i, (name, source) in enumerate(shown, 1) if source == "micromotion" or name in BLUEPRINTS]
    return [f"{ours[0][1]} ({ours[0][0]}.)" if ours else "none", f"{len(ours)} of {len(shown)}"]


BLUEPRINTS = {path.stem for path in (ROOT / "subgraphs").glob("*.json")}


def drag(pages: list[tuple[str, ...]]) -> str:
    workflow, rows = json.loads((ROOT / "workflows" / f"{LIVE}.json").read_text("utf-8")), []
    for arguments, size in itertools.product(pages, (WINDOW, SMALL_WINDOW)):
        with opened(arguments, size) as page:
            for renderer in browser.RENDERERS:
                page.open(workflow, renderer)
                page.fit()
                page.run()
                hands.choose_run(page, "Run (On Change)")
                rows.append([page.version, renderer, f"{size[0]} x {size[1]}", *dragged(page)])
                print(*rows[-1], flush=True)
    heading = [
        "page",
        "renderer",
        "window",
        "mouse to picture, median ms",
        "slowest tenth from, ms",
        "answer, median ms",
        "processor time of ComfyUI a picture, ms",
        "pictures a second",
        "picture, px",
        "longest queue",
    ]
    return f"{busy()}\n\n{table(heading, rows)}"


def dragged(page) -> list[str]:
    hands.drag_slider(page, "smile")  # a first drag, not counted
    spent = processor_seconds(page.comfyui)
    seen = [hands.drag_slider(page, "smile") for _ in range(DRAGS)]
    spent = 1000 * (processor_seconds(page.comfyui) - spent) / sum(len(one["runs"]) for one in seen)
    waits = sorted(wait for one in seen for wait in hands.latencies(one))
    moving = [one["moving"] for one in seen]
    rate = sum(len(one["drawn"]) for one in moving) / sum((one["moves"][-1] - one["moves"][0]) / 1000 for one in moving)
    side = min(side for one in seen for side in one["sides"].values())
    most = max(one["most"] for one in moving)
    answer = hands.median([run["answered"] - run["sent"] for one in seen for run in one["runs"] if "answered" in run])
    slowest = waits[len(waits) * 9 // 10]
    return [f"{hands.median(waits):.0f}", f"{slowest:.0f}", f"{answer:.0f}", f"{spent:.0f}", f"{rate:.1f}", f"{side:.0f}", str(most)]


def first() -> str:
    """The first template in a ComfyUI that has just started, by API; then with another motion."""
    workflow = json.loads((ROOT / "workflows" / f"{START}.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as base, hosted.Server(Path(base)) as server:
        prompt = hosted.to_prompt(workflow, server.get("/object_info"))
        rows = [["the first run, everything to be loaded", *timed(server, prompt)]]
        for node in prompt.values():
            if node["class_type"] == "MicromotionLoadSubspace":
                node["inputs"]["file"] = "anger (embedded)"
        rows.append(["another motion", *timed(server, prompt)])
    return f"{busy()}\n\n{table(['the first template, 48 frames to a video', 'on the clock, s', 'processor time of ComfyUI, s'], rows)}"


def timed(server, prompt: dict) -> list[str]:
    clock, spent = time.perf_counter(), processor_seconds(server.process.pid)
    server.run(prompt, every=0.02)
    return [f"{time.perf_counter() - clock:.1f}", f"{processor_seconds(server.process.pid) - spent:.1f}"]


def processor_seconds(pid: int) -> float:
    """What all threads of a process have taken; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy() -> str:
    """The machine, and how much else it had to do."""
    return f"{machine()}; {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["opening", "sheet", "search", "drag", "first"])
    parser.add_argument("--newest", type=Path)
    parser.add_argument("--official", type=Path)
    parser.add_argument("--rows", nargs="+", default=WORKFLOWS, help="templates of the sheet that are renewed, by their numbers")
    parser.add_argument("--columns", nargs="+", default=TITLES, choices=TITLES)
    parser.add_argument("--write", action="store_true", help="renew docs/comfyui.md")
    args = parser.parse_args()
    newest = ("--front-end-root", str(args.newest.resolve())) if args.newest else ()
    pages = [(), newest] if newest else [()]
    made = {
        "opening": lambda: opening(pages, args.official),
        "sheet": lambda: sheet(newest, [name for name in WORKFLOWS if name.startswith(tuple(args.rows))], args.columns),
        "search": lambda: search(pages),
        "drag": lambda: drag(pages),
        "first": first,
    }
    for part in args.parts:
        publish(part, made[part](), args.write, PAGE)


if __name__ == "__main__":
    main()
