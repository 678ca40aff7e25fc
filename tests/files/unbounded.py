"""Small pickle streams whose calls, keys, names or shapes would grow without a bound, each by one way in."""

from __future__ import annotations

import struct

HEAD, END = b"\x80\x04", b"."
NONE, EMPTY_TUPLE, POP, MEMOIZE, REDUCE, BUILD = b"N", b")", b"0", b"\x94", b"R", b"b"


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def one(value: bytes) -> bytes:
    return value + b"\x85"


def pair(a: bytes, b: bytes) -> bytes:
    return a + b + b"\x86"


def many(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def call(function: bytes, *args: bytes) -> bytes:
    return function + many(*args) + REDUCE


MODULE = named("torch.nn.modules.linear", "Linear") + EMPTY_TUPLE + b"\x81"
DEEP = EMPTY_TUPLE + b"\x85" * 100_000  # a tuple in a tuple in a tuple
LONG = many(*[number(1)] * 60_000)
TABLE = b"}(" + b"".join(text(str(i)) + NONE for i in range(60_000)) + b"u"
# 2 ** 200 values in 200 tuples: whoever prints or compares them never ends.
PAIRED = EMPTY_TUPLE + MEMOIZE + b"".join(POP + pair(get(i), get(i)) + MEMOIZE for i in range(200))
FIRST = text("a" * 128) + MEMOIZE


def doubling(function: bytes) -> bytes:
    """A call with twice its own result, sixty times: 128 * 2 ** 60 characters."""
    return FIRST + b"".join(POP + call(function, get(i), get(i)) + MEMOIZE for i in range(60))


def repeated(value: bytes, use: bytes) -> bytes:
    """A large value that is used over and over."""
    return value + MEMOIZE + POP + (use + POP) * 20_000 + NONE


def nested_calls() -> bytes:
    """One instruction that calls a call that calls a call: 20,000 deep."""
    maker = named("torch._tensor", "_rebuild_from_type_v2") + MEMOIZE + POP
    inner = EMPTY_TUPLE + MEMOIZE + b"".join(POP + many(get(0), NONE, get(i + 1), NONE) + MEMOIZE for i in range(20_000))
    return maker + inner + POP + get(0) + get(20_001) + REDUCE


def array(shape: bytes, content: bytes = b"C\x00") -> bytes:
    dtype = call(named("numpy", "dtype"), text("f4"))
    return call(named("numpy.core.multiarray", "_reconstruct")) + many(number(1), shape, dtype, b"\x89", content) + BUILD


LARGEST = b"\x8a\x20" + b"\xff" * 31 + b"\x7f"  # 2 ** 255 - 1
STREAMS = {
    "build_deep_key": MODULE + pair(b"]" + pair(DEEP, NONE) + b"a", NONE) + BUILD,
    "build_slots": MODULE + pair(NONE, b"]" + pair(DEEP, NONE) + b"a") + BUILD,
    "build_text": MODULE + text("abcdef") + BUILD,
    "doubling_path": doubling(named("pathlib", "PosixPath")),
    "doubling_device": doubling(named("torch", "device")),
    "printed_text": call(named("torch", "device"), PAIRED),
    "printed_text_deep": call(named("torch", "device"), DEEP),
    "printed_codec": call(named("_codecs", "encode"), text("x"), PAIRED),
    "printed_codec_deep": call(named("_codecs", "encode"), text("x"), DEEP),
    "printed_type": call(named("torch._utils", "_rebuild_tensor_v3"), *[NONE] * 6, PAIRED),
    "printed_key": many(text("storage"), named("torch", "FloatStorage"), PAIRED, text("cpu"), number(1)) + b"Q",
    "printed_class": call(named("torch_utils.persistence", "_reconstruct_persistent_obj"), PAIRED),
    "compared_bytes": call(named("builtins", "bytes"), PAIRED),
    "compared_keywords": named("argparse", "Namespace") + EMPTY_TUPLE + PAIRED + b"\x92",
    "long_keys": LONG + MEMOIZE + POP + b"}(" + (get(0) + NONE) * 60_000 + b"u",
    "long_members": LONG + MEMOIZE + POP + b"\x8f(" + get(0) * 60_000 + b"\x90",
    "copied_dict": repeated(TABLE, one(get(0)).join([named("collections", "OrderedDict"), REDUCE])),
    "copied_state": repeated(TABLE, MODULE + get(0) + BUILD),
    "copied_set": repeated(LONG, named("builtins", "set") + one(get(0)) + REDUCE),
    "copied_size": repeated(LONG, named("torch", "Size") + one(get(0)) + REDUCE),
    "long_call": repeated(LONG, named("argparse", "Namespace") + get(0) + REDUCE),
    "nested_calls": nested_calls(),
    "shape_product": array(many(*[LARGEST] * 5_000)),
    "shape_large": array(many(LARGEST)),
    "shape_of_text": array(many(number(1 << 30)), b"X" + struct.pack("<I", 5000) + b"a" * 5000),
    "axes": call(named("numpy.core.numeric", "_frombuffer"), b"C\x00", NONE, LONG, text("K"), LONG),
    "no_storage": call(named("torch.storage", "TypedStorage"), NONE, NONE),
    "long_name": b"\x8d" + struct.pack("<Q", 4000) + b"a." * 2000 + MEMOIZE + text("Linear") + b"\x93",
    "dtype_text": call(named("numpy", "dtype"), LONG),
}


def write(folder) -> None:
    """One file a stream, alone and as the value of a dict."""
    for name, stream in STREAMS.items():
        (folder / f"unbounded_{name}.pkl").write_bytes(HEAD + stream + END)
