"""The face that is moved: drawn by the generator, or found in a picture and put back there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .. import faces
from ..media import read_image
from ..stylegan2 import Generator, read_codes
from ..stylegan2.colors import as_rgb
from ..stylegan2.inversion import StrangerError, invert_known, kept_outlines
from ..stylegan2.resample import area_resize, centered, within
from .models import Models, drawn_faces, models_folder
from .terminal import UsageError, note, progress_bar

STRANGERS = "`micromotion download photos --accept` fetches them; --anyway shows the nearest face that the inverter knows."
SQUARE = 256  # px: what every published inverter looks at


@dataclass(frozen=True)
class Portrait:
    """A code, and the picture it stands for: ``photo`` with the ``crop`` of the face and what the code gives of it."""

    codes: torch.Tensor  # [1, L, D]
    photo: torch.Tensor | None = None  # [1, 3, H, W]
    crop: faces.Crop | None = None
    reconstruction: torch.Tensor | None = None  # [1, 3, R, R]

    replaces: bool = False  # whether the drawn face takes the photo's place, instead of the difference being added to the photo

    def compose(self, images: torch.Tensor) -> torch.Tensor:
        """Frames of the video from edited squares ``[n, 3, R, R]``; a square that equals the reconstruction gives the photo itself.

        The difference that the edit makes is added to the photo. Where that would leave ghosts, the face fades from the photo to the
        generator's own drawing as soon as the edit begins.
        """
        if self.photo is None or self.crop is None or self.reconstruction is None:
            return images
        images = images.cpu()
        if not self.replaces:
            mask = "square" if self.crop.is_whole else "face"
            # portrait_of has said how poor the reconstruction is, and what helps at the command line
            options = {"reconstruction": self.reconstruction, "mask": mask, "warn": lambda sentence: None}
            return faces.paste(self.photo, images, self.crop, **options)[0]
        return faces.fade(self.photo, images, self.crop, reconstruction=self.reconstruction, mask="square")[0]

    def facing(self, farthest: torch.Tensor) -> Portrait:
        """The portrait for a motion whose farthest square is ``farthest [1, 3, R, R]``: one that moves outlines is not added."""
        if self.crop is None or self.reconstruction is None:
            return self
        kept = float(kept_outlines(self.reconstruction, farthest.cpu()))
        return replace(self, replaces=self.replaces or faces.shows_two_faces(kept, [self.crop], farthest.shape[-1]))


def avatar(seed: int, truncation: float, generator: Generator, *, seeds_of: str = "micromotion", category: str | None = None) -> Portrait:
    """The face that the generator draws for a seed, of a class where it has any; the same on every machine."""
    return Portrait(drawn_faces(generator, [seed], truncation, seeds_of=seeds_of, category=category))


def kept(path: Path, which: str | None, generator: Generator) -> Portrait:
    """A face that is kept as a code in a file of any tool; the first one, or that of a name or number."""
    found = read_codes(path, generator)
    if which is None and len(found.codes) > 1:
        found = replace(found, notes=(*found.notes, f"{path} holds {len(found.codes)} faces; the first is shown (--face chooses another)."))
    note(*found.notes)
    return Portrait(found.pick(which).to(generator.w_avg.device))


@dataclass(frozen=True)
class Framing:
    """How the face is cut out of a picture.

    Every picture is searched, and goes in whole where it is framed like FFHQ already. ``drawn`` says that the inverter knows drawn faces:
    squares in which the detector is sure of none go in whole then, and clips of squares are not searched. ``always`` cuts out of every
    picture what is found. ``predictor`` is dlib's landmark file. ``anyway`` goes on with a picture that the inverter does not know.
    ``oblong`` is the height and width that the generator draws, where it draws no squares.
    """

    always: bool = False
    predictor: Path | None = None
    drawn: bool = False
    anyway: bool = False
    oblong: tuple[int, int] | None = None

    def knowing(self, models: Models) -> Framing:
        """The framing for what an inverter was trained on, and for the pictures that the generator draws."""
        domain = models.inverter.card.domain
        oblong = models.generator.size if models.generator.is_oblong else None
        return replace(self, drawn=bool(domain) and "photo" not in domain, oblong=oblong)

    def frame(self, photo: torch.Tensor, where: Path | str) -> tuple[torch.Tensor, faces.Crop | None]:
        """The aligned square of a photo ``[1, 3, H, W]`` and its crop; a note says which part of the photo it is.

        Of oblong pictures the middle, which has no crop.
        """
        if self.oblong:
            return self._middle(photo, self.oblong, where), None
        height, width = photo.shape[-2:]
        whole = self._takes_whole(width, height)
        try:
            with self._explained():
                found = self._detect(photo)[0]
        except UsageError as error:
            if not whole:
                raise
            note(f"{where} was taken as it is, a square, as drawn faces are framed, because nothing searched it: {error}")
            return faces.align(photo, "aligned", width)
        if self.always:
            return faces.align(photo, faces.choose(found, where=str(where)), SQUARE)
        no_face = "whole picture" if whole else "stop"
        crop, sentence = faces.frame(found, (width, height), SQUARE, no_face=no_face, where=str(where))
        note(f"{where}: {sentence}{' --align cuts it out anyway.' if whole and crop.is_whole and found else ''}")
        return faces.align(photo, crop, width if crop.is_whole else SQUARE)

    def frame_clip(self, frames: torch.Tensor, where: Path) -> tuple[torch.Tensor, tuple[int, ...]]:
        """Squares ``[T, 3, S, S]`` in -1..1 of a clip uint8 ``[F, 3, H, W]``, and which of its frames they are: those that show a face.

        Each shot has one crop, so that what the head does stays visible.
        """
        height, width = frames.shape[-2:]
        if self.oblong:
            squares, kept = self._middle(frames, within(self.oblong, SQUARE), where), tuple(range(len(frames)))
        elif self._takes_whole(width, height):
            note(f"The frames of {where} were taken as they are: squares, as drawn faces are framed. --align looks for faces in them.")
            squares, kept = faces.align(frames, "aligned", min(width, SQUARE))[0], tuple(range(len(frames)))
        else:
            with self._explained():
                squares, _, report = faces.align_clip(frames, faces.follow(self._detect(frames)), SQUARE, path="fixed", missing="skip")
            note(f"{where}: {report}.")
            kept = report.kept
        return squares.float() / 127.5 - 1, kept

    def _middle(self, pictures: torch.Tensor, shape: tuple[int, int], where: Path | str) -> torch.Tensor:
        if self.always:
            raise UsageError("--align cuts out square faces, and this generator draws oblong pictures; leave it out.")
        middle = centered(pictures, shape)
        rows, columns = middle.shape[-2:]
        note(f"{where}: the middle {columns} x {rows} px were taken, in the proportions that this generator draws.")
        return area_resize(middle.float(), shape) if rows > shape[0] else middle

    def _takes_whole(self, width: int, height: int) -> bool:
        return width == height and self.drawn and not self.always

    def _detect(self, frames: torch.Tensor) -> list:
        return faces.detect(frames, predictor=self.predictor, folders=[models_folder() / "dlib"])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Name the ways out that the command line offers."""
        try:
            yield
        except faces.MissingToolError as error:
            raise UsageError(
                f"{error} `micromotion download landmarks --accept` fetches the landmark file alone, and --predictor FILE names your own."
            ) from None


def portrait_of(path: Path, models: Models, framing: Framing = Framing(), steps: int | None = None) -> Portrait:
    """Find the face in a picture and its code.

    A picture that the inverter does not know, because it knows rendered faces only, is refused; or shown as the nearest face it knows.
    """
    photo = read_image(path)
    square, crop = framing.knowing(models).frame(photo, path)
    try:
        with progress_bar("Invert", cheaper="Fewer --invert-steps take less.") as progress:
            options = {"steps": steps, "progress": progress, "anyway": framing.anyway}
            codes, sentence = invert_known(models.inverter, models.generator, square, **options)
    except StrangerError as error:
        raise UsageError(f"{error} {STRANGERS}") from None
    if sentence:
        note(sentence)
        if "photo" not in models.inverter.card.domain:
            return Portrait(codes)
    if crop is None:
        return Portrait(codes)
    with torch.no_grad():
        reconstruction = as_rgb(models.generator.synthesize(codes)).cpu()
    error = float(faces.reconstruction_error(photo, reconstruction, crop)[0])
    if error > faces.GHOST_LIMIT:
        note(f"{path} is reproduced with an error of {error:.0%} in parts of the face, over {faces.GHOST_LIMIT:.0%}: {_remedy(crop)}.")
    return Portrait(codes, photo, crop, reconstruction, crop.is_whole and error > faces.GHOST_LIMIT)


def _remedy(crop: faces.Crop) -> str:
    shown = "the moving frames are the generator's own drawing" if crop.is_whole else "there the edited face replaces the photo"
    return f"{shown}; --invert-steps 200 brings it nearer"
