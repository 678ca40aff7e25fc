"""Videos out: frames into a file, one at a time, by one writer for every door."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..files import limits
from .errors import MediaError
from .sound import Sound

log = logging.getLogger(__name__)

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
BIT_RATE = 8_000_000
GIF_BYTES = 2**30  # of frames that wait in memory for the end, one byte a pixel
FILMS = (*CONTAINERS, ".gif")
BT709, LIMITED = 1, 1  # in FFmpeg's tables of color spaces, of primaries and of transfer curves; and of ranges
H264 = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")


class VideoWriter:
    """An H.264 video (MPEG-4 Part 2 where this PyAV has no H.264), written to one file; the first frames decide its size.

    Its colors are converted and tagged as BT.709, as players expect of videos. ``sound``: a film whose sound goes along, as long as the
    frames last.
    """

    def __init__(self, path: Path, fps: float, sound: Path | None = None):
        import av

        self.container = av.open(f"file:{path}", "w", format=CONTAINERS[path.suffix.lower()])
        self.rate = Fraction(fps).limit_denominator(1001)
        self.stream: Any = None  # PyAV types a stream by its codec, which is chosen at run time
        self.sound = None if sound is None else Sound(sound)
        self.written = 0

    def write(self, frames: np.ndarray) -> None:
        """Append uint8 frames ``[n, H, W, 3]``; an odd side repeats its last row, because the color planes are halved."""
        import av

        if any(side % 2 for side in frames.shape[1:3]):
            frames = np.pad(frames, ((0, 0), *((0, side % 2) for side in frames.shape[1:3]), (0, 0)), mode="edge")
        if self.stream is None:
            self.stream = _open_stream(self.container, frames.shape[2], frames.shape[1], self.rate)
            if self.sound is not None:
                self.sound.join(self.container)
        for pixels in frames:
            self._mux(_in_video_colors(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            self.written += 1
            if self.sound is not None:
                self.sound.write(float(self.written / self.rate))

    def _mux(self, frame) -> None:
        for packet in self.stream.encode(frame):
            self.container.mux(packet)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None and self.stream is not None:
                self._mux(None)
                if self.sound is not None:
                    self.sound.finish()
        finally:
            self.container.close()
            if self.sound is not None:
                self.sound.close()


def _in_video_colors(frame):
    """An RGB frame as YUV 4:2:0 by BT.709 of limited range, and saying so."""
    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
    frame.colorspace, frame.color_range = BT709, LIMITED
    return frame


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


def open_writer(path: Path, fps: float, sound: Path | None = None) -> VideoWriter | GifWriter:
    """The writer for a path's ending, at 0.1 to 240 frames per second. Raises MediaError.

    ``sound`` is the film whose sound goes along, where the format carries any.
    """
    fps = limits.FPS.checked(fps, "The frames per second are", MediaError)
    return GifWriter(path, fps) if path.suffix.lower() == ".gif" else VideoWriter(path, fps, sound)


def _open_stream(container, width: int, height: int, rate: Fraction):
    """Add a stream of the first video codec that this machine can encode."""
    for name in (*H264, "mpeg4"):
        if not _can_encode(name, width, height):
            continue
        stream = container.add_stream(name, rate=rate, options={"crf": "14"} if name == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
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
