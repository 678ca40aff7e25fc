"""The Subspace: a motion as a low-rank basis with its calibration, and the small file that carries it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..files import native as files
from ..files.budget import border
from ..files.errors import CheckpointError
from ..stylegan2.makers import like
from .errors import SubspaceError

if TYPE_CHECKING:
    from ..stylegan2 import Generator

log = logging.getLogger(__name__)
KIND = "subspace"
UNCALIBRATED = "not calibrated"
MOST_LAYERS = 22  # of a 4096 px generator


@dataclass(frozen=True)
class Calibration:
    """What one coefficient unit means.

    ``unit`` in words; ``scale [K]`` multiplies the basis; ``safe [K]`` are the (lowest, highest) coefficients between which response and
    identity hold (None, or no entries: not measured); ``instrument`` names what measured it; ``curve`` holds the measurement itself.
    """

    unit: str = UNCALIBRATED
    scale: tuple[float, ...] = (1.0,)
    safe: tuple[tuple[float, float] | None, ...] = ()
    instrument: str = ""
    curve: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Subspace:
    """A motion of one generator's codes.

    ``basis [K, L, D]``: K displacements, each for one unit before calibration; ``spectrum``: singular values of the anchors;
    ``fingerprint``: of the generator; ``layers``: the rows it touches; ``degrees`` and ``labels``: what the anchors showed;
    ``outlier_share`` and ``recovered_rank``: what the estimator reports (None: it does not look); ``preview``: PNG bytes.
    """

    basis: torch.Tensor = field(repr=False)
    spectrum: torch.Tensor = field(default_factory=lambda: torch.zeros(0), repr=False)
    name: str = ""
    fingerprint: str = ""
    layers: tuple[int, ...] = ()
    source: str = ""
    template: str = ""
    degrees: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    estimator: str = ""
    parameters: dict = field(default_factory=dict)
    recovered_rank: int | None = None
    outlier_share: float | None = None
    calibration: Calibration = Calibration()
    preview: bytes = field(default=b"", repr=False)
    license: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        basis = self.basis[None] if self.basis.ndim == 2 else self.basis
        if basis.ndim != 3 or not basis.numel():
            raise SubspaceError(f"The basis of a subspace is [K, layers, width]; this one has shape {tuple(self.basis.shape)}.")
        if not torch.isfinite(basis).all() or not torch.isfinite(self.spectrum).all():
            raise SubspaceError("This subspace holds numbers that are not finite (NaN or infinity); fit or download it again.")
        if self.spectrum.ndim != 1:
            raise SubspaceError(f"The spectrum of a subspace is a row of numbers; this one has shape {tuple(self.spectrum.shape)}.")
        scale = self.calibration.scale
        if len(scale) == 1 and len(basis) > 1:
            object.__setattr__(self, "calibration", replace(self.calibration, scale=scale * len(basis)))
        object.__setattr__(self, "basis", files.plain(basis))
        object.__setattr__(self, "spectrum", files.plain(self.spectrum))
        object.__setattr__(self, "layers", tuple(self.layers) or tuple(range(basis.shape[1])))
        self._check()

    def _check(self) -> None:
        if len(self.calibration.scale) != self.rank or len(self.calibration.safe) not in (0, self.rank):
            raise SubspaceError(
                f"This subspace has {self.rank} components but a calibration for {len(self.calibration.scale)}; fit it again."
            )
        if not torch.isfinite(self.directions).all():
            raise SubspaceError("The calibration of this subspace makes its directions endless; calibrate it again, or download it again.")
        if min(self.layers) < 0 or max(self.layers) >= self.num_layers:
            raise SubspaceError(f"This subspace names layers beyond its own {self.num_layers}; its file is damaged.")

    @property
    def rank(self) -> int:
        return self.basis.shape[0]

    @property
    def num_layers(self) -> int:
        return self.basis.shape[1]

    @property
    def width(self) -> int:
        return self.basis.shape[2]

    @property
    def directions(self) -> torch.Tensor:
        """``[K, L, D]``: the displacement of each component for one calibrated unit."""
        return self.basis * torch.tensor(self.calibration.scale)[:, None, None]

    @property
    def direction(self) -> torch.Tensor:
        """``[L, D]``: the displacement of the motion for one calibrated unit."""
        return self.directions[0]

    @property
    def explained(self) -> torch.Tensor:
        """Share of the anchors' variance in the first 1, 2, ... components; cumulative, empty where no spectrum is known."""
        energy = self.spectrum.square()
        return energy.cumsum(0) / energy.sum() if energy.sum() > 0 else energy

    @property
    def effective_rank(self) -> float | None:
        """exp(entropy) of the spectrum's shares of variance (Roy and Vetterli 2007)."""
        energy = self.spectrum.square()
        if not energy.sum() > 0:
            return None
        shares = energy / energy.sum()
        return float(torch.exp(-torch.special.xlogy(shares, shares).sum()))

    @property
    def safe_range(self) -> tuple[float, float] | None:
        """Lowest and highest coefficient between which the motion was measured to hold, or None."""
        return self.calibration.safe[0] if self.calibration.safe else None

    def apply(self, codes: torch.Tensor, coefficients: torch.Tensor | Sequence[float] | float) -> torch.Tensor:
        """Move ``codes`` (one, ``[L, D]`` or ``[1, L, D]``, or one per frame, ``[F, L, D]``) by ``coefficients [F]`` or ``[F, K]``.

        Returns ``[F, L, D]``, in the codes' dtype and on their device. Where a frame's coefficients are all 0, its code comes back
        bit for bit.
        """
        return apply_motions(codes, [(self, coefficients)])

    def displacement(self, coefficients: torch.Tensor | Sequence[float] | float) -> torch.Tensor:
        """``[F, L, D]``: what ``apply`` adds."""
        c = self.coefficients(coefficients)
        return (c[:, :, None, None] * self.directions.to(c.device)).sum(1)

    def check(self, generator: Generator) -> None:
        """Refuse a generator of another shape; warn about another one of the same shape, which may well be a sibling."""
        if (generator.num_layers, generator.width) != (self.num_layers, self.width):
            raise SubspaceError(_wrong_shape(self, generator.num_layers, generator.width, f"a {generator.resolution} px generator"))
        if said := self.stranger(generator.fingerprint if self.fingerprint else ""):
            log.warning("%s", said)

    def stranger(self, fingerprint: str) -> str:
        """One sentence if the generator of this ``fingerprint`` is not the one the motion was made with, else ""."""
        if not (self.fingerprint and fingerprint) or self.fingerprint == fingerprint:
            return ""
        return (
            f"The motion {self.name or self.template or 'without a name'} was made with another generator of the same shape"
            f" ({self.fingerprint}, not {fingerprint}), perhaps an earlier one: make it again with this one, unless one was tuned from"
            " the other."
        )

    def save(self, path: str | Path) -> None:
        """Write a ``.safetensors`` file; an existing one is replaced only when the new one is complete. Errors: SubspaceError."""
        tensors = {"basis": self.basis, "spectrum": self.spectrum}
        if self.preview:
            tensors["preview"] = torch.frombuffer(bytearray(self.preview), dtype=torch.uint8)
        header = {name: getattr(self, name) for name in HEADER if name != "calibration"}
        try:
            files.write(path, KIND, {**header, "calibration": vars(self.calibration)}, tensors)
        except CheckpointError as error:
            raise SubspaceError(str(error)) from error

    @classmethod
    def load(cls, path: str | Path) -> Subspace:
        """Read a file of ``save``; one sentence for anything else."""
        path = Path(path)
        with border(path.name, SubspaceError):
            header, tensors = files.read(path, KIND, TENSORS)
            fields = files.take(header, HEADER, path)
            calibration = Calibration(**files.take(fields.pop("calibration", {}), CALIBRATION, path))
            basis, spectrum = tensors["basis"], tensors.get("spectrum", torch.zeros(0))
            if not basis.is_floating_point() or not spectrum.is_floating_point():
                raise files.damaged(path, "its numbers are not of the kind that micromotion writes")
            preview = _preview(tensors.get("preview"), path)
            return cls(basis=basis.float(), spectrum=spectrum.float(), preview=preview, calibration=calibration, **fields)

    def coefficients(self, coefficients: torch.Tensor | Sequence[float] | float) -> torch.Tensor:
        """Coefficients of any accepted form as float32 ``[F, K]``. Raises SubspaceError."""
        try:
            c = torch.as_tensor(coefficients, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise SubspaceError("The coefficients cannot be read as numbers; give one, or a list of one for each frame.") from error
        if not c.numel():
            raise SubspaceError("There are no coefficients; give at least one.")
        c = c.reshape(-1, 1) if c.ndim < 2 else c
        if c.ndim == 2 and c.shape[1] == self.rank and torch.isfinite(c).all():
            return c
        if c.ndim == 2 and c.shape[1] == 1 and self.rank > 1 and torch.isfinite(c).all():
            return torch.cat([c, c.new_zeros(len(c), self.rank - 1)], 1)
        if not torch.isfinite(c).all():
            raise SubspaceError("A coefficient is not a finite number (NaN or infinity); correct the sweep or track that it comes from.")
        raise SubspaceError(
            f"The coefficients have shape {tuple(c.shape)}, but this subspace has rank {self.rank}: give [frames] or [frames, {self.rank}]."
        )


HEADER = {
    "name": files.text,
    "fingerprint": files.text,
    "layers": files.integers,
    "source": files.text,
    "template": files.text,
    "degrees": files.numbers,
    "labels": files.texts,
    "estimator": files.text,
    "parameters": files.mapping,
    "recovered_rank": files.optional(files.integer),
    "outlier_share": files.optional(files.number),
    "calibration": files.mapping,
    "license": files.text,
    "notes": files.texts,
}
CALIBRATION = {
    "unit": files.text,
    "scale": files.numbers,
    "safe": files.ranges,
    "instrument": files.text,
    "curve": files.curves,
}


def _preview(stored: torch.Tensor | None, path: Path) -> bytes:
    if stored is None:
        return b""
    if stored.dtype != torch.uint8 or stored.ndim != 1 or not (png := stored.numpy().tobytes()).startswith(files.PNG):
        raise files.damaged(path, "its preview is not a PNG picture")
    return png


TENSORS = {"basis": True, "spectrum": False, "preview": False}


def apply_motions(codes: torch.Tensor, motions: Sequence[tuple[Subspace, torch.Tensor | Sequence[float] | float]]) -> torch.Tensor:
    """Apply several motions at once, each with its own coefficients ``[F]`` or ``[F, K]``; their displacements add.

    ``codes`` is one code or one per frame. A motion with a single coefficient holds it in every frame. Returns ``[F, L, D]``; frames
    whose coefficients are all 0 are the code itself, bit for bit.
    """
    codes = torch.as_tensor(codes)
    base = codes[None] if codes.ndim == 2 else codes
    if base.ndim != 3 or not base.is_floating_point():
        raise SubspaceError(
            f"Codes are numbers [F, layers, width] or [layers, width]; these are {codes.dtype} of shape {tuple(codes.shape)}."
        )
    if not torch.isfinite(base).all():
        raise SubspaceError("The codes hold numbers that are not finite (NaN or infinity); invert or draw the face again.")
    tracks = [(s, s.coefficients(c).to(base.device)) for s, c in motions]
    for s, _ in tracks:
        if base.shape[1:] != s.basis.shape[1:]:
            raise SubspaceError(_wrong_shape(s, base.shape[1], base.shape[2], "codes"))
    frames = frames_of(base, [c for _, c in tracks])
    delta = sum((s.displacement(c) for s, c in tracks), torch.zeros(1, *base.shape[1:], device=base.device))
    still = torch.stack([(c == 0).all(1).expand(frames) for _, c in tracks]).all(0) if tracks else torch.ones(frames, dtype=torch.bool)
    base = base.expand(frames, -1, -1)
    return like(torch.where(still.to(base.device)[:, None, None], base, base + delta.to(base.dtype)), codes)


def frames_of(codes: torch.Tensor, tracks: Sequence[torch.Tensor]) -> int:
    """How many frames codes ``[F, L, D]`` and coefficients ``[F, K]`` make, where one stands for all. Raises SubspaceError."""
    several = {len(x) for x in (codes, *tracks)} - {1}
    if len(several) > 1:
        raise SubspaceError(
            f"Codes and coefficients have {' and '.join(map(str, sorted(several)))} frames; give each one frame or the same number."
        )
    return several.pop() if several else 1


def _wrong_shape(s: Subspace, layers: int, width: int, what: str) -> str:
    name = f"The motion {s.name!r}" if s.name else "This motion"
    made_for = f"a {2 ** (s.num_layers // 2 + 1)} px generator" if s.num_layers <= MOST_LAYERS else "another generator"
    return (
        f"{name} was made for {made_for} ({s.num_layers} layers of {s.width}), but {what} with"
        f" {layers} layers of {width} came with it. Use a motion and a generator that belong together."
    )
