"""Making the pairs of one face: its neutral picture, its variants, what changed, and which of them stay."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from .. import faces, stylegan2
from ..files.errors import MicromotionError
from ..media import read_image, to_bytes
from ..stylegan2.frames import synthesize_frames
from ..stylegan2.inversion import OptimizingInverter, out_of_domain, reconstruction_report
from ..stylegan2.resample import area_resize, centered
from ..subspaces import Subspace, apply_motions
from ..subspaces.anchors import draw_faces
from ..subspaces.opening import open_motion
from .captions import caption, instruction
from .gates import measure
from .job import Job
from .plan import MotionPlan, Variant

SQUARE = 256  # px of an aligned photo, which every published inverter reads


@dataclass(frozen=True)
class Sample:
    """A pair: two encoded pictures, its words, and what is known of it (``row``, plain JSON)."""

    name: str
    split: str
    source: bytes
    edited: bytes
    row: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Face:
    """A face's code ``[1, L, D]``; of a photo also the photo itself and its crop, to paste back into."""

    codes: torch.Tensor
    photo: torch.Tensor | None = None
    crop: faces.Crop | None = None


class Maker:
    """Makes faces of a job one by one; the models are loaded when the first one is asked for."""

    def __init__(self, job: Job):
        self.job, self.plan = job, job.plan
        self._files: dict[str, torch.Tensor] = {}  # codes by file

    @cached_property
    def generator(self) -> stylegan2.Generator:
        return stylegan2.load(self.plan.generator).to(self.job.device).eval().requires_grad_(False)

    @cached_property
    def inverter(self) -> Any:
        return stylegan2.load_inverter(self.plan.inverter).to(self.job.device) if self.plan.inverter else OptimizingInverter()

    @cached_property
    def motions(self) -> dict[str, Subspace]:
        return {m.name: open_motion(m.file, self.generator) for m in self.plan.motions}

    @cached_property
    def instrument(self) -> Any:
        return None if self.job.instrument is None else self.job.instrument()

    def make(self, face: int) -> tuple[list[Sample], list[dict[str, Any]]]:
        """The pairs of a face that pass the gate, and a row for each that does not, with the reason."""
        key, variants = self.plan.keys[face], list(self.plan.variants(face))
        try:
            found = self._face(key)
        except (MicromotionError, OSError) as error:
            return [], [{"face": face, "key": _shown(key), "reason": "failed", "detail": str(error)[:300]}]
        squares = self._squares(found, variants)
        measures = self._measures(squares, variants)
        neutral, *edited = self._pictures(found, squares)
        source, split = self._encode(neutral), self.plan.split(face)
        kept: list[Sample] = []
        left: list[dict[str, Any]] = []
        for variant, picture, measured in zip(variants, edited, measures):
            sample = sample_of(self.plan.motions, variant, _shown(key), split, source, self._encode(picture), measured)
            reason = "unchanged" if sample.edited == source else self.job.gate.verdict(measured)
            if reason:
                left.append({**sample.row, "reason": reason})
            else:
                kept.append(sample)
        return kept, left

    def _face(self, key: str) -> Face:
        if self.plan.kind == "seed":
            return Face(draw_faces(self.generator, [int(key)], self.plan.truncation, category=self.plan.category))
        if self.plan.kind == "code":
            file, _, index = key.rpartition("#")
            return Face(self._stored(file)[int(index)][None])
        return self._photo(Path(key))

    def _stored(self, file: str) -> torch.Tensor:
        if file not in self._files:
            self._files[file] = stylegan2.load_codes(file, self.generator)
        return self._files[file]

    def _photo(self, path: Path) -> Face:
        photo = read_image(path)
        if self.generator.is_oblong:
            return Face(self.inverter.invert(self.generator, centered(photo, self.generator.size)).cpu())
        square, crop = faces.align(photo, faces.choose(faces.detect(photo)[0], where=path.name), SQUARE)
        codes = self.inverter.invert(self.generator, square)
        if sentence := out_of_domain(self.inverter.card, reconstruction_report(self.generator, codes, square)):
            raise MicromotionError(sentence)
        return Face(codes.cpu(), photo, crop)

    def _squares(self, face: Face, variants: list[Variant]) -> torch.Tensor:
        """``[1 + V, 3, R, R]``: the neutral face and its variants, always in chunks of one face, so that no neighbor changes a bit."""
        codes = torch.cat([self._moved(face.codes, variant) for variant in variants])
        chunks = synthesize_frames(self.generator, torch.cat([face.codes, codes]).to(self.generator.w_avg.device), batch=1)
        return torch.cat([chunk.cpu() for chunk in chunks])

    def _moved(self, codes: torch.Tensor, variant: Variant) -> torch.Tensor:
        return apply_motions(codes, [(self.motions[name], c) for name, c in variant.coefficients])

    def _measures(self, squares: torch.Tensor, variants: list[Variant]) -> list[dict[str, float]]:
        if self.instrument is None:
            return [{} for _ in variants]
        return measure(self.instrument, squares[:1], squares[1:], [v.coefficients for v in variants])

    def _pictures(self, face: Face, squares: torch.Tensor) -> list[torch.Tensor]:
        """The pictures of the pairs: squares, or whole photos with the change pasted in."""
        if not self.plan.paste or face.photo is None or face.crop is None:
            return list(squares)
        pasted = faces.paste(face.photo, squares[1:], face.crop, reconstruction=squares[:1])[0]
        return [face.photo[0], *pasted]

    def _encode(self, picture: torch.Tensor) -> bytes:
        height, width = picture.shape[-2:]
        if size := self.plan.size:
            shape = max(1, round(height * size / width)), size
            if size < width:
                picture = area_resize(picture[None], shape)[0]
            elif size > width:
                picture = torch.nn.functional.interpolate(picture[None], size=shape, mode="bicubic", antialias=True)[0]
        return encoded(picture, self.plan.format, self.plan.quality)


def sample_of(
    motions: tuple[MotionPlan, ...], variant: Variant, key: str, split: str, source: bytes, edited: bytes, measured: dict[str, float]
) -> Sample:
    """A pair with its words and everything that is known of it; ``key`` is how the set tells the face."""
    row = {
        "name": variant.name,
        "face": variant.face,
        "key": key,
        "coefficients": dict(variant.coefficients),
        "instruction": instruction(motions, variant),
        "caption": caption(motions, variant),
        "measures": measured,
        "sha256": hashlib.sha256(edited).hexdigest(),
    }
    return Sample(variant.name, split, source, edited, row)


def encoded(picture: torch.Tensor, form: str, quality: int = 95) -> bytes:
    """A picture ``[3, H, W]`` in -1..1 as the bytes of a png, webp (lossless at quality 100) or jpg file."""
    image, out = Image.fromarray(to_bytes(picture[None])[0]), BytesIO()
    if form == "png":
        image.save(out, "PNG")
    elif form == "webp":
        image.save(out, "WEBP", quality=quality, lossless=quality == 100)
    else:
        image.save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def _shown(key: str) -> str:
    """A key as the set tells it: of files the name alone, because the set travels and the folder does not."""
    return Path(key).name
