"""Where in a file the generator is: state dicts and whole modules, under any of the names repositories give them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from ...files.errors import DamagedFileError
from ...files.values import Array, Instance, TensorRef

SEARCH_DEPTH = 3
MAX_MODULES = 20_000
MAX_PREFIX = 1000  # characters
# Averaged weights are the ones every repository draws its pictures with, whatever it calls them.
_AVERAGED = re.compile(r"(?<![a-z])(ema|avg|average|averaged|averages|running|smooth|smoothed|shadow|swa|polyak|gs)(?![a-z])")
_JOINED = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\W\d]+")  # where a name is made of words
PREFERENCE = ("decoder", "generator", "g", "netg")


@dataclass(frozen=True)
class StateDict:
    """Tensors by name, where they were found, and what the modules around them say of themselves."""

    where: str
    tensors: dict[str, Any]
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)


def state_dicts(tree: Any) -> list[StateDict]:
    """Every state dict or module in ``tree`` down to a small depth, the preferred ones first."""
    return sorted(_search(tree, (), SEARCH_DEPTH), key=lambda found: rank(found.where))


def rank(where: str) -> int:
    """Position of a name in the order of preference: averaged weights, then usual names of a generator, then all others."""
    if _AVERAGED.search(" ".join(_JOINED.split(where)).lower()):
        return 0
    words = [w.lower() for w in where.split(".") if w]
    return 1 + min((PREFERENCE.index(w) for w in words if w in PREFERENCE), default=len(PREFERENCE))


def _search(node: Any, path: tuple[str, ...], depth: int) -> Iterator[StateDict]:
    where = ".".join(path)
    if isinstance(node, Instance) and "_modules" in node.state:
        tensors, attributes = flatten(node)
        yield StateDict(where, tensors, attributes)
        return
    if isinstance(node, Instance):
        node = node.state
    if not isinstance(node, dict) or depth < 0:
        return
    tensors = {k: t for k, v in node.items() if isinstance(k, str) and (t := tensor_in(v)) is not None}
    if tensors:
        yield StateDict(where, tensors)
    for key, value in node.items():
        yield from _search(value, (*path, str(key)), depth - 1)


def tensor_in(value: Any) -> TensorRef | torch.Tensor | None:
    """The tensor that ``value`` is or wraps, else None."""
    if isinstance(value, Array):
        return value.ref
    return value if isinstance(value, (TensorRef, torch.Tensor)) else None


def loaded(value: TensorRef | torch.Tensor) -> torch.Tensor:
    """The tensor itself."""
    return value if isinstance(value, torch.Tensor) else value.load()


def flatten(module: Instance) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A module's parameters and buffers by dotted name, as ``state_dict()`` would list them, and each submodule's plain attributes."""
    tensors: dict[str, Any] = {}
    attributes: dict[str, dict[str, Any]] = {}
    queue = [("", module)]
    while queue:
        prefix, node = queue.pop()
        if len(attributes) > MAX_MODULES or len(prefix) > MAX_PREFIX:
            raise DamagedFileError("The file's network has more parts than any StyleGAN2; it is refused.")
        state = node.state
        attributes[prefix.rstrip(".")] = {k: v for k, v in state.items() if not k.startswith("_") or k == "_init_kwargs"}
        for group in ("_parameters", "_buffers"):
            tensors.update({f"{prefix}{k}": t for k, v in _table(state, group).items() if (t := tensor_in(v)) is not None})
        queue += [(f"{prefix}{k}.", v) for k, v in _table(state, "_modules").items() if isinstance(v, Instance)]
    return tensors, attributes


def _table(state: dict[str, Any], key: str) -> dict[str, Any]:
    table = state.get(key) or {}
    if not isinstance(table, dict):
        raise DamagedFileError("The file's network is not built of parameters, buffers and modules; it is damaged.")
    return table


def under(tensors: dict[str, Any], signature: str) -> list[tuple[str, dict[str, Any]]]:
    """The parts of ``tensors`` that hold the key ``signature``: each prefix with its keys, prefix removed."""
    prefixes = [k[: -len(signature)] for k in tensors if k.endswith(signature)]
    prefixes = sorted((p for p in prefixes if not p or p.endswith(".")), key=rank)
    return [(p, {k[len(p) :]: v for k, v in tensors.items() if k.startswith(p)}) for p in prefixes[:8]]
