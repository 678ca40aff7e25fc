"""At 1024 px: files of the official layouts, a photo through the README's commands and through the template in a real ComfyUI."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
FRAMES = 4
MOST = 8.0  # GB that any step may hold


@pytest.fixture(scope="module")
def walking(tmp_path_factory):
    """The benchmark that the tables of docs/performance.md come from, and a folder with its files."""
    pytest.importorskip("skimage", reason="scikit-image brings the photo")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "lab" / "benchmarks"))
        full_size = importlib.import_module("full_size")
    folder = tmp_path_factory.mktemp("full")
    full_size.prepare(folder)
    return full_size, folder


def moves(film: list[np.ndarray]) -> bool:
    return max(float(np.abs(frame.astype(float) - film[0]).mean()) for frame in film) > 0.2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peaks from /proc")
def test_a_photo_walks_through_every_command(walking):
    full_size, folder = walking
    walked = list(full_size.walk(folder, full_size.COMMANDS, FRAMES, full_size.BRIEF))
    assert [one.what for one in walked if one.peak > MOST] == []
    said = {" ".join(one.what.strip("`").split()[1:3]): one.said for one in walked}
    assert (
        "1024" in said["inspect models/stylegan2/ffhq.pkl"]
        and "Encoder4Editing" in said["inspect models/stylegan2_inverters/e4e_ffhq_encode.pt"]
    )
    for name in ("me", "turn"):
        assert moves(full_size.frames_of(folder / "output" / f"{name}.mp4")), name
    driven, clip = (full_size.frames_of(path) for path in (folder / "output" / "driven.mp4", folder / "clip.mp4"))
    assert len(driven) == len(clip), "the stand-in finds the same face in every frame, so that nothing moves; the clip's length is kept"
    assert f"{len(clip)} of {len(clip)} frames kept" in next(one.said for one in walked if "--drive" in one.what)
    assert (folder / "output" / "pure.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.comfyui
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peaks from /proc")
def test_a_photo_walks_through_the_template(walking):
    full_size, folder = walking
    if reason := full_size.hosted.why_not():
        pytest.skip(reason)
    walked, video = full_size.walk_template(folder, FRAMES)
    assert walked.peak < MOST and "The face was cut out" in walked.said
    assert moves(full_size.frames_of(video))
