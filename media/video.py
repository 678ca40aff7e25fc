"""Videos as files: frames in, frames out, one at a time; a writer and a reader for every door."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..files import limits
from .errors import MediaError
from .pictures import read_image, to_bytes

log = logging.getLogger(__name__)

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
BIT_RATE = 8_000_000
GIF_BYTES = 2**30  # of frames that wait in memory for the end, one byte a pixel
FILMS = (*CONTAINERS, ".gif")
H264 = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def read_clip(path: str | Path) -> Iterator[torch.Tensor]:
    """Yield the frames uint8 ``[3, H, W]`` of a video file, an animated picture, or a folder of pictures in the order of their names."""
    path = Path(path)
    if not path.is_dir():
        yield from _decode(path)
        return
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
    if not files:
        raise MediaError(f"The folder {path} holds no pictures ({', '.join(sorted(PICTURES))}).")
    for file in files:
        yield torch.from_numpy(to_bytes(read_image(file))[0]).permute(2, 0, 1)


def _decode(path: Path) -> Iterator[torch.Tensor]:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
    except FileNotFoundError:
        raise MediaError(f"There is no file or folder {path}.") from None
    except (FFmpegError, IndexError) as error:
        raise MediaError(
            f"{path} is not a video that can be read ({_first_line(error)}); give an MP4, MOV, MKV, WebM or GIF file."
        ) from None


def thinned(frames: Iterable[torch.Tensor], most: int) -> tuple[list[torch.Tensor], int]:
    """At most ``most`` evenly spaced frames of a clip of unknown length, and their spacing; memory stays flat."""
    kept, spacing = [], 1
    for i, frame in enumerate(frames):
        if i % spacing:
            continue
        kept.append(frame)
        if len(kept) > most:
            kept, spacing = kept[::2], 2 * spacing
    return kept, spacing


class VideoWriter:
    """An H.264 video (MPEG-4 Part 2 where this PyAV has no H.264), written to one file; the first frames decide its size."""

    def __init__(self, path: Path, fps: float):
        import av

        self.container = av.open(str(path), "w", format=CONTAINERS[path.suffix.lower()])
        self.rate = Fraction(fps).limit_denominator(1001)
        self.stream: Any = None  # PyAV types a stream by its codec, which is chosen at run time

    def write(self, frames: np.ndarray) -> None:
        """Append uint8 frames ``[n, H, W, 3]``; an odd side repeats its last row, because the color planes are halved."""
        import av

        if any(side % 2 for side in frames.shape[1:3]):
            frames = np.pad(frames, ((0, 0), *((0, side % 2) for side in frames.shape[1:3]), (0, 0)), mode="edge")
        if self.stream is None:
            self.stream = _open_stream(self.container, frames.shape[2], frames.shape[1], self.rate)
        for pixels in frames:
            self._mux(av.VideoFrame.from_ndarray(pixels, format="rgb24"))

    def _mux(self, frame) -> None:
        for packet in self.stream.encode(frame):
            self.container.mux(packet)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None and self.stream is not None:
                self._mux(None)
        finally:
            self.container.close()


class GifWriter:
    """An animated GIF that loops; its frames wait in memory, one byte a pixel, until the end."""

    def __init__(self, path: Path, fps: float):
        self.path, self.milliseconds, self.pictures, self.bytes = path, 1000 / fps, [], 0

    def write(self, frames: np.ndarray) -> None:
        """Append uint8 frames ``[n, H, W, 3]``. Raises MediaError where they get too many."""
        self.bytes += frames.size // 3
        if self.bytes > GIF_BYTES:
            raise MediaError(
                f"{self.path.name} gets too long for a GIF, which waits in memory; choose .mp4, fewer frames or a smaller size."
            )
        self.pictures += [Image.fromarray(pixels).quantize(256, dither=Image.Dither.FLOYDSTEINBERG) for pixels in frames]

    def __enter__(self) -> GifWriter:
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None and self.pictures:
            first, *rest = self.pictures
            first.save(self.path, save_all=True, append_images=rest, duration=self._durations(), loop=0)

    def _durations(self) -> list[int]:
        """Milliseconds of each frame: GIF counts hundredths of a second, so the rounding is carried on."""
        ends = [round((i + 1) * self.milliseconds / 10) * 10 for i in range(len(self.pictures))]
        return [end - start for start, end in zip([0, *ends], ends)]


def open_writer(path: Path, fps: float) -> VideoWriter | GifWriter:
    """The writer for a path's ending, at 0.1 to 240 frames per second. Raises MediaError."""
    fps = limits.FPS.checked(fps, "The frames per second are", MediaError)
    return GifWriter(path, fps) if path.suffix.lower() == ".gif" else VideoWriter(path, fps)


def _open_stream(container, width: int, height: int, rate: Fraction):
    """Add a stream of the first video codec that this machine can encode."""
    for name in (*H264, "mpeg4"):
        if not _can_encode(name, width, height):
            continue
        stream = container.add_stream(name, rate=rate, options={"crf": "14"} if name == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if name != "libx264":
            stream.bit_rate = BIT_RATE
        if name == "mpeg4":
            log.warning("This PyAV has no H.264 encoder: the video is MPEG-4 Part 2, which some players refuse.")
        return stream
    raise MediaError("This PyAV can encode no video; reinstall it with: pip install --force-reinstall av")


def _can_encode(name: str, width: int, height: int) -> bool:
    """Try a codec out: being listed does not mean that its library or device is there."""
    import av
    from av.error import FFmpegError

    try:
        codec: Any = av.CodecContext.create(name, "w")  # its stubs know only the kinds of contexts, not which one a name gives
        codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "yuv420p", Fraction(1, 25)
        codec.open()
    except (FFmpegError, ValueError):
        return False
    return True
