"""Perceptual distances between pictures: LPIPS where it is at hand, else a pyramid of differences that needs no weights."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .errors import InversionError
from .resample import area_resize

log = logging.getLogger(__name__)

Perceptual = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # images, images [N, 3, H, W] -> distance [N]
KINDS = ("auto", "lpips", "pyramid")
LPIPS_SIZE, LPIPS_SMALLEST = 256, 64
BACKBONE_FILE = "alexnet-owt-7be5be79.pth"  # torchvision's name of the network under LPIPS


class Pyramid(nn.Module):
    """Mean absolute difference of the Laplacian pyramids and of their gradients, summed over the levels (down to 8 px).

    Every level weighs the same per pixel, so coarse structure counts far more than in a plain pixel difference (Bojanowski et
    al. 2018, arXiv 1707.05776, use the same pyramid).
    """

    name = "pyramid"
    smallest = 8

    def forward(self, images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Images ``[N, C, H, W]`` in -1..1 -> distance ``[N]``; differentiable, bit-deterministic."""
        x, levels = images - others, []
        while min(x.shape[-2:]) >= 2 * self.smallest and not (x.shape[-1] | x.shape[-2]) & 1:
            small = F.avg_pool2d(x, 2)
            levels.append(_roughness(x - small.repeat_interleave(2, -1).repeat_interleave(2, -2)) + _gradients(x))
            x = small
        levels.append(_roughness(x))
        return torch.stack(levels).mean(0)


def _roughness(x: torch.Tensor) -> torch.Tensor:
    return x.abs().mean((1, 2, 3))


def _gradients(x: torch.Tensor) -> torch.Tensor:
    return _roughness(x.diff(dim=-1)) + _roughness(x.diff(dim=-2))


class Lpips(nn.Module):
    """LPIPS on AlexNet features (Zhang et al. 2018, arXiv 1801.03924), from the ``lpips`` package."""

    name = "lpips"

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Images ``[N, 3, H, W]`` in -1..1, at least 64 px -> distance ``[N]``."""
        return self.network(_within(images), _within(others)).flatten()


def _within(images: torch.Tensor) -> torch.Tensor:
    return area_resize(images, LPIPS_SIZE) if images.shape[-1] > LPIPS_SIZE else images


def load_perceptual(kind: str = "auto", *, size: int = LPIPS_SIZE, download: bool = False) -> Pyramid | Lpips:
    """The perceptual distance of this ``kind``; ``.name`` says which one came.

    ``auto`` takes LPIPS if the package and its backbone are on this machine and pictures of ``size`` px are large enough for it,
    else the pyramid. Nothing is fetched unless ``download`` is set. Raises InversionError if ``lpips`` is asked for and missing.
    """
    if kind not in KINDS:
        raise InversionError(f"Unknown perceptual term {kind!r}; choose one of {', '.join(KINDS)}.")
    if kind == "pyramid":
        return Pyramid()
    reason = f"pictures of {size} px are too small for it" if size < LPIPS_SMALLEST else missing_lpips(download)
    if reason is None:
        return Lpips(_lpips_network())
    if kind == "lpips":
        raise InversionError(f"LPIPS cannot be used: {reason}. Take the perceptual term 'pyramid', which needs nothing.")
    log.info("Perceptual term: pyramid, because LPIPS cannot be used: %s.", reason)
    return Pyramid()


def missing_lpips(download: bool = False) -> str | None:
    """Why LPIPS cannot be used, or None if it can."""
    try:
        import lpips  # noqa: F401
    except ImportError:
        return "the package lpips is not installed (pip install lpips)"
    file = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE_FILE
    return None if download or file.is_file() else f"its backbone {BACKBONE_FILE} is not in {file.parent}"


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _lpips_network() -> nn.Module:
    import lpips

    return lpips.LPIPS(net="alex", verbose=False)
