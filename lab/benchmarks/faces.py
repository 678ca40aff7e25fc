"""Measure faces: detection, alignment, paste-back and clips, on real photos and on rendered avatars in known places.

``python lab/benchmarks/faces.py`` prints the tables; ``--write`` also renews those of docs/faces.md between its markers, and the pictures
beside it. Needs dlib with its landmark file, and scikit-image and Matplotlib for the photos: Eileen Collins (NASA) and Grace Hopper
(US Navy), both in the public domain.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURES = ROOT / "docs" / "faces.md", ROOT / "docs" / "faces"
RECORDED = ROOT / "tests" / "stylegan2" / "faces"  # landmarks of the photos by MediaPipe, which is no dependency
START, END = "<!-- figures: python lab/benchmarks/faces.py --write -->", "<!-- end of figures -->"

if importlib.util.find_spec("micromotion") is None:
    spec = importlib.util.spec_from_file_location("micromotion", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    sys.modules["micromotion"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["micromotion"])

from micromotion import faces, media  # noqa: E402
from micromotion.avatars import renderer as rendering  # noqa: E402
from micromotion.faces.measuring import QUANTITIES, REST, measure_found  # noqa: E402
from micromotion.files.embedded import embedded_root  # noqa: E402
from micromotion.lab import sampling  # noqa: E402
from micromotion.stylegan2 import load, load_inverter  # noqa: E402
from micromotion.stylegan2.inversion import out_of_domain, reconstruction_report  # noqa: E402
from micromotion.stylegan2.inversion.reconstruction import MARGIN_DB, OUTLINES  # noqa: E402

FACE = 0.5  # a face is about half as large as its square
DEGREES = (-45, -30, -15, 0, 15, 30, 45)
SCALES = (40, 100, 400, 2000)
SIDE = 256
STRANGER_SIDE = 64  # px: the side of the embedded generator
HELD_OUT = 940_000_000  # seed of renders that no training saw


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew docs/faces.md and its pictures")
    parser.add_argument("--only", nargs="*", choices=[*MEASUREMENTS, "pictures"], help="measure, and write, only these")
    arguments = parser.parse_args()
    for name in arguments.only or [*MEASUREMENTS, "pictures"]:
        if name != "pictures":
            measured = MEASUREMENTS[name]()
            print(measured, flush=True)
            if arguments.write:
                write(name, measured)
        elif arguments.write:
            draw_pictures()


def write(name: str, measured: str) -> None:
    """Put one table into the page, in the order of the measurements; the other tables stay."""
    page = PAGE.read_text(encoding="utf-8")
    before, figures, after = page[: page.index(START)], page[page.index(START) : page.index(END)], page[page.index(END) :]
    tables = dict(re.findall(r"<!-- table: (\S+) -->\n(.*?)(?=\n*(?:<!-- table: |\Z))", figures, flags=re.S)) | {name: measured}
    parts = [f"<!-- table: {key} -->\n{tables[key]}" for key in MEASUREMENTS if key in tables]
    PAGE.write_text(before + "\n\n".join([START, *parts, ""]) + after, encoding="utf-8")


def table(title: str, columns: list[str], rows: list[list]) -> str:
    lines = [f"**{title}**", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def portrait() -> np.ndarray:
    from skimage.data import astronaut

    return astronaut()


def officer() -> np.ndarray:
    from matplotlib import cbook

    return np.asarray(Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))


PHOTOS = {"astronaut": portrait, "hopper": officer}


def avatars(count: int, seed: int = 5, size: int = 512, **factors: float) -> np.ndarray:
    """``[count, size, size, 3]`` uint8; ``factors`` in 0..1 override the random ones."""
    parameters = sampling.sample_parameters(count, seed)
    for name, value in {"yaw": 0.5, "glasses": 0.0, **factors}.items():
        parameters[:, rendering.PARAMETERS.index(name)] = value
    images = rendering.render(parameters, size).images
    return ((images.permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()


@functools.lru_cache(maxsize=2)
def background(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Soft colors with fine grain, ``[height, width, 3]`` uint8."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(110, 160, (5, 7, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(coarse) + random.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


def place(picture: np.ndarray, points: np.ndarray, degrees: float, face: float, canvas: np.ndarray, at, original: float):
    """``picture`` turned and scaled into ``canvas`` so that its face, ``original`` px large, is ``face`` px large and centered ``at``.

    Returns the photo and where ``points`` of the picture came to lie.
    """
    zoom, turn = face / original, np.deg2rad(degrees)
    to_photo = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = points.mean(axis=0)
    to_picture = np.linalg.inv(to_photo)
    offset = middle + 0.5 - to_picture @ (np.asarray(at) + 0.5)
    matrix = np.concatenate([to_picture, offset[:, None]], axis=1)
    layer = Image.fromarray(np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]))
    if zoom < 1:  # a camera does not alias: reduced first, turned after
        small = layer.resize([max(round(edge * zoom), 1) for edge in layer.size], Image.Resampling.BICUBIC)
        matrix *= (np.array(small.size) / layer.size)[:, None]
        layer = small
    layer = layer.transform(canvas.shape[1::-1], Image.Transform.AFFINE, tuple(matrix.flatten()), Image.Resampling.BICUBIC)
    photo = Image.fromarray(canvas)
    photo.paste(layer.convert("RGB"), mask=layer.getchannel("A"))
    return np.asarray(photo), (points - middle) @ to_photo.T + at


def reference(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """Landmarks of the upright picture, and the size of its face in pixels."""
    landmarks = faces.choose(faces.detect(picture, tilted=False)).landmarks
    return landmarks, FACE * faces.Crop.from_landmarks(landmarks, picture.shape[1::-1], SIDE).length


def recognized(count: int, **factors: Any) -> tuple[np.ndarray, str]:
    """The first ``count`` avatars that dlib, made for photos, takes for faces; and how many it had to see."""
    drawn = avatars(4 * count, **factors)
    kept = []
    for seen, picture in enumerate(drawn, 1):
        if faces.detect(picture, tilted=False):
            kept.append(seen - 1)
        if len(kept) == count:
            break
    return np.array(kept), f"dlib took {len(kept)} of {seen} rendered avatars for faces; those are used"


def quad_error(landmarks: np.ndarray, wanted: np.ndarray, size: tuple[int, int]) -> float:
    """Furthest corner, in share of the face."""
    found, true = (faces.Crop.from_landmarks(points, size, SIDE) for points in (landmarks, wanted))
    return float(np.linalg.norm(np.subtract(found.quad, true.quad), axis=1).max() / (FACE * true.length))


def placements(picture: np.ndarray, seed: int = 0) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Degrees, face size, photo and true landmarks for every turn and scale; each third face stands so that its square leaves the photo."""
    points, original = reference(picture)
    for scale in SCALES:
        width, height = int(3.0 * scale), int(2.0 * scale)  # 24 megapixels for the largest
        for number, degrees in enumerate(DEGREES):
            at = (0.9 * scale, 0.9 * scale) if number % 3 == 0 else (1.5 * scale, scale)
            photo, wanted = place(picture, points, degrees, scale, background(width, height, seed), at, original)
            yield degrees, scale, photo, wanted


def measure_quads() -> str:
    """Detection and the square, under known similarity transforms."""
    kept, note = recognized(2)
    subjects = {"photos": [photo() for photo in PHOTOS.values()], "avatars": list(avatars(8)[kept])}
    rows = []
    for name, pictures in subjects.items():
        errors: dict[int, list] = {scale: [] for scale in SCALES}
        for picture in pictures:
            for _, scale, photo, wanted in placements(picture):
                found = faces.detect(photo)
                near = [quad_error(face.landmarks, wanted, photo.shape[1::-1]) for face in found]
                errors[scale].append(min(near, default=np.inf))
        for scale, values in errors.items():
            hits = np.array([v for v in values if v < 0.5])
            rows.append([name, scale, f"{len(hits)} of {len(values)}", f"{100 * np.median(hits):.1f} %", f"{100 * hits.max():.1f} %"])
    title = f"Found under known transforms, {min(DEGREES)} to {max(DEGREES)} degrees, squares that reach over the border"
    return table(f"{title} ({note})", ["subject", "face, px", "found", "median quad error, share of the face", "largest"], rows)


def files_of(picture: np.ndarray) -> dict[str, bytes]:
    """One picture as the files that people have."""
    image = Image.fromarray(picture)
    turned = Image.Exif()
    turned[0x0112] = 6
    factor = (24e6 / (picture.shape[0] * picture.shape[1])) ** 0.5
    width, height = (round(edge * factor) for edge in image.size)
    large = image.resize((width, height), Image.Resampling.BICUBIC)
    gray = np.asarray(image.convert("L"))
    transparent = np.dstack([picture, np.full_like(gray, 90)])
    return {
        "8-bit PNG": encoded(image, "PNG"),
        "turned by EXIF, JPEG": encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=turned),
        "gray PNG": encoded(Image.fromarray(gray), "PNG"),
        "16-bit gray PNG": encoded(Image.fromarray(gray.astype(np.uint16) * 257), "PNG"),
        "transparent PNG": encoded(Image.fromarray(transparent), "PNG"),
        "CMYK JPEG": encoded(image.convert("CMYK"), "JPEG", quality=95),
        "24 megapixels, JPEG": encoded(large, "JPEG", quality=90),
    }


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def measure_files() -> str:
    """The largest face of the real photos in every kind of file, against the same photo as a plain picture."""
    errors: dict[str, list] = {}
    for photo in PHOTOS.values():
        picture = photo()
        points, _ = reference(picture)
        for name, data in files_of(picture).items():
            read = media.read_picture(data)
            found = faces.detect(read)[0]
            width, height = read.shape[3], read.shape[2]
            zoom = width / picture.shape[1]
            wanted = (points + 0.5) * zoom - 0.5
            near = faces.choose(found, "largest").landmarks if found else None
            errors.setdefault(name, []).append(np.inf if near is None else quad_error(near, wanted, (width, height)))
    rows = [[name, f"{np.isfinite(e).sum()} of {len(e)}", *(f"{100 * value:.1f} %" for value in e)] for name, e in errors.items()]
    return table("Real photos in every kind of file: the furthest corner of the square against the plain picture", FILE_COLUMNS, rows)


FILE_COLUMNS = ["file", "found", *(f"{name}, share of the face" for name in PHOTOS)]


def measure_sources() -> str:
    """dlib's square against MediaPipe's (recorded)."""
    rows = []
    for name, photo in PHOTOS.items():
        picture = photo()
        size = picture.shape[1::-1]
        mesh = np.array(json.loads((RECORDED / f"{name}.json").read_text())["mediapipe"])
        dlib, mediapipe = (
            faces.Crop.from_landmarks(points, size, SIDE) for points in (reference(picture)[0], faces.from_mediapipe(mesh) - 0.5)
        )
        face = FACE * dlib.length
        apart = np.hypot(*(mediapipe.center - dlib.center)) / face
        rows.append([name, f"{100 * apart:.1f} %", f"{100 * (mediapipe.length / dlib.length - 1):+.1f} %"])
    return table("The square from MediaPipe's landmarks against dlib's", ["photo", "centers apart, share of the face", "size"], rows)


def measure_round_trip() -> str:
    """Align, paste the square back as it is, and compare with the photo under the mask."""
    rows = []
    kept, _ = recognized(1)
    for name, picture in (("astronaut", portrait()), ("hopper", officer()), ("avatar", avatars(4)[kept[0]])):
        points, original = reference(picture)
        for scale in (40, 90, 400):
            for ratio in (1.0, 1.25, 2.5):
                values = [_round_trip(picture, points, original, scale, degrees, ratio) for degrees in DEGREES]
                rows.append([name, scale, f"{ratio:g}", f"{np.median(values):.1f} dB", f"{min(values):.1f} dB"])
    return table("Round trip of align and paste, no edit", ["subject", "face, px", "square / quad", "median PSNR", "lowest"], rows)


def _round_trip(picture, points, original, scale, degrees, ratio) -> float:
    size = int(3.2 * scale)
    photo, wanted = place(picture, points, degrees, scale, background(size, size), (size / 2, size / 2), original)
    square, crop = faces.align(photo, wanted, int(np.ceil(ratio * scale / FACE)))
    pasted, mask = faces.paste(photo, square, crop)
    error = (pasted.astype(float) - photo)[mask > 0.5]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def measure_paste() -> str:
    """An edit (a smile) pasted into placed avatars: nothing outside the mask, and no border to see."""
    kept, _ = recognized(3, smile=0.2)
    before, after = avatars(12, smile=0.2)[kept], avatars(12, smile=0.9)[kept]
    rows = []
    for mode in ("difference", "replace"):
        for mask in ("face", "square"):
            changed, seams = 0, []
            for old, new in zip(before, after):
                for photo, pasted, weight in _pasted_edits(old, new, mode, mask):
                    changed += int((pasted != photo)[weight == 0].sum())
                    seams.append(seam_ratio(photo, pasted, weight))
            rows.append([mode, mask, changed, f"{np.median(seams):.3f}", f"{max(seams):.3f}"])
    columns = ["mode", "mask", "values changed outside the mask", "seam energy, share of the photo's own (median)", "largest"]
    return table("Pasting a smile: three avatars, seven turns, faces of 100 and 400 px", columns, rows)


def _pasted_edits(old: np.ndarray, new: np.ndarray, mode: str, mask: str):
    points, original = reference(old)
    base = faces.align(old, points, SIDE)[0]
    edit = faces.align(new, points, SIDE)[0]
    for scale in (100, 400):
        for degrees in DEGREES:
            size = int(3.2 * scale)
            photo, wanted = place(old, points, degrees, scale, background(size, size), (size / 2, size / 2), original)
            crop = faces.Crop.from_landmarks(wanted, (size, size), SIDE)
            reconstruction = base if mode == "difference" else None
            yield photo, *faces.paste(photo, edit, crop, reconstruction=reconstruction, mask=mask)


def seam_ratio(photo: np.ndarray, pasted: np.ndarray, weight: np.ndarray) -> float:
    """Mean squared step between neighbors along the outer border of the mask, over the photo's own there."""
    soft = (weight > 0) & (weight < 0.1)
    energies = []
    for picture in (pasted, photo):
        gray = picture.astype(float).mean(-1)
        across, down = np.diff(gray, axis=1)[soft[:, 1:] | soft[:, :-1]], np.diff(gray, axis=0)[soft[1:] | soft[:-1]]
        energies.append(np.mean(np.concatenate([across, down]) ** 2))
    return energies[0] / energies[1]


def measure_jitter() -> str:
    """A still face in a noisy clip: landmarks found in every frame, then the crop paths."""
    random = np.random.default_rng(0)
    still = portrait()[:300, 60:400]
    frames = [np.clip(still + random.normal(0, 8, still.shape), 0, 255).astype(np.uint8) for _ in range(60)]
    found = faces.follow(faces.detect(frames, clip=True, tilted=False))
    rows = []
    for path in ("each", "smooth", "fixed"):
        _, crops, _ = faces.align_clip(frames, found, 32, path=path)
        corners = np.array([crop.quad for crop in crops])  # [60, 4, 2]
        steps = np.linalg.norm(np.diff(corners, axis=0), axis=-1)
        spread = np.linalg.norm(corners - corners.mean(axis=0), axis=-1)
        rows.append([path, f"{np.sqrt((spread**2).mean()):.3f} px", f"{steps.max():.3f} px"])
    title = "Jitter of the crop of a still face: 60 frames, noise of 8 gray levels, dlib in every frame"
    return table(title, ["path", "root mean square of the corners", "largest step between frames"], rows)


def measure_large() -> str:
    """An 8K photo and a 1024 px square."""
    rows = []
    photo = torch.rand(1, 3, 4320, 7680)
    base = torch.rand(1, 3, 64, 64)
    base = torch.nn.functional.interpolate(base, size=(1024, 1024), mode="bicubic").clamp(0, 1)
    edit = (base + 0.1).clamp(0, 1)
    for length in (500, 1000, 2000, 4000):
        crop = faces.Crop.from_square((3800, 2160), np.array([0.98, 0.2]) * length / 2, (7680, 4320), 1024)
        for mode, reconstruction in (("difference", base), ("replace", None)):

            def paste(r=reconstruction, c=crop):
                return faces.paste(photo, edit, c, reconstruction=r, value_range=(0, 1))

            rows.append([length, mode, f"{min(_seconds(paste) for _ in range(3)):.2f} s"])
    return table(
        "Pasting a 1024 px square into a 7680 x 4320 px photo, seconds of the processor",
        ["quad, px", "mode", "processor time"],
        rows,
    )


def _seconds(action) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def poor_inversion() -> dict[str, np.ndarray]:
    """A photo, what an inverter that misses the mouth makes of it, and a smile on that: pasted in three ways."""
    photo = avatars(1, seed=12, smile=0.35, mouth_width=0.35, nose=0.3)[0]
    base = avatars(1, seed=12, smile=0.1, mouth_width=0.8, nose=0.8)[0]
    edit = avatars(1, seed=12, smile=0.95, mouth_width=0.8, nose=0.8)[0]
    crop = faces.Crop.aligned((512, 512))
    options = {"reconstruction": base, "mask": "square"}
    return {
        "photo": photo,
        "reconstruction": base,
        "edited": edit,
        "difference only": faces.paste(photo, edit, crop, ghost_limit=None, **options)[0],
        "difference, mended": faces.paste(photo, edit, crop, **options)[0],
        "replaced": faces.paste(photo, edit, crop)[0],
    }


def measure_ghosts() -> str:
    """Double edges: the picture against the photo's own rendering with the same edit, in and around the mouth."""
    wanted = avatars(1, seed=12, smile=0.95, mouth_width=0.35, nose=0.3)[0]
    pictures = poor_inversion()
    mouth = (slice(300, 420), slice(150, 362))
    error = faces.reconstruction_error(pictures["photo"], pictures["reconstruction"], faces.Crop.aligned((512, 512)))[0]
    rows = [
        [name, f"{np.abs(pictures[name][mouth].astype(float) - wanted[mouth]).mean():.1f}"]
        for name in pictures
        if name not in ("reconstruction", "edited")
    ]
    title = f"A poor inversion (error of shapes {100 * error:.1f} % of the range): a smile added to a face whose mouth it gets wrong"
    return table(title, ["pasted", "mean error round the mouth, gray levels"], rows)


def draw_pictures() -> None:
    PICTURES.mkdir(exist_ok=True)
    save(sheet(poor_inversion()), "ghosts.jpg")
    save(group_photo(), "choose.jpg")
    save(sheet(paste_steps(), 320), "paste.jpg")


def group_photo() -> np.ndarray:
    """Three portraits at three sizes and tilts, numbered."""
    canvas = background(900, 420, 3)
    astronaut, hopper = portrait()[0:300, 60:400], officer()
    for picture, degrees, face, at in (
        (astronaut, 0, 110, (170, 190)),
        (hopper, -20, 90, (480, 230)),
        (astronaut[:, ::-1].copy(), 15, 50, (745, 230)),
    ):
        points, original = reference(picture)
        canvas, _ = place(picture, points, degrees, face, canvas, at, original)
    return faces.draw(canvas, faces.detect(canvas))


def paste_steps() -> dict[str, np.ndarray]:
    """A tilted portrait whose mouth is bent into a smile in the square."""
    picture = officer()
    points, original = reference(picture)
    photo, _ = place(picture, points, 24, 150, background(512, 512, 4), (256, 240), original)
    face = faces.choose(faces.detect(photo))
    square, crop = faces.align(photo, face, 512)
    edit = smile(square, crop.to_square(face.landmarks))
    pasted, mask = faces.paste(photo, edit, crop, reconstruction=square)
    return {
        "photo": photo,
        "aligned": square,
        "edited": edit,
        "mask": (255 * mask).astype(np.uint8)[..., None].repeat(3, -1),
        "pasted": pasted,
    }


def smile(square: np.ndarray, points: np.ndarray, width: float = 0.05) -> np.ndarray:
    """Pull the corners of the mouth outwards and up by smooth bumps ``width`` wide; ``points`` are landmarks in the square, 0..1."""
    side = len(square)
    at = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1) + 0.5) / side  # [S, S, 2]
    pull = np.zeros_like(at)
    for corner, by in ((points[48], (-0.012, -0.022)), (points[54], (0.012, -0.022))):
        near = np.exp(-((at - corner - by) ** 2).sum(-1) / (2 * width**2))
        pull += near[..., None] * by
    grid = torch.from_numpy(2 * (at - pull) - 1).float()[None]
    image = torch.from_numpy(square).permute(2, 0, 1)[None].float()
    bent = torch.nn.functional.grid_sample(image, grid, mode="bicubic", padding_mode="border", align_corners=False)[0]
    return bent.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()


def sheet(pictures: dict[str, np.ndarray], side: int = 256) -> np.ndarray:
    """Pictures in a row with their names below."""
    row = Image.new("RGB", (side * len(pictures), side + 18), "white")
    pen = ImageDraw.Draw(row)
    for i, (name, picture) in enumerate(pictures.items()):
        row.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS), (i * side, 0))
        pen.text((i * side + 4, side + 3), name, fill="black")
    return np.asarray(row)


def save(picture: np.ndarray, name: str) -> None:
    Image.fromarray(picture).save(PICTURES / name, quality=88)


def measure_portraits() -> str:
    """The folder that MICROMOTION_PORTRAITS names; its pictures are not part of the repository."""
    folder = os.environ.get("MICROMOTION_PORTRAITS")
    if not folder:
        raise SystemExit("Set MICROMOTION_PORTRAITS to a folder of portraits with a portraits.json, or leave this table out with --only.")
    entries = json.loads(Path(folder, "portraits.json").read_text(encoding="utf-8"))
    rows = []
    for group in ("recent", "middle", "early", "drawn"):
        measured = [measure_portrait(Path(folder), entry) for entry in entries if entry["group"] == group]
        frontal = [m for m in measured if not m["profile"]]
        off = [m["eyes"] for m in frontal if m["eyes"] is not None]
        profiles = [m for m in measured if m["profile"]]
        rows.append(
            [
                group,
                f"{sum(m['found'] for m in frontal)} of {len(frontal)}",
                f"{np.median(off):.1%}",
                f"{max(off):.1%}",
                f"{sum(not m['found'] for m in profiles)} of {len(profiles)}",
                f"{sum(m['exact'] for m in frontal)} of {len(frontal)}",
                f"{sum(m['outside'] for m in frontal)}",
                f"{min(m['psnr'] for m in frontal):.1f} dB",
            ]
        )
    columns = ["portraits", "nearly frontal, found", "eyes off, median", "largest", "profiles refused"]
    columns += ["unedited, bit for bit", "values changed outside the mask", "lowest round trip"]
    return table(f"{len(entries)} portraits of 200 years: eyes in shares of their distance", columns, rows)


def measure_portrait(folder: Path, entry: dict) -> dict:
    """One portrait: found, how far the eyes are off, and what aligning and pasting do to it."""
    photo = np.asarray(Image.open(folder / entry["file"]).convert("RGB"))
    found = faces.detect(photo)
    measured = {"found": bool(found), "profile": entry.get("note", "").startswith("profile"), "eyes": None}
    if not found:
        return measured | {"exact": False, "outside": 0, "psnr": np.inf}
    face = faces.choose(found)
    if "left_eye" in entry:
        wanted = np.array([entry["left_eye"], entry["right_eye"]])
        eyes = np.stack([face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0)])
        measured["eyes"] = np.linalg.norm(eyes - wanted, axis=1).max() / np.linalg.norm(wanted[1] - wanted[0])
    crop = faces.Crop.from_landmarks(face.landmarks, photo.shape[1::-1], SIDE)
    side = max(SIDE, int(np.ceil(crop.length)))  # no coarser than the photo
    square, crop = faces.align(photo, face, side)
    unedited, _ = faces.paste(photo, square, crop, reconstruction=square)
    edited, mask = faces.paste(photo, 255 - square, crop, reconstruction=square)
    replaced, whole = faces.paste(photo, square, crop)
    return measured | {
        "exact": np.array_equal(unedited, photo),
        "outside": int((np.asarray(edited) != photo)[np.asarray(mask).squeeze() == 0].sum()),
        "psnr": 10 * np.log10(255**2 / max(np.mean((np.asarray(replaced, float) - photo)[np.asarray(whole).squeeze() > 0.5] ** 2), 1e-9)),
    }


def measure_changed() -> str:
    """Portraits in other states and other files: every fourth nearly frontal one whose eyes are known."""
    known = [(entry, photo) for entry, photo in frontal_portraits() if "left_eye" in entry][::4]
    rows = []
    for name, change in CHANGES.items():
        measured = [measure_change(change, photo, entry) for entry, photo in known]
        off = [m["eyes"] for m in measured if m["found"]]
        counts = [f"{sum(m[key] for m in measured)} of {len(measured)}" for key in ("found", "exact")]
        rows.append([name, counts[0], f"{np.median(off):.1%}", f"{max(off):.0%}", counts[1], sum(m["outside"] for m in measured)])
    columns = ["what was done to it", "found", "eyes off, median", "largest", "unedited, bit for bit", "values changed outside the mask"]
    return table(
        f"{len(known)} of the portraits, changed: eyes against those of the unchanged photo, in shares of their distance", columns, rows
    )


Change = Callable[[Image.Image], "tuple[Image.Image | bytes, Callable[[np.ndarray], np.ndarray]]"]


def same(points: np.ndarray) -> np.ndarray:
    return points


def of_values(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """A change of the values 0..255 that leaves everything in its place."""
    return lambda photo: (Image.fromarray(np.clip(change(np.asarray(photo).astype(float)), 0, 255).round().astype(np.uint8)), same)


def of_file(kind: str, mode: str = "RGB", **options: Any) -> Change:
    return lambda photo: (encoded(photo.convert(mode), kind, **options), same)


def halftone(values: np.ndarray, cell: int = 4) -> np.ndarray:
    """Printed in black dots, as newspapers did: four times as large, then reduced as a scan would be."""
    large = np.asarray(Image.fromarray(values.mean(2).astype(np.uint8)).resize((values.shape[1] * cell, values.shape[0] * cell)))
    y, x = np.indices(large.shape)
    screen = 127.5 + 63.75 * (np.cos((x + y) * np.pi / 6) + np.cos((x - y) * np.pi / 6))
    dots = Image.fromarray(np.where(large > screen, 255, 0).astype(np.uint8)).resize(
        (2 * values.shape[1], 2 * values.shape[0]), Image.Resampling.BOX
    )
    return np.asarray(dots.resize((values.shape[1], values.shape[0]), Image.Resampling.BOX)).astype(float)[..., None].repeat(3, 2)


def on_canvas(width: int, height: int, copies: int = 1) -> Change:
    """The photo, as it is, in the middle of a larger picture; several copies side by side."""

    def change(photo: Image.Image):
        canvas = Image.fromarray(background(width, height))
        left, top = (width - copies * photo.width) // 2, (height - photo.height) // 2
        for number in range(copies):
            canvas.paste(photo, (left + number * photo.width, top))
        return canvas, lambda points: points + (left, top)

    return change


def mirrored(photo: Image.Image):
    return photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), lambda points: (photo.width - 1, 0) + points[::-1] * (-1, 1)


def sized(zoom: float) -> Change:
    def change(photo: Image.Image):
        size = (round(photo.width * zoom), round(photo.height * zoom))
        return photo.resize(size, Image.Resampling.BICUBIC), lambda points: (points + 0.5) * zoom - 0.5

    return change


def turned_file(photo: Image.Image):
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif), same


def lying(photo: Image.Image):
    """On its side, and nothing says so."""
    return photo.transpose(Image.Transpose.ROTATE_90), lambda points: np.stack([points[:, 1], photo.width - 1 - points[:, 0]], 1)


def deep_gray(photo: Image.Image):
    return encoded(Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257), "PNG"), same


def see_through(photo: Image.Image):
    photo = photo.copy()
    photo.putalpha(128)
    return encoded(photo, "PNG"), same


CHANGES: dict[str, Change] = {
    "a quarter of the light": of_values(lambda v: v / 4),
    "overexposed": of_values(lambda v: v * 1.8),
    "a fifth of the contrast": of_values(lambda v: 110 + v / 5),
    "gray": of_values(lambda v: v.mean(2, keepdims=True).repeat(3, 2)),
    "noise of 30 gray levels": of_values(lambda v: v + np.random.default_rng(0).normal(0, 30, v.shape)),
    "blurred by 2 px": lambda photo: (photo.filter(ImageFilter.GaussianBlur(2)), same),
    "halftone": of_values(halftone),
    "mirrored": mirrored,
    "half the size": sized(0.5),
    "three times the size": sized(3),
    "in a picture of 12 megapixels": on_canvas(4000, 3000),
    "in a panorama, 6000 x 400": on_canvas(6000, 400),
    "twice, side by side": on_canvas(1400, 700, copies=2),
    "on its side": lying,
    "on its side, EXIF says so": turned_file,
    "JPEG of quality 10": of_file("JPEG", quality=10),
    "CMYK JPEG": of_file("JPEG", "CMYK", quality=95),
    "transparent PNG": see_through,
    "gray PNG of 16 bits": deep_gray,
}


def measure_change(change: Change, photo: np.ndarray, entry: dict) -> dict:
    """One changed portrait, through the library's doors: whether its face is found, and what pasting does to the picture as it was read."""
    made, moved = change(Image.fromarray(photo))
    read = media.read_picture(made if isinstance(made, bytes) else encoded(made, "PNG"))
    wanted = moved(np.array([entry["left_eye"], entry["right_eye"]]))
    found = faces.detect(read)[0]
    eyes = [np.stack([f.landmarks[36:42].mean(0), f.landmarks[42:48].mean(0)]) for f in found]
    off = [float(np.linalg.norm(e - wanted, axis=1).max() / np.linalg.norm(wanted[1] - wanted[0])) for e in eyes]
    if not off or min(off) > 0.5:
        return {"found": False, "eyes": np.inf, "exact": False, "outside": 0}
    square, crop = faces.align(read, found[int(np.argmin(off))], SIDE)
    color = square[:, :3]
    unedited, _ = faces.paste(read, color, crop, reconstruction=color)
    edited, mask = faces.paste(read, -color, crop, reconstruction=color)
    outside = (edited != read) & (mask == 0)
    return {"found": True, "eyes": min(off), "exact": torch.equal(unedited, read), "outside": int(outside.sum())}


def measure_strangers() -> str:
    """Whom the avatars' inverter knows: renders that no training saw, and the portraits, aligned and as a middle square."""
    folder = os.environ.get("MICROMOTION_PORTRAITS")
    if not folder:
        raise SystemExit("Set MICROMOTION_PORTRAITS to a folder of portraits with a portraits.json, or leave this table out with --only.")
    generator = load(embedded_root() / "generator.safetensors").requires_grad_(False)
    inverter = load_inverter(embedded_root() / "inverter.safetensors")
    entries = [e for e in json.loads(Path(folder, "portraits.json").read_text(encoding="utf-8")) if "left_eye" in e]
    photos = [media.read_image(Path(folder, entry["file"])) for entry in entries]
    sets = {
        "held-out avatars": held_out(200),
        "portraits, aligned": torch.cat([aligned_by_hand(photo, entry) for photo, entry in zip(photos, entries)]),
        "portraits, the middle square": torch.cat([middle_square(photo) for photo in photos]),
    }
    rows, edges = [], {}
    for name, images in sets.items():
        images = torch.nn.functional.interpolate(images, (STRANGER_SIDE, STRANGER_SIDE), mode="area").clamp(-1, 1)
        codes = torch.cat([inverter.invert(generator, chunk) for chunk in images.split(16)])
        report = reconstruction_report(generator, codes, images)
        for half in ("first", "second"):
            picked = range(0 if half == "first" else 1, len(images), 2)
            shares = report.outlines[picked.start :: 2]
            edges[name, half] = float(shares.min() if name.startswith("held-out") else shares.max())
            refused = sum(out_of_domain(inverter.card, report.at(i)) is not None for i in picked)
            wrong = refused if name.startswith("held-out") else len(picked) - refused
            spread = [f"{v:.2f}" for v in (shares.min(), shares.median(), shares.max())]
            levels = f"{report.psnr[picked.start :: 2].min():.1f} to {report.psnr[picked.start :: 2].max():.1f} dB"
            rows.append([name, half, len(picked), *spread, levels, refused, f"{wrong / len(picked):.1%}"])
    known, *strange = (edges[name, "first"] for name in sets)
    title = (
        f"Is this a face that the avatars' inverter knows? Refused with less than {OUTLINES:.0%} of its outlines in place, or under"
        f" {(inverter.card.typical_psnr or 0.0) - MARGIN_DB:.1f} dB; the middle of the gap in the first half of the pictures is"
        f" {(known + max(strange)) / 2:.2f}, the second half judges"
    )
    columns = ["pictures", "half", "number", "least in place", "median", "most", "reproduced at", "refused", "wrongly judged"]
    return table(title, columns, rows)


def held_out(count: int) -> torch.Tensor:
    """Avatars in every look that no training saw, ``[count, 3, S, S]``."""
    parameters, styles = sampling.sample_parameters(count, HELD_OUT), sampling.sample_styles(count, HELD_OUT + 2)
    parts = [slice(i, i + 20) for i in range(0, count, 20)]
    return torch.cat([rendering.render(parameters[part], 2 * STRANGER_SIDE, styles[part]).images for part in parts])


def aligned_by_hand(photo: torch.Tensor, entry: dict) -> torch.Tensor:
    """``[1, 3, S, S]``: the FFHQ square of the known eyes and mouth."""
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[[48, 54]] = entry["left_eye"], entry["right_eye"], entry["mouth"]
    return faces.align(photo, faces.Crop.from_landmarks(points, (photo.shape[-1], photo.shape[-2]), STRANGER_SIDE), STRANGER_SIDE)[0]


def middle_square(photo: torch.Tensor) -> torch.Tensor:
    side = min(photo.shape[-2:])
    top, left = (photo.shape[-2] - side) // 2, (photo.shape[-1] - side) // 2
    square = photo[..., top : top + side, left : left + side]
    return torch.nn.functional.interpolate(square, (STRANGER_SIDE, STRANGER_SIDE), mode="bilinear", antialias=True)


TRUTH = {"yaw": "yaw", "eye opening": "eyes", "corner lift": "smile", "mouth width": "smile", "mouth opening": "smile"}


def upright_difference(face: faces.Face, other: faces.Face) -> np.ndarray:
    """Eyes of one reading less those of another, ``[2, 2]``, along and across the line of the other's, in shares of their distance."""
    one, two = (np.stack([f.landmarks[36:42].mean(0), f.landmarks[42:48].mean(0)]) for f in (face, other))
    across = two[1] - two[0]
    return (one - two) @ np.array([[across[0], -across[1]], [across[1], across[0]]]) / (across @ across)


SHAPES = {  # blendshapes that say about the same: those that count for a quantity, and those that count against it
    "corner lift": (("mouthSmileLeft", "mouthSmileRight"), ()),
    "mouth width": (("mouthSmileLeft", "mouthSmileRight"), ()),
    "mouth opening": (("jawOpen",), ()),
    "eye opening": ((), ("eyeBlinkLeft", "eyeBlinkRight")),
    "brow height": (("browInnerUp",), ("browDownLeft", "browDownRight")),
}
LANDMARKER = "MICROMOTION_FACE_LANDMARKER"


@functools.cache
def mediapipe_reader() -> Any | None:
    """MediaPipe's own reader, which core's node is a port of; None without the package and the model file that LANDMARKER names."""
    if not os.environ.get(LANDMARKER) or importlib.util.find_spec("mediapipe") is None:
        return None
    from mediapipe.tasks.python import BaseOptions, vision  # pyright: ignore[reportMissingImports]

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=os.environ[LANDMARKER]), output_face_blendshapes=True, num_faces=4
    )
    return vision.FaceLandmarker.create_from_options(options)


def read_by_mediapipe(picture: np.ndarray) -> dict | None:
    """The faces of a picture ``[H, W, 3]`` uint8 as core's FACE_LANDMARKS; None where MediaPipe is not at hand."""
    reader = mediapipe_reader()
    if reader is None:
        return None
    import mediapipe  # pyright: ignore[reportMissingImports]

    height, width = picture.shape[:2]
    found = reader.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)))
    frame = []
    for points, shapes in zip(found.face_landmarks, found.face_blendshapes):
        marks = np.array([(p.x * width, p.y * height) for p in points])
        box = np.concatenate([marks.min(0), marks.max(0)])
        frame.append({"landmarks_xy": marks, "bbox_xyxy": box, "blendshapes": {s.category_name: s.score for s in shapes}})
    return {"frames": [frame], "image_size": (height, width)}


def measure_geometry() -> str:
    """What landmarks say of avatars against what they were rendered with; dlib knows no drawings, so photos are read better."""
    from scipy.stats import spearmanr

    parameters = sampling.sample_parameters(90, 77)
    for name in ("glasses", "beard"):
        parameters[:, rendering.PARAMETERS.index(name)] = 0
    images = rendering.render(parameters, SIDE).images
    pictures = ((images.permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    readings = {
        "dlib once": [faces.detect(picture, tilted=False) for picture in pictures],
        "dlib, median of 18": [faces.detect(picture, tilted=False, steady=True) for picture in pictures],
    }
    if mediapipe_reader() is not None:
        readings["MediaPipe, 478 points"] = [faces.faces_from_mediapipe(read_by_mediapipe(p) or {})[0] for p in pictures]
    rows = [[quantity, factor] for quantity, factor in TRUTH.items()]
    for found in readings.values():
        read = measure_found(found)
        for row in rows:
            truth = parameters[:, rendering.PARAMETERS.index(row[1])].numpy()
            row.append(f"{spearmanr(read[row[0]], truth, nan_policy='omit')[0]:+.2f}")
    seen = ", ".join(f"{sum(map(bool, found))} by {name}" for name, found in readings.items())
    title = f"faces.measure on {len(pictures)} rendered avatars, Spearman with the renderer's truth; a face was seen in {seen}"
    return table(title, ["quantity", "rendered with", *readings], rows)


def frontal_portraits() -> Iterator[tuple[dict, np.ndarray]]:
    """Every portrait that is not a profile, with its picture ``[H, W, 3]`` uint8."""
    folder = os.environ.get("MICROMOTION_PORTRAITS")
    if not folder:
        raise SystemExit("Set MICROMOTION_PORTRAITS to a folder of portraits with a portraits.json, or leave this table out with --only.")
    for entry in json.loads(Path(folder, "portraits.json").read_text(encoding="utf-8")):
        if not entry.get("note", "").startswith("profile"):
            yield entry, np.asarray(Image.open(Path(folder, entry["file"])).convert("RGB"))


def measure_rest() -> str:
    """What faces.measure says of sitters who hold still, and of people who smile into a camera of today."""
    found: dict[str, list] = {"recent": [], "before": []}
    for entry, photo in frontal_portraits():
        if entry["group"] != "drawn":
            found["recent" if entry["group"] == "recent" else "before"].append(faces.detect(photo, steady=True))
    read = {name: measure_found(group) for name, group in found.items()}
    rows = [
        [name, f"{REST[name]:.2f}", *(f"{np.nanmedian(r[name]):+.2f} ({np.nanmedian(np.abs(r[name])):.2f})" for r in read.values())]
        for name in QUANTITIES
    ]
    columns = ["quantity", "taken for rest", *(f"{name}: median (of sizes)" for name in ("recent photos", "photos of 1850 to 1960"))]
    return table("A face at rest: people hold still in old photos and smile in those of today", columns, rows)


def measure_readers() -> str:
    """dlib against MediaPipe, which learned from other pictures: the eyes of the portraits, and what the face does against blendshapes."""
    from scipy.stats import spearmanr

    if mediapipe_reader() is None:
        raise SystemExit(
            f"This table needs the package mediapipe, and {LANDMARKER} to name face_landmarker.task; or leave it out with --only."
        )
    apart, groups, dlibs, others, shapes = [], [], [], [], []
    for entry, photo in frontal_portraits():
        own, value = faces.detect(photo), read_by_mediapipe(photo)
        frame = faces.faces_from_mediapipe(value)[0] if value else []
        if not own or value is None or not frame:
            continue
        face = faces.choose(own)
        other = faces.choose(frame, point=face.landmarks[36:48].mean(0))
        number = int(np.argmin([np.hypot(*(np.mean(f["bbox_xyxy"].reshape(2, 2), 0) - 0.5 - other.center)) for f in value["frames"][0]]))
        shapes.append(value["frames"][0][number]["blendshapes"])
        apart.append(upright_difference(face, other))
        groups.append(entry["group"])
        dlibs.append(faces.detect(photo, steady=True))
        others.append([other])
    common = np.median(apart, axis=0)
    off = np.linalg.norm(np.array(apart) - common, axis=2).max(1)
    eyes = []
    for name in ("recent", "middle", "early", "drawn", "all"):
        v = off[[name in (group, "all") for group in groups]]
        within = f"{(v <= 0.05).sum()} of {len(v)}"
        eyes.append([name, within, f"{np.median(v):.1%}", f"{np.quantile(v, 0.9):.1%}", f"{v.max():.0%}", (v > 0.1).sum()])
    columns = ["portraits", "within 5 %", "median", "nine of ten under", "largest", "over 10 %"]
    taken = ", ".join(f"{100 * value:.0f}" for value in common.mean(0))
    title = f"Eyes by dlib against eyes by MediaPipe, in shares of their distance, less what all differ by (right, down: {taken} %)"
    first = table(title, columns, eyes)
    rows = []
    for quantity, (up, down) in SHAPES.items():
        known = [sum(s[name] for name in up) - sum(s[name] for name in down) for s in shapes]
        figures = [f"{spearmanr(measure_found(group)[quantity], known)[0]:+.2f}" for group in (dlibs, others)]
        rows.append([quantity, " ".join([*(f"+{name}" for name in up), *(f"-{name}" for name in down)]), *figures])
    second = table(
        f"faces.measure against MediaPipe's blendshapes on the same {len(shapes)} portraits, Spearman",
        ["quantity", "blendshapes", "by dlib", "by MediaPipe's points"],
        rows,
    )
    return f"{first}\n\n{second}"


MEASUREMENTS = {
    "geometry": measure_geometry,
    "rest": measure_rest,
    "portraits": measure_portraits,
    "changed": measure_changed,
    "readers": measure_readers,
    "strangers": measure_strangers,
    "files": measure_files,
    "sources": measure_sources,
    "quads": measure_quads,
    "round-trip": measure_round_trip,
    "paste": measure_paste,
    "ghosts": measure_ghosts,
    "jitter": measure_jitter,
    "large": measure_large,
}

if __name__ == "__main__":
    main()
