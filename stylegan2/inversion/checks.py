"""What may be asked of an inversion, and the sentences for what may not."""

from __future__ import annotations

import torch

from ..frames import Progress
from ..generator import Generator
from .errors import InversionError

LARGEST_VALUE = 100  # images are about -1..1; random networks reach 20, 8-bit values 255


def check_images(images: torch.Tensor, generator: Generator) -> torch.Tensor:
    """Return ``images`` as float32 ``[N, 3, H, W]``; raise InversionError with the reason if they cannot be inverted.

    They have the proportions of the generator's own pictures, to within a pixel.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise InversionError(f"Images have shape {tuple(images.shape)}; inversion takes [N, 3, H, W] with RGB values in -1..1.")
    if not len(images):
        raise InversionError("There is no image to invert. Connect at least one aligned face.")
    (height, width), (rows, columns) = generator.size, images.shape[-2:]
    if abs(rows * width - columns * height) >= max(height, width):
        oblong = f"pictures cut to the proportions of {width} x {height} px, as this generator draws"
        wanted = oblong if generator.is_oblong else "aligned squares. Align the face first"
        raise InversionError(f"The image is {columns} x {rows} px; inversion takes {wanted}.")
    images = images.detach().float()
    if not images.isfinite().all():
        raise InversionError("The image contains NaN or infinite values. Check the node that made it.")
    if images.abs().max() > LARGEST_VALUE:
        raise InversionError(f"The image has values up to {images.abs().max():.0f}; inversion takes -1..1.")
    return images


def check_fit(num_layers: int, width: int, generator: Generator) -> None:
    """Raise InversionError unless the generator takes codes ``[N, num_layers, width]``."""
    if (num_layers, width) == (generator.num_layers, generator.width):
        return
    raise InversionError(
        f"This inverter writes codes of {num_layers} layers x {width}; the loaded {generator.resolution} px generator takes"
        f" {generator.num_layers} x {generator.width}. Load the generator that belongs to the inverter, or an inverter made for it."
    )


def check_square(generator: Generator) -> None:
    """Raise InversionError for a generator of oblong pictures: encoders look at squares."""
    if generator.is_oblong:
        raise InversionError(
            f"This generator draws pictures of {generator.size[1]} x {generator.size[0]} px, and inverters look at squares. Refine Face"
            " without codes (on the command line: animate without --inverter) finds the code by optimization, from the mean."
        )


def report_steps(progress: Progress | None, done: int, total: int, images: torch.Tensor | None) -> None:
    if progress is not None:
        progress(done, total, images)


def starting_codes(generator: Generator, start: torch.Tensor | None, count: int) -> torch.Tensor:
    """``start`` checked and repeated to ``[count, L, D]``; the mean code where it is None."""
    shape = (generator.num_layers, generator.width)
    if start is None:
        return generator.w_avg.detach().expand(count, *shape)
    if start.ndim != 3 or tuple(start.shape[1:]) != shape or len(start) not in (1, count):
        raise InversionError(
            f"The starting codes have shape {tuple(start.shape)}; {count} image(s) on this {generator.resolution} px generator need"
            f" [{count}, {shape[0]}, {shape[1]}]."
        )
    if not start.isfinite().all():
        raise InversionError("The starting codes contain NaN or infinite values.")
    return start.detach().expand(count, -1, -1)
