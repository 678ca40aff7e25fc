"""Open every workflow in ComfyUI's page, run it there, and take its picture: ``python lab/pictures/make_screenshots.py OUT [NAME ...]``.

Both renderers; prints what the page complains of. Diffusion workflows run on a small random checkpoint, with fewer and smaller frames.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from hosts import hosted
from hosts import page as browser

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"
SIZE = (2300, 1300)  # pixels of the window: a whole workflow is legible
SMALL = {"KSampler": (2, 2), "EmptyLatentImage": (0, 256), "MicromotionSweep": (0, 3)}  # widget number and value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    names = arguments.names or sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
    with tempfile.TemporaryDirectory() as base, hosted.Server(Path(base)) as server:
        if any("Stable Diffusion" in name for name in names):
            write_checkpoint(server.base / "models" / "checkpoints")
        with browser.Page(server.url, SIZE) as page:
            for name in names:
                for renderer in browser.RENDERERS:
                    print(name, renderer, *shoot(page, name, renderer, arguments.out), flush=True)


def shoot(page, name: str, renderer: str, out: Path) -> list[str]:
    """Open, run, take the picture; what is wrong with it."""
    workflow = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    page.open(smaller(workflow) if "Stable Diffusion" in name else workflow, renderer)
    page.run()
    page.fit()
    seen = page.look()
    page.picture(out / f"{name}_{renderer.replace(' ', '_').replace('.', '')}.png")
    cut = [f"too small: {box['type']}" for box in seen["boxes"] if box["cut"] > 1]
    return [f"overlap: {pair}" for pair in browser.overlaps(seen["boxes"])] + cut + page.errors


def smaller(workflow: dict) -> dict:
    for node in workflow["nodes"]:
        if node["type"] in SMALL:
            at, value = SMALL[node["type"]]
            node["widgets_values"][at] = value
        if node["type"] == "EmptyLatentImage":
            node["widgets_values"][1] = node["widgets_values"][0]
    return workflow


def write_checkpoint(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    comfyui = hosted.find_comfyui()
    command = [hosted.find_python(comfyui), str(ROOT / "tests" / "nodes" / "tiny_sd.py"), str(folder / CHECKPOINT)]
    subprocess.run(command, cwd=comfyui, check=True)


if __name__ == "__main__":
    main()
