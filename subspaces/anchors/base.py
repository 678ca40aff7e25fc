"""Anchors: codes known to show degrees of one motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch

from ...files.native import plain
from ..errors import SubspaceError

UNSET = cast(torch.Tensor, None)  # of a field that is a tensor as soon as the anchors are made


@dataclass(frozen=True, eq=False)
class Anchors:
    """Codes ``[A, L, D]`` of one motion, from one or several faces.

    ``degrees [A]`` says how far along each is (0 to 1, below 0 for the opposite motion; None: unknown, in the order of time);
    ``group [A]`` counts from 0 which face, seed or clip each belongs to; ``start [G, L, D]`` is the code each group was
    optimized from; ``labels`` are the words or frames; ``used [A]`` is False for anchors to leave out; ``notes`` are sentences
    for the user. Errors: shapes that disagree, and numbers that are not finite.
    """

    codes: torch.Tensor = field(repr=False)
    degrees: torch.Tensor | None = None
    group: torch.Tensor = field(default=UNSET, repr=False)
    start: torch.Tensor | None = field(default=None, repr=False)
    template: str = ""
    fingerprint: str = ""
    source: str = "codes"
    labels: tuple[str, ...] = ()
    used: torch.Tensor = field(default=UNSET, repr=False)
    notes: tuple[str, ...] = ()
    parameters: dict = field(default_factory=dict)

    def __post_init__(self):
        codes = _floats(self.codes, "codes")
        if codes.ndim != 3 or not codes.numel():
            raise SubspaceError(f"Anchors are codes [A, layers, width]; these have shape {tuple(codes.shape)}.")
        group = torch.zeros(len(codes), dtype=torch.long) if self.group is None else torch.as_tensor(self.group).cpu().long()
        used = torch.ones(len(codes), dtype=torch.bool) if self.used is None else torch.as_tensor(self.used).cpu().bool()
        degrees = None if self.degrees is None else _floats(self.degrees, "degrees")
        start = None if self.start is None else _floats(self.start, "start codes")
        for name, value in {"codes": codes, "group": group, "used": used, "degrees": degrees, "start": start}.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        count = len(self.codes)
        per_anchor = {"degrees": self.degrees, "group": self.group, "used": self.used}
        for name, values in per_anchor.items():
            if values is not None and values.shape != (count,):
                raise SubspaceError(f"There are {count} anchors but {_how_many(values)} {name}; give one for each anchor.")
        if self.labels and len(self.labels) != count:
            raise SubspaceError(f"There are {count} anchors but {len(self.labels)} labels; give one for each anchor.")
        if self.group.min() < 0:
            raise SubspaceError("The anchors' groups count from 0; one of them is negative.")
        for name, values in {"codes": self.codes, "degrees": self.degrees, "start codes": self.start}.items():
            if values is not None and not torch.isfinite(values).all():
                raise SubspaceError(f"The anchors' {name} hold numbers that are not finite (NaN or infinity); make those anchors again.")
        if self.start is not None and (self.start.shape[1:] != self.codes.shape[1:] or len(self.start) <= int(self.group.max())):
            raise SubspaceError(
                f"Start codes have shape {tuple(self.start.shape)}; {self.num_groups} of {tuple(self.codes.shape[1:])} are needed."
            )

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def num_groups(self) -> int:
        return int(self.group.max()) + 1

    @property
    def num_layers(self) -> int:
        return self.codes.shape[1]

    def kept(self) -> Anchors:
        """The anchors that are to be used, without the others."""
        keep, labels = self.used, self.labels
        if not keep.any():
            raise SubspaceError("All of these anchors are marked to be left out, so there is nothing to fit; use other frames or degrees.")
        return replace(
            self,
            codes=self.codes[keep],
            degrees=None if self.degrees is None else self.degrees[keep],
            group=self.group[keep],
            used=self.used[keep],
            labels=tuple(label for label, ok in zip(labels, keep.tolist()) if ok),
        )


def _floats(values, what: str) -> torch.Tensor:
    try:
        return plain(torch.as_tensor(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise SubspaceError(f"The anchors' {what} cannot be read as numbers; give a tensor or a list of numbers.") from error


def _how_many(values: torch.Tensor) -> str:
    return str(len(values)) if values.ndim == 1 else f"a shape of {tuple(values.shape)} for the"


def pool(parts: Sequence[Anchors]) -> Anchors:
    """All anchors of several faces, seeds or clips as one set; their groups stay apart.

    Errors: none given, another shape, another generator, or degrees known for some only.
    """
    if not parts:
        raise SubspaceError("There are no anchors to pool; give at least one set.")
    first = parts[0]
    if any(p.codes.shape[1:] != first.codes.shape[1:] for p in parts):
        raise SubspaceError("These sets of anchors have codes of different shapes; pool anchors of one generator only.")
    if len({p.fingerprint for p in parts if p.fingerprint}) > 1:
        raise SubspaceError("These sets of anchors were made with different generators; pool anchors of one generator only.")
    if len({p.degrees is None for p in parts}) > 1:
        raise SubspaceError("Some of these anchors have degrees and some have none; pool text with text and video with video.")
    offsets = [sum(p.num_groups for p in parts[:i]) for i in range(len(parts))]
    starts = [p.start[: p.num_groups] for p in parts if p.start is not None]
    degrees = [p.degrees for p in parts if p.degrees is not None]
    return replace(
        first,
        codes=torch.cat([p.codes for p in parts]),
        degrees=torch.cat(degrees) if degrees else None,
        group=torch.cat([p.group + offset for p, offset in zip(parts, offsets)]),
        start=torch.cat(starts) if len(starts) == len(parts) else None,
        template=first.template if len({p.template for p in parts}) == 1 else " | ".join(dict.fromkeys(p.template for p in parts)),
        fingerprint=next((p.fingerprint for p in parts if p.fingerprint), ""),
        labels=sum((p.labels or ("",) * len(p) for p in parts), ()) if any(p.labels for p in parts) else (),
        used=torch.cat([p.used for p in parts]),
        notes=sum((p.notes for p in parts), ()),
    )
