"""What is measured of a face on the command line: by landmarks, or by the embedded avatars' own instrument."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import torch

from .. import faces
from ..avatars.instrument import AvatarInstrument
from ..faces.measuring import QUANTITIES, REST, measure_found
from ..files import catalog
from ..subspaces import from_measured, neutralize, smooth_track
from .clips import seen_of
from .models import Models, embedded, find_motion, models_folder, open_named
from .terminal import Clock, note, progress_bar

CHEAPER = "MOTION=code reads the code alone, at once."
CODE = "code"  # the code's own coefficient, in place of a quantity


def brought_to_rest(codes: torch.Tensor, wanted: list[str], models: Models, clock: Clock) -> torch.Tensor:
    """The code ``[1, L, D]`` with each ``MOTION`` or ``MOTION=QUANTITY`` of ``wanted`` brought to rest, one after another."""
    for text in wanted:
        name, quantity = _split(text)
        motion = open_named(name, models.generator)
        label = find_motion(name).stem
        read, rest, what = _instrument(quantity, label, models)
        with clock.stage("bring the face to rest"), progress_bar("Neutralize", "picture", cheaper=CHEAPER) as progress:
            found = neutralize(codes.to(models.torch_device), motion, models.generator, read, rest, progress=progress)
        note(found.describe(label, what))
        codes = found.codes.to(codes.device)
    return codes


def _split(text: str) -> tuple[str, str]:
    name, _, quantity = text.rpartition("=")
    return (name, quantity.strip()) if name and quantity.strip() in (*QUANTITIES, CODE) else (text, "")


def _instrument(quantity: str, motion: str, models: Models) -> tuple[Callable | None, float, str]:
    """What reads a quantity, its value at rest and its name; of a ready motion of the avatars what it is made to change."""
    if quantity in QUANTITIES:
        return landmark_meter(quantity), REST[quantity], quantity
    if quantity != CODE and models.is_embedded:
        avatars = AvatarInstrument(embedded("regressor"), models.torch_device)
        if known := next(iter(avatars.meant_by(motion)), ""):
            return *avatars.meter(known), known
    return None, 0.0, ""


def landmark_meter(quantity: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """What reads a quantity off pictures by dlib's landmarks."""
    return faces.meter(quantity, folders=[models_folder() / catalog.LANDMARKS])


def track_of_clip(path: Path, args: Namespace, most: int, clock: Clock) -> tuple[torch.Tensor, float | None, Path | None]:
    """Coefficients ``[F, 1]`` of at most ``most`` frames of a clip by what their faces do, its rate, and where it has sound."""
    with clock.stage("read the clip"):
        seen = seen_of(path, most)
    options = {"predictor": args.predictor, "folders": [models_folder() / catalog.LANDMARKS], "clip": True, "steady": True}
    with clock.stage("measure the clip"), progress_bar("Measure", "frame") as progress:
        read = measure_found(faces.detect(seen.frames, progress=progress, **options))[args.by]
    if missing := int((read != read).sum()):
        note(f"No face was seen in {missing} of {len(read)} frames of {path}; they lie on the line between their neighbors.")
    track = smooth_track(from_measured(read.tolist(), args.unit)[:, None], args.smooth)
    return track, seen.fps, seen.sound
