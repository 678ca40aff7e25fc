"""Pictures in, pictures and videos out; what is written appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..stylegan2 import faces
from .terminal import UsageError, note

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
BIT_RATE = 8_000_000
FILMS = (*CONTAINERS, ".gif")
H264 = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def read_image(path: str | Path) -> torch.Tensor:
    """Read a picture as ``[1, 3, H, W]``, float32, -1..1, upright by its EXIF orientation, transparency laid on white."""
    image = faces.read(path)
    if image.shape[1] == 3:
        return image
    colour, alpha = image[:, :3], (image[:, 3:] + 1) / 2
    return colour * alpha + (1 - alpha)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def to_bytes(images: torch.Tensor) -> np.ndarray:
    """Images ``[N, 3, H, W]`` in -1..1 -> uint8 ``[N, H, W, 3]``, rounded, so that a picture read comes out unchanged."""
    scaled = images.detach().float().mul(127.5).add_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def enlarge(images: torch.Tensor, size: int) -> torch.Tensor:
    """Enlarge images to at least ``size`` px on the shorter side (bicubic); larger ones stay as they are."""
    shorter = min(images.shape[-2:])
    if shorter >= size:
        return images
    target = [round(side * size / shorter) for side in images.shape[-2:]]
    return torch.nn.functional.interpolate(images, size=target, mode="bicubic", antialias=True)


def read_clip(path: str | Path) -> Iterator[torch.Tensor]:
    """Yield the frames uint8 ``[3, H, W]`` of a video file, an animated picture, or a folder of pictures in the order of their names."""
    path = Path(path)
    if not path.is_dir():
        yield from _decode(path)
        return
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
    if not files:
        raise UsageError(f"The folder {path} holds no pictures ({', '.join(sorted(PICTURES))}).")
    for file in files:
        yield torch.from_numpy(to_bytes(read_image(file))[0]).permute(2, 0, 1)


def _decode(path: Path) -> Iterator[torch.Tensor]:
    import av

    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
    except FileNotFoundError:
        raise UsageError(f"There is no file or folder {path}.") from None
    except (av.FFmpegError, IndexError) as error:
        raise UsageError(
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


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside ``path`` to write to; it takes the name ``path`` if all goes well and vanishes otherwise."""
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_output(path: Path, suffixes: tuple[str, ...]) -> Path:
    """Refuse an output path before any work is done: wrong ending, a folder, or a place where nothing can be written."""
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} should end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); choose another place.") from None


class VideoWriter:
    """An H.264 video (MPEG-4 Part 2 where this PyAV has no H.264), written to one file; the first frames decide its size."""

    def __init__(self, path: Path, fps: float):
        import av

        self.container = av.open(str(path), "w", format=CONTAINERS[path.suffix.lower()])
        self.rate = Fraction(fps).limit_denominator(1001)
        self.stream = None

    def write(self, frames: np.ndarray) -> None:
        """Append uint8 frames ``[n, H, W, 3]``; an odd side repeats its last row, because the colour planes are halved."""
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
        self.path, self.milliseconds, self.pictures = path, 1000 / fps, []

    def write(self, frames: np.ndarray) -> None:
        """Append uint8 frames ``[n, H, W, 3]``."""
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
    """The writer for a path's ending."""
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
            note("This PyAV has no H.264 encoder: the video is MPEG-4 Part 2, which some players refuse.")
        return stream
    raise UsageError("This PyAV can encode no video; reinstall it with: pip install --force-reinstall av")


def _can_encode(name: str, width: int, height: int) -> bool:
    """Try a codec out: being listed does not mean that its library or device is there."""
    import av

    try:
        codec = av.CodecContext.create(name, "w")
        codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "yuv420p", Fraction(1, 25)
        codec.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def contact_sheet(rows: list[tuple[str, list[tuple[str, Image.Image]]]], cell: int) -> Image.Image:
    """Lay pictures, none larger than ``cell`` px, out in labelled rows: ``[(row label, [(caption, picture), ...]), ...]``."""
    margin, caption = 8, 22
    label_width = 12 + max(int(_font(16).getlength(label)) for label, _ in rows)
    columns = max(len(cells) for _, cells in rows)
    sheet = Image.new("RGB", (label_width + columns * (cell + margin) + margin, len(rows) * (cell + caption + margin) + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for r, (label, cells) in enumerate(rows):
        top = margin + r * (cell + caption + margin)
        draw.text((margin, top + cell / 2), label, fill="black", font=_font(16), anchor="lm")
        for c, (text, picture) in enumerate(cells):
            left = margin + label_width + c * (cell + margin)
            sheet.paste(picture, (left + (cell - picture.width) // 2, top + (cell - picture.height) // 2))
            draw.text((left + cell / 2, top + cell + 3), text, fill="#555555", font=_font(13), anchor="ma")
    return sheet


def _font(size: int) -> ImageFont.ImageFont:
    return ImageFont.load_default(size)
