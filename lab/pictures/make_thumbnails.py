"""Run every workflow and make its thumbnail, which moves as its result does: ``python lab/pictures/make_thumbnails.py [NAME ...]``.

ComfyUI's page asks for ``.jpg``; what lies there is an animated WebP, which browsers tell by its first bytes. Of templates with a diffusion
model the picture shows what our part gives: that model is left out, and a drawing of the avatar generator stands in for what it would draw.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from hosts import hosted
from make_examples import generated, renderer
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[2]
SIDE, COUNT, MS = 320, 20, 90  # pixels, frames, milliseconds a frame
QUALITY = 72
DIFFUSION = {"KSampler", "KSamplerAdvanced"}
DRAWN, DRAWN_SEED = "drawn.png", 5718  # what stands in for a picture by Stable Diffusion
HELD = 5  # frames that a picture of several is shown
ROUND = 48  # frames of a clip that are shown: a longer one would jump from round to round
LIVE = {"smile": 0.8, "wink_left": 1.0, "turn": 0.7}
FETCHED = ("FFHQ generator", "its inverter", "CLIP", "landmarks", "motions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names or sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
    renderer()
    with tempfile.TemporaryDirectory() as folder, hosted.Server(Path(folder)) as server:
        Image.fromarray(generated(DRAWN_SEED, 512)).save(server.base / "input" / DRAWN)
        info = server.get("/object_info")
        for name in names:
            workflow = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
            save(moving(server, on_avatars(hosted.to_prompt(workflow, info))), ROOT / "workflows" / f"{name}.jpg")
            print(name, flush=True)


def on_avatars(prompt: dict) -> dict:
    """The prompt with the embedded networks and motion in the place of files that are fetched."""
    embedded = {"MicromotionLoadGenerator": "avatar", "MicromotionLoadInverter": "avatar", "MicromotionLoadSubspace": "smile"}
    for node in prompt.values():
        if node["class_type"] in embedded and not node["inputs"]["file"].endswith("(embedded)"):
            node["inputs"]["file"] = f"{embedded[node['class_type']]} (embedded)"
    return prompt


def moving(server, prompt: dict) -> list[Image.Image]:
    """The frames of a workflow's thumbnail."""
    kinds = {node["class_type"]: number for number, node in prompt.items()}
    if "MicromotionFetchModel" in kinds:
        return fetching(server)
    if "MicromotionFaceSliders" in kinds and "PreviewImage" in kinds:
        return [made(server, moved(prompt, kinds["MicromotionFaceSliders"], share))[-1] for share in sliding()]
    pictures = made(server, without_diffusion(prompt))
    if len(pictures) > 8:
        shown = pictures[:ROUND] if "MicromotionSweepToVideo" in kinds else pictures
        return [shown[i * len(shown) // COUNT] for i in range(COUNT)]
    if len(pictures) == 1:
        return slid_over(pictures[0]) if "ImageGrid" in kinds else faded(given(server, prompt), pictures[0])
    return [one for one in pictures for _ in range(HELD)]


def made(server, prompt: dict) -> list[Image.Image]:
    """All frames of the last video, or the pictures."""
    entry = server.run(prompt, seconds=3600)
    found = [f for out in entry["outputs"].values() for group in out.values() for f in group if isinstance(f, dict) and "filename" in f]
    paths = [server.base / f["type"] / f["subfolder"] / f["filename"] for f in found]
    videos = [path for path in paths if path.suffix == ".mp4"]
    return frames(videos[-1]) if videos else [Image.open(path).convert("RGB") for path in paths if path.suffix == ".png"]


def given(server, prompt: dict) -> Image.Image:
    """The picture that a workflow begins with."""
    name = next(node["inputs"]["image"] for node in prompt.values() if node["class_type"] == "LoadImage")
    return Image.open(server.base / "input" / name).convert("RGB")


def faded(first: Image.Image, last: Image.Image) -> list[Image.Image]:
    """From one picture to the other and back."""
    first = first.resize(last.size, Image.Resampling.LANCZOS)
    return [Image.blend(first, last, 1 - abs(2 * i / COUNT - 1)) for i in range(COUNT)]


def slid_over(sheet: Image.Image) -> list[Image.Image]:
    """A window three fifths as large, down over a sheet and up again."""
    side = min(sheet.size) * 3 // 5
    ways = [1 - abs(2 * i / COUNT - 1) for i in range(COUNT)]
    corners = [(round((sheet.width - side) * way), round((sheet.height - side) * way)) for way in ways]
    return [sheet.crop((x, y, x + side, y + side)) for x, y in corners]


def frames(path: Path) -> list[Image.Image]:
    import av

    with av.open(str(path)) as clip:
        return [frame.to_image() for frame in clip.decode(video=0)]


def sliding() -> list[dict]:
    """Where the sliders stand in each frame: one after another to its end and back."""
    steps = COUNT // len(LIVE) // 2 * 2
    return [{name: end * (1 - abs(2 * i / steps - 1))} for name, end in LIVE.items() for i in range(steps)]


def moved(prompt: dict, number: str, shares: dict) -> dict:
    """The prompt with the sliders of these motions at these coefficients, all others at 0."""
    inputs = {name: 0.0 if name.startswith("coefficient") else put for name, put in prompt[number]["inputs"].items()}
    for name, put in prompt[number]["inputs"].items():
        if name.startswith("motions."):
            motion = prompt[put[0]]["inputs"]["file"].partition(" ")[0]
            inputs[name.replace("motions.motion", "coefficient")] = shares.get(motion, 0.0)
    return {**prompt, number: {**prompt[number], "inputs": inputs}}


def without_diffusion(prompt: dict) -> dict:
    """The prompt with what a diffusion model decodes replaced: by what went into it, or by a drawing where it begins with noise."""
    decoded = [number for number, node in prompt.items() if node["class_type"] == "VAEDecode"]
    if not decoded:
        return prompt
    given = next((node["inputs"]["pixels"] for node in prompt.values() if node["class_type"] == "VAEEncode"), None)
    load = {"drawn": {"class_type": "LoadImage", "inputs": {"image": DRAWN}}}
    kept = {number: node for number, node in prompt.items() if node["class_type"].startswith(("Micromotion", "Load", "Save", "Create"))}
    link = given or ["drawn", 0]
    return load | {number: relinked(node, decoded, link) for number, node in kept.items()}


def relinked(node: dict, old: list[str], new: list) -> dict:
    inputs = {name: new if isinstance(put, list) and put[0] in old else put for name, put in node["inputs"].items()}
    return {**node, "inputs": inputs}


def fetching(server) -> list[Image.Image]:
    """A statue's face that fills in from the top, with the names of what is fetched; nobody's photo is shown."""
    face = Image.fromarray(generated(68, SIDE))
    pale = Image.blend(face, Image.new("RGB", face.size, "#1d2433"), 0.8)
    out = []
    for i in range(COUNT):
        share = min(1.0, i / (COUNT - HELD))
        one = pale.copy()
        one.paste(face.crop((0, 0, SIDE, round(SIDE * share))), (0, 0))
        draw = ImageDraw.Draw(one)
        draw.rounded_rectangle((16, SIDE - 34, SIDE - 16, SIDE - 20), 7, fill="#39435a")
        draw.rounded_rectangle((16, SIDE - 34, 30 + round((SIDE - 46) * share), SIDE - 20), 7, fill="#5b8def")
        said = FETCHED[min(int(share * len(FETCHED)), len(FETCHED) - 1)]
        draw.text((18, SIDE - 58), said, fill="#ffffff", font=ImageFont.load_default(18), stroke_width=2, stroke_fill="#1d2433")
        out.append(one)
    return out


def save(pictures: list[Image.Image], path: Path) -> None:
    """An animated WebP under the name that the page asks for."""
    scale = SIDE / min(pictures[0].size)
    size = (round(pictures[0].width * scale), round(pictures[0].height * scale))
    small = [picture.resize(size, Image.Resampling.LANCZOS) for picture in pictures]
    small[0].save(path, "WEBP", save_all=True, append_images=small[1:], duration=MS, loop=0, quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
