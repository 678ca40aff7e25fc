"""Any open_clip model as a scorer, from a local file or from what is already downloaded; never from the network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from ...files.budget import border
from ...files.download import hash_file
from ...files.errors import MicromotionError
from ...files.reading import read_any
from ..errors import SubspaceError
from .scorer import Scorer, import_open_clip

Network = TypeVar("Network", bound=nn.Module)

EXAMPLE = "ViT-B-32-quickgelu"
CACHED_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
QUICK_GELU_HINTS = ("quickgelu", "openai")
SCRIPT_SIZES = ("input_resolution", "context_length", "vocab_size")
Shapes = dict[str, tuple[int, ...]]


def load_named(name: str, *, normalize: bool = False) -> Scorer:
    """Load ``"MODEL"`` or ``"MODEL/TAG"`` (``"ViT-B-32-quickgelu/openai"``) from what open_clip has downloaded before."""
    open_clip = import_open_clip()
    model, _, tag = name.partition("/")
    if model not in open_clip.list_models():
        raise SubspaceError(
            f"There is no file and no open_clip model {name!r}; give the path of a scorer, or a name such as {EXAMPLE}/openai."
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag and tag not in tags:
        raise SubspaceError(f"open_clip does not know the weights {tag!r} of {model}; choose one of {', '.join(tags)}.")
    for candidate in [tag] if tag else sorted(tags, key=lambda t: t != "openai"):
        weights = open_clip.get_pretrained_cfg(model, candidate)
        path = cached_file(weights)
        if path is not None:
            return load_file(path, _with_activation(model, weights), normalize=normalize)
    raise SubspaceError(
        f"The weights of {name} are not on this machine, and nothing is downloaded without being asked for; fetch them once with"
        f" `python -c \"import open_clip; open_clip.create_model('{model}', '{tag or (tags or [''])[0]}')\"`, or give a file."
    )


def load_file(path: Path, architecture: str | None = None, *, normalize: bool = False) -> Scorer:
    """Load an open_clip model's weights from a file; ``architecture`` None: recognized by its tensors. Errors: SubspaceError."""
    open_clip = import_open_clip()
    with border(path.name, SubspaceError):
        state, script = read_state(path)
        known = openai_model(path) if script else None
        architecture = known or architecture or recognize(path, state, script)
        config = open_clip.get_model_config(architecture)
        if config is None:
            raise SubspaceError(f"open_clip has no model {architecture!r}; choose one of its names, for example {EXAMPLE}.")
        _refuse_network(config, architecture)
        with torch.inference_mode(False):
            model = open_clip.CLIP(**config) if script else open_clip.create_model(architecture)
            model = filled(model, _converted(model, state), path, f"the weights of {architecture}")
        size = model.visual.image_size
        tokenize = open_clip.get_tokenizer(architecture)
    return Scorer(model, tokenize, size if isinstance(size, int) else size[0], normalize=normalize, name=architecture)


def read_state(path: Path) -> tuple[dict[str, torch.Tensor], bool]:
    """The weights in a file by name, and whether it is a TorchScript archive, as OpenAI published CLIP; nothing of it is executed."""
    try:
        container, tree = read_any(path)
    except MicromotionError as error:
        raise SubspaceError(f"{error} A scorer is a .safetensors file, or one that can be read without executing it.") from error
    tree = tree.get("state_dict", tree) if isinstance(tree, dict) else {}
    return {k.removeprefix("module."): v for k, v in _tensors(tree)}, container == "TorchScript"


def _with_activation(model: str, weights: dict) -> str:
    """The twin of a model with the activation that its weights were trained with: open_clip only warns of the wrong one."""
    open_clip = import_open_clip()
    quick = bool(weights.get("quick_gelu"))
    twin = f"{model}-quickgelu"
    return twin if quick and not open_clip.get_model_config(model).get("quick_gelu") and twin in open_clip.list_models() else model


def cached_file(weights: dict) -> Path | None:
    """Where open_clip's downloads of these weights lie, or None."""
    url = weights.get("url") or ""
    path = Path(os.path.expanduser("~/.cache/clip")) / url.rpartition("/")[2]
    if url and path.is_file():
        return path
    repository, _, file = (weights.get("hf_hub") or "").rpartition("/")
    if not repository:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repository, name) for name in ([file] if file else CACHED_NAMES))
    return next((Path(f) for f in found if isinstance(f, str)), None)


def recognize(path: Path, state: dict[str, torch.Tensor], script: bool = False) -> str:
    """The open_clip model whose tensors a file holds; ``script``: whether it is a TorchScript archive.

    Models that differ only in their activation cannot be told apart by tensors: a name with "openai" or "quickgelu" in it decides for
    the quick one, "laion" or "datacomp" for the other. Scripts are OpenAI's form, and theirs are quick.
    """
    open_clip = import_open_clip()
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    own = _signature(shapes)
    names = [n for n in open_clip.list_models() if own is not None and _config_signature(open_clip.get_model_config(n)) == own]
    stem = path.stem.lower()
    quick = script or any(hint in stem for hint in QUICK_GELU_HINTS)
    if len(names) > 1 and (quick or "laion" in stem or "datacomp" in stem):
        names = [n for n in names if bool(open_clip.get_model_config(n).get("quick_gelu")) == quick] or names
    named = [n for n in names if stem.startswith(n.lower())]
    if len(names) != 1 and named:
        names = [max(named, key=len)]
    if len(names) == 1:
        return names[0]
    choices = f"it may be {' or '.join(names)}" if names else "its tensors fit no open_clip model that can be recognized"
    raise SubspaceError(f"{path.name} does not say which model it is: {choices}; put the model's name first in the file's name.")


def openai_model(path: Path) -> str | None:
    """The model of one of OpenAI's own files, by its SHA-256, which their addresses contain; None for other files."""
    open_clip = import_open_clip()
    names = open_clip.list_pretrained_models_by_tag("openai")
    digests = {open_clip.get_pretrained_cfg(n, "openai").get("url", "//").split("/")[-2]: n for n in sorted(names, key=len)}
    return digests.get(hash_file(path))


def _tensors(tree: object, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a program's attributes by dotted name, as its ``state_dict()`` would list them; the program is not run."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{key}", value
        yield from _tensors(value, f"{prefix}{key}.")


def filled(model: Network, state: dict[str, torch.Tensor], path: Path, what: str) -> Network:
    """``model`` with the tensors of ``state``, widened to float32; ``what`` they should be, for the sentence where they are not."""
    wrong = next((k for k, v in state.items() if v.is_complex()), None)
    try:
        if wrong is not None:
            raise RuntimeError(wrong)
        model.load_state_dict({k: v.float() for k, v in state.items() if k not in SCRIPT_SIZES})
    except RuntimeError as error:
        raise SubspaceError(f"{path.name} does not hold {what}; name the model that it was saved from, or get another copy.") from error
    return model


def _converted(model: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights under the names of today's open_clip: it keeps the text network of some models apart, and scalars as scalars."""
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = import_open_clip().model.convert_to_custom_text_state_dict(state)
    scalars = {k: state[k].reshape(getattr(model, k).shape) for k in ("logit_scale", "logit_bias") if k in state and hasattr(model, k)}
    return {**state, **scalars}


def _signature(shapes: Shapes) -> tuple | None:
    """What tells vision transformers with a plain text transformer apart, read from tensors."""
    shapes = {k.removeprefix("text."): v for k, v in shapes.items()}
    try:
        width, _, patch, _ = shapes["visual.conv1.weight"]
        positions = shapes["visual.positional_embedding"][0]
        blocks = ("visual.transformer.resblocks.", "transformer.resblocks.")
        depths = [1 + max(int(k[len(b) :].split(".")[0]) for k in shapes if k.startswith(b)) for b in blocks]
        return (width, patch, positions, depths[0], *shapes["token_embedding.weight"], depths[1], shapes["text_projection"][-1])
    except (KeyError, ValueError):
        return None


def _config_signature(config: dict) -> tuple | None:
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "timm_model_name" in vision or "hf_model_name" in text or not isinstance(vision.get("layers"), int):
        return None
    size, patch = vision.get("image_size", 224), vision.get("patch_size", 16)
    positions = (size // patch) ** 2 + 1 if isinstance(size, int) else None
    words = (text.get("vocab_size", 49408), text.get("width", 512), text.get("layers", 12))
    return (vision.get("width", 768), patch, positions, vision["layers"], *words, config["embed_dim"])


def _refuse_network(config: dict, architecture: str) -> None:
    foreign = {"hf_model_name", "hf_tokenizer_name"} & set(config["text_cfg"])
    if foreign and os.environ.get("HF_HUB_OFFLINE", "") not in ("1", "ON", "YES", "TRUE"):
        raise SubspaceError(
            f"{architecture} needs a tokenizer from Hugging Face beside its weights; set HF_HUB_OFFLINE=1 if it is downloaded, or"
            f" choose a CLIP model such as {EXAMPLE}."
        )
