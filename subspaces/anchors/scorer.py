"""Text scorers: an open_clip model that says how well a picture matches a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...stylegan2.resample import resized
from ..errors import SubspaceError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
Tokenize = Callable[[list[str]], torch.Tensor]
SPACES = ("w+", "w")


@dataclass(frozen=True)
class Settings:
    """How text anchors are best optimized with a scorer, for whoever does not say otherwise; without a word the published values.

    ``l2``, ``prior``: weights of the loss (see `Weights`). ``space``, ``views``, ``degrees``: as in `text_anchors`.
    """

    l2: float = 0.008
    prior: float = 0.0
    space: str = "w+"
    views: int = 0
    degrees: tuple[str, ...] | None = None


PUBLISHED = Settings()


class Scorer(nn.Module):
    """Cosine between pictures and sentences, differentiable in the pictures.

    Pictures are float ``[N, 3, H, W]``, about -1..1, of any size: they are resampled by area to the model's own size. As
    in the published method they go in as they are, unless ``normalize`` asks for CLIP's mean and standard deviation.
    ``settings`` is what its file recommends for text anchors.
    """

    def __init__(
        self,
        model: Any,
        tokenize: Tokenize,
        image_size: int,
        *,
        normalize: bool = False,
        name: str = "",
        settings: Settings = PUBLISHED,
    ):
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.tokenize = tokenize
        self.image_size = image_size
        self.normalize = normalize
        self.name = name
        self.settings = settings

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Unit vectors ``[N, E]`` of pictures ``[N, 3, H, W]`` in -1..1."""
        x = resized(images.to(self.device, torch.float32), self.image_size)
        if self.normalize:
            mean, std = x.new_tensor(CLIP_MEAN), x.new_tensor(CLIP_STD)
            x = (x / 2 + 0.5 - mean[:, None, None]) / std[:, None, None]
        return self.model.encode_image(x, normalize=True)  # [N, E]

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors ``[T, E]`` of sentences."""
        return self.model.encode_text(self.tokenize(list(texts)).to(self.device), normalize=True)  # [T, E]

    def score(self, images: torch.Tensor, texts: Sequence[str]) -> torch.Tensor:
        """Cosine ``[N, T]`` of every picture with every sentence."""
        return self.encode_images(images) @ self.encode_texts(texts).T  # [N, T]


def contrast(scorer: Scorer, full: str, none: str) -> tuple[Callable[[torch.Tensor], torch.Tensor], str]:
    """What measures a motion by two sentences, ``images [n, 3, R, R] -> [n]``: how much better ``full`` fits than ``none``; its name."""
    return lambda x: scorer.score(x, [full, none]) @ x.new_tensor([1.0, -1.0]), f"the score of {full!r} minus {none!r}"


def import_open_clip() -> Any:
    """open_clip, or a sentence that says how to get it."""
    try:
        import open_clip
    except ImportError as error:
        raise SubspaceError("Text scorers need open_clip, which is not installed: run `pip install open_clip_torch`.") from error
    return open_clip
