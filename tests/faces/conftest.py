"""A real photo (public domain, from scikit-image's wheel) with its landmarks from dlib and from MediaPipe, and drawn ones."""

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def official_align():
    spec = importlib.util.spec_from_file_location("official_alignment", HERE / "official.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.official_align


@pytest.fixture(scope="session")
def landmarks():
    """dlib's 68 points of the photo."""
    return np.array(json.loads((HERE / "astronaut.json").read_text())["dlib"], dtype=np.float64)


@pytest.fixture(scope="session")
def mediapipe_points():
    """MediaPipe's 478 points of the photo."""
    return np.array(json.loads((HERE / "astronaut.json").read_text())["mediapipe"], dtype=np.float64)


@pytest.fixture(scope="session")
def glasses():
    """dlib's and MediaPipe's points of a portrait of Grace Hopper (public domain, from Matplotlib's sample data)."""
    return {name: np.array(points, dtype=np.float64) for name, points in json.loads((HERE / "hopper.json").read_text()).items()}


@pytest.fixture(scope="session")
def moved():
    """A photo and its points turned by ``degrees`` and scaled by ``zoom`` about the face, on a canvas of ``size`` (width, height)."""
    return move


def move(photo: np.ndarray, points: np.ndarray, degrees: float, zoom: float, size: tuple[int, int]):
    turn = np.deg2rad(degrees)
    to_source = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / zoom
    source, target = points.mean(axis=0) + 0.5, np.array(size) / 2
    offset = source - to_source @ target
    matrix = np.concatenate([to_source, offset[:, None]], axis=1)
    image = Image.fromarray(photo).transform(size, Image.Transform.AFFINE, tuple(matrix.flatten()), Image.Resampling.BICUBIC)
    return np.asarray(image), (points + 0.5 - offset) @ np.linalg.inv(to_source).T - 0.5


@pytest.fixture(scope="session")
def psnr():
    """Decibels between two 8-bit pictures where ``weight [H, W]`` is over a half."""

    def measure(a, b, weight):
        error = (np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64))[np.asarray(weight) > 0.5]
        return 10 * np.log10(255**2 / np.mean(error**2))

    return measure


@pytest.fixture(scope="session")
def portraits():
    """Pictures ``[H, W, 3]`` uint8 of the folder that MICROMOTION_PORTRAITS names, by file name, and what is known of each."""
    folder = os.environ.get("MICROMOTION_PORTRAITS")
    if not folder or not Path(folder, "portraits.json").is_file():
        pytest.skip("MICROMOTION_PORTRAITS names no folder of portraits")
    known = json.loads(Path(folder, "portraits.json").read_text(encoding="utf-8"))
    return {entry["file"]: (np.asarray(Image.open(Path(folder, entry["file"])).convert("RGB")), entry) for entry in known}
