"""Perceptual distances between pictures: LPIPS where it is at hand, else the features of the embedded inverter, else a plain pyramid."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ...files.embedded import embedded_root
from ...files.reading import read_file
from ..resample import area_resize, resize, within
from .compact import CompactEncoder
from .encoder_files import read_native_encoder
from .encoders import StyleEncoder
from .errors import InversionError

log = logging.getLogger(__name__)

Perceptual = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # images, images [N, 3, H, W] -> distance [N]
KINDS = ("auto", "lpips", "features", "pyramid")
LPIPS_SIZE, LPIPS_SMALLEST = 256, 64
BACKBONE_FILE = "alexnet-owt-7be5be79.pth"  # torchvision's name of the network under LPIPS
BACKBONE_URL = f"https://download.pytorch.org/models/{BACKBONE_FILE}"
EMBEDDED_FILE = "inverter.safetensors"
FEATURES_SMALLEST = 32
FEATURES_WEIGHT = 0.1


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


class Features(nn.Module):
    """The pyramid, and the squared differences of an encoder's feature maps, each pixel's features scaled to unit length.

    LPIPS (Zhang et al. 2018, arXiv 1801.03924) with an encoder of faces in AlexNet's place, and without its learned weights of channels.
    ``encoder`` has ``features(images [N, channels_in, size, size]) -> maps``; where it expects a reconstruction behind the image
    (6 channels), it is shown the image twice.
    """

    name = "features"

    def __init__(self, encoder: StyleEncoder | CompactEncoder, size: int, channels_in: int = 3):
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.pyramid = Pyramid()
        self.size, self.copies = size, channels_in // 3

    def forward(self, images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Images ``[N, 3, H, W]`` in -1..1 -> distance ``[N]``; differentiable."""
        pairs = zip(self.maps(images), self.maps(others))
        distance = sum((a - b).square().sum(1).mean((1, 2)) for a, b in pairs)
        return self.pyramid(images, others) + FEATURES_WEIGHT * distance

    def maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The encoder's feature maps of ``images``, of unit length in every pixel."""
        seen = area_resize(images, self.size) if images.shape[-1] > self.size else resize(images, self.size)
        return [F.normalize(x, dim=1, eps=1e-4) for x in self.encoder.features(seen.repeat(1, self.copies, 1, 1))]


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
    return area_resize(images, within(tuple(images.shape[-2:]), LPIPS_SIZE))


def load_perceptual(kind: str = "auto", *, size: int = LPIPS_SIZE) -> Pyramid | Features | Lpips:
    """The perceptual distance of this ``kind``; ``.name`` says which one came.

    ``auto`` takes LPIPS if the package and its backbone are on this machine, else the features of the embedded inverter, else the
    pyramid; pictures of ``size`` px must be large enough (64 px for LPIPS, 32 px for the features). Nothing is fetched.
    Raises InversionError if the kind that is asked for is missing.
    """
    if kind not in KINDS:
        raise InversionError(f"Unknown perceptual term {kind!r}; choose one of {', '.join(KINDS)}.")
    reasons = {}
    for name in {"auto": tuple(_NETWORKS), "pyramid": ()}.get(kind, (kind,)):
        missing, load = _NETWORKS[name]
        reasons[name] = missing(size)
        if reasons[name] is None:
            return load()
    if kind in reasons:
        raise InversionError(f"The perceptual term {kind!r} cannot be used: {reasons[kind]}. Take 'pyramid', which needs nothing.")
    if reasons:
        log.info("Perceptual term: pyramid. %s", "; ".join(f"{name} cannot be used: {reason}" for name, reason in reasons.items()))
    return Pyramid()


def missing_lpips(size: int) -> str | None:
    """Why LPIPS cannot be used for pictures of ``size`` px, or None if it can."""
    if size < LPIPS_SMALLEST:
        return f"pictures of {size} px are too small for it"
    try:
        import lpips  # noqa: F401
    except ImportError:
        return "the package lpips is not installed (pip install lpips)"
    file = _backbone()
    return None if file.is_file() else f"its backbone {file.name} is not in {file.parent}; it is at {BACKBONE_URL}"


def missing_features(size: int) -> str | None:
    """Why the embedded features cannot be used for pictures of ``size`` px, or None if they can."""
    if size < FEATURES_SMALLEST:
        return f"pictures of {size} px are too small for them"
    return None if (embedded_root() / EMBEDDED_FILE).is_file() else f"this copy of micromotion lacks its embedded {EMBEDDED_FILE}"


def _backbone() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE_FILE


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _lpips_network() -> nn.Module:
    """LPIPS with its weights put in place by our own reader: torchvision would unpickle the backbone without restrictions."""
    import lpips

    with torch.random.fork_rng(devices=[]):
        network = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    backbone, heads = read_file(_backbone()), read_file(Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth")
    try:
        state = {k: backbone[f"features.{k.split('.', 2)[2]}"] for k in network.state_dict() if k.startswith("net.")}
        network.load_state_dict({**network.state_dict(), **state, **heads})
    except (KeyError, TypeError, RuntimeError) as error:
        raise InversionError(f"{_backbone()} is not the AlexNet that LPIPS is built on ({error}). Remove it.") from error
    return network


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _embedded_features(file: Path) -> Features:
    header, _, encoder = read_native_encoder(file)
    return Features(encoder, header["input_size"], header["channels_in"])


_NETWORKS = {
    "lpips": (missing_lpips, lambda: Lpips(_lpips_network())),
    "features": (missing_features, lambda: _embedded_features(embedded_root() / EMBEDDED_FILE)),
}
