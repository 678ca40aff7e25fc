"""The only names a checkpoint may mention, and the plain values they become. No name is ever imported."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from .errors import DamagedFileError, UnsafeFileError
from .values import MAX_DIMENSIONS, Array, Blob, Dtype, Global, Instance, Storage, TensorRef

MAX_NAME = 300  # characters of a module and a name in it
MAX_PARTS = 16
MAX_JOINED = 4096

STORAGES: dict[str, torch.dtype | None] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": None,
}
TORCH_DTYPES = {str(d).split(".")[1]: d for d in STORAGES.values() if d is not None}
NUMPY_DTYPES = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "b1": torch.bool,
}
OBJECTS = "O"  # an array of Python values
BUILTINS = ("__builtin__", "builtins")  # of Python 2 and 3
# Classes of StyleGAN2 networks that torch.save writes as whole modules; only their attributes are kept.
_NETWORK_MODULE = re.compile(
    r"(?:\w+\.)*(?:model|models|op|ops|fused_act|upfirdn2d|stylegan2(?:ada)?(?:_model|_generator|_discriminator)?|networks|generator)"
)
_NETWORK_CLASSES = frozenset(
    "Generator Discriminator PixelNorm EqualConv2d EqualLinear ScaledLeakyReLU ConstantInput StyledConv ModulatedConv2d"
    " NoiseInjection ToRGB Blur Upsample Downsample FusedLeakyReLU ConvLayer ResBlock StyleGAN2Generator"
    " StyleGAN2Discriminator StyleGAN2ADAGenerator StyleGAN2ADADiscriminator"
    " MappingModule TruncationModule SynthesisModule PixelNormLayer NormalizeLayer UpsamplingLayer"
    " InputBlock ConvBlock ModulateConvBlock DenseBlock".split()
)
_TORCH_LAYER = re.compile(r"torch\.nn\.modules\.\w+|torch\.nn\.parallel\.data_parallel|__torch__(?:\.\w+)*")


def resolve(module: str, name: str) -> Global:
    """Return the mark for ``module.name``, or raise UnsafeFileError if it is not on the list."""
    if len(module) + len(name) > MAX_NAME or not _is_known(module, name):
        raise UnsafeFileError(
            f"The file asks Python for {_printable(f'{module}.{name}')}, which is not part of any supported checkpoint."
            " Nothing of it was executed."
        )
    return Global(module, name)


def _is_known(module: str, name: str) -> bool:
    return (module, name) in CONSTRUCTORS or _is_storage(module, name) or _is_dtype(module, name) or _is_layer(module, name)


def apply(machine: Any, function: Global, args: tuple) -> Any:
    """Return the plain value that the call ``function(*args)`` stands for; its arguments are drawn from the machine's budget."""
    machine.budget.copy(args)
    constructor = CONSTRUCTORS.get((function.module, function.name))
    if constructor is None and _is_layer(function.module, function.name):
        return Instance(function.module, function.name, args)
    if constructor is None:
        raise UnsafeFileError(f"The file calls {_printable(str(function))}, which holds data only. Nothing of it was executed.")
    return constructor(machine, *args)


def build(machine: Any, target: Any, state: Any) -> None:
    """Give ``target`` the attributes that the file keeps for it."""
    if type(target) is Instance:
        _give(machine, target, state)
    elif type(target) is Array and type(_parts(state)[2]) is Dtype and state[2].code.startswith(OBJECTS):
        target.shape, target.items = _object_array(*state[1:])
    elif type(target) is Array:
        target.ref = _array(machine, *_parts(state)[1:])
    elif type(target) is Dtype:
        target.order = _short_text(_parts(state)[1])
    elif type(target) is not dict:
        raise TypeError


def _give(machine: Any, target: Instance, state: Any) -> None:
    """Attributes as a dict, whose keys the machine has checked, or such a dict and a second one of slots, which is left."""
    if type(state) is tuple and len(state) == 2:
        state = state[0] or {}
    if type(state) is not dict:
        raise TypeError
    machine.budget.copy(state)
    target.state.update(state)


def _parts(value: Any) -> tuple:
    """A short tuple: what a call takes apart."""
    if type(value) not in (tuple, list) or len(value) > MAX_PARTS:
        raise TypeError
    return tuple(value)


def _numbers(value: Any) -> tuple[int, ...]:
    """A shape, a stride, an order of axes."""
    if type(value) not in (tuple, list) or len(value) > MAX_DIMENSIONS or not all(type(n) is int for n in value):
        raise DamagedFileError("The file describes a tensor whose shape makes no sense; it is damaged.")
    return tuple(value)


def _short_text(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_PARTS:
        raise TypeError
    return value


def storage_type(mark: Any) -> torch.dtype | None:
    """The element type that a storage mark stands for; None is untyped bytes."""
    if type(mark) is not Global or not _is_storage(mark.module, mark.name):
        raise TypeError
    return STORAGES[mark.name]


def _printable(name: str) -> str:
    return ascii(name)[1:-1][:120]


def _is_storage(module: str, name: str) -> bool:
    return name in STORAGES and module in ("torch", "torch.storage", "torch.cuda")


def _is_dtype(module: str, name: str) -> bool:
    return module == "torch" and name in TORCH_DTYPES


def _is_layer(module: str, name: str) -> bool:
    if _TORCH_LAYER.fullmatch(module):
        return name.isidentifier() and name[0].isupper()
    return name in _NETWORK_CLASSES and _NETWORK_MODULE.fullmatch(module) is not None


def _dictionary(machine: Any, items: Any = ()) -> dict:
    if type(items) not in (dict, list, tuple):
        raise TypeError
    machine.budget.copy(items)
    if type(items) is dict:
        return dict(items)
    if not all(type(item) in (list, tuple) and len(item) == 2 and type(item[0]) in (str, int) for item in items):
        raise TypeError
    return dict(items)


def _set(machine: Any, items: Any = ()) -> set:
    if type(items) not in (list, tuple, set, frozenset):
        raise TypeError
    machine.budget.copy(items)
    if not all(type(item) in (str, int, float, bool) for item in items):
        raise TypeError
    return set(items)


def _joined(between: str, parts: tuple) -> str:
    """Text of a few words, none of which may be text of the same kind that grew: the sum is bounded, so nothing doubles."""
    if len(parts) > MAX_PARTS or not all(type(p) in (str, int) for p in parts):
        raise TypeError
    words = [str(p) for p in parts]
    if sum(map(len, words)) > MAX_JOINED:
        raise ValueError
    return between.join(words)


def _encode(machine: Any, text: Any, encoding: Any = "latin1") -> Blob:
    if encoding not in ("latin1", "latin-1"):
        named = _printable(encoding) if type(encoding) is str else "that it names"
        raise UnsafeFileError(f"The file asks for the codec {named}, which no checkpoint needs. It was not run.")
    if type(text) is Blob:
        return text
    return Blob(memoryview(_latin(machine, text)))


def _latin(machine: Any, text: Any) -> bytes:
    """The bytes that protocol 2 wrote as text."""
    if type(text) is not str:
        raise TypeError
    machine.budget.spend(len(text))
    return text.encode("latin-1")


def _byte_run(machine: Any, content: Any = b"", encoding: Any = "latin1") -> Blob:
    if type(content) is Blob:
        return content
    if type(content) in (bytes, tuple) and not content:
        return Blob(memoryview(b""))
    return _encode(machine, content, encoding)


def _persistent_object(machine: Any, meta: Any) -> Instance:
    if type(meta) is not dict or meta.get("type") != "class" or type(meta["class_name"]) is not str or type(meta["state"]) is not dict:
        raise TypeError
    return Instance("torch_utils.persistence", meta["class_name"], (), meta["state"])


def _nested_storage(machine: Any, content: Any) -> Storage:
    if machine.unwrap is None:
        raise UnsafeFileError("The file nests one file in another more than once, which no checkpoint does. Nothing of it was executed.")
    return machine.unwrap(content)


def _typed_storage(machine: Any, *args: Any) -> Storage:
    storage = next((a for a in args if type(a) is Storage), None)
    if storage is None:
        raise TypeError
    return storage


def _tensor(machine: Any, storage: Any, offset: int, shape: Any, stride: Any, *rest: Any) -> TensorRef:
    if type(storage) is not Storage or storage.dtype is None:
        raise TypeError
    return TensorRef(storage, storage.dtype, _numbers(shape), _numbers(stride), offset)


def _tensor_with_type(
    machine: Any, storage: Any, offset: int, shape: Any, stride: Any, grad: Any, hooks: Any, kind: Any, *_: Any
) -> TensorRef:
    if type(storage) is not Storage or type(kind) is not Global or not _is_dtype(kind.module, kind.name):
        raise TypeError
    return TensorRef(storage, TORCH_DTYPES[kind.name], _numbers(shape), _numbers(stride), offset)


def _parameter(machine: Any, data: Any, *rest: Any) -> TensorRef:
    if type(data) is not TensorRef:
        raise TypeError
    return data


def _tensor_with_attributes(machine: Any, function: Any, kind: Any, args: Any, state: Any) -> Any:
    """A tensor whose attributes are left; ``function`` must be a plain maker of tensors, so that calls do not nest."""
    maker = CONSTRUCTORS.get((function.module, function.name)) if type(function) is Global else None
    if maker is None or maker not in (_tensor, _tensor_with_type, _parameter):
        raise TypeError
    return maker(machine, *_parts(args))


def _dtype(machine: Any, code: Any, *rest: Any) -> Dtype:
    code = _short_text(code)
    order = code[0] if code[0] in "<>=|" else "<"
    code = code.lstrip("<>=|")
    if code not in NUMPY_DTYPES and code not in (OBJECTS, OBJECTS + "8"):
        raise UnsafeFileError(
            f"The file holds a numpy array of type {_printable(code)}; only plain numbers are read. Nothing of it was executed."
        )
    return Dtype(code, order)


def _object_array(shape: Any, dtype: Dtype, fortran: Any, content: Any) -> tuple[tuple[int, ...], list[Any]]:
    """An array of plain values, as ``numpy.save`` writes a dict or an uneven list; each value was built by these same rules."""
    shape = _numbers(shape)
    if type(content) is not list or min(shape, default=0) < 0 or math.prod(shape) != len(content):
        raise DamagedFileError("The file describes a numpy array but does not hold its values; it is damaged.")
    return shape, content


def _array(machine: Any, shape: Any, dtype: Any, fortran: Any, content: Any) -> TensorRef:
    if type(dtype) is not Dtype:
        raise TypeError
    shape = _numbers(shape)
    blob = content if type(content) is Blob else Blob(memoryview(_latin(machine, content)))
    kind = NUMPY_DTYPES[dtype.code]
    size = math.prod(shape) * kind.itemsize
    fewest = (len(blob) + 1) // 2 if blob.text else len(blob)  # as text, a byte takes one or two
    if min(shape, default=0) < 0 or not fewest <= size <= len(blob):
        raise DamagedFileError("The file describes a numpy array but does not hold its numbers; it is damaged.")
    storage = Storage(kind, math.prod(shape), blob, swap=dtype.order == ">")
    return TensorRef(storage, kind, shape, strides(shape, fortran is True or fortran == 1))


def strides(shape: tuple[int, ...], fortran: bool) -> tuple[int, ...]:
    """Steps from number to number along each axis, of an array that is stored whole; ``fortran``: by columns."""
    return tuple(math.prod(shape[:i] if fortran else shape[i + 1 :]) for i in range(len(shape)))


def _buffer_array(machine: Any, content: Any, dtype: Any, shape: Any, order: Any = "C", axes: Any = None) -> Array:
    ref = _array(machine, shape, dtype, order == "F", content)
    if order == "K" and axes is not None:
        axes = _numbers(axes)
        if sorted(axes) != list(range(len(ref.shape))):
            raise ValueError
        ref = replace(ref, shape=tuple(ref.shape[a] for a in axes), stride=tuple(ref.stride[a] for a in axes))
    return Array(ref)


def _scalar(machine: Any, dtype: Any, content: Any) -> Any:
    return _array(machine, (1,), dtype, False, content).load()[0].item()


CONSTRUCTORS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent_object,
    ("dnnlib.tflib.network", "Network"): lambda machine, *args: Instance("dnnlib.tflib.network", "Network"),
    ("dnnlib.util", "EasyDict"): _dictionary,
    ("easydict", "EasyDict"): _dictionary,
    ("collections", "OrderedDict"): _dictionary,
    ("collections", "Counter"): _dictionary,
    ("collections", "defaultdict"): lambda machine, factory=None: {},
    **{(module, "dict"): _dictionary for module in BUILTINS},
    **{(module, "set"): _set for module in BUILTINS},
    ("builtins", "frozenset"): _set,
    **{(module, name): _byte_run for module in BUILTINS for name in ("bytearray", "bytes")},
    ("_codecs", "encode"): _encode,
    ("argparse", "Namespace"): lambda machine, *args: Instance("argparse", "Namespace"),
    **{("pathlib", name): lambda machine, *parts: _joined("/", parts) for name in ("PosixPath", "WindowsPath", "PurePosixPath")},
    ("torch", "Size"): lambda machine, sizes=(): _numbers(sizes),
    ("torch", "device"): lambda machine, *parts: _joined(":", parts),
    ("torch", "Tensor"): _parameter,
    ("torch.nn.parameter", "Parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _nested_storage,
    ("torch.storage", "TypedStorage"): _typed_storage,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_with_type,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _tensor_with_attributes,
    **{
        ("torch.jit._pickle", name): lambda machine, value, *rest: value
        for name in ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag")
    },
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): lambda machine, *args: Array(),
    **{(f"{root}.multiarray", "scalar"): _scalar for root in ("numpy.core", "numpy._core")},
    **{(f"{root}.multiarray", "_reconstruct"): lambda machine, *args: Array() for root in ("numpy.core", "numpy._core")},
    **{(f"{root}.numeric", "_frombuffer"): _buffer_array for root in ("numpy.core", "numpy._core")},
}
