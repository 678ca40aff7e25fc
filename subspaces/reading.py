"""Reading coefficients: how far each frame of a driving clip has gone along a motion, as a track for another face."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ..files import limits
from ..stylegan2.frames import synthesize_frames
from ..stylegan2.generator import Generator
from .errors import LostMotionError, SubspaceError
from .estimators import median
from .subspace import Subspace

ROUNDS = 30
HUBER = 1.5
FRAMES_AT_ONCE = 128
REACH = 0.5  # of a unit: where the ready motions are plain to see and hold
MIN_GAIN = 0.2
KERNEL_SIGMAS = 5


def read_coefficients(
    subspace: Subspace,
    codes: torch.Tensor,
    *,
    reference: torch.Tensor | str = "median",
    robust: bool = True,
    smooth: float = 0.0,
    gain: torch.Tensor | None = None,
    generator: Generator | None = None,
) -> torch.Tensor:
    """Coefficients ``[F]`` (``[F, K]`` for rank K) of a clip's codes ``[F, L, D]``, to sweep another face with.

    They count from ``reference``: ``"median"`` of the clip, its ``"first"`` frame, or a code ``[L, D]``. ``robust``: a fit in which
    coordinates that do not go along (another expression, a bad inversion) lose their weight (Huber 1964), instead of a plain projection.
    ``smooth``: standard deviation in frames of a Gaussian after a running median that takes out single bad frames; 0 leaves the track
    as it is. ``gain [K, K]``: what the clip's inverter keeps of the motion, of ``reading_gain``, to be made up for. ``generator``: the
    clip's, to be checked.
    """
    if generator is not None:
        subspace.check(generator)
    rows = list(subspace.layers)
    codes, origin = _checked(subspace, codes), _reference(codes, reference)
    directions = subspace.directions[:, rows].flatten(1).double()  # [K, P]
    lengths = directions.norm(dim=1)
    if not lengths.min() > 0:
        raise SubspaceError(f"Component {int(lengths.argmin()) + 1} of this motion has length 0, so it cannot be read from a clip.")
    fit = _robust_fit if robust else _least_squares
    blocks = ((block.double() - origin)[:, rows].flatten(1) for block in codes.split(FRAMES_AT_ONCE))  # [f, P]
    track = torch.cat([fit(block, directions) for block in blocks])
    track = track if gain is None else torch.linalg.solve(gain.cpu().double(), track, left=False)
    track = smooth_track(track, smooth)
    track = track.float()
    return track[:, 0] if subspace.rank == 1 else track


def reading_gain(
    subspace: Subspace,
    generator: Generator,
    invert: Callable[[torch.Tensor], torch.Tensor],
    code: torch.Tensor,
    *,
    reach: float = REACH,
    robust: bool = True,
) -> torch.Tensor:
    """What an inverter keeps of a motion ``[K, K]``: coefficient k that is read (column) where one unit of j was applied (row).

    The face ``code [L, D]`` is moved by ``reach`` units along each component, synthesized, inverted by ``invert(images) -> codes`` and
    read again. An inverter that explains part of a movement by other coordinates reads it too small; ``read_coefficients(gain=...)``
    makes up for that. Raises LostMotionError for an inverter that keeps too little of the motion to be relied on.
    """
    subspace.check(generator)
    code = code.reshape(1, *subspace.basis.shape[1:])
    coefficients = reach * torch.cat([torch.zeros(1, subspace.rank), torch.eye(subspace.rank)])
    pictures = torch.cat(list(synthesize_frames(generator, subspace.apply(code, coefficients))))
    found = torch.as_tensor(invert(pictures)).detach()
    read = read_coefficients(subspace, found, reference="first", robust=robust).reshape(len(found), -1)[1:]
    gain = read.double() / reach
    if not torch.linalg.svdvals(gain).min() >= MIN_GAIN:
        raise LostMotionError("The inverter keeps too little of this motion: what it loses is not made up for.")
    return gain


def smooth_track(track: torch.Tensor, sigma: float) -> torch.Tensor:
    """Running median of three, then a Gaussian of ``sigma`` frames, along the first axis; the ends weigh only frames that exist."""
    if limits.SMOOTH.checked(sigma, "The smoothing in frames is", SubspaceError) == 0:
        return track
    if len(track) >= 3:
        inner = torch.stack([track[:-2], track[1:-1], track[2:]]).median(0).values
        track = torch.cat([track[:1], inner, track[-1:]])
    reach = min(math.ceil(KERNEL_SIGMAS * sigma), max(1, len(track) - 1))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=track.dtype) / sigma) ** 2)[None, None]
    columns = torch.stack([*track.reshape(len(track), -1).T, torch.ones(len(track), dtype=track.dtype)])[:, None]  # [K + 1, 1, F]
    *smooth, weight = torch.nn.functional.conv1d(columns, kernel, padding=reach)[:, 0]
    return (torch.stack(smooth, 1) / weight[:, None]).reshape(track.shape)


def _checked(subspace: Subspace, codes: torch.Tensor) -> torch.Tensor:
    shape = subspace.basis.shape[1:]
    codes = torch.as_tensor(codes).detach().cpu()
    if codes.ndim != 3 or codes.shape[1:] != shape or not len(codes):
        raise SubspaceError(f"The clip's codes have shape {tuple(codes.shape)}; this motion reads [frames, {shape[0]}, {shape[1]}].")
    if not torch.isfinite(codes).all():
        raise SubspaceError("The clip's codes hold numbers that are not finite (NaN or infinity); invert those frames again.")
    return codes


def _reference(codes: torch.Tensor, reference: torch.Tensor | str) -> torch.Tensor:
    if isinstance(reference, torch.Tensor):
        reference = reference.detach().cpu().double()
        if reference.numel() != codes[0].numel():
            raise SubspaceError(f"The reference code has shape {tuple(reference.shape)}; give one code {tuple(codes.shape[1:])}.")
        if not torch.isfinite(reference).all():
            raise SubspaceError("The reference code holds numbers that are not finite (NaN or infinity); invert that face again.")
        return reference.reshape(codes.shape[1:])
    if reference == "median":
        return median(codes.detach().cpu()).double()
    if reference == "first":
        return codes[0].detach().cpu().double()
    raise SubspaceError(f"There is no reference {reference!r}; choose median, first, or give a code.")


def _least_squares(x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    return torch.linalg.lstsq(directions.T, x.T).solution.T  # [F, K]


def _robust_fit(x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Huber regression of every frame on the directions, by iteratively reweighted least squares."""
    track = _least_squares(x, directions)
    for _ in range(ROUNDS):
        residual = (x - track @ directions).abs()
        spread = 1.4826 * residual.median(1, keepdim=True).values + 1e-12
        weight = (HUBER * spread / residual.clamp_min(1e-30)).clamp_max(1)  # [F, P]
        gram = torch.einsum("kp,fp,jp->fkj", directions, weight, directions)
        moment = torch.einsum("kp,fp->fk", directions, weight * x)
        new = torch.linalg.lstsq(gram, moment[..., None]).solution[..., 0]
        if (new - track).abs().max() <= 1e-7 * (1 + new.abs().max()):
            return new
        track = new
    return track
