"""From anchors to a Subspace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from ..files import limits
from .anchors.base import Anchors
from .errors import SubspaceError
from .estimators import ESTIMATORS, NEED_DEGREES, Motion, Problem, sparsity_of
from .layers import parse_layers
from .subspace import Calibration, Subspace

MIN_ANCHORS = 3


def fit(
    anchors: Anchors | torch.Tensor,
    degrees: Sequence[float] | torch.Tensor | None = None,
    estimator: str | None = None,
    *,
    rank: int = 1,
    joint: bool = False,
    sparsity: float | None = None,
    layers: str | Iterable[int] | None = None,
    reverse: bool = False,
    name: str = "",
    license: str = "",
) -> Subspace:
    """Decode the motion of ``anchors`` (or plain codes ``[A, L, D]`` with ``degrees [A]``).

    ``estimator`` None: ``theil_sen`` where degrees are known, else ``rpca``; also ``pca``, ``secant``, ``least_squares``, and ``published``
    (the paper's own code, for comparison). ``rank`` K: how many components; ``joint``: decompose all layers as one matrix instead
    of each for itself; ``sparsity``: weight of robust PCA's sparse part (None: by the number of anchors); ``layers``: rows to
    touch; ``reverse``: without degrees, the motion's positive end is the beginning, not the end, of the clip.
    """
    anchors = _as_anchors(anchors, degrees).kept()
    estimator = estimator or ("rpca" if anchors.degrees is None else "theil_sen")
    _check(anchors, estimator, rank)
    chosen = parse_layers(layers, anchors.num_layers)
    problem = Problem(
        anchors.codes[:, chosen].double(),
        None if anchors.degrees is None else anchors.degrees.double(),
        anchors.group,
        None if anchors.start is None else anchors.start[:, chosen].double(),
        rank=rank,
        joint=joint,
        sparsity=sparsity,
        sign=-1 if reverse else 1,
    )
    motion = ESTIMATORS[estimator](problem)
    if estimator != "published" and not motion.basis[0].abs().max() > 0:
        raise SubspaceError(
            f"Most of these {len(anchors)} anchors are the same code, so {estimator} finds no motion in them; use other degrees or frames."
        )
    basis = torch.zeros(len(motion.basis), *anchors.codes.shape[1:])
    basis[:, list(chosen)] = motion.basis.float()
    return Subspace(
        basis=basis,
        spectrum=motion.spectrum,
        name=name,
        fingerprint=anchors.fingerprint,
        layers=chosen,
        source=anchors.source,
        template=anchors.template,
        degrees=() if anchors.degrees is None else tuple(round(d, 6) for d in anchors.degrees.tolist()),
        labels=anchors.labels,
        estimator=estimator,
        parameters={**anchors.parameters, **_parameters(problem, estimator)},
        recovered_rank=motion.recovered_rank,
        outlier_share=motion.outlier_share,
        calibration=Calibration(unit=_unit(anchors, estimator)),
        license=license,
        notes=anchors.notes + _notes(anchors, motion, estimator),
    )


def _as_anchors(anchors: Anchors | torch.Tensor, degrees) -> Anchors:
    if not isinstance(anchors, Anchors):
        return Anchors(anchors, degrees=degrees)
    if degrees is None:
        return anchors
    raise SubspaceError("These anchors carry their own degrees; give degrees only with plain codes.")


def _check(anchors: Anchors, estimator: str, rank: int) -> None:
    if estimator not in ESTIMATORS:
        raise SubspaceError(f"There is no estimator {estimator!r}; choose one of {', '.join(ESTIMATORS)}.")
    if len(anchors) < MIN_ANCHORS:
        raise SubspaceError(f"{len(anchors)} anchors are too few for a motion; give at least {MIN_ANCHORS}, better a dozen or more.")
    limits.RANK.checked(rank, "The rank is", SubspaceError)
    if estimator == "published" and rank > 1:
        raise SubspaceError("The published estimator gives one direction; ask for rank 1, or choose rpca or theil_sen.")
    if _same_everywhere(anchors):
        raise SubspaceError("The anchors of each face are all the same code, so there is no motion in them; use other degrees or frames.")
    if anchors.degrees is None:
        if estimator in NEED_DEGREES:
            raise SubspaceError(f"The estimator {estimator} needs a degree for every anchor; give degrees, or choose rpca.")
    elif all(len(anchors.degrees[anchors.group == g].unique()) < 2 for g in anchors.group.unique()):
        raise SubspaceError("No face has anchors of two different degrees, so there is no motion to fit; give each at least two.")


def _same_everywhere(anchors: Anchors) -> bool:
    groups = (anchors.codes[anchors.group == g] for g in anchors.group.unique())
    return all(torch.equal(rows, rows[:1].expand_as(rows)) for rows in groups)


def _unit(anchors: Anchors, estimator: str) -> str:
    if estimator == "published":
        return "the published direction, as it is"
    if anchors.degrees is not None:
        return "degree 0 to 1"
    return "the clip's own range" if anchors.source == "video" else "the anchors' own range"


def _parameters(p: Problem, estimator: str) -> dict:
    parameters = {"anchors": len(p.codes), "groups": len(p.group.unique()), "joint": p.joint, "rank": p.rank}
    return {**parameters, "sparsity": round(sparsity_of(p), 6)} if estimator == "rpca" else parameters


def _notes(anchors: Anchors, motion: Motion, estimator: str) -> tuple[str, ...]:
    notes = []
    if motion.outliers:
        names = [anchors.labels[i] if anchors.labels else str(i) for i in motion.outliers]
        notes.append(f"Left out as outliers: {', '.join(names)}.")
    if estimator == "rpca" and len(anchors) < 24:
        notes.append(f"Robust PCA had {len(anchors)} anchors; 24 or more, or 3 to 5 seeds, make it more reliable.")
    return tuple(notes)
