"""Walk a newcomer's way with a photo, in ComfyUI's page and at the command line: ``python lab/pictures/make_first_photo.py``.

Renews the pictures of docs/first_photo and the commands' output in docs/first_photo.md. The files that are fetched are stand-ins of the
public ones' layout and size (tests/stand_ins.py), which draw avatars; tests/file_host.py answers for the hosts that the catalog names, over
https. All that is changed in the programs that fetch are the catalog's sizes and hashes, which are those of the stand-ins.
``COMFYUI_ARGUMENTS="--front-end-root FOLDER"`` chooses another page.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from hosts import ROOT, catalog, hosted
from hosts import page as browser
from micromotion.files.download import hash_file
from PIL import Image

PAGE, PICTURES = ROOT / "docs" / "first_photo.md", ROOT / "docs" / "first_photo"
SIZE = (1500, 840)
FRAMES = 12
COMMANDS = (
    "animate me.png",
    "download photos",
    "download photos --accept",
    "animate me.png --generator models/stylegan2/stylegan2-ffhq-config-f.pt --inverter models/stylegan2_inverters/e4e_ffhq_encode.pt"
    f" --motion models/micromotion/smile.pt --frames {FRAMES}",
    "animate me.png --generator models/stylegan2/stylegan2-ffhq-config-f.pt --inverter models/stylegan2_inverters/e4e_ffhq_encode.pt"
    " --motion models/micromotion/headsTurn.pt --drive clip.mp4 --out output/driven.mp4",
)
# What a program that fetches is given: the catalog with the stand-ins' sizes and hashes.
PUBLISHED = """
import json
from dataclasses import replace
def publish(catalog):
    known = json.loads(open({path!r}, encoding="utf-8").read())
    catalog.ENTRIES = tuple(replace(e, **known[e.name]) if e.name in known else e for e in catalog.ENTRIES)
"""
COMMAND = "from micromotion.files import catalog\npublish(catalog)\nfrom micromotion.__main__ import main\nraise SystemExit(main())\n"
NODE = """
import sys
from server import PromptServer
def before(prompt):
    publish(next(module for name, module in sys.modules.items() if name.endswith("micromotion.files.catalog")))
    return prompt
PromptServer.instance.add_on_prompt_handler(before)
NODE_CLASS_MAPPINGS = {}
"""
DROP = """async ([name, data, x, y]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name, { type: 'image/png' }));
  for (const type of ['dragenter', 'dragover', 'drop']) {
    const how = { dataTransfer: given, clientX: x, clientY: y, bubbles: true, cancelable: true };
    document.elementFromPoint(x, y).dispatchEvent(new DragEvent(type, how));
    await new Promise((done) => setTimeout(done, 300));
  }
}"""
MIDDLE = """(type) => {
  const { app } = window.comfyAPI.app, { scale, offset } = app.canvas.ds;
  const node = app.graph._nodes.find((one) => one.type === type), box = app.canvas.canvas.getBoundingClientRect();
  return [0, 1].map((i) => [box.x, box.y][i] + (node.pos[i] + node.size[i] / 2 + offset[i]) * scale);
}"""
SET = """([type, name, value]) => {
  const node = window.comfyAPI.app.app.graph._nodes.find((one) => one.type === type || one.title === type);
  const widget = node.widgets.find((one) => one.name === name || one.label === name);
  widget.value = value;
}"""


sys.path.insert(0, str(ROOT / "lab" / "benchmarks"))
full_size = importlib.import_module("full_size")
file_host = importlib.import_module("measuring").helper("file_host.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the stand-ins are written and kept (2 GB); a temporary one otherwise")
    parser.add_argument("--only", choices=("page", "commands"))
    args = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        kept, work = args.folder or Path(temporary) / "kept", Path(temporary)
        full_size.prepare(kept, catalog.SETS["photos"])
        Image.open(kept / "me.jpg").save(work / "me.png")
        (work / "clip.mp4").write_bytes((kept / "clip.mp4").read_bytes())
        with file_host.FileHost(work, addresses(kept / "models")) as host:
            if args.only != "page":
                renew(commands(work, kept / "models", host.env))
            if args.only != "commands":
                walk_page(work, kept / "models", host)


def addresses(models: Path) -> dict[str, Path]:
    """The catalog's address of each stand-in; packed where it is packed."""
    found = {}
    for entry in map(catalog.find, catalog.SETS["photos"]):
        path = models / entry.target
        if entry.url.endswith(".bz2"):
            packed = path.with_name(f"{path.name}.bz2")
            if not packed.exists():
                full_size.stand_ins.landmarks(packed)
            path = packed
        found[entry.url] = path
    return found


def published(models: Path, path: Path) -> str:
    """Python that gives the catalog the stand-ins' sizes and hashes, which are written to ``path``."""
    entries = full_size.stand_ins.as_published(models, tuple(map(catalog.find, catalog.SETS["photos"])))
    packed = {e.name: hash_file(models / f"{e.target}.bz2") if e.url.endswith(".bz2") else None for e in entries}
    known = {e.name: {"size": e.size, "sha256": e.sha256, "packed_sha256": packed[e.name]} for e in entries}
    path.write_text(json.dumps(known), "utf-8")
    return PUBLISHED.format(path=str(path))


def commands(work: Path, models: Path, env: dict[str, str]) -> list[tuple[str, str]]:
    """Every command line with what it says."""
    program = work / "command.py"
    program.write_text(published(models, work / "published.json") + COMMAND, "utf-8")
    found = []
    for command in COMMANDS:
        words = [sys.executable, str(program), *shlex.split(command)]
        whole = {**os.environ, **env, "PYTHONPATH": str(ROOT.parent), "PYTHONWARNINGS": "ignore", "COLUMNS": "120"}
        done = subprocess.run(words, cwd=work, env=whole, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = re.sub(r"[^\n]*\r", "", done.stdout).replace(str(work) + "/", "")
        print(f"$ micromotion {command}\n{said}", flush=True)
        found.append((command, said.strip()))
    return found


def renew(found: list[tuple[str, str]]) -> None:
    """Put the commands and their output between the page's markers, one pair for each."""
    page = PAGE.read_text("utf-8")
    for i, (command, said) in enumerate(found, 1):
        start, end = f"<!-- command {i} -->", f"<!-- end of command {i} -->"
        block = f"{start}\n```\n$ micromotion {command}\n{said}\n```\n{end}"
        page = re.sub(f"{start}.*?{end}", lambda _: block, page, flags=re.DOTALL)  # noqa: B023
    PAGE.write_text(page, "utf-8")


def walk_page(work: Path, models: Path, host) -> None:
    base = work / "base"
    node = base / "custom_nodes" / "stand_in_sizes"
    node.mkdir(parents=True)
    (node / "__init__.py").write_text(published(models, work / "published.json") + NODE, "utf-8")
    with hosted.Server(base, env=host.env) as server, browser.Page(server.url, SIZE) as page:
        for renderer in browser.RENDERERS:
            drop(page, work / "me.png", renderer)
        look_for_files(page)
        fetch(page, host)
        animate(page, work / "me.png", server)
        drive(page, work, server)
        print(*page.errors, sep="\n")


def workflow(number: int) -> dict:
    return json.loads(next((ROOT / "workflows").glob(f"{number:02} *.json")).read_text("utf-8"))


def shoot(page, name: str) -> None:
    page.page.mouse.move(5, SIZE[1] - 5)
    png = page.picture(PICTURES / f"{name}.png")
    Image.open(png).convert("RGB").save(PICTURES / f"{name}.webp", quality=72, method=6)
    png.unlink()


def put_photo(page, photo: Path) -> None:
    """Drop a file onto Load Image, as a user does."""
    page.fit()
    x, y = page.page.evaluate(MIDDLE, "LoadImage")
    page.page.evaluate(DROP, [photo.name, base64.b64encode(photo.read_bytes()).decode(), x, y])
    page.page.wait_for_function(
        "(name) => window.comfyAPI.app.app.graph._nodes.some((n) => n.type === 'LoadImage' && n.widgets[0].value === name)", arg=photo.name
    )


def drop(page, photo: Path, renderer: str) -> None:
    """A photo in the first template, and the sentence."""
    page.open(workflow(1), renderer)
    put_photo(page, photo)
    page.press_run()
    page.page.keyboard.press("Escape")
    page.fit()
    shoot(page, f"sentence_{renderer.replace(' ', '_').replace('.', '')}")


def look_for_files(page) -> None:
    """The photo template before its files are there: what the page says of them."""
    page.open(workflow(2), "nodes 2.0")
    page.page.wait_for_timeout(2000)
    shoot(page, "missing")


def fetch(page, host) -> None:
    page.open(workflow(19), "nodes 2.0")
    page.press_run()
    page.fit()
    shoot(page, "terms")
    (number,) = page.page.evaluate(
        "() => window.comfyAPI.app.app.graph._nodes.filter((n) => n.type.includes('FetchModel')).map((n) => n.id)"
    )
    page.click_widget(number, "accept")
    host.speed = 50e6
    page.press_run(wait=False)
    page.page.wait_for_timeout(12_000)
    shoot(page, "fetching")
    host.speed = None
    page.wait()
    shoot(page, "fetched")


def animate(page, photo: Path, server) -> None:
    page.open(workflow(2), "nodes 2.0")
    put_photo(page, photo)
    page.page.evaluate(SET, ["Animate Face", "frames", FRAMES])
    page.press_run()
    page.page.wait_for_timeout(3000)
    page.fit()
    shoot(page, "animated")


def drive(page, work: Path, server) -> None:
    """A clip with sound moves the photo."""
    (server.base / "input" / "clip.mp4").write_bytes((work / "clip.mp4").read_bytes())
    page.open(workflow(7), "nodes 2.0")
    put_photo(page, work / "me.png")
    page.page.evaluate(SET, ["LoadVideo", "file", "clip.mp4"])
    chosen = {"generator": "stylegan2-ffhq-config-f.pt", "inverter": "e4e_ffhq_encode.pt", "motion": "headsTurn.pt"}
    for name, value in chosen.items():
        page.page.evaluate(SET, ["Drive Face by Clip", name, value])
    page.press_run()
    page.page.wait_for_timeout(3000)
    page.fit()
    shoot(page, "driven")
    made = max((server.base / "output").rglob("*.mp4"), key=lambda path: path.stat().st_mtime)
    print(made.name, streams(made))


def streams(path: Path) -> list[str]:
    import av

    with av.open(str(path)) as clip:
        return [f"{stream.type} {float(stream.duration * stream.time_base):.2f} s" for stream in clip.streams if stream.duration]


if __name__ == "__main__":
    main()
