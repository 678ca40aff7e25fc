"""Text scorers: an open_clip model that says how well a picture matches a sentence.

A native scorer file is a ``.safetensors`` whose metadata key ``micromotion`` holds
``{"kind": "scorer", "version": 1, "config": {...}}``. The config is open_clip's own (``embed_dim``, ``vision_cfg``,
``text_cfg``, optional ``quick_gelu``) with two keys of ours: ``merges``, the number of byte-pair merges kept of open_clip's
vocabulary, and ``normalize``, whether pictures get CLIP's mean and standard deviation.
"""

from __future__ import annotations

import copy
import gzip
import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from .. import files
from ..errors import SubspaceError

KIND = "scorer"
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
Tokenize = Callable[[list[str]], torch.Tensor]


class Scorer(nn.Module):
    """Cosine between pictures and sentences, differentiable in the pictures.

    Pictures are float ``[N, 3, H, W]``, about -1..1, of any size: they are resampled by area to the model's own size. As
    in the published method they go in as they are, unless ``normalize`` asks for CLIP's mean and standard deviation.
    """

    def __init__(self, model: nn.Module, tokenize: Tokenize, image_size: int, *, normalize: bool = False, name: str = ""):
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.tokenize = tokenize
        self.image_size = image_size
        self.normalize = normalize
        self.name = name

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Unit vectors ``[N, E]`` of pictures ``[N, 3, H, W]`` in -1..1."""
        x = resample(images.to(self.device, torch.float32), self.image_size)
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


def resample(images: torch.Tensor, size: int) -> torch.Tensor:
    """Resample ``[N, C, H, W]`` to ``[N, C, size, size]`` by exact area averages: two matrix products.

    Equal to the published nearest x7 and average pooling, and defined for every size in and out.
    """
    rows, columns = (area_matrix(n, size).to(images) for n in images.shape[-2:])
    return rows @ images @ columns.T


@lru_cache(maxsize=16)
def area_matrix(n_in: int, n_out: int) -> torch.Tensor:
    """Matrix ``[n_out, n_in]`` whose row o averages the interval ``[o, o + 1] * n_in / n_out`` of the source."""
    with torch.inference_mode(False):
        edges = torch.arange(n_out + 1, dtype=torch.float64) * n_in / n_out
        pixels = torch.arange(n_in, dtype=torch.float64)
        overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
        return (overlap.clamp_min(0) * n_out / n_in).to(torch.float32)


def tokenizer(merges: int, context_length: int) -> Tokenize:
    """A tokenizer with the first ``merges`` merges of open_clip's vocabulary; it still encodes any text.

    Ids: 512 bytes, the merges, start, end; ``vocab_size = 512 + merges + 2``. Returns texts -> ids ``[T, context_length]``.
    """
    open_clip = import_open_clip()
    lines = _vocabulary(open_clip).split("\n")[: merges + 1]
    packed = io.BytesIO(gzip.compress("\n".join(lines).encode()))
    return open_clip.SimpleTokenizer(bpe_path=packed, context_length=context_length)


def default_config() -> dict:
    """The tiny scorer of the embedded avatars: 64 px, patches of 8, four image layers, three text layers, 128 wide."""
    return {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 64, "patch_size": 8, "width": 128, "layers": 4, "head_width": 32},
        "text_cfg": {"context_length": 32, "width": 128, "heads": 4, "layers": 3},
        "merges": 2000,
        "normalize": False,
    }


def build_model(config: dict) -> nn.Module:
    """A new, randomly initialised open_clip ``CLIP`` of a scorer config; its vocabulary size follows from ``merges``."""
    config = copy.deepcopy(config)
    merges, _ = config.pop("merges"), config.pop("normalize", None)
    config["text_cfg"]["vocab_size"] = 512 + merges + 2
    with torch.inference_mode(False):
        return import_open_clip().CLIP(**config)


def save_scorer(model: nn.Module, config: dict, path: str | Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a native scorer file; tensors are stored as ``dtype`` and widened when loaded."""
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
    files.write(path, KIND, {"config": config}, tensors)


def load_scorer(path_or_name: str | Path, architecture: str | None = None, *, normalize: bool | None = None) -> Scorer:
    """Load a scorer from a file, or by the name of an open_clip model that was downloaded before.

    A file is a native ``.safetensors``, or weights of any open_clip model, whose ``architecture`` is its name there (None: recognised);
    a name is ``"MODEL"`` or ``"MODEL/TAG"``, for example ``"ViT-B-32-quickgelu/openai"``. ``normalize`` gives pictures CLIP's mean and
    standard deviation (None: as the file says; open_clip models: no, as published). Nothing is downloaded. Errors: SubspaceError.
    """
    from . import open_clip_models

    path = Path(path_or_name)
    if not path.is_file():
        if path.suffix in (".safetensors", ".pt", ".pth", ".bin"):
            raise SubspaceError(f"There is no scorer file {str(path)!r}; check the path.")
        return open_clip_models.load_named(str(path_or_name), normalize=bool(normalize))
    if architecture is None and files.is_ours(path):
        scorer = load_native(path)
        scorer.normalize = scorer.normalize if normalize is None else normalize
        return scorer
    return open_clip_models.load_file(path, architecture, normalize=bool(normalize))


def load_native(path: Path) -> Scorer:
    """Read a file of ``save_scorer``."""
    header, tensors = files.read(path, KIND)
    try:
        config = header["config"]
        model = build_model(config)
        model.load_state_dict({k: v.to(torch.float32) for k, v in tensors.items()})
        tokenize = tokenizer(config["merges"], config["text_cfg"]["context_length"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise files.damaged(path, "its tensors do not fit its own configuration") from error
    size = config["vision_cfg"]["image_size"]
    return Scorer(model, tokenize, size, normalize=bool(config.get("normalize")), name=path.stem)


def import_open_clip():
    """open_clip, or a sentence that says how to get it."""
    try:
        import open_clip
    except ImportError as error:
        raise SubspaceError("Text scorers need open_clip, which is not installed: run `pip install open_clip_torch`.") from error
    return open_clip


@lru_cache(maxsize=1)
def _vocabulary(open_clip) -> str:
    path = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    return gzip.decompress(path.read_bytes()).decode("utf-8")
