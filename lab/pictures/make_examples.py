"""Draw the example pictures of the workflows: ``python lab/pictures/make_examples.py``. Nobody real is in them.

The avatars are faces of the embedded generator, the rest are renders; all are drawn at its 128 px and enlarged, because an edit
of 128 px looks like one only in a picture that has no finer detail.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import av
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "web" / "examples"
SEED, FACES = 5, 24
AVATARS = (78, 5977)
OTHERS = {
    3: 6162,
    4: 302,
    5: 965,
    6: 913,
    7: 814,
    8: 134,
    9: 4078,
    10: 2265,
    11: 526,
    12: 5181,
}  # picture -> seed, no refinement needed
KNOWN = 128  # px of the embedded generator
PERSON, GROUP = 15, (20, 12, 15)  # whom dlib, which was not made for drawings, frames well
CALM = (0.15, 0.9, 0.05, 0.5, 0.25)  # smile, eyes, anger, yaw, age
FRAMES, RATE = 48, 24


def renderer():
    spec = importlib.util.spec_from_file_location("micromotion", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    sys.modules["micromotion"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["micromotion"])
    return importlib.import_module("micromotion.avatars.renderer")


def main() -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw = renderer()
    from micromotion.lab import sampling

    people = sampling.sample_parameters(FACES, SEED)
    people[:, :5] = torch.tensor(CALM)
    save(generated(AVATARS[0], 512), "micromotion_avatar.png")
    save(generated(AVATARS[1], 512), "micromotion_avatar_2.png")
    for number, seed in OTHERS.items():
        save(generated(seed, 512), f"micromotion_face_{number}.jpg")
    save(landscape(picture(draw, people[PERSON], 440), 768, 512, 60, 51), "micromotion_photo.png")
    save(group(draw, people[list(GROUP)]), "micromotion_group.png")
    clip(draw, people[10], "micromotion_clip.mp4")


def picture(draw, person: torch.Tensor, size: int) -> np.ndarray:
    return enlarged(draw.render(person[None], KNOWN).images, size)


def generated(seed: int, size: int) -> np.ndarray:
    """The face that the embedded generator draws for a seed."""
    from micromotion import stylegan2
    from micromotion.files.embedded import embedded_root
    from micromotion.subspaces.anchors import draw_faces

    generator = stylegan2.load(embedded_root() / "generator.safetensors")
    with torch.no_grad():
        return enlarged(generator.synthesize(draw_faces(generator, [seed])), size)


def enlarged(images: torch.Tensor, size: int) -> np.ndarray:
    """The first of ``images [N, 3, S, S]`` in -1..1 as bytes ``[size, size, 3]``."""
    image = torch.nn.functional.interpolate(images, (size, size), mode="bicubic", align_corners=False)[0].clamp(-1, 1)
    return ((image + 1) * 127.5).round().byte().movedim(0, -1).numpy()


def landscape(face: np.ndarray, width: int, height: int, left: int, top: int) -> np.ndarray:
    """A face in a wider picture, its edges carried on."""
    rows, columns = face.shape[:2]
    return np.pad(face, ((top, height - top - rows), (left, width - left - columns), (0, 0)), "edge")


def group(draw, people: torch.Tensor, size: int = 420, overlap: int = 70) -> np.ndarray:
    """Three people side by side on one background, which fades from one to the next."""
    people[:, draw.PARAMETERS.index("background_a")] = 0.6
    people[:, draw.PARAMETERS.index("background_b")] = 0.4
    step = size - overlap
    canvas, weight = np.zeros((size, size + 2 * step, 3)), np.zeros((1, size + 2 * step, 1))
    ramp = np.minimum(1, (np.minimum(np.arange(size), np.arange(size)[::-1]) + 1) / overlap)[None, :, None]
    for i, person in enumerate(people):
        canvas[:, i * step : i * step + size] += picture(draw, person, size) * ramp
        weight[:, i * step : i * step + size] += ramp
    return np.round(canvas / weight).astype(np.uint8)


def clip(draw, person: torch.Tensor, name: str, size: int = 256) -> None:
    """A head that turns to one side, gently."""
    with av.open(str(FOLDER / name), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(FRAMES):
            t = i / (FRAMES - 1)
            moved = person.clone()
            moved[draw.PARAMETERS.index("yaw")] = 0.5 + 0.45 * t * t * (3 - 2 * t)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(draw, moved, size), format="rgb24")))
        container.mux(stream.encode())


def save(pixels: np.ndarray, name: str) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(FOLDER / name, optimize=True, quality=92)


if __name__ == "__main__":
    main()
