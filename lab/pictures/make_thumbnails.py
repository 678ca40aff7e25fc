"""Run every workflow in ComfyUI and make its thumbnail of what it really gave: ``python lab/pictures/make_thumbnails.py [NAME ...]``.

Diffusion workflows need the checkpoint that they name in ``models/checkpoints`` of the base directory (``--base DIRECTORY``).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from hosts import hosted
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CELL, WIDE = 240, 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--base", type=Path)
    arguments = parser.parse_args()
    names = arguments.names or sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
    with tempfile.TemporaryDirectory() as folder, hosted.Server(arguments.base or Path(folder)) as server:
        info = server.get("/object_info")
        for name in names:
            workflow = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
            pictures = made(server, server.run(hosted.to_prompt(workflow, info), seconds=3600))
            thumbnail(pictures).save(ROOT / "workflows" / f"{name}.jpg", quality=88, optimize=True)


def made(server, entry: dict) -> list[Image.Image]:
    """Frames of the last video, spread over its first half, or the pictures."""
    found = [f for out in entry["outputs"].values() for group in out.values() for f in group if isinstance(f, dict) and "filename" in f]
    paths = [server.base / f["type"] / f["subfolder"] / f["filename"] for f in found]
    videos = [path for path in paths if path.suffix == ".mp4"]
    if videos:
        return spread(videos[-1])
    return [Image.open(path).convert("RGB") for path in paths if path.suffix == ".png"]


def spread(path: Path, count: int = 4) -> list[Image.Image]:
    import av

    with av.open(str(path)) as clip:
        frames = [frame.to_image() for frame in clip.decode(video=0)]
    return [frames[i * (len(frames) - 1) // (2 * (count - 1))] for i in range(count)]


def thumbnail(pictures: list[Image.Image]) -> Image.Image:
    """Four pictures in a square; wide ones three below each other."""
    wide = pictures[0].width / pictures[0].height > WIDE
    if wide:
        width, height = 2 * CELL, round(2 * CELL * pictures[0].height / pictures[0].width)
        chosen, places = pictures[::2][:3], [(0, i * height) for i in range(3)]
    else:
        width = height = CELL
        chosen, places = (pictures * 4)[:4], [(x, y) for y in (0, CELL) for x in (0, CELL)]
    if len(pictures) == 1:
        return pictures[0].resize((2 * CELL, round(2 * CELL * pictures[0].height / pictures[0].width)), Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (2 * CELL, max(y for _, y in places[: len(chosen)]) + height))
    for picture, place in zip(chosen, places):
        sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), place)
    return sheet


if __name__ == "__main__":
    main()
