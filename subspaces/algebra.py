"""Algebra of motions: every function takes subspaces of one generator and returns a new one.

Results carry one calibrated unit of their operands in their basis, and no measured safe range, since that was measured for others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce

import torch

from ..files import limits
from .errors import SubspaceError
from .layers import layer_mask, parse_layers
from .subspace import Calibration, Subspace


def add(first: Subspace, second: Subspace, weight: float = 1.0, *, name: str = "") -> Subspace:
    """The motion ``first + weight * second``: one coefficient moves both."""
    _same_generator([first, second])
    weight = limits.FACTOR.checked(weight, "The weight is", SubspaceError)
    direction = first.direction + weight * second.direction
    return _derived([first, second], direction[None], f"{_label(first)} {weight:+g} x {_label(second)}", name)


def subtract(first: Subspace, second: Subspace, weight: float = 1.0, *, name: str = "") -> Subspace:
    """The motion ``first - weight * second``."""
    return add(first, second, -weight, name=name)


OPERATIONS = ("add", "subtract", "without", "merge")


def combine(operation: str, motions: Sequence[Subspace], *, weight: float = 1.0, per_layer: bool = False) -> Subspace:
    """One motion of several, of which the first is changed: ``add`` or ``subtract`` ``weight`` times the others; ``without`` them, in every
    layer by itself with ``per_layer``; or ``merge``, the median of versions of one motion. Errors: SubspaceError."""
    if len(motions) < 2:
        raise SubspaceError(f"{operation} takes two motions or more; {len(motions)} came.")
    first, *others = motions
    if operation in ("add", "subtract"):
        return reduce(lambda a, b: add(a, b, weight if operation == "add" else -weight), others, first)
    if operation == "without":
        return orthogonalize(first, others, per_layer=per_layer)
    if operation == "merge":
        return merge(motions)
    raise SubspaceError(f"There is no operation {operation!r}; choose one of {', '.join(OPERATIONS)}.")


def negate(subspace: Subspace, *, name: str = "") -> Subspace:
    """The opposite motion; its safe range turns over with it."""
    return scale(subspace, -1.0, name=name)


def scale(subspace: Subspace, factor: float, *, name: str = "") -> Subspace:
    """The same motion with a unit ``factor`` times as long; its safe range is kept in the new unit."""
    if limits.FACTOR.checked(factor, "The factor is", SubspaceError) == 0:
        raise SubspaceError(f"A motion cannot be scaled by {factor}; give {limits.FACTOR} other than 0.")
    c = subspace.calibration
    safe = tuple(None if r is None else tuple(sorted(x / factor for x in r)) for r in c.safe)
    unit = f"{factor:g} x ({c.unit})"
    calibration = replace(c, unit=unit, scale=tuple(s * factor for s in c.scale), safe=safe, curve={})
    return replace(subspace, calibration=calibration, name=name or f"{factor:g} x {_label(subspace)}", preview=b"")


def orthogonalize(subspace: Subspace, others: Subspace | Sequence[Subspace], *, per_layer: bool = False, name: str = "") -> Subspace:
    """The part of a motion that is at right angles to ``others``: what leaks into them is taken out.

    ``per_layer`` does so in every layer for itself, which takes out more.
    """
    others = [others] if isinstance(others, Subspace) else list(others)
    _same_generator([subspace, *others])
    mine, theirs = _blocks(subspace.directions, per_layer), _blocks(torch.cat([o.directions for o in others]), per_layer)
    basis = mine - (mine @ torch.linalg.pinv(theirs)) @ theirs  # [B, K, P]
    rest = basis.transpose(0, 1).reshape(subspace.basis.shape)
    if rest[0].norm() < 1e-3 * subspace.direction.norm():
        raise SubspaceError("Nothing is left of this motion at right angles to the others; they are the same motion.")
    names = ", ".join(_label(o) for o in others)
    return _derived([subspace, *others], rest.float(), f"{_label(subspace)} without {names}", name, subspace.calibration.unit)


def restrict(subspace: Subspace, layers: str | Iterable[int], *, name: str = "") -> Subspace:
    """The motion in the rows ``layers`` only (see ``parse_layers``), still as long there as before."""
    rows = tuple(i for i in parse_layers(layers, subspace.num_layers) if i in subspace.layers)
    if not rows or not subspace.basis[:, list(rows)].any():
        raise SubspaceError(f"This motion does not touch the layers {layers!r}; it touches {', '.join(map(str, subspace.layers))}.")
    basis = subspace.directions * layer_mask(rows, subspace.num_layers)
    return replace(_derived([subspace], basis, _label(subspace), name, subspace.calibration.unit), layers=rows)


def merge(subspaces: Sequence[Subspace], *, name: str = "") -> Subspace:
    """One motion from several of the same meaning (other seeds or clips): the median of their directions, coordinate by coordinate.

    Each is brought to their median length first, and turned to the first one's side; up to half of them may be bad in a coordinate.
    """
    if not subspaces:
        raise SubspaceError("There are no motions to merge; give at least one.")
    _same_generator(subspaces)
    directions = torch.stack([s.direction for s in subspaces])
    lengths = directions.flatten(1).norm(dim=1)
    if not lengths.min() > 0:
        raise SubspaceError("One of these motions has length 0; leave it out.")
    signs = torch.where((directions * directions[0]).sum((1, 2)) < 0, -1.0, 1.0)
    aligned = directions * (signs * lengths.quantile(0.5) / lengths)[:, None, None]
    return _derived(subspaces, aligned.quantile(0.5, 0)[None], _label(subspaces[0]), name, subspaces[0].calibration.unit)


def cosines(subspaces: Sequence[Subspace]) -> torch.Tensor:
    """Cosine ``[S, S]`` between the directions of motions; 1 on the diagonal."""
    _same_generator(subspaces)
    flat = torch.stack([s.direction.flatten() for s in subspaces]).double()
    unit = flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return (unit @ unit.T).float()


def cosine_table(subspaces: Sequence[Subspace]) -> str:
    """``cosines`` as text, a row for each motion."""
    names = [_label(s) for s in subspaces]
    width = max(8, *(len(n) for n in names))
    rows = [f"{n:>{width}}" + "".join(f"{c:>{width + 1}.2f}" for c in row) for n, row in zip(names, cosines(subspaces).tolist())]
    return "\n".join([" " * width + "".join(f"{n:>{width + 1}}" for n in names), *rows])


def _blocks(directions: torch.Tensor, per_layer: bool) -> torch.Tensor:
    """``[B, K, P]`` in double precision: a block per layer, or one of all layers."""
    return (directions.transpose(0, 1) if per_layer else directions.flatten(1)[None]).double()


def _derived(parents: Sequence[Subspace], basis: torch.Tensor, made: str, name: str, unit: str = "") -> Subspace:
    first = parents[0]
    return replace(
        first,
        basis=basis,
        name=name or made,
        source="algebra",
        fingerprint=next((p.fingerprint for p in parents if p.fingerprint), ""),
        layers=tuple(sorted(set().union(*(p.layers for p in parents)))),
        spectrum=torch.zeros(0),
        recovered_rank=None,
        outlier_share=None,
        calibration=Calibration(unit=unit or first.calibration.unit),
        parameters={"made": made, "from": [_label(p) for p in parents]},
        license=" | ".join(dict.fromkeys(p.license for p in parents if p.license)),
        preview=b"",
    )


def _same_generator(subspaces: Sequence[Subspace]) -> None:
    if len({(s.num_layers, s.width) for s in subspaces}) > 1:
        raise SubspaceError("These motions belong to generators of different shapes; combine motions of one generator only.")
    if len({s.fingerprint for s in subspaces if s.fingerprint}) > 1:
        raise SubspaceError("These motions were made with different generators; combine motions of one generator only.")


def _label(s: Subspace) -> str:
    return s.name or s.template or "motion"
