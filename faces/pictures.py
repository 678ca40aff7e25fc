"""Pictures in and out: tensors, arrays, PIL images and files become frames ``[N, C, H, W]``, and results go back the way they came."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..files.pictures import pixels_of
from .errors import FaceError

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # (done, total)

INTEGER_RANGES = {torch.uint8: (0, 255), torch.uint16: (0, 65535)}


@dataclass(frozen=True, eq=False)
class Pictures:
    """``frames [N, C, H, W]`` in their own dtype, the values that mean black and white, and the form to give results back in."""

    frames: torch.Tensor
    low: float
    high: float
    form: str
    single: bool

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.frames.shape[3], self.frames.shape[2]

    def __len__(self) -> int:
        return self.frames.shape[0]

    def rgb(self, index: int) -> np.ndarray:
        """Frame ``index`` as ``[H, W, 3]`` uint8: rounded, without alpha, gray repeated."""
        frame = self.frames[index][:3]
        if frame.dtype != torch.uint8:
            unit = (frame.float() - self.low) / (self.high - self.low)
            frame = (unit * 255).round().clamp(0, 255).to(torch.uint8)
        return np.ascontiguousarray(frame.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy())

    def from_8bit(self, frames: np.ndarray) -> torch.Tensor:
        """``[N, H, W, 3]`` uint8 -> ``[N, 3, H, W]`` in the dtype and range of these pictures."""
        channels_first = torch.from_numpy(frames).permute(0, 3, 1, 2)
        if self.frames.dtype == torch.uint8:
            return channels_first
        scaled = channels_first.float() / 255 * (self.high - self.low) + self.low
        return self.cast(scaled).to(self.frames.device)

    def cast(self, frames: torch.Tensor) -> torch.Tensor:
        """Float ``frames`` in this range -> the dtype of these pictures."""
        if self.frames.dtype in INTEGER_RANGES:
            return frames.round().clamp(self.low, self.high).to(self.frames.dtype)
        return frames.to(self.frames.dtype)

    def give_back(self, frames: torch.Tensor, single: bool | None = None) -> Any:
        """``frames [N, C, H, W]`` in the form that came in: a tensor, an array (channels last) or PIL images."""
        single = self.single if single is None else single
        if self.form == "tensor":
            return frames[0] if single else frames
        arrays = frames.permute(0, 2, 3, 1).cpu().numpy()
        arrays = arrays[..., 0] if self.form == "gray array" and arrays.shape[-1] == 1 else arrays
        if self.form == "pil":
            images = [Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array) for array in arrays]
            return images[0] if single else images
        return arrays[0] if single else arrays


def as_pictures(image, name: str = "image", value_range: tuple[float, float] = (-1, 1)) -> Pictures:
    """Any picture or batch of pictures.

    Accepts tensors ``[C, H, W]`` or ``[N, C, H, W]``, arrays ``[H, W]``, ``[H, W, C]`` or ``[N, H, W, C]``, PIL images, or a list of
    either; C is 1 (gray), 3 or 4 (with alpha). Integers are 8 or 16 bit; ``value_range`` says what black and white are in floats.
    """
    if isinstance(image, (str, Path)):
        raise FaceError(f"{name} must be a picture and not a file name: read it first (media.read_picture).")
    if isinstance(image, Sequence):
        return _stack([as_pictures(one, f"{name} {i}", value_range) for i, one in enumerate(image)], name)
    if isinstance(image, Image.Image):
        return _from_array(pixels_of(image), name, value_range, "pil")
    if isinstance(image, np.ndarray):
        return _from_array(image, name, value_range, "gray array" if image.ndim == 2 else "array")
    if not isinstance(image, torch.Tensor):
        raise FaceError(f"{name} must be a tensor, an array or a PIL image, not {type(image).__name__}.")
    return _from_tensor(image, name, value_range, "tensor")


def _stack(pictures: list[Pictures], name: str) -> Pictures:
    if not pictures:
        raise FaceError(f"{name} is an empty batch: give at least one picture.")
    first = pictures[0]
    for i, other in enumerate(pictures):
        if other.frames.shape[1:] != first.frames.shape[1:]:
            sizes = f"{other.size[0]} x {other.size[1]} px and the first {first.size[0]} x {first.size[1]} px"
            raise FaceError(f"{name} {i} has {sizes} (or other channels): all pictures of a batch must have one size.")
    return replace(first, frames=torch.cat([p.frames for p in pictures]), single=False)


def _from_array(array: np.ndarray, name: str, value_range: tuple[float, float], form: str) -> Pictures:
    if array.ndim not in (2, 3, 4):
        raise FaceError(f"{name} must be [H, W], [H, W, C] or [N, H, W, C], not an array of shape {list(array.shape)}.")
    array = array[..., None] if array.ndim == 2 else array
    single = array.ndim == 3
    array = np.ascontiguousarray(array[None] if single else array)
    # PyTorch warns of arrays that may not be written to, though nothing here writes.
    frames = torch.from_numpy(array if array.flags.writeable else array.copy()).permute(0, 3, 1, 2)
    pictures = _from_tensor(frames, name, value_range, form)
    return replace(pictures, single=single)


def _from_tensor(frames: torch.Tensor, name: str, value_range: tuple[float, float], form: str) -> Pictures:
    if frames.ndim not in (3, 4):
        raise FaceError(f"{name} must be [C, H, W] or [N, C, H, W], not a tensor of shape {list(frames.shape)}.")
    single = frames.ndim == 3
    frames = (frames[None] if single else frames).detach()
    if 0 in frames.shape:
        raise FaceError(f"{name} is an empty batch: give at least one picture.")
    if frames.shape[1] not in (1, 3, 4):
        raise FaceError(f"{name} must have 1, 3 or 4 channels in its second place, [N, C, H, W], and its shape is {list(frames.shape)}.")
    if not (frames.is_floating_point() or frames.dtype in INTEGER_RANGES):
        raise FaceError(f"{name} must hold floats or 8 or 16 bit integers, not {frames.dtype}.")
    low, high = INTEGER_RANGES.get(frames.dtype, value_range)
    return Pictures(frames, low, high, form, single)


def check_finite(frames: torch.Tensor, name: str, first: int = 0) -> None:
    """A sum is not a number as soon as one value is not; ``first`` is the number of the first of the frames."""
    if not frames.is_floating_point() or torch.isfinite(frames.sum(dtype=torch.float32)):
        return  # sums too large for that are looked at frame by frame
    bad = [i for i, frame in enumerate(frames) if not torch.isfinite(frame).all()]
    if not bad:
        return
    raise FaceError(
        f"{name} contains values that are not numbers (NaN or infinity), first in frame {first + bad[0]}: check the step before."
    )
