"""Photo -> square: the official FFHQ procedure, 8 bit for 8 bit, and a smooth tensor form of it for clips (arXiv 1812.04948, appendix)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..files import limits
from .crop import Crop
from .errors import FaceError
from .filters import blur, gaussian_blur
from .landmarks import Face, check_inside, points_of
from .pictures import as_pictures, check_finite


@overload
def align(image, landmarks: Face | Crop | str, size: int, *, transform_size: int | None = ..., value_range=...) -> tuple[Any, Crop]: ...
@overload
def align(image, landmarks, size: int, *, transform_size: int | None = ..., value_range=...) -> tuple[Any, Any]: ...
def align(image, landmarks, size: int, *, transform_size: int | None = None, value_range: tuple[float, float] = (-1, 1)):
    """Bring a face to FFHQ framing: ``square, Crop``; 8-bit identical to the official procedure.

    ``image`` is a picture or a batch of one size: a tensor ``[C, H, W]`` or ``[N, C, H, W]``, an array ``[H, W, C]`` or
    ``[N, H, W, C]``, or PIL images; floats span ``value_range``. ``landmarks`` are 68 points (x, y) in pixels ``[68, 2]``, a ``Face``,
    a ``Crop`` to be used again, the word "aligned" for a picture that is already framed, or a list of these, one for each picture or
    several for one picture (all faces as a batch). ``size`` is the side of the square; the photo is sampled at ``transform_size`` first
    (``size`` unless given, as pSp, e4e and ReStyle do; FFHQ itself uses 1024 and 4096).

    Returns the squares in the form and range that came in, RGB, and a ``Crop``, or a tuple of them when ``landmarks`` is a list.
    Raises FaceError when a face is cut by the border, for NaN, for empty batches and for sizes that do not fit together.
    """
    pictures = as_pictures(image, "image", value_range)
    check_finite(pictures.frames, "image")
    size, sampled = check_sizes(size, transform_size)
    crops, several = crops_for(landmarks, pictures.size, size)
    count = paired_count(len(pictures), len(crops), "image", "landmarks")
    squares = [_official(pictures.rgb(i % len(pictures)), crops[i % len(crops)], sampled) for i in range(count)]
    single = pictures.single and not several
    result = pictures.give_back(pictures.from_8bit(np.stack(squares)), single)
    return result, (tuple(crops) if several else crops[0])


def check_sizes(size, transform_size=None) -> tuple[int, int]:
    """The side of the square, and the side at which the photo is sampled first."""
    sampled = size if transform_size is None else transform_size
    for name, value in (("size", size), ("transform_size", sampled)):
        limits.SQUARE.checked(value, f"{name}, in pixels, is", FaceError)
    if sampled < size:
        raise FaceError(f"transform_size must not be below size, and it is {sampled} below {size} px: the square is reduced from it.")
    return int(size), int(sampled)


def crops_for(landmarks, size: tuple[int, int], side: int) -> tuple[list[Crop], bool]:
    """What a caller may call landmarks -> crops of photos of ``size`` (width, height), and whether it was a list."""
    if not _is_many(landmarks):
        return [_crop_for(landmarks, size, side, "The face in image")], False
    if len(landmarks) == 0:
        raise FaceError("No face was found in image: landmarks is an empty batch. Use a larger or more frontal face, or give landmarks.")
    return [_crop_for(one, size, side, f"The face in frame {i} of image") for i, one in enumerate(landmarks)], True


def _is_many(landmarks) -> bool:
    if landmarks is None or isinstance(landmarks, (str, Face, Crop)):
        return False
    if isinstance(landmarks, Sequence):
        return len(landmarks) == 0 or isinstance(landmarks[0], (str, Face, Crop, type(None))) or np.ndim(landmarks[0]) > 1
    return np.ndim(landmarks) == 3


def _crop_for(landmarks, size: tuple[int, int], side: int, where: str) -> Crop:
    if landmarks is None:
        raise FaceError(f"{where} was not found: leave that frame out, or use a larger or more frontal face.")
    if isinstance(landmarks, str):
        if landmarks != "aligned":
            raise FaceError(f'landmarks must be points, faces, crops or the word "aligned", not {landmarks!r}.')
        return Crop.aligned(size, side)
    if isinstance(landmarks, Crop):
        check_size(landmarks, size, "image")
        return landmarks.at(side)
    points = points_of(landmarks, size, where)
    check_inside(points, size, where)
    return Crop.from_landmarks(points, size, side)


def check_size(crop: Crop, size: tuple[int, int], name: str) -> None:
    """A crop belongs to photos of one size."""
    if tuple(crop.size) != tuple(size):
        raise FaceError(
            f"This crop was made for a {crop.size[0]} x {crop.size[1]} px photo and {name} is {size[0]} x {size[1]} px: "
            "use the photo that was aligned, or align this one."
        )


def paired_count(first: int, second: int, first_name: str, second_name: str) -> int:
    """Length of two batches taken together; one may stand for all."""
    if first != second and 1 not in (first, second):
        raise FaceError(f"{first_name} has {first} frames and {second_name} {second}: give as many, or one for all.")
    return max(first, second)


def _official(photo: np.ndarray, crop: Crop, transform_size: int) -> np.ndarray:
    """``[H, W, 3]`` uint8 -> ``[side, side, 3]`` uint8, step by step as FFHQ was made."""
    image = Image.fromarray(photo)
    if crop.is_whole:
        return np.asarray(_lanczos(image, crop.side))
    image, quad = _shrink(image, np.asarray(crop.quad), crop.shrink)
    length = crop.length / crop.shrink
    border = max(int(np.rint(length * 0.1)), 3)
    image, quad = _cut(image, quad, border)
    image, quad = _pad(image, quad, border, length)
    image = image.transform(
        (transform_size, transform_size), Image.Transform.QUAD, tuple((quad + 0.5).flatten()), Image.Resampling.BILINEAR
    )
    return np.asarray(_lanczos(image, crop.side) if crop.side < transform_size else image)


def _lanczos(image: Image.Image, side: int) -> Image.Image:
    return image if image.size == (side, side) else image.resize((side, side), Image.Resampling.LANCZOS)


def _shrink(image: Image.Image, quad: np.ndarray, factor: int) -> tuple[Image.Image, np.ndarray]:
    if factor <= 1:
        return image, quad
    width, height = (int(np.rint(edge / factor)) for edge in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS), quad / factor


def _bounds(quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.floor(quad.min(axis=0)).astype(int), np.ceil(quad.max(axis=0)).astype(int)


def _cut(image: Image.Image, quad: np.ndarray, border: int) -> tuple[Image.Image, np.ndarray]:
    low, high = _bounds(quad)
    low, high = np.maximum(low - border, 0), np.minimum(high + border, image.size)
    if (high - low < image.size).any():
        return image.crop((*low.tolist(), *high.tolist())), quad - low
    return image, quad


def _pad(image: Image.Image, quad: np.ndarray, border: int, length: float) -> tuple[Image.Image, np.ndarray]:
    """Reflect what lies outside, and let it fade to a blur and then to the median color."""
    low, high = _bounds(quad)
    before, after = np.maximum(border - low, 0), np.maximum(high - image.size + border, 0)
    if max(before.max(), after.max()) <= border - 4:
        return image, quad
    least = int(np.rint(length * 0.3))
    before, after = np.maximum(before, least), np.maximum(after, least)
    pixels = np.pad(np.asarray(image, dtype=np.float32), ((before[1], after[1]), (before[0], after[0]), (0, 0)), "reflect")
    fade = _fade(pixels.shape[:2], before, after)[..., None]
    pixels += (gaussian_blur(pixels, length * 0.02) - pixels) * np.clip(fade * 3 + 1, 0, 1)
    pixels += (np.median(pixels, axis=(0, 1)) - pixels) * np.clip(fade, 0, 1)
    return Image.fromarray(np.uint8(np.clip(np.rint(pixels), 0, 255))), quad + before


def _fade(shape: tuple[int, int], before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """1 at the outer edge of the padding, 0 where the photo begins, negative inside it. ``[H, W]``"""
    # Positions are float32 and the division is not: that is what the official code does under NumPy 2, and it decides a few roundings.
    positions = (np.arange(n, dtype=np.float32).astype(np.float64) for n in shape)
    down, across = (np.minimum(i / b, i[::-1] / a) for i, b, a in zip(positions, before[::-1], after[::-1]))
    return np.maximum(1 - across[None, :], 1 - down[:, None])


def sample(frames: torch.Tensor, crops: Sequence[Crop], side: int) -> torch.Tensor:
    """Squares of a clip in floats: frames ``[F, C, H, W]`` -> ``[F, C, side, side]`` float32 in the same range, on the same device.

    Continuous in the crop, which the official procedure is not (its reduction is a whole number, its padding starts at once): a crop
    that drifts by a hundredth of a pixel changes the square by as little. Area-averaged where the photo is finer than the square; what
    lies outside the photo is its mirror image, fading to a blur and to the median color. One crop may stand for all frames.
    """
    count = paired_count(len(frames), len(crops), "image", "crop")
    dense = density(crops, side)
    return torch.stack([sample_one(frames[i % len(frames)], crops[i % len(crops)], side, dense) for i in range(count)])


def density(crops: Sequence[Crop], side: int) -> int:
    """Samples along each axis of a pixel of the square; one number for a clip, so that nothing changes from frame to frame."""
    return max(1, int(np.ceil(max(crop.length for crop in crops) / side)))


def sample_one(frame: torch.Tensor, crop: Crop, side: int, dense: int) -> torch.Tensor:
    """One frame ``[C, H, W]`` of ``sample``, with ``dense`` samples along each axis of a pixel."""
    points = lattice(crop, side * dense).to(frame.device)  # [S, S, 2]
    last = points.new_tensor([max(edge - 1, 1) for edge in crop.size])
    # The mirror is the center of the outermost pixel, as in the official padding: that is what align_corners means here.
    grid = (points * 2 / last - 1)[None]
    square = F.grid_sample(frame[None].float(), grid, mode="bilinear", padding_mode="reflection", align_corners=True)
    return _fade_outside(F.avg_pool2d(square, dense), crop)[0]


def lattice(crop: Crop, side: int) -> torch.Tensor:
    """Photo pixels (x, y) of the samples of a square, ``[side, side, 2]`` float32."""
    nw, sw, _, ne = crop.corners
    at = (np.arange(side) + 0.5) / side
    across, down = (torch.from_numpy(at[:, None] * edge) for edge in (ne - nw, sw - nw))
    return (across[None] + down[:, None] + torch.from_numpy(nw)).float()


def _fade_outside(square: torch.Tensor, crop: Crop) -> torch.Tensor:
    """The official treatment of what lies outside, with the onset made gradual. ``[1, C, S, S]``"""
    corners, far = crop.corners, np.asarray(crop.size) - 1
    reach = np.maximum(-corners.min(axis=0), corners.max(axis=0) - far)  # beyond the photo, along x and y
    border = 0.1 * crop.length
    onset = float(np.clip(reach.max() / border + 1, 0, 1))
    if onset == 0 or crop.is_whole:
        return square
    points = lattice(crop, square.shape[-1]).to(square.device)
    beyond = torch.maximum(-points, points - points.new_tensor(far)) / points.new_tensor(np.maximum(reach + border, 0.3 * crop.length))
    fade = beyond.amax(-1)  # 1 at the outer edge of the padding, 0 at the edge of the photo
    square = torch.lerp(square, blur(square, 0.02 * square.shape[-1]), (3 * fade + 1).clamp(0, 1) * onset)
    median = square.flatten(2).median(-1).values[..., None, None]
    return torch.lerp(square, median.expand_as(square), fade.clamp(0, 1) * onset)
