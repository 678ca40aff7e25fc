"""Synthesis of many frames: flat memory whatever the length, and nothing computed twice."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from ..files import limits
from ..files.errors import MicromotionError
from .colors import as_rgb
from .generator import Generator, GeneratorError
from .memory import is_out_of_memory

log = logging.getLogger(__name__)
Progress = Callable[[int, int, "torch.Tensor | None"], None]
FREE_SHARE = 0.9  # of the free memory that a result may take
REUSE_BYTES = 512 << 20  # of images that wait for their code to come again
REUSE_SHARE = 8  # and at most an eighth of the free memory


class SweepMemoryError(MicromotionError):
    """The frames of a sweep do not fit into memory together."""


@torch.no_grad()
def synthesize_frames(
    generator: Generator,
    codes: torch.Tensor,
    *,
    batch: int | None = None,
    noise: str = "const",
    half: int = 0,
    progress: Progress | None = None,
) -> Iterator[torch.Tensor]:
    """Yield the images of ``codes [F, L, D]`` in order, as chunks ``[n, 3, R, R]``, float32, about -1..1, on the generator's device.

    ``batch`` is the largest chunk (None: chosen from the free memory of the device); it is halved whenever memory runs out.
    A code that comes again is not synthesized again, as far as `REUSE_BYTES` of images hold what is between. ``half``: see
    `Generator.synthesize`.
    ``progress(done, F, chunk)`` is called after each chunk and may raise to cancel.
    """
    batch, done = batch or default_batch(generator), 0
    runs = _runs(_keys(codes, noise), _room(generator))
    made = _synthesized(generator, codes, [run.start for run in runs if not run.again], batch, noise, half=half)
    for chunk in made if all(run.is_plain for run in runs) else _in_order(runs, made, batch):
        chunk = as_rgb(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, len(codes), chunk)
        yield chunk


@torch.no_grad()
def render(
    generator: Generator,
    codes: torch.Tensor,
    *,
    size: int | None = None,
    batch: int | None = None,
    noise: str = "const",
    half: int = 0,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Pictures ``[F, S, S, C]`` of ``codes [F, L, D]``, float32 in 0..1, in the host's memory, which is taken once, in advance.

    ``size`` S (None: the generator's), of oblong pictures the longer side, shrinks by area. Equal codes, wherever they are in the
    sweep, are synthesized once.
    ``batch``, ``half`` and ``progress`` as in `synthesize_frames`. Raises `SweepMemoryError` before anything is computed.
    """
    generator.check_codes(codes)
    full, channels = generator.size, generator.architecture.img_channels
    size = None if size is None else limits.SIZE.checked(size, "The size in pixels is", GeneratorError)
    shape = full if size is None else tuple(max(1, round(side * size / max(full))) for side in full)
    check_memory(len(codes), shape, channels)
    out = torch.empty(len(codes), *shape, channels)
    keys = _keys(codes, noise)
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    distinct, done = sorted(first.values()), 0
    copy = _PinnedCopy(out, generator.w_avg.device) if generator.w_avg.device.type == "cuda" else _Copy(out)
    for images in _synthesized(generator, codes, distinct, batch or default_batch(generator), noise, half=half, picture=shape == full):
        pictures = images if shape == full else (F.interpolate(images, size=shape, mode="area") * 0.5 + 0.5).clamp_(0, 1)
        copy.put(distinct[done : done + len(images)], pictures.permute(0, 2, 3, 1))
        done += len(images)
        if progress is not None:
            ready = len(keys) if done == len(distinct) else distinct[done]
            progress(ready, len(keys), as_rgb(pictures) * 2 - 1)
    copy.finish()
    for i, key in enumerate(keys):
        if first[key] != i:
            out[i] = out[first[key]]
    return out


def check_memory(frames: int, size: tuple[int, ...], channels: int) -> None:
    """Raise `SweepMemoryError` if ``frames`` float32 pictures of ``size`` (height and width) would not fit into the free memory."""
    height, width = size
    need, free = 4 * frames * height * width * channels, _free_memory()
    if free is None or need <= FREE_SHARE * free:
        return
    fit = int(FREE_SHARE * free / (need / frames))
    raise SweepMemoryError(
        f"{frames} frames of {width} x {height} px take {need / 1e9:.1f} GB at once, and {free / 1e9:.1f} GB of memory are free."
        f" Synthesize at most {fit} frames at a time, choose a smaller size ({max(height, width) // 2} px takes a quarter),"
        " or write them to a video chunk by chunk (Sweep to Video)."
    )


def shifted(progress: Progress | None, start: int, total: int) -> Progress | None:
    """A part's progress as that of the whole, of which ``start`` is done."""
    return None if progress is None else lambda done, _, images: progress(start + done, total, images)


def default_batch(generator: Generator) -> int:
    """Frames per chunk: on a GPU what fits into half of its free memory (at most 16), on a CPU 1 at 512 px and above, else 4."""
    device = generator.w_avg.device
    if device.type != "cuda":
        return 1 if generator.resolution >= 512 else 4
    return int(max(1, min(16, free_gpu_memory(device) // 2 // frame_bytes(generator))))


def free_gpu_memory(device: torch.device) -> int:
    """Bytes that a computation can get: what the driver calls free, and what torch holds in its cache without using it."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def frame_bytes(generator: Generator) -> int:
    """Peak memory of one frame in bytes: about four float32 activations of the widest layer."""
    arch = generator.architecture
    return 16 * max(math.prod(arch.size(r)) * c for r, c in arch.channels.items())


def _synthesized(generator: Generator, codes: torch.Tensor, chosen: list[int], batch: int, noise: str, **options) -> Iterator[torch.Tensor]:
    """Images of the ``chosen`` codes in chunks of at most ``batch``; what all of them have in common is computed once."""
    like, done = generator.w_avg, 0
    rows = _shared_rows(codes, noise) if len(chosen) > 1 else 0
    if rows:
        options["prefix"] = generator.synthesis.prefix(codes[:1].to(like), rows, noise, half=options.get("half", 0))
    while done < len(chosen):
        try:
            images = generator.synthesize(codes[chosen[done : done + batch]].to(like), noise, **options)
        except (RuntimeError, MemoryError) as error:
            if batch == 1 or not is_out_of_memory(error):
                raise
            images = None
        if images is None:  # outside of the handler, whose traceback would keep the failed chunk alive
            batch = batch // 2
            if like.device.type == "cuda":
                torch.cuda.empty_cache()
            continue
        done += len(images)
        yield images


@dataclass(frozen=True)
class _Run:
    """Frames of one code in a row: the first of them, how many, whether their image is kept from before, and whether it stays kept."""

    start: int
    length: int
    key: object
    again: bool
    keep: bool

    @property
    def is_plain(self) -> bool:
        return self.length == 1 and not self.again and not self.keep


def _runs(keys: list, room: int) -> list[_Run]:
    """The runs of equal keys in order; of those that come again at most ``room`` images are kept at a time."""
    starts = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]]
    left, kept, runs = Counter(keys[i] for i in starts), set(), []
    for start, end in zip(starts, [*starts[1:], len(keys)]):
        key = keys[start]
        again = key in kept
        left[key] -= 1
        keep = left[key] > 0 and (again or len(kept) < room)
        (kept.add if keep else kept.discard)(key)
        runs.append(_Run(start, end - start, key, again, keep))
    return runs


def _room(generator: Generator) -> int:
    """How many images may wait for their code to come again."""
    device, image = generator.w_avg.device, 4 * generator.architecture.img_channels * generator.size[0] * generator.size[1]
    free = free_gpu_memory(device) if device.type == "cuda" else _free_memory()
    return int(min(REUSE_BYTES, REUSE_BYTES if free is None else free // REUSE_SHARE) // image)


def _in_order(runs: list[_Run], made: Iterator[torch.Tensor], batch: int) -> Iterator[torch.Tensor]:
    """The images of ``runs`` as chunks of at most ``batch``, from the chunks ``made`` of those that are new."""
    kept: dict[object, torch.Tensor] = {}
    fresh: list[torch.Tensor] = []
    out: list[torch.Tensor] = []
    for run in runs:
        if run.again:
            image = kept[run.key]
        else:
            fresh = fresh or list(next(made))
            image = fresh.pop(0)
        if not run.keep:
            kept.pop(run.key, None)
        elif not run.again:
            kept[run.key] = image.clone()  # a view would keep its whole chunk
        for _ in range(run.length):
            out.append(image)
            if len(out) == batch:
                yield torch.stack(out)
                out = []
    if out:
        yield torch.stack(out)


def _keys(codes: torch.Tensor, noise: str) -> list:
    """Something per code that is equal for codes that give the same image."""
    if noise == "random":
        return list(range(len(codes)))
    rows = codes.detach().to("cpu", torch.float32).contiguous().numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def _shared_rows(codes: torch.Tensor, noise: str) -> int:
    """How many leading rows all codes have in common, if that saves anything."""
    differ = (row for row in range(codes.shape[1]) if not (codes[:, row] == codes[0, row]).all())
    return 0 if noise == "random" else next(differ, codes.shape[1])


class _Copy:
    """Puts chunks of pictures into their places in ``out [F, S, S, C]``."""

    def __init__(self, out: torch.Tensor):
        self.out = out

    def put(self, frames: list[int], pictures: torch.Tensor) -> None:
        """Copy ``pictures [n, S, S, C]`` to the frames with these (ascending) numbers."""
        if frames[-1] - frames[0] + 1 == len(frames):
            self.out[frames[0] : frames[-1] + 1] = pictures
        else:
            self.out[frames] = pictures

    def finish(self) -> None:
        """Return when every picture is in its place."""


class _PinnedCopy(_Copy):
    """The same from a GPU, through two pinned buffers on a side stream: a chunk travels while the next one is computed."""

    def __init__(self, out: torch.Tensor, device: torch.device):
        super().__init__(out)
        self.stream, self.device = torch.cuda.Stream(device), device
        self.buffers: list[torch.Tensor | None] = [None, None]
        self.pending = None

    def put(self, frames: list[int], pictures: torch.Tensor) -> None:
        self.buffers.reverse()
        if self.buffers[0] is None or len(self.buffers[0]) < len(pictures):
            self.buffers[0] = _pinned(pictures.shape)
        buffer = self.buffers[0][: len(pictures)]
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            buffer.copy_(pictures, non_blocking=True)
            pictures.record_stream(self.stream)
            event = self.stream.record_event()
        self.finish()
        self.pending = (event, frames, buffer)

    def finish(self) -> None:
        if self.pending is not None:
            event, frames, buffer = self.pending
            event.synchronize()
            super().put(frames, buffer)
            self.pending = None


def _pinned(shape: torch.Size) -> torch.Tensor:
    """Page-locked memory, which a GPU copies to while it computes; ordinary memory where the system gives none."""
    try:
        return torch.empty(shape, pin_memory=True)
    except RuntimeError as error:
        log.debug("No page-locked memory, frames are copied more slowly: %s", error)
        return torch.empty(shape)


def _free_memory() -> int | None:
    """Bytes of memory that are free on the host, or None if this system does not tell."""
    try:
        import psutil  # every ComfyUI has it
    except ImportError:
        return _linux_free_memory(Path("/proc/meminfo"))
    return psutil.virtual_memory().available


def _linux_free_memory(path: Path) -> int | None:
    if not path.is_file():
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", path.read_text(), re.M)
    return int(found.group(1)) * 1024 if found else None
