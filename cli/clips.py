"""A clip of a moving face -> the codes of its frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..files import native
from ..media.clips import open_clip, thinned
from ..stylegan2.inversion import out_of_domain, reconstruction_report
from .models import Models
from .portrait import STRANGERS, Framing
from .terminal import Clock, UsageError, note, progress_bar

KIND = "clip"
HEADER = {"frames": native.integers, "spacing": native.integer, "total": native.integer}
FILMS = {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}


@dataclass(frozen=True)
class ClipCodes:
    """Codes ``[T, L, D]`` of a clip of ``total`` frames at ``fps`` (None: not known); ``frames`` says which of them show a face that the
    inverter knows. Every ``spacing``-th frame was looked at."""

    codes: torch.Tensor
    frames: tuple[int, ...]
    spacing: int
    total: int
    fps: float | None = None
    sound: Path | None = None

    def save(self, path: Path) -> None:
        """Keep the codes and which frames they are."""
        native.write(path, KIND, {"frames": self.frames, "spacing": self.spacing, "total": self.total}, {"codes": self.codes})

    @classmethod
    def load(cls, path: Path) -> ClipCodes:
        """What `save` kept. Raises CheckpointError."""
        header, tensors = native.read(path, KIND, {"codes": True})
        fields, codes = native.take(header, HEADER, path), tensors["codes"]
        if missing := sorted(HEADER.keys() - fields.keys()):
            raise native.damaged(path, f"its {missing[0]} is missing")
        frames, shape = fields["frames"], tuple(codes.shape)
        in_order = all(a < b for a, b in zip((-1, *frames), (*frames, fields["total"])))
        if not in_order or fields["spacing"] < 1 or len(shape) != 3 or len(frames) != shape[0] or not codes.isfinite().all():
            raise native.damaged(path, "its codes are not those of its frames")
        return cls(codes=native.plain(codes), **fields)

    def nearest(self, frame: int) -> int:
        """The code whose frame is nearest to ``frame``."""
        return min(range(len(self.frames)), key=lambda i: abs(self.frames[i] - frame))

    def over_time(self, track: torch.Tensor) -> torch.Tensor:
        """A track ``[T, K]`` of the frames with a face -> of every frame looked at ``[F, K]``: between faces it goes on in a line."""
        wanted, known = np.arange(0, self.total, self.spacing), np.asarray(self.frames)
        columns = [np.interp(wanted, known, column) for column in track.double().numpy().T]
        return torch.from_numpy(np.stack(columns, 1)).to(track.dtype)


def clips_in(path: Path) -> list[Path]:
    """The clips that ``path`` stands for: the films of a folder that has some; a folder of pictures, or a film, is one clip."""
    films = sorted(p for p in path.iterdir() if p.suffix.lower() in FILMS) if path.is_dir() else []
    return films or [path]


@dataclass(frozen=True)
class Seen:
    """Evenly spaced ``frames`` of a clip, uint8 ``[T, 3, H, W]``, their rate (None: not known), and the clip where it has sound."""

    frames: torch.Tensor
    spacing: int
    fps: float | None
    sound: Path | None


def seen_of(path: Path, most: int) -> Seen:
    """Read at most ``most`` frames of a clip. Raises UsageError where its pictures differ in size."""
    film = open_clip(path)
    frames, spacing = thinned(film.frames(), most)
    if len({frame.shape for frame in frames}) != 1:
        raise UsageError(f"The pictures in {path} have different sizes; one clip has one size.")
    rate = None if film.fps is None else film.fps / spacing
    return Seen(torch.stack(frames), spacing, rate, path if film.has_sound else None)


def codes_of_clip(path: Path, models: Models, framing: Framing, most: int, clock: Clock) -> ClipCodes:
    """Align and invert at most ``most`` evenly spaced frames of a clip; frames without a face are left out, and it is said how many."""
    with clock.stage("read and align the clip"):
        seen = seen_of(path, most)
        squares, kept = framing.knowing(models).frame_clip(seen.frames, path)
    with clock.stage("invert the clip"), progress_bar("Invert") as progress:
        codes = models.inverter.invert(models.generator, squares, progress=progress).detach()
        known = range(len(codes)) if framing.anyway else _known(codes, squares, models, path)
    shown = tuple(kept[i] * seen.spacing for i in known)
    return ClipCodes(codes[list(known)].cpu(), shown, seen.spacing, len(seen.frames) * seen.spacing, seen.fps, seen.sound)


def _known(codes: torch.Tensor, squares: torch.Tensor, models: Models, path: Path) -> list[int]:
    """Which squares show a face of the kind that the inverter was made for. Raises UsageError where none does."""
    card = models.inverter.card
    report = reconstruction_report(models.generator, codes, squares)
    known = [i for i in range(len(codes)) if out_of_domain(card, report.at(i)) is None]
    if not known:
        raise UsageError(f"No frame of {path} shows a face that this inverter knows. {out_of_domain(card, report)} {STRANGERS}")
    if len(known) < len(codes):
        note(f"{len(codes) - len(known)} of {len(codes)} frames of {path} show no face that this inverter knows; they are left out.")
    return known
