"""Files of text scorers.

A native scorer file is a ``.safetensors`` whose metadata key ``micromotion`` holds
``{"kind": "scorer", "version": 1, "config": {...}}``. The config is open_clip's own (``embed_dim``, ``vision_cfg``,
``text_cfg``, optional ``quick_gelu``) with two keys of ours: ``merges``, the number of byte-pair merges kept of open_clip's
vocabulary, and ``normalize``, whether pictures get CLIP's mean and standard deviation. The optional ``"settings": {...}`` are
how text anchors are best optimized with it: any of ``l2``, ``prior``, ``space``, ``views`` and ``degrees``.
"""

from __future__ import annotations

import copy
import gzip
import io
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...files import limits
from ...files import native as files
from ...files.budget import border
from ..errors import SubspaceError
from . import open_clip_models
from .scorer import PUBLISHED, SPACES, Scorer, Settings, Tokenize, import_open_clip

KIND = "scorer"
MOST_MERGES = 50_000  # of open_clip's vocabulary, and more than any side of a network that is a scorer
MOST_STAGES = 8
FIELDS = (
    {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "merges", "normalize"},
    {"image_size", "patch_size", "width", "layers", "head_width", "mlp_ratio"},
    {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"},
)


def tokenizer(merges: int, context_length: int) -> Tokenize:
    """A tokenizer with the first ``merges`` merges of open_clip's vocabulary; it still encodes any text.

    Ids: 512 bytes, the merges, start, end; ``vocab_size = 512 + merges + 2``. Returns texts -> ids ``[T, context_length]``.
    """
    open_clip = import_open_clip()
    lines = _vocabulary(open_clip).split("\n")[: merges + 1]
    packed = io.BytesIO(gzip.compress("\n".join(lines).encode()))
    return open_clip.SimpleTokenizer(bpe_path=packed, context_length=context_length)


def build_model(config: dict) -> nn.Module:
    """A new, randomly initialized open_clip ``CLIP`` of a scorer config; its vocabulary size follows from ``merges``."""
    config = copy.deepcopy(config)
    merges, _ = config.pop("merges"), config.pop("normalize", None)
    config["text_cfg"]["vocab_size"] = 512 + merges + 2
    with torch.inference_mode(False):
        return import_open_clip().CLIP(**config)


def save_scorer(
    model: nn.Module, config: dict, path: str | Path, *, settings: Settings = PUBLISHED, dtype: torch.dtype = torch.float16
) -> None:
    """Write a native scorer file; tensors are stored as ``dtype`` and widened when loaded."""
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
    files.write(path, KIND, {"config": config, "settings": asdict(settings)}, tensors)


def load_scorer(path_or_name: str | Path, architecture: str | None = None, *, normalize: bool | None = None) -> Scorer:
    """Load a scorer from a file, or by the name of an open_clip model that was downloaded before.

    A file is a native ``.safetensors``, or weights of any open_clip model, whose ``architecture`` is its name there (None: recognized);
    a name is ``"MODEL"`` or ``"MODEL/TAG"``, for example ``"ViT-B-32-quickgelu/openai"``. ``normalize`` gives pictures CLIP's mean and
    standard deviation (None: as the file says; open_clip models: no, as published). Nothing is downloaded. Errors: SubspaceError.
    """
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
    with border(path.name, SubspaceError):
        config = _config(header.get("config"), tensors, path)
        with torch.inference_mode(False):
            model = open_clip_models.filled(build_model(config), tensors, path, "its own configuration")
        tokenize = tokenizer(config["merges"], config["text_cfg"]["context_length"])
    size = config["vision_cfg"]["image_size"]
    settings = _settings(header.get("settings", {}), path)
    return Scorer(model, tokenize, size, normalize=bool(config.get("normalize")), name=path.stem, settings=settings)


def _config(config: Any, tensors: dict[str, torch.Tensor], path: Path) -> dict:
    """A scorer's configuration, compared with its tensors before memory is taken for a network of the sizes that it names."""
    parts = [config, *(config.get(k) for k in ("vision_cfg", "text_cfg"))] if isinstance(config, dict) else []
    sound = len(parts) == len(FIELDS) and all(_is_plain(part, fields, len(tensors)) for part, fields in zip(parts, FIELDS))
    if not sound or not {"merges", "embed_dim"} <= set(config):
        raise files.damaged(path, "its configuration is not that of a scorer")
    with torch.device("meta"):
        expected = {k: v.shape for k, v in build_model(config).state_dict().items()}
    if expected != {k: v.shape for k, v in tensors.items()}:
        raise files.damaged(path, "its tensors do not fit its own configuration")
    return config


def _is_plain(part: object, fields: set[str], count: int) -> bool:
    """Whether a part of a configuration holds sizes alone: other fields of open_clip's name models elsewhere, even on the network."""
    if not isinstance(part, dict) or not set(part) <= fields:
        return False
    deep = part.get("layers", 1)
    stages = deep if isinstance(deep, list) else [deep]  # a ResNet's; no network has more layers than its file has tensors
    counted = all(type(n) is int and 0 < n for n in stages) and len(stages) <= MOST_STAGES and sum(stages) <= count
    numbers = (v for k, v in part.items() if k != "layers" and not isinstance(v, dict))
    return counted and all(isinstance(v, (int, float)) and 0 <= v <= MOST_MERGES for v in numbers)


def _settings(recorded: dict, path: Path) -> Settings:
    checks = {
        "l2": _weight,
        "prior": _weight,
        "space": lambda value: SPACES[SPACES.index(value)],
        "views": lambda value: limits.VIEWS.checked(files.integer(value), "The views are"),
        "degrees": files.optional(files.texts),
    }
    return Settings(**files.take(files.take({"settings": recorded}, {"settings": files.mapping}, path)["settings"], checks, path))


def _weight(value) -> float:
    return limits.WEIGHT.checked(files.number(value), "The weight is")


@lru_cache(maxsize=1)
def _vocabulary(open_clip) -> str:
    path = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    return gzip.decompress(path.read_bytes()).decode("utf-8")
