"""From a file to a tree of plain values: safetensors, zip and old torch files, plain pickles."""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch

from . import archive, arrays, strangers
from .errors import SUPPORTED, CheckpointError, DamagedFileError, MissingFileError, UnsupportedFileError
from .machine import Machine
from .names import storage_type
from .values import Array, Blob, Instance, Storage, TensorRef

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
MAX_DEPTH = 100
MAX_NODES = 2_000_000
MAX_HEADER = 100_000_000


@dataclass(frozen=True)
class Contents:
    """What a file holds: its container, its values and (safetensors only) its metadata."""

    container: str
    tree: Any
    metadata: dict[str, str]


def read_contents(path: str | Path) -> Contents:
    """Read ``path`` into plain values without executing anything; tensors stay in the file as :class:`TensorRef`."""
    path = Path(path)
    require(path)
    view = _map(path)
    head = bytes(view[:512])
    if _looks_like_safetensors(head, len(view)):
        return _read_safetensors(path)
    if arrays.is_npz(head):
        container, tree = "npz", arrays.read_npz(path)
    elif head[:6] == arrays.MAGIC:
        container, tree = "npy", arrays.read_npy(view)
    elif head[:4] == b"PK\x03\x04":
        container, tree = _read_zip(view)
    elif head[:1] == b"\x80":
        container, tree = _read_pickles(view)
    else:
        raise UnsupportedFileError(f"{path.name} is {strangers.kind(head, bytes(view[257:262]))}. {SUPPORTED}.")
    return Contents(container, settle(tree), {})


def require(path: Path) -> None:
    """Raise MissingFileError where there is no file, or a folder in its place."""
    if path.is_dir():
        raise MissingFileError(f"{path} is a folder; name the file in it.")
    if not path.is_file():
        raise MissingFileError(f"There is no file {path}.")


def _map(path: Path) -> memoryview:
    """The file's bytes, mapped privately: nothing is copied, and nothing can be written back."""
    try:
        with open(path, "rb") as file:
            if not path.stat().st_size:
                raise DamagedFileError(f"{path.name} is empty. Download it again.")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except OSError as e:
        raise CheckpointError(f"{path} could not be opened ({e.strerror}).") from e


def _looks_like_safetensors(head: bytes, size: int) -> bool:
    return len(head) > 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= max(size, MAX_HEADER)


def _read_safetensors(path: Path) -> Contents:
    with opened(path) as file:
        return Contents("safetensors", {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {}))


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as safetensors sees it; what that library raises becomes DamagedFileError."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except CheckpointError:
        raise
    except (safetensors.SafetensorError, ValueError, RuntimeError, KeyError, AttributeError, TypeError, OSError) as e:
        raise DamagedFileError(f"{path.name} is damaged, or not a safetensors file ({_first_line(e)}). Download it again.") from e


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text metadata of a safetensors file, read from its header alone; raises DamagedFileError or MissingFileError."""
    path = Path(path)
    require(path)
    with opened(path) as file:
        return dict(file.metadata() or {})


def _read_pickles(view: memoryview) -> tuple[str, Any]:
    first = Machine(view, unwrap=_unwrap)
    value = first.read()
    if type(value) is int and value == TORCH_MAGIC:
        return "torch legacy", _read_legacy(view, first.position)
    return "pickle", value


def _read_legacy(view: memoryview, position: int, *, nested: bool = False) -> Any:
    """torch.save before 1.6: five pickles, then the storages one after another."""
    position = _check_legacy_header(view, position)
    storages: dict[str, Storage] = {}
    main = Machine(view, position, persistent=lambda key: _remember(key, storages), unwrap=None if nested else _unwrap)
    tree = main.read()
    names = Machine(view, main.position)
    keys = names.read()
    _fill(view, names.position, keys, storages)
    return tree


def _check_legacy_header(view: memoryview, position: int) -> int:
    protocol = Machine(view, position)
    if protocol.read() != 1001:
        raise DamagedFileError("The file is of an unknown version of PyTorch's format.")
    system = Machine(view, protocol.position)
    if system.read().get("little_endian") is not True:
        raise UnsupportedFileError("The file was written on a big-endian machine; save it again on an ordinary one.")
    return system.position


def _remember(key: Any, storages: dict[str, Storage]) -> Any:
    """Resolve a persistent id: ``("storage", type, key, device, count[, view])``, or ``("module", class, source...)``."""
    if type(key) is tuple and key[:1] == ("module",):
        return key[1]
    if type(key) is not tuple or len(key) not in (5, 6) or key[0] != "storage" or type(key[4]) is not int or key[4] < 0:
        raise DamagedFileError("The file describes its numbers in an unknown way; it is damaged.")
    name, dtype = str(key[2]), storage_type(key[1])
    base = storages.setdefault(name, Storage(dtype, key[4]))
    if base.dtype != dtype:
        raise DamagedFileError("The file gives one run of numbers two types; it is damaged.")
    if len(key) == 6 and key[5] is not None:
        raise UnsupportedFileError("The file was written by a PyTorch older than 0.4; load and save it again with a newer one.")
    return base


def _fill(view: memoryview, position: int, keys: Any, storages: dict[str, Storage]) -> None:
    if type(keys) is not list or not all(type(k) is str for k in keys):
        raise DamagedFileError("The file does not list its numbers; it is damaged.")
    for key in keys:
        storage = storages.get(key)
        count = struct.unpack("<q", view[position : position + 8])[0] if position + 8 <= len(view) else -1
        size = count * storage.itemsize if storage else -1
        if storage is None or count != storage.count or position + 8 + size > len(view):
            raise DamagedFileError("The file ends before its last numbers, or they do not fit its description; download it again.")
        storage.blob = Blob(view[position + 8 : position + 8 + size])
        position += 8 + size


def _unwrap(content: Blob) -> Storage:
    """The storage inside ``torch.storage._load_from_bytes(content)``: read by the same rules, one level deep."""
    if type(content) is not Blob:
        raise DamagedFileError("The file nests a file that is none; it is damaged.")
    if content.unwrapped is None:
        content.unwrapped = _unwrapped(content)
    return content.unwrapped


def _unwrapped(content: Blob) -> Storage:
    view = content.view()
    first = Machine(view)
    if first.read() != TORCH_MAGIC:
        raise DamagedFileError("The file nests a file of another kind in it; it is damaged.")
    storage = _read_legacy(view, first.position, nested=True)
    if type(storage) is not Storage or storage.blob is None:
        raise DamagedFileError("The file nests a file that holds no numbers; it is damaged.")
    if content.text:
        storage.start, storage.blob = len(view) - len(storage.blob), content
    return storage


def _read_zip(view: memoryview) -> tuple[str, Any]:
    records = archive.records(view)
    if "data.pkl" not in records:
        raise UnsupportedFileError(f"The file is {strangers.kind_of_zip(list(records))}. {SUPPORTED}.")
    if "byteorder" in records and bytes(records["byteorder"].view()[:8]) != b"little":
        raise UnsupportedFileError("The file was written on a big-endian machine; save it again on an ordinary one.")
    storages: dict[str, Storage] = {}
    tree = Machine(records["data.pkl"].view(), persistent=lambda key: _remember(key, storages), unwrap=_unwrap).read()
    for key, storage in storages.items():
        record = records.get(f"data/{key}")
        if record is None or len(record) < storage.count * storage.itemsize:
            raise DamagedFileError("The file does not hold all of its numbers; it is truncated or damaged.")
        storage.blob = record
    return "TorchScript" if any(name.startswith("code/") for name in records) else "torch zip", tree


def settle(tree: Any) -> Any:
    """Refuse cycles, bottomless nesting and trees that unfold without end; return ``tree``."""
    weights: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[tuple[Any, Iterator | None]] = [(tree, None)]
    while stack:
        node, children = stack.pop()
        if children is None:
            if id(node) in weights or not isinstance(node, (dict, list, tuple, set, frozenset, Instance, Array)):
                continue
            if id(node) in open_nodes or len(open_nodes) > MAX_DEPTH:
                raise DamagedFileError("The file's data contain themselves or are nested without end; that is no checkpoint.")
            open_nodes.add(id(node))
            children = iter(_children(node))
        child = next(children, stack)
        if child is not stack:
            stack += [(node, children), (child, None)]
            continue
        open_nodes.discard(id(node))
        weights[id(node)] = 1 + sum(weights.get(id(c), 1) for c in _children(node))
        if weights[id(node)] > MAX_NODES:
            raise DamagedFileError("The file's data unfold into more values than any checkpoint has; it is refused.")
    return tree


def _children(node: Any) -> list:
    if isinstance(node, dict):
        return list(node.values())
    if isinstance(node, Instance):
        return [*node.args, *node.state.values()]
    if isinstance(node, Array):
        return node.items or []
    return list(node)


def plain(node: Any, seen: dict[int, Any] | None = None) -> Any:
    """Replace the inert values by ordinary ones: tensors by torch.Tensor, objects by dicts of their attributes.

    What the file shares stays shared, so that the result is no larger than the file.
    """
    seen = {} if seen is None else seen
    if id(node) not in seen:
        seen[id(node)] = _plain(node, seen)
    return seen[id(node)]


def _plain(node: Any, seen: dict[int, Any]) -> Any:
    if isinstance(node, dict):
        return {key: plain(value, seen) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)([plain(value, seen) for value in node])
    if isinstance(node, (set, frozenset)):
        return sorted(node, key=str)
    if isinstance(node, Instance):
        return plain(node.state, seen)
    if isinstance(node, Array):
        return plain(arrays.content(node), seen)
    if isinstance(node, TensorRef):
        return node.load()
    if isinstance(node, Blob):
        return node.string() if node.text else bytes(node.view())
    return node if isinstance(node, (type(None), bool, int, float, str, torch.Tensor)) else str(node)


def parse_json(text: str) -> Any:
    """Parse metadata, or raise DamagedFileError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DamagedFileError("The file's metadata are not valid JSON; it is damaged.") from e
