"""Clips in: a film, an animated picture or a folder of pictures as upright frames at one steady rate; nothing else is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..files.budget import border, short
from ..files.pictures import MAX_PIXELS, opened_picture, pixels_of
from .errors import MediaError
from .pictures import read_image, to_bytes

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
ANIMATED = (b"GIF8", b"\x89PNG", b"RIFF")  # read by Pillow, which knows how long each picture shows
# FFmpeg's names of the containers that are opened. Playlists and lists of parts, which open other files, are none of them.
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv,ogg,apng,gif,h264,hevc,m4v,mpegvideo,yuv4mpegpipe,image2"
SLOWEST, FASTEST, USUAL = 1.0, 240.0, 24.0  # frames per second
LONGEST_HOLD = 10.0  # seconds without a frame; longer ones are jumps of the clock
MAX_FRAMES = 1_000_000


@dataclass(frozen=True)
class Clip:
    """A clip's facts: ``fps`` at which `frames` yields (None for a folder, which has no time), and whether it has sound."""

    path: Path
    fps: float | None
    has_sound: bool = False

    def frames(self) -> Iterator[torch.Tensor]:
        """The frames uint8 ``[3, H, W]``, upright, at ``fps``: where the clip's own time stamps leave a gap, a frame is held."""
        if self.fps is None:
            yield from _folder(self.path)
        else:
            yield from _steady(_timed(self.path), self.fps)


def open_clip(path: str | Path) -> Clip:
    """Look into a film, an animated picture (GIF, WEBP, APNG) or a folder of pictures. Raises MediaError."""
    path = Path(path)
    if path.is_dir():
        return Clip(path, None)
    if not path.is_file():
        raise MediaError(f"There is no file or folder {path}.")
    with border(str(path), MediaError):
        if not path.stat().st_size:
            raise MediaError(f"{path} is empty; copy or download it again.")
        if _is_picture(path):
            return Clip(path, _picture_rate(path))
        with opened_film(path) as film:
            rate = film.streams.video[0].average_rate or film.streams.video[0].guessed_rate
            return Clip(path, _within(float(rate or USUAL)), bool(film.streams.audio))


def read_clip(path: str | Path) -> Iterator[torch.Tensor]:
    """Yield the frames uint8 ``[3, H, W]`` of a film, an animated picture, or a folder of pictures in the order of their names."""
    return open_clip(path).frames()


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


def _folder(path: Path) -> Iterator[torch.Tensor]:
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES and not p.is_dir())
    if not files:
        raise MediaError(f"The folder {path} holds no pictures ({', '.join(sorted(PICTURES))}).")
    for file in files:
        yield torch.from_numpy(to_bytes(read_image(file))[0]).permute(2, 0, 1)


def _steady(timed: Iterator[tuple[float, torch.Tensor]], fps: float) -> Iterator[torch.Tensor]:
    """Frames with their times in seconds -> frames at ``fps``: held over gaps, the first of several that fall together."""
    done, jumped, held = 0, 0, None
    for time, frame in timed:
        slot = round(time * fps) - jumped
        if held is None or abs(slot - done) > LONGEST_HOLD * fps:
            jumped, slot = jumped + slot - done, done
        while held is not None and done < slot:
            yield held
            done += 1
        if slot == done:
            yield frame
            done += 1
        held = frame
        if done > MAX_FRAMES:
            raise MediaError(f"The clip has more than {MAX_FRAMES:,} frames; cut it first.")


def _timed(path: Path) -> Iterator[tuple[float, torch.Tensor]]:
    with border(str(path), MediaError):
        yield from _pictures(path) if _is_picture(path) else _decoded(path)


def _decoded(path: Path) -> Iterator[tuple[float, torch.Tensor]]:
    with opened_film(path) as film:
        stream = film.streams.video[0]
        stream.thread_type = "AUTO"
        rate = float(stream.average_rate or stream.guessed_rate or USUAL)
        for i, frame in enumerate(film.decode(stream)):
            if frame.width * frame.height > MAX_PIXELS:
                raise MediaError(f"{path} has frames of {frame.width} x {frame.height} px, more than can be read; shrink it first.")
            yield (i / rate if frame.time is None else float(frame.time)), _upright(frame)


def _upright(frame: Any) -> torch.Tensor:
    """The pixels, turned as the recording says: phones write frames as the sensor lies."""
    pixels = frame.to_ndarray(format="rgb24")
    quarters = round(getattr(frame, "rotation", 0) / 90)
    return torch.from_numpy(np.ascontiguousarray(np.rot90(pixels, quarters))).permute(2, 0, 1)


@contextmanager
def opened_film(path: Path) -> Iterator[Any]:
    """A film opened by PyAV as one stream of bytes: neither its name nor its content leads to another file or to the network."""
    import av
    from av.error import FFmpegError

    with path.open("rb") as file:
        try:
            options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
            film = av.open(file, mode="r", options=options, **_lenient(av.__version__))
        except (FFmpegError, ValueError) as error:
            kinds = "an MP4, MOV, MKV, WebM, AVI, GIF, WEBP or APNG file"
            reason = getattr(error, "strerror", None) or short(error)
            raise MediaError(f"{path} is not a video that can be read ({reason}); give {kinds}.") from error
        with film:
            if not film.streams.video:
                raise MediaError(f"{path} holds no video.")
            yield film


def _lenient(version: str) -> Any:
    """What has PyAV read names and comments that are not UTF-8; from 19 on it always does, and knows no such option."""
    return {"metadata_errors": "replace"} if int(version.partition(".")[0]) < 19 else {}


def _is_picture(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head.startswith(ANIMATED) and (head[:4] != b"RIFF" or head[8:] == b"WEBP") or path.suffix.lower() in PICTURES


def _picture_rate(path: Path) -> float:
    """The rate at which the shortest picture is one frame."""
    with opened_picture(path, str(path)) as image:
        return _within(1000 / min(shown for shown, _ in _each(image)))


def _pictures(path: Path) -> Iterator[tuple[float, torch.Tensor]]:
    begins = 0.0
    with opened_picture(path, str(path)) as image:
        for shown, picture in _each(image):
            pixels = pixels_of(picture.convert("RGBA") if picture.mode not in ("L", "RGB", "RGBA") else picture)
            yield begins / 1000, torch.from_numpy(_on_white(pixels)).permute(2, 0, 1)
            begins += shown


def _each(image: Image.Image) -> Iterator[tuple[float, Image.Image]]:
    """Each picture of an animation, and for how many milliseconds it shows; browsers hold those that do not say for a tenth of a second."""
    for i in range(min(getattr(image, "n_frames", 1), MAX_FRAMES)):
        image.seek(i)
        image.load()  # WEBP's times come with the pixels
        shown = float(image.info.get("duration") or 0)
        yield (shown if shown >= 1000 / FASTEST else 100.0), image


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """``[H, W, 1, 3 or 4]`` uint8 -> ``[H, W, 3]``, what is transparent laid on white."""
    if pixels.shape[-1] != 4:
        return pixels.repeat(3, axis=-1) if pixels.shape[-1] == 1 else pixels
    alpha = pixels[..., 3:].astype(np.float32) / 255
    return np.rint(pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _within(rate: float) -> float:
    return rate if SLOWEST <= rate <= FASTEST else USUAL
