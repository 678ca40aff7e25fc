"""Square -> photo: the closed-form inverse of the alignment, at the photo's own resolution and only inside the square."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..files.limits import SHARE
from .alignment import check_size, lattice, paired_count, sample
from .crop import Crop
from .errors import FaceError
from .filters import blur, smoothstep
from .masks import MASK_SIDE, square_mask
from .pictures import Pictures, Progress, as_pictures, check_finite

log = logging.getLogger(__name__)

LUMA = (0.299, 0.587, 0.114)
STRIP = 64  # rows filtered at a time
TILE = 2**20  # photo pixels warped at a time: memory stays flat for any photo
FINE = 0.9  # pixels of the square for one of the photo, from which on it counts as fine as the photo
CORRECTIONS = 4  # of a square about as fine as the photo; each brings the round trip some decibels, engravings most
FADE = 0.025  # of the value range: root mean square change from which on an edit shows in full
GHOST_LIMIT = 0.06  # of the value range: reconstruction error from which on an edit leaves ghosts
GHOST_SIDE = 256  # px: reconstruction errors are measured at this size, or a smaller one
KEPT = 2**22  # values of the largest photos whose reconstruction error is kept, for a slider that is dragged over one face
# Standard deviations of the windows, in sides: shapes are compared over about a mouth's height, an edit acts a little beyond where it
# changes something, and a color is the mean over half a face.
SHAPE_WINDOW, EDIT_WINDOW, COLOR_WINDOW = 0.025, 0.04, 0.1


def paste(
    photo,
    square,
    crop: Crop | Sequence[Crop],
    *,
    reconstruction=None,
    mask: str = "face",
    mask_size: float = 1.0,
    softness: float = 0.15,
    limit=None,
    color_match: bool = False,
    ghost_limit: float | None = GHOST_LIMIT,
    progress: Progress | None = None,
    warn: Callable[[str], None] = log.warning,
    value_range: tuple[float, float] = (-1, 1),
) -> tuple[Any, Any]:
    """Put an edited ``square`` back where its ``crop`` came from: ``photo, mask``.

    With ``reconstruction`` (the square that the unedited code gives) the *difference* that the edit makes is added to the photo: where
    square and reconstruction agree the photo stays as it is, bit for bit. Without it the square replaces the photo.

    ``photo``, ``square`` and ``reconstruction`` are pictures or batches in any form ``align`` takes; floats span ``value_range``. One of
    anything stands for all frames. ``mask`` is "face" or "square", with its ``mask_size`` and ``softness`` in share of the face
    (``square_mask``); ``limit [H, W]`` or ``[N, H, W]`` in 0..1 (8 bit: 0..255) multiplies it. ``color_match`` gives the square the
    photo's mean and contrast, one correction for the whole batch. ``ghost_limit`` is the local reconstruction error, in share of the value
    range, from which on the difference gives way to replacement where the edit acts (``reconstruction_error``); None never does.
    ``warn(sentence)`` is told once, with the worst figure, when a reconstruction is over that limit. ``progress(done, N)`` is called after
    each frame and may raise to cancel.

    Returns photos in the form, dtype and channels of ``photo`` (alpha untouched) and the mask ``[N, H, W]`` float32 in 0..1, N being 1
    when all frames share it; ``[H, W]`` for a single photo. Outside the mask nothing changes. Raises FaceError for a crop of another
    photo size, for batches that do not match, and for values that are not numbers.
    """
    photos = as_pictures(photo, "photo", value_range)
    crops = _as_crops(crop)
    if ghost_limit is not None:
        ghost_limit = SHARE.checked(ghost_limit, "ghost_limit, in shares of the value range, is", FaceError)
    edits = _squares(square, "square", photos, value_range)
    bases = None if reconstruction is None else _squares(reconstruction, "reconstruction", photos, value_range)
    limits = None if limit is None else _limits(limit, photos)
    count = _count(photos, edits, bases, crops, limits)
    masks = [square_mask(one, mask, mask_size, softness).to(edits.device) for one in crops]
    if color_match:
        edits, bases = _match_colors(photos, edits, bases, crops, masks)
    ghosts = None if bases is None or ghost_limit is None else _Ghosts(photos, bases, crops, masks, ghost_limit)

    out = photos.frames.new_empty(count, *photos.frames.shape[1:])
    coverage = torch.zeros(max(len(crops), 1 if limits is None else len(limits)), *out.shape[2:], device=out.device)
    for i in range(count):
        source = photos.frames[i % len(photos)]
        check_finite(_inside(source, crops[i % len(crops)])[None], "photo", first=i % len(photos))
        added, kept_out = _layers(edits[i % len(edits)], None if bases is None else bases[i % len(bases)], ghosts, i)
        out[i] = source
        limit_i = None if limits is None else limits[i % len(limits)]
        _blend(out[i], coverage[i % len(coverage)], added, kept_out, crops[i % len(crops)], masks[i % len(crops)], limit_i, photos)
        if progress is not None:
            progress(i + 1, count)
    if ghosts is not None and ghosts.poor:
        warn(ghosts.warning())
    single = photos.single and count == 1
    coverage = coverage[0] if single else coverage
    return photos.give_back(out, single), coverage if photos.form == "tensor" else coverage.cpu().numpy()


def fade(photo: torch.Tensor, square: torch.Tensor, crop, *, reconstruction: torch.Tensor, value_range=(-1, 1), **options):
    """Like `paste` without a reconstruction, but the square takes the photo's place as the edit begins: ``photo, mask``.

    ``photo [N, C, H, W]``, ``square`` and ``reconstruction [N, 3, S, S]``; one of anything stands for all frames. A square that equals
    ``reconstruction`` gives the photo, bit for bit; from a root mean square change of 1/40 of the value range on it shows in full.
    """
    change = (square - reconstruction).float().square().mean((1, 2, 3), keepdim=True).sqrt() / (value_range[1] - value_range[0])
    drawn, mask = paste(photo, square, crop, value_range=value_range, **options)
    share, photo = (change / FADE).clamp(max=1).to(drawn), photo.to(drawn)
    return torch.where(share > 0, photo.lerp(drawn, share), photo), mask


def reconstruction_error(photo, reconstruction, crop: Crop | Sequence[Crop], *, value_range: tuple[float, float] = (-1, 1)) -> np.ndarray:
    """How far a reconstruction is from the photo in the face, ``[N]`` in share of the value range: over 0.06 an edit leaves ghosts.

    What counts is the error of shapes, the local standard deviation of photo minus reconstruction in windows of a fortieth of the side,
    and of it the value that a twentieth of the face exceeds. An even difference in color cancels in difference mode and does not count.
    """
    photos = as_pictures(photo, "photo", value_range)
    crops = _as_crops(crop)
    bases = _squares(reconstruction, "reconstruction", photos, value_range)
    count = _count(photos, bases, None, crops, None)
    masks = [square_mask(one) for one in crops]
    ghosts = _Ghosts(photos, bases, crops, masks, limit=float("inf"))
    return np.array([ghosts.figure(i) for i in range(count)])


def _as_crops(crop) -> list[Crop]:
    crops = [crop] if isinstance(crop, Crop) else crop
    if not isinstance(crops, Sequence) or not all(isinstance(one, Crop) for one in crops):
        raise FaceError(f"crop must be what align returned, a Crop or a list of them, not {type(crop).__name__}.")
    if not crops:
        raise FaceError("crop is an empty batch: align the photo first.")
    return list(crops)


def _squares(value, name: str, photos: Pictures, value_range) -> torch.Tensor:
    """Squares as floats ``[N, C, S, S]`` in the range, channels and place of the photos."""
    pictures = as_pictures(value, name, value_range)
    check_finite(pictures.frames, name)
    if pictures.size[0] != pictures.size[1]:
        raise FaceError(f"{name} must be square, and it is {pictures.size[0]} x {pictures.size[1]} px.")
    frames = pictures.frames[:, :3].to(photos.frames.device).float()
    if (pictures.low, pictures.high) != (photos.low, photos.high):
        frames = (frames - pictures.low) / (pictures.high - pictures.low) * (photos.high - photos.low) + photos.low
    return _channels(frames, photos)


def _channels(frames: torch.Tensor, photos: Pictures) -> torch.Tensor:
    """Color for color photos, gray for gray ones."""
    channels = min(photos.frames.shape[1], 3)
    if frames.shape[1] == channels:
        return frames
    if channels == 3:
        return frames.expand(-1, 3, -1, -1)
    return (frames * frames.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def _limits(limit, photos: Pictures) -> torch.Tensor:
    limits = torch.as_tensor(limit, device=photos.frames.device).detach()
    limits = limits.float() / 255 if limits.dtype == torch.uint8 else limits.float()
    limits = limits[None] if limits.ndim == 2 else limits
    if not len(limits):
        raise FaceError("The limiting mask is an empty batch: give at least one mask, or none.")
    if limits.ndim != 3 or tuple(limits.shape[:0:-1]) != photos.size:
        shape = list(limits.shape)
        raise FaceError(
            f"The limiting mask must be as large as the photo, {photos.size[0]} x {photos.size[1]} px, and its shape is {shape}."
        )
    check_finite(limits, "The limiting mask")
    return limits.clamp(0, 1)


def _count(photos, edits, bases, crops, limits) -> int:
    for one in crops:
        check_size(one, photos.size, "photo")
    if bases is not None and bases.shape[1:] != edits.shape[1:]:
        raise FaceError(f"square is {edits.shape[-1]} px wide and reconstruction {bases.shape[-1]} px: synthesize both with one generator.")
    count = paired_count(len(photos), len(edits), "photo", "square")
    for name, other in (("crop", crops), ("reconstruction", bases), ("limit", limits)):
        count = count if other is None else paired_count(count, len(other), "The batch", name)
    return count


def _inside(frame: torch.Tensor, crop: Crop) -> torch.Tensor:
    left, top, right, bottom = crop.box()
    return frame[:3, top:bottom, left:right]


def _layers(edit: torch.Tensor, base: torch.Tensor | None, ghosts: _Ghosts | None, i: int):
    """What to add to the photo ``[C, S, S]``, and the share of the photo to take out: 0, 1 or a map ``[s, s]``."""
    if base is None:
        return edit, 1.0
    change = edit - base
    if ghosts is None:
        return change, 0.0
    return ghosts.resolve(change, base, i)


class _Ghosts:
    """Where adding a difference would leave a double image: a poor reconstruction under a strong edit."""

    def __init__(self, photos: Pictures, bases: torch.Tensor, crops: Sequence[Crop], masks: Sequence[torch.Tensor], limit: float):
        self.photos, self.bases, self.crops, self.masks, self.limit = photos, bases, crops, masks, limit
        # At half the photo's resolution, or a soft photo would count as an error of a sharp reconstruction.
        self.side = min(GHOST_SIDE, bases.shape[-1], max(int(min(crop.length for crop in crops) / 2), 32))
        self.measured = {}
        self.poor: dict[int, float] = {}  # frame -> error of shapes over the limit

    def resolve(self, change: torch.Tensor, base: torch.Tensor, i: int):
        """Pure difference where the reconstruction is good or nothing changes; elsewhere the edited square in the photo's colors."""
        offset, error = self.measure(i)
        active = smoothstep(self._window(self._small(change).abs().mean(0), EDIT_WINDOW) / self._span(0.02))
        weight = smoothstep(error / self._span(self.limit) - 1) * active  # [s, s]
        if not weight.any():
            return change, 0.0
        weight_full, offset_full = (F.interpolate(m[None], size=base.shape[-2:], mode="bilinear")[0] for m in (weight[None], offset))
        return change + weight_full * (base - offset_full), weight

    def measure(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Smooth color offset ``[C, s, s]`` of the reconstruction, and its local error of shapes ``[s, s]``; once for equal frames."""
        key = tuple(i % len(group) for group in (self.photos, self.bases, self.crops))
        if key not in self.measured:
            photo, base, crop = key
            given = (self.photos.frames[photo], self.bases[base]), (self.crops[crop], self.side)
            compare = functools.partial(self._compare, *key)
            self.measured = {key: compare() if self.photos.frames.numel() > KEPT else _as_last_time(compare, *given)}
            if (figure := self.figure(i)) > self.limit:
                self.poor[i] = figure
        return self.measured[key]

    def _compare(self, photo: int, base: int, crop: int) -> tuple[torch.Tensor, torch.Tensor]:
        own = _channels(_seen(self.photos, photo, self.crops[crop], self.side), self.photos)[0]
        error = self._small(self.bases[base]) - own
        offset = self._window(error, COLOR_WINDOW)
        return offset, self._window((error - offset).square(), SHAPE_WINDOW).mean(0).sqrt()

    def figure(self, i: int) -> float:
        """The error of shapes that a twentieth of the face exceeds, in share of the value range."""
        _, error = self.measure(i)
        mask = F.interpolate(self.masks[i % len(self.masks)][None, None], size=error.shape, mode="area")[0, 0].to(error.device)
        if not mask.any():  # a crop that shows no face
            return 0.0
        return float(error[mask >= mask.max() / 2].quantile(0.95) / self._span(1.0))

    def warning(self) -> str:
        worst = max(self.poor, key=lambda frame: self.poor[frame])
        others = f" and {len(self.poor) - 1} more" if len(self.poor) > 1 else ""
        return (
            f"The reconstruction differs from the photo by {100 * self.poor[worst]:.1f} % of the value range in parts of the face (frame "
            f"{worst}{others}; over {100 * self.limit:.1f} % ghosts show): where the edit acts there, the edited square replaces the "
            "photo. Invert with more steps, or refine the face."
        )

    def _span(self, share: float) -> float:
        return share * (self.photos.high - self.photos.low)

    def _small(self, square: torch.Tensor) -> torch.Tensor:
        return square if square.shape[-1] == self.side else F.interpolate(square[None], size=(self.side,) * 2, mode="area")[0]

    def _window(self, image: torch.Tensor, share: float) -> torch.Tensor:
        planes = image if image.ndim == 3 else image[None]
        return blur(planes[None], share * self.side)[0].view_as(image)


def _as_last_time(make: Callable[[], Any], tensors: Sequence[torch.Tensor], values: tuple) -> Any:
    """``make()``, or what it gave the last time, if that was for equal tensors and values."""
    global _last
    values, last = (*values, *((one.dtype, one.device) for one in tensors)), _last
    if last is None or last[1] != values or not all(map(torch.equal, last[0], tensors)):
        last = _last = [one.clone() for one in tensors], values, make()
    return last[2]


_last: tuple[list[torch.Tensor], tuple, Any] | None = None


def _seen(photos: Pictures, number: int, crop: Crop, side: int) -> torch.Tensor:
    """What a photo shows in the square, ``[1, C, side, side]``: a large photo is averaged to about that size first."""
    photo = photos.frames[number : number + 1, :3]
    factor = int(crop.length / (2 * side))
    left, top, right, bottom = crop.box()
    if factor < 2 or min(right - left, bottom - top) < 2 * factor:
        return sample(photo, [crop], side)
    small = F.avg_pool2d(photo[..., top:bottom, left:right].float(), factor)
    center = (crop.corners.mean(axis=0) - [left, top] - (factor - 1) / 2) / factor
    return sample(small, [Crop.from_square(center, crop.x / factor, small.shape[:1:-1], side)], side)


def _match_colors(photos: Pictures, edits, bases, crops, masks):
    """Mean and deviation of each channel under the mask, moved to the photo's; pooled over the batch, so that a clip does not flicker."""
    side = min(MASK_SIDE, edits.shape[-1])
    wanted = torch.cat([_seen(photos, i % len(photos), crops[i % len(crops)], side) for i in range(max(len(photos), len(crops)))])
    given = F.interpolate(edits if bases is None else bases, size=(side, side), mode="area")
    weight = F.interpolate(torch.stack(masks)[:, None], size=(side, side), mode="area").mean(0)
    mean, deviation = _moments(given, weight)
    wanted_mean, wanted_deviation = _moments(_channels(wanted, photos), weight)
    gain = (wanted_deviation / deviation.clamp(min=1e-6)).clamp(0.5, 2)
    return (edits - mean) * gain + wanted_mean, None if bases is None else (bases - mean) * gain + wanted_mean


def _moments(images: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    total = weight.sum().clamp(min=1e-6) * len(images)
    mean = (images * weight).sum((0, 2, 3), keepdim=True) / total
    return mean, ((images - mean).square() * weight).sum((0, 2, 3), keepdim=True).div(total).sqrt()


def _blend(target, coverage, added, kept_out, crop: Crop, mask, limit, photos: Pictures) -> None:
    """Write ``target + mask * (added - kept_out * target)`` into ``target [C, H, W]`` and the mask into ``coverage [H, W]``, by tiles."""
    added = _fit(_corrected(added, crop)[None], crop)
    left, top, right, bottom = _reach(mask, crop)
    rows = max(1, TILE // max(right - left, 1))
    for start in range(top, bottom, rows):
        tile = (slice(start, min(start + rows, bottom)), slice(left, right))
        grid, inside = (None, 1.0) if crop.is_whole else _grid(crop, tile, target.device)
        soft = _look_up(mask, grid, crop, tile) * inside
        if limit is not None:
            soft = soft * limit[tile]
        coverage[tile] = soft
        # A square that is the picture needs no sampling: it comes back exactly.
        warped = added[(0, slice(None), *tile)] if grid is None else _warp(added, grid)
        taken = kept_out if isinstance(kept_out, float) else _look_up(kept_out, grid, crop, tile)
        own = target[(slice(0, added.shape[1]), *tile)]
        own.copy_(photos.cast(_mix(own, warped, taken, soft, photos)))


def _reach(mask: torch.Tensor, crop: Crop) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the photo pixels that a mask over the square can touch; right and bottom exclusive."""
    side = mask.shape[-1]
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    if len(rows) == 0:
        return 0, 0, 0, 0
    # Half a pixel beyond the last center that counts, and half a pixel for the interpolation.
    across, down = (((int(at[0]) - 1) / side, (int(at[-1]) + 2) / side) for at in (columns, rows))
    corners = crop.to_photo([(x, y) for x in across for y in down])
    box = crop.box()
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int) + 1
    return max(low[0], box[0]), max(low[1], box[1]), min(high[0], box[2]), min(high[1], box[3])


def _mix(own, added, kept_out, soft, photos: Pictures) -> torch.Tensor:
    own = own.float()
    mixed = (own * kept_out).neg_().add_(added).mul_(soft).add_(own)
    low, high = own.aminmax() if own.numel() else (photos.low, photos.high)
    if low >= photos.low and high <= photos.high:
        return mixed.clamp_(photos.low, photos.high)
    # A photo may hold values beyond black and white: those that do not change must not be clipped.
    return torch.minimum(torch.maximum(mixed, own.clamp(max=photos.low)), own.clamp(min=photos.high))


def _corrected(square: torch.Tensor, crop: Crop) -> torch.Tensor:
    """Add to a square ``[C, S, S]`` what aligning its own paste would miss (iterative back-projection, Irani and Peleg 1991).

    Only for squares about as fine as the photo: coarser ones cannot say what is missing, and finer ones miss too little to see.
    """
    if crop.is_whole or not FINE <= square.shape[-1] / crop.length < 2:
        return square
    corners = crop.corners
    left, top = np.floor(corners.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 2
    there, _ = _grid(crop, (slice(top, bottom), slice(left, right)), square.device)
    size = there.new_tensor([right - left - 1, bottom - top - 1])
    back = ((lattice(crop, square.shape[-1]).to(square.device) - there.new_tensor([left, top])) * 2 / size - 1)[None]
    better = square
    for _ in range(CORRECTIONS):
        pasted = _warp(_fit(better[None], crop), there)
        better = better + square - F.grid_sample(pasted[None], back, mode="bilinear", padding_mode="border", align_corners=True)[0]
    return better


def _fit(square: torch.Tensor, crop: Crop) -> torch.Tensor:
    """Bring a square at least as fine as the photo to twice the photo's grid, free of what that grid cannot hold."""
    if crop.is_whole:
        return _resize(square, crop.size[0])
    if square.shape[-1] < FINE * crop.length:
        return square
    return _filter(_resize(square, int(np.ceil(2 * crop.length))), _inverse_kernel())


def _resize(square: torch.Tensor, side: int) -> torch.Tensor:
    if square.shape[-1] == side:
        return square
    return F.interpolate(square, size=(side, side), mode="bicubic", antialias=True)


def _filter(images: torch.Tensor, taps: Sequence[float]) -> torch.Tensor:
    """Symmetric ``taps`` along both axes of ``[N, C, H, W]``, the edge repeated outwards.

    In strips of rows that stay in the cache: PyTorch's convolution takes eight times as long for one channel and one row of taps.
    """
    reach, height = len(taps) // 2, images.shape[-2]
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    strips = (padded[..., top : min(top + STRIP, height) + 2 * reach, :] for top in range(0, height, STRIP))
    return torch.cat([_along(_along(strip, taps, -2), taps, -1) for strip in strips], dim=-2)


def _along(images: torch.Tensor, taps: Sequence[float], axis: int) -> torch.Tensor:
    reach = len(taps) // 2
    length = images.shape[axis] - 2 * reach
    total = images.narrow(axis, reach, length) * taps[reach]
    for i in range(reach):
        total.add_(images.narrow(axis, i, length) + images.narrow(axis, 2 * reach - i, length), alpha=taps[i])
    return total


@functools.cache
def _inverse_kernel(reach: int = 6) -> tuple[float, ...]:
    """Low-pass at the photo's resolution that undoes the bilinear sampling of the alignment, as taps on a grid twice as fine.

    Alignment convolves with a triangle (spectrum sinc^2). Followed by this filter it becomes Keys' cubic kernel (a = -1/2), which is 1 at
    its own pixel and 0 at all others: aligning and pasting back is the identity up to resampling, and nothing beyond the photo's grid
    passes.
    """
    fine, points = 64, 512
    x = np.abs(np.arange(-2 * fine, 2 * fine + 1) / fine)
    cubic = np.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    frequency = np.fft.rfftfreq(points, 0.5)  # cycles per photo pixel, 0..1
    spectrum = np.cos(2 * np.pi * frequency[:, None] * x) @ cubic / fine / np.maximum(np.sinc(frequency) ** 2, 1e-3)
    taps = np.roll(np.fft.irfft(spectrum), reach)[: 2 * reach + 1] * np.sqrt(np.hanning(2 * reach + 3)[1:-1])
    return tuple((taps / taps.sum()).tolist())


def _grid(crop: Crop, tile, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of photo pixels in the square, -1..1 ``[1, h, w, 2]``, and which of them lie inside ``[h, w]``."""
    rows, columns = (np.arange(part.start, part.stop, dtype=np.float64) for part in tile)
    origin = crop.to_square(np.zeros(2))
    along, down = crop.to_square(np.array([1.0, 0.0])) - origin, crop.to_square(np.array([0.0, 1.0])) - origin
    x = torch.from_numpy(2 * (columns[:, None] * along + origin) - 1).float().to(device)  # [w, 2]
    y = torch.from_numpy(2 * rows[:, None] * down).float().to(device)  # [h, 2]
    grid = x[None, :] + y[:, None]
    return grid[None], (grid.abs() <= 1).all(-1)


def _warp(square: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(square, grid, mode="bicubic", padding_mode="border", align_corners=False)[0]


def _look_up(plane: torch.Tensor, grid: torch.Tensor | None, crop: Crop, tile) -> torch.Tensor:
    """A smooth plane ``[s, s]`` over the square, read at ``grid``: ``[h, w]``; without one the square is the whole picture."""
    if grid is None:
        return F.interpolate(plane[None, None], size=crop.size[::-1], mode="bilinear")[(0, 0, *tile)]
    return F.grid_sample(plane[None, None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0, 0]
