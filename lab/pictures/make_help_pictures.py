"""Make the pictures of the help pages and of the README: ``python lab/pictures/make_help_pictures.py [NODE ... README]``.

Node ids go without ``Micromotion``. Left the node as ComfyUI's page draws it, right what it really gave in a run on the embedded networks
and the example pictures. The README shows the first template after a run. Align Face and Pick Face need dlib-bin with a landmark file in
ComfyUI's Python.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
from hosts import hosted
from hosts import page as browser
from micromotion.files.embedded import MOTIONS
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "web" / "docs" / "pictures"
HEIGHT, GAP = 200, 18  # pixels of a picture in a result, and between things
EDGE = 8  # pixels around a node: its sockets stand out
PAPER, INK = "#17181c", "#d6d9e0"
PHOTO, OTHER, CLIP = "micromotion_avatar.png", "micromotion_avatar_2.png", "micromotion_clip.mp4"
BY_HAND = {"path": "by hand", "path__x": 0.5, "path__y": 0.5, "path__share": 1.0, "path__tilt": 0.0}
README, FIRST = "README", "01 Animate a face, start here"
README_PICTURE, README_SIZE = ROOT / "docs" / "nodes" / "animate_avatar.jpg", (1600, 900)
DRAW = """async ([type, values, motions]) => {
  const { app } = window.comfyAPI.app;
  await app.refreshComboInNodes();
  app.graph._nodes.slice().forEach((old) => app.graph.remove(old));
  const node = LiteGraph.createNode(type);
  node.pos = [500, 200];
  app.graph.add(node);
  for (const widget of node.widgets ?? []) if (widget.name in values) widget.value = values[widget.name];
  for (const [name, file] of Object.entries(motions)) {
    const load = LiteGraph.createNode('MicromotionLoadSubspace');
    load.pos = [-9000, 0];
    app.graph.add(load);
    load.widgets[0].value = file;
    load.connect(0, node, node.inputs.findIndex((input) => input.name === name));
  }
  app.canvas.ds.scale = 1;
  app.canvas.ds.offset = [0, 0];
  app.canvas.setDirty(true, true);
  return String(node.id);
}"""


class Flow:
    """A prompt that grows; ``flow(type, **inputs)`` adds a node with defaults and returns its first output."""

    def __init__(self, server, info: dict):
        self.server, self.info, self.prompt = server, info, {}

    def __call__(self, kind: str, **inputs) -> list:
        number = str(len(self.prompt) + 1)
        kind = kind if kind in self.info else f"Micromotion{kind}"
        named = {name.replace("__", "."): put for name, put in inputs.items()}
        self.prompt[number] = {"class_type": kind, "inputs": {**first_choices(self.info[kind]), **named}}
        return [number, 0]

    def run(self, *shown: list) -> list[list[Image.Image]]:
        """The pictures of every IMAGE output in ``shown``; nothing else is run but what they need."""
        previews = [self("PreviewImage", images=link)[0] for link in shown]
        entry = self.server.run(self.prompt)
        return [[self._open(file) for file in entry["outputs"][number]["images"]] for number in previews]

    def text(self, link: list) -> str:
        """What an output node says under itself."""
        entry = self.server.run(self.prompt)
        return "\n".join(entry["outputs"][link[0]]["text"])

    def generator(self):
        return self("LoadGenerator")

    def code(self, name: str = PHOTO, steps: int = 120):
        """A refined code of an example picture."""
        square = self("AlignFace", image=self("LoadImage", image=name), **BY_HAND)
        found = self("InvertFace", generator=self.generator(), inverter=self("LoadInverter"), image=square)
        return self("RefineFace", generator=self.generator(), image=square, codes=found, steps=steps)

    def draw(self, codes):
        return self("Synthesize", generator=self.generator(), codes=codes)

    def moved(self, codes, motion: str, coefficients=(0.0, 1.0), frames: int = 4):
        sweep = self("Sweep", frames=frames, **ramp(*coefficients))
        return self("ApplySubspace", codes=codes, motion=self.motion(motion), coefficient=1.0, sweep=sweep)

    def motion(self, name: str):
        return self("LoadSubspace", file=f"{name} (embedded)")

    def clip_codes(self):
        frames = self("GetVideoComponents", video=self("LoadVideo", file=CLIP))
        square = self("AlignFace", image=frames, **BY_HAND)
        return self("InvertFace", generator=self.generator(), inverter=self("LoadInverter"), image=square)

    def _open(self, file: dict) -> Image.Image:
        query = urllib.parse.urlencode(file)
        with urllib.request.urlopen(f"{self.server.url}/view?{query}") as answer:
            return Image.open(io.BytesIO(answer.read())).convert("RGB")


def ramp(start: float = 0.0, end: float = 1.0) -> dict:
    """Inputs of a sweep that goes evenly from one coefficient to another."""
    return {"shape__start": start, "shape__end": end, "shape__easing": "linear", "shape__ping_pong": False}


def first_choices(definition: dict) -> dict:
    """The widget values of a node that was just put on the graph."""
    combos = {
        name: options["options"][0] for name, kind, options in hosted.puts(definition["input"]) if kind == "COMBO" and options["options"]
    }
    return {**combos, **hosted.widget_values(definition, [])}


def second(link: list) -> list:
    """The second output of a node."""
    return [link[0], 1]


def load_generator(flow: Flow):
    (faces,) = flow.run(flow.draw(flow("SampleFaces", generator=flow.generator(), count=4, seed=78)))
    return row(faces, "Four faces that the embedded generator draws")


def load_inverter(flow: Flow):
    square = flow("AlignFace", image=flow("LoadImage", image=PHOTO), **BY_HAND)
    codes = flow("InvertFace", generator=flow.generator(), inverter=flow("LoadInverter"), image=square)
    given, drawn = flow.run(square, flow.draw(codes))
    return row([given[0], drawn[0]], "A picture, and the code found for it, drawn")


def load_scorer(flow: Flow):
    frames = flow.draw(flow.moved(flow.code(), "smile", frames=12))
    plot = flow("Measure", images=frames, scorer=flow("LoadScorer"))
    return row(flow.run(plot)[0], "How a smile fits a sentence, frame by frame", 300)


def load_identity(_flow: Flow):
    return words(
        "None is embedded: put model_ir_se50.pth\ninto models/stylegan2_identity and press R.\nThe error names its source and license."
    )


def fetch_model(flow: Flow):
    said = flow.text(flow("FetchModel")).splitlines()
    return words("\n".join([*(line[:76] for line in said[:3]), "...", *(line[:76] for line in said[-2:])]))


def convert_checkpoint(flow: Flow):
    return words("Written:\n" + flow.text(flow("ConvertCheckpoint")))


def save_face(flow: Flow):
    return words("Written:\n" + flow.text(flow("SaveFace", codes=flow.code())))


def load_face(flow: Flow):
    flow.server.run(flow.prompt | save_one(flow))
    flow.info = flow.server.get("/object_info")
    (faces,) = flow.run(flow.draw(flow("LoadFace", generator=flow.generator(), file="face_00001_.safetensors")))
    return row(faces, "The face that was kept, drawn again")


def save_one(flow: Flow) -> dict:
    saving = Flow(flow.server, flow.info)
    saving("SaveFace", codes=saving.code())
    return saving.prompt


def load_subspace(flow: Flow):
    face = flow.code()
    shown = [frames[-1] for frames in flow.run(*(flow.draw(flow.moved(face, name)) for name in MOTIONS))]
    sheets = [
        row(shown[:6], "One unit of smile, eyes, anger, turn, age and mouth_open,", 112),
        row(shown[6:], "and of brows, gaze, nod, tilt, wink_left and wink_right", 112),
    ]
    both = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets) + 8), PAPER)
    both.paste(sheets[0], (0, 0))
    both.paste(sheets[1], (0, sheets[0].height + 8))
    return both


def save_subspace(flow: Flow):
    return words("Written:\n" + flow.text(flow("SaveSubspace", motion=flow.motion("smile"))))


def save_pairs(flow: Flow):
    face, motion = flow("SampleFaces", generator=flow.generator(), seed=78), flow.motion("smile")
    sweep = flow("Sweep", frames=4, **ramp())
    frames = flow.draw(flow("ApplySubspace", codes=face, motion=motion, coefficient=1.0, sweep=sweep))
    flow.text(flow("SavePairs", images=frames, sweep=sweep, motion=motion, test=0.0))
    folder = flow.server.base / "output" / "training_pairs" / "train"
    pictures = [next((folder / "control").glob("*.png")), *sorted((folder / "images").glob("*.png"))]
    said = sorted((folder / "images").glob("*.txt"))[-1].read_text(encoding="utf-8")
    return row([Image.open(path).convert("RGB") for path in pictures], f'The neutral picture and its pairs; the last: "{said}"')


def sample_faces(flow: Flow):
    (faces,) = flow.run(flow.draw(flow("SampleFaces", generator=flow.generator(), count=4, seed=91, truncation=0.9)))
    return row(faces, "seed 91, count 4, truncation 0.9, drawn by Synthesize Faces")


def portrait(flow: Flow, copies: int = 1):
    """The astronaut's portrait in the public domain that scikit-image carries; several are mirrored in turn and set side by side."""
    from skimage.data import astronaut

    photo = astronaut()
    several = np.concatenate([photo[:, :: -1 if i % 2 else 1] for i in range(copies)], axis=1)
    Image.fromarray(several).save(flow.server.base / "input" / f"portrait_{copies}.png")
    return flow("LoadImage", image=f"portrait_{copies}.png")


def align_face(flow: Flow):
    photo = portrait(flow)
    given, square = flow.run(photo, flow("AlignFace", image=photo))
    return row([given[0], square[0]], "A photo, and the square that was found")


def pick_face(flow: Flow):
    photo = portrait(flow, copies=2)
    picked = flow("PickFace", image=photo, index=1)
    numbered, square = flow.run(second(picked), flow("AlignFace", image=photo, face=picked))
    return row([numbered[0], square[0]], "Faces numbered from left to right; index 1, aligned")


def paste_face(flow: Flow):
    photo = flow("LoadImage", image=PHOTO)
    square, face = flow("AlignFace", image=photo, **BY_HAND), flow.code()
    faces, unedited = flow.draw(flow.moved(face, "smile", (0, 0.8))), flow.draw(face)
    pasted = flow("PasteFace", photo=photo, faces=faces, crop=second(square), unedited=unedited, shape="square")
    given, images = flow.run(photo, pasted)
    return row([given[0], images[0], images[-1]], "The photo; pasted at coefficient 0, the same bits; pasted at 0.8")


def invert_face(flow: Flow):
    return load_inverter(flow)


def refine_face(flow: Flow):
    square = flow("AlignFace", image=flow("LoadImage", image=PHOTO), **BY_HAND)
    found = flow("InvertFace", generator=flow.generator(), inverter=flow("LoadInverter"), image=square)
    refined = flow("RefineFace", generator=flow.generator(), image=square, codes=found, steps=120)
    given, before, after = flow.run(square, flow.draw(found), flow.draw(refined))
    return row([given[0], before[0], after[0]], "The picture, inverted, and refined in 120 steps")


def tuned(flow: Flow, steps: int = 60):
    """The example picture's code, and a generator tuned to it, as Refine Face gives both."""
    square = flow("AlignFace", image=flow("LoadImage", image=PHOTO), **BY_HAND)
    found = flow("InvertFace", generator=flow.generator(), inverter=flow("LoadInverter"), image=square)
    return flow("RefineFace", generator=flow.generator(), image=square, codes=found, steps=steps, tuning_steps=steps)


def synthesize(flow: Flow):
    (faces,) = flow.run(flow.draw(flow.moved(flow.code(OTHER), "smile")))
    return row(faces, "Four codes along a smile, drawn")


def text_motion(flow: Flow, **options):
    anchors = flow(
        "TextAnchors",
        generator=flow.generator(),
        scorer=flow("LoadScorer"),
        template="a person with {degree} smile",
        seeds=3,
        **options,
    )
    return flow("FitSubspace", anchors__anchors_1=anchors)


def text_anchors(flow: Flow):
    return along(flow, text_motion(flow), "a person with {degree} smile: the motion fitted to these anchors")


def fit_subspace(flow: Flow):
    return along(flow, text_motion(flow), "The motion fitted to anchors from a text, on another face")


def video_anchors(flow: Flow):
    anchors = flow("VideoAnchors", generator=flow.generator(), codes=flow.clip_codes())
    return along(
        flow, flow("FitSubspace", anchors__anchors_1=anchors), "The motion fitted to the frames of the example clip, on another face"
    )


def along(flow: Flow, motion, caption: str, coefficient: float = 1.0):
    """Four steps of a motion on a sampled face."""
    face = flow("SampleFaces", generator=flow.generator(), seed=6162)
    sweep = flow("Sweep", frames=4, **ramp())
    moved = flow("ApplySubspace", codes=face, motion=motion, coefficient=coefficient, sweep=sweep)
    return row(flow.run(flow.draw(moved))[0], caption)


def calibrate(flow: Flow):
    instrument = {"instrument__generator": flow.generator(), "instrument__scorer": flow("LoadScorer")}
    made = flow("Calibrate", motion=flow.motion("smile"), **instrument)
    return row(flow.run(second(made))[0], "The measured response, and the range in which it holds", 300)


def combine(flow: Flow):
    both = flow("Combine", motions__motion_1=flow.motion("smile"), motions__motion_2=flow.motion("eyes"), operation="add")
    return along(flow, both, "smile + eyes, as one motion", 0.7)


def inspect(flow: Flow):
    sheet = flow("Inspect", generator=flow.generator(), motion=flow.motion("smile"), codes=flow.code())
    return row(flow.run(sheet)[0], "Steps of the motion, its spectrum, its layers", 460)


def sweep(flow: Flow):
    (faces,) = flow.run(flow.draw(flow.moved(flow.code(OTHER), "age")))
    return row(faces, "start 0, end 1: frames along the motion age")


def read_coefficients(flow: Flow):
    read = flow("ReadCoefficients", codes=flow.clip_codes(), motion=flow.motion("turn"))
    return row(flow.run(second(read))[0], "How far the head is turned in the example clip", 300)


def apply_subspace(flow: Flow):
    face = flow.code()
    shown = [flow("ApplySubspace", codes=face, motion=flow.motion("age"), coefficient=c) for c in (-0.5, 0, 0.5, 1)]
    return row([frames[0] for frames in flow.run(*map(flow.draw, shown))], "age at -0.5, 0, 0.5 and 1")


def face_sliders(flow: Flow):
    motions = {f"motions__motion_{i}": flow.motion(name) for i, name in enumerate(("smile", "turn", "age"), 1)}
    face = flow.code(OTHER)
    steps = ((0, 0, 0), (0.8, 0, 0), (0.8, 0.9, 0), (0.8, 0.9, 0.8))
    shown = [flow("FaceSliders", codes=face, **motions, **{f"coefficient_{i}": c for i, c in enumerate(step, 1)}) for step in steps]
    return row([frames[0] for frames in flow.run(*map(flow.draw, shown))], "At rest; with a smile; turned as well; older as well")


def sweep_to_video(flow: Flow):
    coefficients = flow("Sweep", frames=24)
    face = flow.code(OTHER)
    made = flow("SweepToVideo", generator=flow.generator(), codes=face, motion=flow.motion("smile"), sweep=coefficients)
    (frames,) = flow.run(flow("GetVideoComponents", video=made))
    return row(frames[:13:4], "Frames 0, 4, 8 and 12 of the video")


def measure(flow: Flow):
    frames = flow.draw(flow.moved(flow.code(), "smile", frames=12))
    plot = flow("Measure", images=frames, scorer=flow("LoadScorer"))
    return row(flow.run(plot)[0], "A smile, measured", 300)


RECIPES = {
    "LoadGenerator": load_generator,
    "LoadInverter": load_inverter,
    "LoadScorer": load_scorer,
    "LoadIdentity": load_identity,
    "FetchModel": fetch_model,
    "ConvertCheckpoint": convert_checkpoint,
    "LoadFace": load_face,
    "SaveFace": save_face,
    "LoadSubspace": load_subspace,
    "SaveSubspace": save_subspace,
    "SavePairs": save_pairs,
    "SampleFaces": sample_faces,
    "PickFace": pick_face,
    "AlignFace": align_face,
    "PasteFace": paste_face,
    "InvertFace": invert_face,
    "RefineFace": refine_face,
    "Synthesize": synthesize,
    "TextAnchors": text_anchors,
    "VideoAnchors": video_anchors,
    "FitSubspace": fit_subspace,
    "Calibrate": calibrate,
    "Combine": combine,
    "Inspect": inspect,
    "Sweep": sweep,
    "ReadCoefficients": read_coefficients,
    "ApplySubspace": apply_subspace,
    "FaceSliders": face_sliders,
    "SweepToVideo": sweep_to_video,
    "Measure": measure,
}


def font(size: int = 16):
    return ImageFont.load_default(size)


def row(pictures: list[Image.Image], caption: str, height: int = HEIGHT) -> Image.Image:
    """Pictures of one height beside each other, with a line below."""
    scaled = [p.resize((round(p.width * height / p.height), height), Image.Resampling.LANCZOS) for p in pictures]
    width = sum(p.width for p in scaled) + 8 * (len(scaled) - 1)
    sheet = Image.new("RGB", (max(width, round(font().getlength(caption)) + 4), height + 30), PAPER)
    left = 0
    for picture in scaled:
        sheet.paste(picture, (left, 0))
        left += picture.width + 8
    ImageDraw.Draw(sheet).text((0, height + 8), caption, fill=INK, font=font())
    return sheet


def words(text: str) -> Image.Image:
    width = max(font().getlength(line) for line in text.splitlines())
    sheet = Image.new("RGB", (round(width) + 8, 40 + 22 * text.count("\n")), PAPER)
    ImageDraw.Draw(sheet).multiline_text((0, 8), text, fill=INK, font=font(), spacing=6)
    return sheet


def beside(node: Image.Image, result: Image.Image) -> Image.Image:
    """The node and its result on one sheet."""
    height = max(node.height, result.height) + 2 * GAP
    sheet = Image.new("RGB", (node.width + result.width + 3 * GAP, height), PAPER)
    sheet.paste(node, (GAP, (height - node.height) // 2))
    sheet.paste(result, (node.width + 2 * GAP, (height - result.height) // 2))
    return sheet


def drawn(page, kind: str, values: dict, prompt: dict) -> Image.Image:
    """The node as the page draws it; its motions are connected, as they name and limit its sliders."""
    sources = {name: prompt[put[0]]["inputs"].get("file") for name, put in values.items() if isinstance(put, list)}
    motions = {name: file for name, file in sources.items() if name.startswith("motion") and file}
    number = page.page.evaluate(DRAW, [kind, {k: v for k, v in values.items() if not isinstance(v, list)}, motions])
    page.page.wait_for_timeout(browser.SETTLE_MS)
    box = page.page.locator(f'[data-node-id="{number}"]').bounding_box()
    around = {"x": box["x"] - EDGE, "y": box["y"] - EDGE, "width": box["width"] + 2 * EDGE, "height": box["height"] + 2 * EDGE}
    return Image.open(io.BytesIO(page.page.screenshot(clip=around))).convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names or [*RECIPES, README]
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as base, hosted.Server(Path(base)) as server, browser.Page(server.url) as page:
        page.open({"nodes": [], "links": [], "version": 0.4}, "nodes 2.0")
        for name in (one for one in names if one != README):
            flow = Flow(server, server.get("/object_info"))
            result = RECIPES[name](flow)
            used = [n["inputs"] for n in flow.prompt.values() if n["class_type"] == f"Micromotion{name}"]
            node = drawn(page, f"Micromotion{name}", used[-1] if used else {}, flow.prompt)
            beside(node, result).save(FOLDER / f"Micromotion{name}.jpg", quality=88, optimize=True)
            print(name, flush=True)
        if README in names:
            first_template(server)


def first_template(server) -> None:
    """The first template after a run, as its user sees it."""
    workflow = json.loads((ROOT / "workflows" / f"{FIRST}.json").read_text(encoding="utf-8"))
    with browser.Page(server.url, README_SIZE) as page:
        page.open(workflow, "nodes 2.0")
        page.run()
        shown = Image.open(io.BytesIO(page.page.screenshot())).convert("RGB")
    README_PICTURE.parent.mkdir(exist_ok=True)
    shown.save(README_PICTURE, quality=88, optimize=True)


if __name__ == "__main__":
    main()
