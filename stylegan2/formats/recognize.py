"""Which generator a tree of values holds, by its keys."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ...files.containers import Contents
from ...files.errors import DamagedFileError
from ...files.values import Instance
from . import dialects, genforce, native, nvidia, rosinality, sahlman, tensorflow
from .candidates import StateDict, loaded, state_dicts, tensor_in, under
from .refusals import refusal

CLASS_NAMES = ("classes", "class_names", "CLASSES", "label_names")


@dataclass(frozen=True)
class Found:
    """A generator's canonical tensors, what is known beside their shapes, and where they came from."""

    format: str
    state: dict[str, torch.Tensor]
    hints: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()  # their names, where the file has any
    any_order: bool = False  # of the colors: red before blue, or blue before red


def find_generator(contents: Contents, name: str) -> Found:
    """Return the generator in ``contents``, or raise an error that says what the file is instead."""
    try:
        found = _native(contents) or _tensorflow(contents) or _sahlman(contents) or _torch(contents)
    except (RuntimeError, IndexError, TypeError, AttributeError, OverflowError) as e:
        raise DamagedFileError(f"The tensors in {name} do not have the shapes of a generator; the file is damaged.") from e
    if found is None:
        raise refusal(contents, name)
    return replace(found, classes=_class_names(contents))


def _class_names(contents: Contents) -> tuple[str, ...]:
    """Names of classes that stand beside the weights, in the file, its arguments or its metadata."""
    top = contents.tree.state if isinstance(contents.tree, Instance) else contents.tree
    described = native.description(contents.metadata)
    top = described if described is not None else top
    places = [top, *(top.get(k) for k in ("meta", "args", "training_set_kwargs", "opts"))] if isinstance(top, dict) else []
    for place in places:
        place = place.state if isinstance(place, Instance) else place
        for key in CLASS_NAMES if isinstance(place, dict) else ():
            names = place.get(key)
            if isinstance(names, (list, tuple)) and names and all(isinstance(n, str) for n in names):
                return tuple(n[:80] for n in names)
    return ()


def _native(contents: Contents) -> Found | None:
    description = native.description(contents.metadata)
    if description is None:
        return None
    origin, notes = native.source(description)
    native.verify(description, contents.tree)
    form = native.FORMAT + (f", from {origin}" if origin else "")
    return Found(form, contents.tree, native.hints(description), notes)


def _tensorflow(contents: Contents) -> Found | None:
    network = tensorflow.network(contents.tree)
    return Found("NVIDIA TensorFlow StyleGAN2", *tensorflow.canonical(network)) if network else None


def _sahlman(contents: Contents) -> Found | None:
    if not sahlman.is_model(contents.tree):
        return None
    return Found("adriansahlman stylegan2_pytorch", *sahlman.canonical(contents.tree), notes=(sahlman.SHIFT,))


def _torch(contents: Contents) -> Found | None:
    for candidate in state_dicts(contents.tree):
        for signature, reader in _READERS.items():
            for prefix, part in under(candidate.tensors, signature):
                found = reader(candidate, prefix, part, contents.tree)
                if found:
                    return found
    return None


def _read_nvidia(candidate: StateDict, prefix: str, part: dict[str, Any], tree: Any) -> Found | None:
    if not any(k.startswith("mapping.fc") for k in part):
        return None
    form = "NVIDIA StyleGAN2 (PyTorch)" if candidate.attributes else "state dict with NVIDIA names"
    return Found(form, _loaded(part), nvidia.hints(candidate.attributes, prefix))


def _read_rosinality(candidate: StateDict, prefix: str, part: dict[str, Any], tree: Any) -> Found | None:
    if "style.1.weight" not in part:
        return None
    paddle = dialects.is_paddle(part, tree)
    state = dialects.from_paddle(_loaded(part)) if paddle else rosinality.canonical(_loaded(part))
    mean = _mean_code(tree, part)
    if mean is not None:
        state["mapping.w_avg"] = mean
    form = "pSp / e4e / ReStyle (its decoder)" if "decoder" in f"{candidate.where}.{prefix}" else "rosinality StyleGAN2"
    return Found("PaddleGAN StyleGAN2" if paddle else form, state, notes=_left_out(candidate, prefix))


def _left_out(candidate: StateDict, prefix: str) -> tuple[str, ...]:
    """DualStyleGAN's second path of styles stands beside the generator."""
    beside = any(k.startswith("res.") for k in candidate.tensors) and prefix.startswith("generator.")
    return ("The file's second path of styles (DualStyleGAN's res.*) is left out: the generator draws plain faces.",) if beside else ()


def _read_basicsr(candidate: StateDict, prefix: str, part: dict[str, Any], tree: Any) -> Found | None:
    if "style_mlp.1.weight" not in part:
        return None
    return Found("BasicSR StyleGAN2", dialects.from_basicsr(_loaded(part)))


def _mean_code(tree: Any, part: dict[str, Any]) -> torch.Tensor | None:
    """``latent_avg``: ``[D]``, or repeated over the layers ``[L, D]``."""
    top = tree.state if isinstance(tree, Instance) else tree
    places = (top, part) if isinstance(top, dict) else (part,)
    value = next((v for place in places if (v := tensor_in(place.get("latent_avg"))) is not None), None)
    if value is None:
        return None
    mean = loaded(value)
    return mean.reshape(-1, mean.shape[-1])[0]


def _loaded(part: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {k: loaded(v) for k, v in part.items()}


_READERS = {
    nvidia.SIGNATURE: _read_nvidia,
    rosinality.SIGNATURE: _read_rosinality,
    genforce.SIGNATURE: lambda candidate, prefix, part, tree: Found("genforce StyleGAN2", genforce.canonical(_loaded(part))),
    dialects.MMGEN: lambda candidate, prefix, part, tree: Found(
        "mmgeneration / MMagic StyleGAN2", dialects.from_mmgen(_loaded(part)), any_order=True
    ),
    dialects.BASICSR: _read_basicsr,
}
