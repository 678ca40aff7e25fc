"""Synthesis of many frames in chunks: flat memory, whatever the length."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from .generator import Generator

Progress = Callable[[int, int, "torch.Tensor | None"], None]


@torch.no_grad()
def synthesize_frames(
    generator: Generator,
    codes: torch.Tensor,
    *,
    batch: int | None = None,
    noise: str = "const",
    progress: Progress | None = None,
) -> Iterator[torch.Tensor]:
    """Yield the images of ``codes [F, L, D]`` in order, as chunks ``[n, C, R, R]``, float32, about -1..1, on the generator's device.

    ``batch`` is the largest chunk (None: chosen from the free memory of the device); it is halved whenever memory runs out.
    ``progress(done, F, chunk)`` is called after each chunk and may raise to cancel.
    """
    total, done = len(codes), 0
    batch = batch or default_batch(generator)
    while done < total:
        chunk = codes[done : done + batch].to(generator.w_avg.device, torch.float32)
        try:
            images = generator.synthesize(chunk, noise)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if batch == 1 or not _is_out_of_memory(error):
                raise
            batch //= 2
            continue
        done += len(images)
        if progress is not None:
            progress(done, total, images)
        yield images


def default_batch(generator: Generator) -> int:
    """Frames per chunk: on a GPU what fits into half of its free memory (at most 16), on a CPU 1 at 512 px and above, else 4."""
    device = generator.w_avg.device
    if device.type != "cuda":
        return 1 if generator.resolution >= 512 else 4
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(1, min(16, free // 2 // frame_bytes(generator))))


def frame_bytes(generator: Generator) -> int:
    """Peak memory of one frame in bytes: about four float32 activations of the widest layer."""
    channels = generator.architecture.channels
    return 16 * max(r * r * c for r, c in channels.items())


def _is_out_of_memory(error: RuntimeError) -> bool:
    text = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in text
        or "can't allocate memory" in text
        or "not enough memory" in text
    )
