"""From a file to a tree of plain values: safetensors, zip and old torch files, plain pickles."""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch

from . import archive, arrays, strangers
from .budget import Budget, border
from .errors import CheckpointError, DamagedFileError, MissingFileError, UnsupportedFileError, advising
from .machine import Machine
from .names import storage_type
from .values import Array, Blob, Global, Instance, Storage, TensorRef

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
MAX_DEPTH = 100
MAX_NODES = 2_000_000
MAX_HEADER = 16_000_000  # bytes; the largest published checkpoints need one tenth of it
MAX_TENSORS = 50_000
MAX_METADATA = 1 << 20  # characters of our own JSON


@dataclass(frozen=True)
class Contents:
    """What a file holds: its container, its values and (safetensors only) its metadata."""

    container: str
    tree: Any
    metadata: dict[str, str]


def read_contents(path: str | Path, supported: str = "") -> Contents:
    """Read ``path`` into plain values without executing anything; tensors stay in the file as :class:`TensorRef`.

    ``supported``: a sentence that a refusal of the file's kind ends with.
    """
    path = Path(path)
    require(path)
    with border(path.name), advising(supported):
        return _read(path, _map(path))


def _read(path: Path, view: memoryview) -> Contents:
    head, budget = bytes(view[:512]), Budget(len(view))
    if _looks_like_safetensors(head, len(view)):
        with opened(path) as file:
            return Contents("safetensors", {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {}))
    if arrays.is_npz(head):
        container, tree = "npz", arrays.read_npz(path, view, budget)
    elif head[:6] == arrays.MAGIC:
        container, tree = "npy", arrays.read_npy(view, budget)
    elif head[:4] == b"PK\x03\x04":
        container, tree = _read_zip(view, budget)
    elif head[:1] == b"\x80":
        container, tree = _read_pickles(view, budget)
    else:
        raise UnsupportedFileError(f"{path.name} is {strangers.kind(head, bytes(view[257:262]))}.")
    return Contents(container, settle(tree, budget), {})


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


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as safetensors sees it; what that library raises becomes DamagedFileError.

    Its table of contents is measured first: the library would take any up to 100 MB apart into many times that.
    """
    with border(path.name):
        _check_name(path)
        _check_table(path)
        with safetensors.safe_open(path, framework="pt") as file:
            if len(file.keys()) > MAX_TENSORS:
                raise DamagedFileError(f"{path.name} lists more than {MAX_TENSORS:,} tensors, far more than any checkpoint; it is refused.")
            yield file


def _check_name(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise CheckpointError(f"{ascii(path.name)} has a name that is not in UTF-8, which safetensors cannot open; rename it.") from None


def _check_table(path: Path) -> None:
    with open(path, "rb") as file:
        head = file.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    if length > MAX_HEADER:
        raise DamagedFileError(f"{path.name} declares a table of contents of {length:,} bytes; it is damaged, or not a safetensors file.")


def _read_pickles(view: memoryview, budget: Budget) -> tuple[str, Any]:
    first = Machine(view, budget=budget, unwrap=_unwrapper(budget))
    value = first.read()
    if type(value) is int and value == TORCH_MAGIC:
        return "torch legacy", _read_legacy(view, first.position, budget)
    return "pickle", value


def _read_legacy(view: memoryview, position: int, budget: Budget, *, nested: bool = False) -> Any:
    """torch.save before 1.6: five pickles, then the storages one after another."""
    position = _check_legacy_header(view, position, budget)
    storages: dict[str, Storage] = {}
    unwrap = None if nested else _unwrapper(budget)
    main = Machine(view, position, budget=budget, persistent=lambda key: _remember(key, storages), unwrap=unwrap)
    tree = main.read()
    names = Machine(view, main.position, budget=budget)
    keys = names.read()
    _fill(view, names.position, keys, storages)
    return tree


def _check_legacy_header(view: memoryview, position: int, budget: Budget) -> int:
    protocol = Machine(view, position, budget=budget)
    version = protocol.read()
    if type(version) is not int or version != 1001:
        raise DamagedFileError("The file is of an unknown version of PyTorch's format.")
    system = Machine(view, protocol.position, budget=budget)
    machine = system.read()
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise UnsupportedFileError("The file was written on a big-endian machine; save it again on an ordinary one.")
    return system.position


def _remember(key: Any, storages: dict[str, Storage]) -> Any:
    """Resolve a persistent id: ``("storage", type, key, device, count[, view])``, or ``("module", class, source...)``."""
    parts = list(key) if type(key) is tuple else []
    if len(parts) > 1 and type(parts[0]) is str and parts[0] == "module":
        return parts[1]
    if len(parts) not in (5, 6) or parts[0] != "storage" or type(parts[4]) is not int or parts[4] < 0:
        raise DamagedFileError("The file describes its numbers in an unknown way; it is damaged.")
    if type(parts[2]) not in (str, int):
        raise DamagedFileError("The file gives a run of numbers no name; it is damaged.")
    name, dtype = str(parts[2]), storage_type(parts[1])
    base = storages.setdefault(name, Storage(dtype, parts[4]))
    if base.dtype != dtype:
        raise DamagedFileError("The file gives one run of numbers two types; it is damaged.")
    if len(parts) == 6 and parts[5] is not None:
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


def _unwrapper(budget: Budget) -> Callable[[Any], Storage]:
    """The storage inside ``torch.storage._load_from_bytes(content)``: read by the same rules and from the same budget, one level deep."""

    def unwrap(content: Any) -> Storage:
        if type(content) is not Blob:
            raise DamagedFileError("The file nests something that is not a file; it is damaged.")
        if content.unwrapped is None:
            content.unwrapped = _unwrapped(content, budget)
        return content.unwrapped

    return unwrap


def _unwrapped(content: Blob, budget: Budget) -> Storage:
    budget.spend(len(content) if content.text else 0)
    view = content.view()
    first = Machine(view, budget=budget)
    magic = first.read()
    if type(magic) is not int or magic != TORCH_MAGIC:
        raise DamagedFileError("The file nests a file of another kind in it; it is damaged.")
    storage = _read_legacy(view, first.position, budget, nested=True)
    if type(storage) is not Storage or storage.blob is None:
        raise DamagedFileError("The file nests a file that holds no numbers; it is damaged.")
    if content.text:
        storage.start, storage.blob = len(view) - len(storage.blob), content
    return storage


def _read_zip(view: memoryview, budget: Budget) -> tuple[str, Any]:
    records = archive.records(view)
    if "data.pkl" not in records:
        raise UnsupportedFileError(f"The file is {strangers.kind_of_zip(list(records))}.")
    if "byteorder" in records and bytes(records["byteorder"].view()[:8]) != b"little":
        raise UnsupportedFileError("The file was written on a big-endian machine; save it again on an ordinary one.")
    storages: dict[str, Storage] = {}
    pickle, unwrap = records["data.pkl"].view(), _unwrapper(budget)
    tree = Machine(pickle, budget=budget, persistent=lambda key: _remember(key, storages), unwrap=unwrap).read()
    for key, storage in storages.items():
        record = records.get(f"data/{key}")
        if record is None or len(record) < storage.count * storage.itemsize:
            raise DamagedFileError("The file does not hold all of its numbers; it is truncated or damaged.")
        storage.blob = record
    return "TorchScript" if any(name.startswith("code/") for name in records) else "torch zip", tree


def settle(tree: Any, budget: Budget) -> Any:
    """Refuse cycles, bottomless nesting, trees that unfold without end, and tensors that overlap to more than the file; return ``tree``."""
    weights: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[tuple[Any, Iterator | None]] = [(tree, None)]
    while stack:
        node, children = stack.pop()
        if children is None:
            if id(node) in weights:
                continue
            if not isinstance(node, (dict, list, tuple, set, frozenset, Instance, Array)):
                if isinstance(node, TensorRef):
                    budget.spend(node.size)  # what it takes once it is copied: tensors may share their numbers, but not without end
                weights[id(node)] = 1
                continue
            if id(node) in open_nodes or len(open_nodes) > MAX_DEPTH:
                raise DamagedFileError("The file's data contain themselves or are nested without end; this is not a checkpoint.")
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
        return [node.ref, *(node.items or ())]
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
    if isinstance(node, (type(None), bool, int, float, str, torch.Tensor)):
        return node
    return str(node) if isinstance(node, Global) else type(node).__name__


def parse_json(text: str) -> Any:
    """Parse metadata, or raise DamagedFileError; no file of ours comes near the limit of a million characters."""
    try:
        if len(text) > MAX_METADATA:
            raise ValueError
        return json.loads(text)
    except (ValueError, RecursionError, MemoryError) as e:
        raise DamagedFileError("The file's metadata are not valid JSON, or too long; it is damaged.") from e
