"""Picture files -> pixels, by the kinds that Pillow knows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageFont, ImageOps, UnidentifiedImageError

from .budget import border
from .errors import CheckpointError, DamagedFileError

log = logging.getLogger(__name__)

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "AVIF")
MAX_PIXELS = 120_000_000


def read_picture(source) -> torch.Tensor:
    """A picture file (path, bytes or open file) -> ``[1, C, H, W]`` float32 in -1..1; C is 4 when the file has transparency, else 3.

    Turns the picture as its EXIF orientation says; gray, palette, 16 bit and CMYK become RGB (CMYK through its own color profile).
    Sixteen bits are kept for gray; Pillow reads sixteen bits of color as eight.
    """
    label = source if isinstance(source, (str, Path)) else "in the given bytes"
    if not isinstance(source, (str, Path, bytes)) and not hasattr(source, "read"):
        raise CheckpointError(f"A picture is read from a path, from bytes or from an open file, not from {type(source).__name__}.")
    with border(f"The picture {label}"):
        with opened_picture(BytesIO(source) if isinstance(source, bytes) else source, str(label)) as image:
            pixels = pixels_of(image)
        if pixels.shape[-1] == 1:
            pixels = pixels.repeat(3, axis=-1)
        scale = 65535 if pixels.dtype == np.uint16 else 255
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / (scale / 2) - 1


@contextmanager
def opened_picture(source, label: str) -> Iterator[Image.Image]:
    """The picture in a file, of one of `FORMATS` (Pillow knows others, some of which start programs), and not larger than `MAX_PIXELS`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source, formats=known_formats())
    except UnidentifiedImageError as reason:
        kinds = ", ".join(name for name in FORMATS if name not in ("DIB", "MPO"))
        raise DamagedFileError(f"The picture {label} cannot be read: it is damaged, or none of {kinds}.") from reason
    except Image.DecompressionBombError as reason:
        raise DamagedFileError(f"The picture {label} is larger than {MAX_PIXELS // 10**6} megapixels; shrink it first.") from reason
    with image:
        if image.width * image.height > MAX_PIXELS:
            size = f"{image.width} x {image.height} px"
            raise DamagedFileError(f"The picture {label} has {size}, more than {MAX_PIXELS // 10**6} megapixels; shrink it first.")
        yield image


@lru_cache(maxsize=1)
def known_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def pixels_of(image: Image.Image) -> np.ndarray:
    """A PIL image of any mode -> ``[H, W, C]`` uint8, or uint16 for 16-bit gray; C is 1, 3 or 4."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_gray(np.asarray(image))
    if image.mode == "CMYK":
        image = _from_cmyk(image)
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert(_plain_mode(image))
    array = np.array(image)
    return array if array.ndim == 3 else array[..., None]


def _plain_mode(image: Image.Image) -> str:
    transparent = image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info
    if transparent:
        return "RGBA"
    return "L" if image.mode == "1" else "RGB"


def _deep_gray(values: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit or float gray; Pillow's own conversion would clip everything above 255."""
    if not np.isfinite(values).all():
        raise DamagedFileError("The picture contains values that are not numbers (NaN or infinity): write it again.")
    if values.dtype.kind == "f":
        values = values * (65535 / _white(values))
    return np.clip(np.rint(values), 0, 65535).astype(np.uint16)[..., None]


def _white(values: np.ndarray) -> float:
    """The value that means white in a float picture: 1, which single highlights may exceed, else that of 8 or of 16 bits."""
    if not values.size or np.quantile(values, 0.99) <= 1.5:
        return 1.0
    return 255.0 if values.max() <= 255.5 else 65535.0


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError):
            log.info("The color profile of a CMYK picture cannot be read; it is converted plainly.")
    return image.convert("RGB")


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font in this size; before 10.1 Pillow has one size only, and a small label is better than none."""
    try:
        return ImageFont.load_default(size)
    except TypeError:
        return ImageFont.load_default()
