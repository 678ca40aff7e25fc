"""Frames into a video file, one chunk at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import folder_paths
import torch

CRF = "17"  # visually lossless; Save Video may encode it again


def temporary_video() -> Path:
    """A new file in ComfyUI's temp folder, which ComfyUI empties when it starts."""
    folder, stem, counter, _, _ = folder_paths.get_save_image_path("micromotion", folder_paths.get_temp_directory())
    return Path(folder) / f"{stem}_{counter:05}_.mp4"


class Writer:
    """An open H.264 file; frames go in as chunks ``[n, H, W, 3]`` in 0..1."""

    def __init__(self, container, fps: float):
        self.container = container
        self.rate = Fraction(fps).limit_denominator(1000)
        self.stream = None

    def write(self, image: torch.Tensor) -> None:
        import av

        for picture in _bytes(image):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            self.stream = self.stream or self._open(frame)
            self.container.mux(self.stream.encode(frame))

    def close(self) -> None:
        if self.stream is not None:
            self.container.mux(self.stream.encode())

    def _open(self, frame):
        stream = self.container.add_stream("libx264", rate=self.rate, options={"crf": CRF, "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        return stream


def _bytes(image: torch.Tensor):
    """uint8 ``[n, H, W, 3]`` with even sides, which H.264 with halved colour takes; an odd last row or column is left out."""
    height, width = image.shape[1:3]
    pixels = image[:, : height // 2 * 2, : width // 2 * 2, :3].detach().float().mul(255).round().clamp(0, 255)
    return pixels.to(torch.uint8).contiguous().cpu().numpy()


@contextmanager
def writer(path: Path, fps: float) -> Iterator[Writer]:
    """Write ``path``; whatever interrupts the writing, no half-written file stays."""
    import av

    try:
        with av.open(str(path), "w") as container:
            made = Writer(container, fps)
            yield made
            made.close()
    except BaseException:
        if path.exists():
            os.unlink(path)
        raise
