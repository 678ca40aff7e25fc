"""What all four trainings share: averaged weights, checkpoints that resume, batches that never repeat, sheets to look at."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import nn
from tqdm import tqdm

Model = TypeVar("Model", bound=nn.Module)


class Average(Generic[Model]):
    """Exponential moving average of a module's parameters; buffers are copied."""

    def __init__(self, module: Model, decay: float):
        self.module: Model = copy.deepcopy(module).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, source: nn.Module, step: int) -> None:
        """Move toward ``source``; the first steps forget faster so that the start is not remembered."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mean, value in zip(self.module.parameters(), source.parameters()):
            mean.lerp_(value.to(mean), 1 - decay)
        for mean, value in zip(self.module.buffers(), source.buffers()):
            mean.copy_(value)


class Checkpoint:
    """Modules and optimizers of a run in one file, written atomically and read back with ``weights_only``."""

    def __init__(self, path: Path, **parts):
        self.path, self.parts = Path(path), parts

    def load(self) -> int:
        """Restore all parts and return the number of images already seen (0 for a new run)."""
        if not self.path.exists():
            return 0
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return int(state["images"])

    def save(self, images: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".partial")
        state = {name: part.state_dict() for name, part in self.parts.items()}
        torch.save({**state, "images": images}, temporary)
        os.replace(temporary, self.path)


def steps(start: int, total: int, batch: int, label: str):
    """Yield the images seen before each step, under a progress bar whose ``set_postfix_str`` shows losses."""
    bar = tqdm(total=total, initial=start, desc=label, unit="img", smoothing=0.02)
    seen = start
    while seen < total:
        yield seen, bar
        seen += batch
        bar.update(batch)
    bar.close()


def save_sheet(images: torch.Tensor, columns: int, path: Path) -> None:
    """Write images ``[N, 3, S, S]`` in -1..1 as a contact sheet, ``columns`` wide."""
    from PIL import Image

    n, c, h, w = images.shape
    rows = -(-n // columns)
    padded = torch.ones(rows * columns, c, h, w)
    padded[:n] = images.detach().float().cpu().clamp(-1, 1)
    sheet = padded.reshape(rows, columns, c, h, w).permute(0, 3, 1, 4, 2).reshape(rows * h, columns * w, c)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(((sheet + 1) * 127.5 + 0.5).to(torch.uint8).numpy()).save(path)


def learning_rate(seen: int, total: int, peak: float, warm: float = 0.02, floor: float = 0.02) -> float:
    """Linear warm-up over a share ``warm`` of the run, then a cosine down to ``floor * peak``."""
    progress = seen / total
    if progress < warm:
        return peak * (progress + 1e-3) / (warm + 1e-3)
    cosine = 0.5 + 0.5 * torch.cos(torch.tensor((progress - warm) / (1 - warm) * torch.pi)).item()
    return peak * (floor + (1 - floor) * cosine)


def autocast(device: torch.device, enabled: bool):
    """bfloat16 where it pays: on GPUs, and on CPUs that multiply it natively."""
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
