"""Faces and their 68 landmarks with dlib, loaded only when asked for (Kazemi and Sullivan 2014; King 2009)."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..files.budget import border
from .clips import find_cuts
from .errors import FaceError, MissingToolError
from .landmarks import Face, number_faces
from .pictures import Progress, as_pictures, check_finite
from .predictor_file import check_predictor
from .restoring import restored

PREDICTOR = "shape_predictor_68_face_landmarks.dat"
HOG_FACE = 80  # px: the smallest face the detector's window covers
SMALL_FACE = 60  # px: below, a whole pixel of a landmark is too coarse
UPRIGHT_FACE = 200  # px: the size at which the landmarks of small and of tilted faces are read
WORKING_PIXELS = 12e6  # that a photo is searched at
TURNED_PIXELS = 6e6  # that each turned copy is searched at
PIECE = 1800  # px of a large photo searched at full size at a time, besides the overlap
RESTING = 7  # frames of a clip without a face after one that was searched everywhere
RESTORED_SCORE = 0.08  # in a restored copy; profiles and badges reach 0.00 there, faces 0.16 and more
READ_SIZES, READ_SHIFTS = (0.95, 1.0, 1.08), (-0.05, 0.0, 0.05)  # of the box, at which steady landmarks are read
MIRRORED = (  # the point of a mirrored face that is each of the 68
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), *range(45, 41, -1), 47, 46, *range(39, 35, -1), 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
)  # fmt: skip
TILTS = (30, -30, 60, -60, 90, -90, 180)


def detect(
    image,
    *,
    predictor: str | Path | None = None,
    folders: Iterable[str | Path] = (),
    smallest: float = 40,
    confidence: float = 0.3,
    tilted: bool = True,
    clip: bool = False,
    cuts: Iterable[int] | None = None,
    steady: bool = False,
    progress: Progress | None = None,
    value_range: tuple[float, float] = (-1, 1),
) -> list[Any]:
    """The faces of a picture, numbered left to right; for a batch a list of them for each frame.

    ``image`` is what ``align`` takes. ``predictor`` names dlib's 68-point file; without it the file is looked for in ``folders``, then
    in the package face_recognition_models. ``smallest`` is the side in pixels of the smallest face to look for; pictures above 12
    megapixels at the working size are searched in a reduced copy first and whole, in pieces, only when nothing was found. Faces scored
    under ``confidence`` even at a second look count only when no other is found. ``tilted`` searches turned copies of a picture that shows
    no upright face. ``clip`` says that a batch is one clip, which is faster: faces are looked for at about the size they had in the frame
    before, unless a new shot begins, and where none is seen for a while only every eighth frame is searched whole and turned. ``cuts`` are
    the first frames of new shots where they are known (None: they are looked for).
    ``progress(done, N)`` is called after each frame and may raise to cancel.

    A picture that shows no face in any of these ways is looked at once more with its light evened, its grain smoothed, and enlarged.
    Upright faces of 60 px and more get dlib's own whole-pixel landmarks, as the published pipelines use them; smaller and tilted ones are
    turned upright and enlarged first. With ``steady``, for measuring rather than framing, all are, and each point is the median of
    eighteen readings: at boxes a little smaller, larger and aside, of the face and of its mirror image. No face is an empty list.
    Raises MissingToolError when dlib or the file is missing.
    """
    pictures = as_pictures(image, "image", value_range)
    check_finite(pictures.frames, "image")
    if not smallest >= 1:
        raise FaceError(f"smallest must be the side of a face in pixels, at least 1, not {smallest!r}.")
    tools = _Tools(_detector(), _predictor(str(find_predictor(predictor, folders))), confidence, steady)
    if cuts is None:
        cuts = find_cuts(image, value_range=value_range) if clip and len(pictures) > 1 else ()
    starts = frozenset(cuts)
    search = _Search(tools, smallest, tilted)
    found: list[list[Face]] = []
    for i in range(len(pictures)):
        found.append(search(pictures.rgb(i), fresh=not clip or i in starts))
        if progress is not None:
            progress(i + 1, len(pictures))
    return found[0] if pictures.single else found


def find_predictor(path: str | Path | None = None, folders: Iterable[str | Path] = ()) -> Path:
    """The 68-point file: ``path`` itself, else in one of ``folders``, else in face_recognition_models; or a sentence on how to get it."""
    if path is not None:
        if Path(path).is_file():
            return Path(path)
        raise MissingToolError(f"There is no landmark file {path}.{_how_to_get(folders)}")
    for folder in (*folders, *_package_folders()):
        if (Path(folder) / PREDICTOR).is_file():
            return Path(folder) / PREDICTOR
    raise MissingToolError(f"dlib's landmark file {PREDICTOR} was not found.{_how_to_get(folders)}")


def _package_folders() -> list[Path]:
    # Importing that package fails with current setuptools; finding it does not.
    spec = importlib.util.find_spec("face_recognition_models")
    return [Path(place) / "models" for place in (spec.submodule_search_locations or ())] if spec else []


def _how_to_get(folders: Iterable[str | Path]) -> str:
    folder = next(iter(folders), None)
    where = f"into {folder}" if folder else "anywhere and name it"
    return (
        f" Install it with {install_command('face_recognition_models')}, or put the file (100 MB, unpacked from"
        f" https://dlib.net/files/{PREDICTOR}.bz2) {where}. It was trained on iBUG 300-W, whose license excludes commercial use."
    )


def install_command(*packages: str) -> str:
    """The command that installs ``packages`` into the Python that is running, wherever the user stands."""
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable or "python"
    return f"`{python} -m pip install {' '.join(packages)}`"


def _dlib() -> Any:  # without stubs: dlib is compiled
    try:
        import dlib
    except ImportError as reason:
        command = install_command("dlib-bin", "face_recognition_models")
        raise MissingToolError(f"Finding faces needs dlib, which is not installed: run {command}.") from reason
    return dlib


@functools.cache
def _detector():
    return _dlib().get_frontal_face_detector()


def load_predictor(path: str | Path) -> Any:
    """dlib's shape predictor of 68 points in the file ``path``, whose numbers are looked through first. Raises FaceError."""
    dlib = _dlib()
    check_predictor(path)
    with border(str(path), FaceError):
        return dlib.shape_predictor(str(path))


_predictor = functools.cache(load_predictor)


class _Tools:
    """The detector, the predictor, the score from which a find counts, and whether landmarks are read many times."""

    def __init__(self, detector, predictor, confidence: float, steady: bool = False):
        self.detector, self.predictor, self.confidence, self.steady = detector, predictor, confidence, steady

    def boxes(self, pixels: np.ndarray, upsample: int) -> list[tuple[np.ndarray, float]]:
        """(left, top, right, bottom) and score of each find in ``[H, W, 3]`` uint8; dlib takes no line of pixels."""
        if min(pixels.shape[:2]) < 2:
            return []
        rectangles, scores, _ = self.detector.run(pixels, upsample, 0.0)
        return [(np.array([r.left(), r.top(), r.right(), r.bottom()], dtype=np.float64), score) for r, score in zip(rectangles, scores)]

    def landmarks(self, pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
        """``[68, 2]``: whole pixels, or the median of many readings."""
        if not self.steady:
            return self._read_once(pixels, box)
        mirror, width, half = np.ascontiguousarray(pixels[:, ::-1]), pixels.shape[1] - 1, _extent(box) / 2
        middle, readings = (box[:2] + box[2:]) / 2, []
        for size, aside, down in itertools.product(READ_SIZES, READ_SHIFTS, READ_SHIFTS):
            low, high = (middle + half * (2 * np.array([aside, down]) + sign * size) for sign in (-1, 1))
            readings.append(self._read_once(pixels, np.array([*low, *high])))
            there = self._read_once(mirror, np.array([width - high[0], low[1], width - low[0], high[1]]))[list(MIRRORED)]
            readings.append(there * [-1, 1] + [width, 0])
        return np.median(readings, axis=0)

    def _read_once(self, pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
        rectangle = _dlib().rectangle(*(int(round(v)) for v in box))
        return np.array([(p.x, p.y) for p in self.predictor(pixels, rectangle).parts()], dtype=np.float64)

    def trusted(self, faces: list[Face]) -> list[Face]:
        """Faces above the threshold; doubtful ones only when there is nothing else."""
        return [face for face in faces if face.score >= self.confidence] or faces


class _Search:
    """The faces of one picture after another; of a clip it remembers how large they were, and when it last looked everywhere in vain."""

    def __init__(self, tools: _Tools, smallest: float, tilted: bool):
        self.tools, self.smallest, self.tilted = tools, smallest, tilted
        self.known, self.rest = 0.0, 0

    def __call__(self, photo: np.ndarray, fresh: bool) -> list[Face]:
        if fresh:
            self.known, self.rest = 0.0, 0
        faces = _upright_faces(self.tools, photo, 0.6 * self.known) if self.known > 2 * self.smallest else []
        faces = faces or _upright_faces(self.tools, photo, self.smallest)
        if self._doubtful(faces):
            faces = self._everywhere(photo, nothing=not faces) or faces
        else:
            self.rest = 0
        self.known = min((face.extent for face in faces), default=0.0)
        return faces

    def _everywhere(self, photo: np.ndarray, nothing: bool) -> list[Face]:
        """Turned copies, the whole photo at full size, and where nothing at all was seen, restored copies; in a clip not in every frame."""
        if self.rest:
            self.rest -= 1
            return []
        faces = _tilted_faces(self.tools, photo, self.smallest) if self.tilted else []
        faces = faces or _small_faces(self.tools, photo, self.smallest)
        faces = _restored_faces(self.tools, photo) if nothing and not faces else faces
        self.rest = RESTING if self._doubtful(faces) else 0
        return faces

    def _doubtful(self, faces: list[Face]) -> bool:
        return not any(face.score >= self.tools.confidence for face in faces)


def _affordable(photo: np.ndarray, pixels: float) -> float:
    """The scale at which a picture has so many pixels."""
    return (pixels / (photo.shape[0] * photo.shape[1])) ** 0.5


def _upright_faces(tools: _Tools, photo: np.ndarray, smallest: float) -> list[Face]:
    scale = min(HOG_FACE / smallest, _affordable(photo, WORKING_PIXELS))
    return _readable(tools, photo, _search(tools, photo, scale))


def _readable(tools: _Tools, photo: np.ndarray, boxes: list[tuple[np.ndarray, float]]) -> list[Face]:
    return number_faces(tools.trusted([_read(tools, photo, box, 0.0, score) for box, score in boxes]))


def _small_faces(tools: _Tools, photo: np.ndarray, smallest: float) -> list[Face]:
    """Faces too small for the reduced copy, looked for in overlapping pieces of the photo at its full size."""
    reduced, wanted = _affordable(photo, WORKING_PIXELS), HOG_FACE / smallest
    if wanted <= reduced:
        return []
    overlap = int(np.ceil(2 * HOG_FACE / reduced))
    boxes: list[tuple[np.ndarray, float]] = []
    for top in _starts(photo.shape[0], overlap):
        for left in _starts(photo.shape[1], overlap):
            piece = np.ascontiguousarray(photo[top : top + PIECE + overlap, left : left + PIECE + overlap])
            found = [(box + [left, top, left, top], score) for box, score in _search(tools, piece, wanted)]
            boxes += [(box, score) for box, score in found if not any(_is_near(box, other) for other, _ in boxes)]
    return _readable(tools, photo, boxes)


def _restored_faces(tools: _Tools, photo: np.ndarray) -> list[Face]:
    """A last look at copies with the light evened, halftones smoothed and small faces enlarged: the copy in which the detector is surest.

    The landmarks are read in that copy too.
    """
    best: list[Face] = []
    for copy, scale in restored(photo):
        boxes = [(box, score) for box, score in tools.boxes(copy, 0) if score >= RESTORED_SCORE]
        faces = [_face_of_copy(tools, copy, scale, box, score, photo) for box, score in boxes]
        best = max(best, faces, key=lambda found: max((face.score for face in found), default=-1.0))
        if any(face.score >= tools.confidence for face in best):
            break
    return number_faces(tools.trusted(best))


def _face_of_copy(tools: _Tools, copy: np.ndarray, scale: float, box: np.ndarray, score: float, photo: np.ndarray) -> Face:
    box_in_photo, points = (((v + 0.5) / scale - 0.5) for v in (box, tools.landmarks(copy, box)))
    return Face(points, tuple(box_in_photo.tolist()), score, photo.shape[1::-1])


def _starts(length: int, overlap: int) -> range:
    return range(0, max(length - overlap, 1), PIECE)


def _is_near(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes, found in neighboring pieces, are one face."""
    return float(np.abs(box - other).max()) < 0.5 * _extent(box)


def _search(tools: _Tools, photo: np.ndarray, scale: float) -> list[tuple[np.ndarray, float]]:
    """Boxes in photo pixels, found at ``scale``: dlib's own doubling above 1, a reduced copy below."""
    if scale > 1:
        return tools.boxes(photo, int(np.ceil(np.log2(scale))))
    small = _resized(photo, scale)
    ratio = np.array([photo.shape[1] / small.shape[1], photo.shape[0] / small.shape[0]] * 2)
    return [((box + 0.5) * ratio - 0.5, score) for box, score in tools.boxes(small, 0)]


def _resized(photo: np.ndarray, scale: float) -> np.ndarray:
    if scale >= 1:
        return photo
    width, height = (max(1, round(edge * scale)) for edge in photo.shape[1::-1])
    return np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BOX))


def _read(tools: _Tools, photo: np.ndarray, box: np.ndarray, angle: float, score: float) -> Face:
    """Landmarks of the face in ``box`` (photo pixels), which was found in a copy turned by ``angle`` degrees; the better of two scores."""
    angle, closer = _best_angle(tools, photo, box, angle)
    extent, score = _extent(box), max(score, closer)
    if angle == 0 and extent >= SMALL_FACE and not tools.steady:
        return Face(tools.landmarks(photo, box), tuple(box.tolist()), score, photo.shape[1::-1])
    upright, to_photo = _around(photo, box, angle, min(UPRIGHT_FACE / extent, 8.0))
    half, middle = len(upright) / 5, (len(upright) - 1) / 2
    points = tools.landmarks(upright, np.array([middle - half, middle - half, middle + half, middle + half]))
    return Face(points @ to_photo[:, :2].T + to_photo[:, 2], tuple(box.tolist()), score, photo.shape[1::-1])


def _best_angle(tools: _Tools, photo: np.ndarray, box: np.ndarray, angle: float) -> tuple[float, float]:
    """The turn at which the detector likes a face best, and its score there, in a picture of the face alone at the detector's own size.

    The detector accepts 40 degrees of tilt, which mislead the landmarks without a word; and what it doubted at first it knows now.
    """
    scores = []
    for turn in (angle, angle - 30, angle + 30):
        near, _ = _around(photo, box, turn, 1.3 * HOG_FACE / _extent(box))
        scores.append((max((score for _, score in tools.boxes(near, 0)), default=-1.0), turn))
    best, turn = max(scores)
    return (angle if best <= scores[0][0] + 0.2 else turn), best


def _extent(box: np.ndarray) -> float:
    return float(box[2] - box[0] + box[3] - box[1]) / 2


def _around(photo: np.ndarray, box: np.ndarray, angle: float, zoom: float) -> tuple[np.ndarray, np.ndarray]:
    """``_upright`` for a box and as much again around it."""
    side = int(np.ceil(2.5 * _extent(box) * zoom))
    return _upright(photo, np.array([box[0] + box[2], box[1] + box[3]]) / 2, angle, zoom, (side, side))


def _upright(photo: np.ndarray, center: np.ndarray, angle: float, zoom: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The surroundings of ``center``, turned back by ``angle`` degrees and zoomed, and ``[2, 3]`` from its pixels to the photo's."""
    turn = np.deg2rad(angle)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / zoom
    offset = center - linear @ (np.asarray(size) - 1) / 2
    reach = np.hypot(*size) / 2 / zoom + 2
    corner = np.clip(np.floor(center - reach), 0, None).astype(int)
    far = np.maximum(np.ceil(center + reach), 1).astype(int)
    piece = Image.fromarray(photo[corner[1] : far[1], corner[0] : far[0]])
    # Cubic sampling skips pixels when it reduces: whole factors are averaged first.
    factor = max(int(0.7 / zoom), 1)
    # Pillow counts from the corner of a pixel, we from its center.
    cornered = np.concatenate([linear, (offset - corner + 0.5 - linear @ [0.5, 0.5])[:, None]], axis=1) / factor
    image = piece.reduce(factor).transform(size, Image.Transform.AFFINE, tuple(cornered.flatten()), Image.Resampling.BICUBIC)
    return np.asarray(image), np.concatenate([linear, offset[:, None]], axis=1)


def _tilted_faces(tools: _Tools, photo: np.ndarray, smallest: float) -> list[Face]:
    """The first turn at which a face is found, trying small ones first."""
    scale = min(HOG_FACE / smallest, _affordable(photo, TURNED_PIXELS)) / 2  # the detector doubles it
    small = _resized(photo, scale)
    if 2 * min(small.shape[:2]) < HOG_FACE:
        return []
    ratio = photo.shape[1] / small.shape[1]
    center = (np.array(small.shape[1::-1]) - 1) / 2
    for angle in TILTS:
        turn = np.deg2rad(angle)
        turned_size = np.abs([[np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ small.shape[1::-1]
        width, height = (int(np.ceil(v)) for v in turned_size)
        turned, to_small = _upright(small, center, angle, 1.0, (width, height))
        faces = [_read(tools, photo, _turn_box(box, to_small, ratio), angle, score) for box, score in tools.boxes(turned, 1)]
        faces = [face for face in faces if face.score >= tools.confidence]
        if faces:
            return number_faces(faces)
    return []


def _turn_box(box: np.ndarray, to_small: np.ndarray, ratio: float) -> np.ndarray:
    """A box found in a turned copy -> the box of the same size about the same center in the photo."""
    center = to_small[:, :2] @ np.array([box[0] + box[2], box[1] + box[3]]) / 2 + to_small[:, 2]
    center, half = (center + 0.5) * ratio - 0.5, (box[2] - box[0] + box[3] - box[1]) / 4 * ratio
    return np.concatenate([center - half, center + half])
