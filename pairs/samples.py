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
from ..stylegan2.frames import frame_bytes, synthesize_frames
from ..stylegan2.inversion import OptimizingInverter, out_of_domain, reconstruction_report
from ..stylegan2.resample import area_resize, centered
from ..subspaces import Subspace, apply_motions
from ..subspaces.anchors import draw_faces
from ..subspaces.opening import open_motion
from .captions import caption, instruction
from .errors import PairsError
from .gates import meanings, measure
from .job import Job
from .plan import MotionPlan, Variant

SQUARE = 256  # px of an aligned photo, which every published inverter reads
UNMEASURED = "With --no-gate every pair is kept unmeasured."


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

    @property
    def device(self) -> str:
        return ("cuda" if torch.cuda.is_available() else "cpu") if self.job.device == "auto" else self.job.device

    @cached_property
    def generator(self) -> stylegan2.Generator:
        return stylegan2.load(self.plan.generator).to(self.device).eval().requires_grad_(False)

    @cached_property
    def inverter(self) -> Any:
        return stylegan2.load_inverter(self.plan.inverter).to(self.device) if self.plan.inverter else OptimizingInverter()

    @cached_property
    def motions(self) -> dict[str, Subspace]:
        return {m.name: open_motion(m.file, self.generator) for m in self.plan.motions}

    @cached_property
    def instrument(self) -> Any:
        return None if self.job.instrument is None else self.job.instrument()

    @cached_property
    def meant(self) -> dict[str, torch.Tensor]:
        """What one unit of each motion is meant to change, as the instrument measures it."""
        return {} if self.instrument is None else meanings(self.instrument, list(self.motions), self._response)

    def found(self) -> dict[str, Any]:
        """What the plan's files hold, and so whether they can be used at all: names of the generator's and the motions' numbers."""
        motions = {name: hashlib.sha256(m.directions.numpy().tobytes()).hexdigest()[:16] for name, m in self.motions.items()}
        measured = {name: [round(float(v), 4) for v in meant] for name, meant in self.meant.items()}
        return {"generator": self.generator.fingerprint, "motions": motions, "measured": measured}

    def _response(self, motion: str) -> torch.Tensor:
        """What one unit changes on the mean face ``[Q]``; by half a unit where no face is seen in the whole one, as with closed eyes."""
        mean = self.generator.w_avg.expand(1, self.generator.num_layers, -1).cpu()
        steps = (0.0, 1.0, 0.5)
        still, whole, half = self.instrument.read(self._drawn(self.motions[motion].apply(mean, steps))).cpu()
        for step, moved in zip(steps[1:], (whole, half)):
            if torch.isfinite(moved - still).all():
                return (moved - still) / step
        raise PairsError(f"The motion {motion} cannot be measured: no face is found in the moved mean face. {UNMEASURED}")

    def make(self, face: int) -> tuple[list[Sample], list[dict[str, Any]]]:
        """The pairs of a face that pass the gate, and a row for each that does not, with the reason."""
        key, variants = self.plan.keys[face], list(self.plan.variants(face))
        try:
            found = self._face(key)
        except (MicromotionError, OSError) as error:
            return [], [{"face": face, "key": shown(key), "reason": "failed", "detail": str(error)[:300]}]
        squares = self._squares(found, variants)
        measures = self._measures(squares, variants)
        neutral, *edited = self._pictures(found, squares)
        source, split = self._encode(neutral), self.plan.split(face)
        kept: list[Sample] = []
        left: list[dict[str, Any]] = []
        seen = {source: "unchanged"}
        for variant, picture, measured in zip(variants, edited, measures):
            sample = sample_of(self.plan.motions, variant, shown(key), split, source, self._encode(picture), measured)
            reason = seen.setdefault(sample.edited, "") or self.job.gate.verdict(measured)
            seen[sample.edited] = seen[sample.edited] or "duplicate"
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
        square, crop = self._framed(photo, path.name)
        codes = self.inverter.invert(self.generator, square)
        if sentence := out_of_domain(self.inverter.card, reconstruction_report(self.generator, codes, square)):
            raise MicromotionError(sentence)
        return Face(codes.cpu(), photo, crop)

    def _framed(self, photo: torch.Tensor, where: str) -> tuple[torch.Tensor, faces.Crop]:
        """The square of the largest face; what is framed as the inverter knows faces already is taken whole."""
        height, width = photo.shape[-2:]
        domain = self.inverter.card.domain
        if width == height and domain and "photo" not in domain:
            return faces.align(photo, "aligned", width)
        crop, _ = faces.frame(faces.detect(photo, folders=self.job.folders)[0], (width, height), SQUARE, where=where)
        return faces.align(photo, crop, width if crop.is_whole else SQUARE)

    def _squares(self, face: Face, variants: list[Variant]) -> torch.Tensor:
        """``[1 + V, 3, R, R]``: the neutral face and its variants, always in chunks of one face, so that no neighbor changes a bit."""
        return self._drawn(torch.cat([face.codes, *(self._moved(face.codes, variant) for variant in variants)]))

    def _drawn(self, codes: torch.Tensor) -> torch.Tensor:
        chunks = synthesize_frames(self.generator, codes.to(self.generator.w_avg.device), batch=self.plan.batch)
        return torch.cat([chunk.cpu() for chunk in chunks])

    def _moved(self, codes: torch.Tensor, variant: Variant) -> torch.Tensor:
        return apply_motions(codes, [(self.motions[name], c) for name, c in variant.coefficients])

    def _measures(self, squares: torch.Tensor, variants: list[Variant]) -> list[dict[str, float]]:
        if self.instrument is None:
            return [{} for _ in variants]
        return measure(self.instrument, squares[:1], squares[1:], [v.coefficients for v in variants], self.meant)

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


def fitting_batch(generator: stylegan2.Generator) -> int:
    """Pictures to synthesize together: what fits into a quarter of a GPU, at most 16, whatever else it holds now; 1 on a CPU."""
    device = generator.w_avg.device
    if device.type != "cuda":
        return 1
    return int(max(1, min(16, torch.cuda.get_device_properties(device).total_memory // 4 // frame_bytes(generator))))


def shown(key: str) -> str:
    """A key as the set tells it: of files the name alone, because the set travels and the folder does not."""
    return Path(key).name
