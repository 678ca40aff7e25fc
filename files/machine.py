"""A reader of pickle streams that cannot execute anything.

Python's own unpickler imports and calls what a file names. This one is a table of the data opcodes over a mapped file: names become
inert :class:`~.values.Global` marks, calls are looked up in a fixed table of constructors for plain data (:mod:`.names`), and every
declared length is compared with what the file holds before anything is allocated. Large byte runs are not copied. Every instruction
and every call draws on one :class:`~.budget.Budget`; nothing recurses, and no value is hashed, compared or printed before its kind and
length are known. Opcodes: PEP 307, PEP 3154, PEP 574.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from .budget import Budget
from .errors import CheckpointError, DamagedFileError, UnsafeFileError
from .names import apply, build, resolve
from .values import Blob, Global

LAZY_BYTES = 4096
MAX_KEY_PARTS = 8
MARK = object()
FOREIGN = (IndexError, TypeError, KeyError, AttributeError, OverflowError, UnicodeError, ValueError, struct.error)
_TRUNCATED = "The file ends in the middle of its data; it is truncated. Download it again."
_DAMAGED = "The file's data do not fit together; it is damaged. Download it again."


class Machine:
    """Reads one pickle from ``view``, starting at ``position``; afterwards ``position`` is the first byte behind it.

    ``budget``: the file's, shared by all the pickles in it.
    """

    def __init__(
        self,
        view: memoryview,
        position: int = 0,
        *,
        budget: Budget,
        persistent: Callable[[Any], Any] | None = None,
        unwrap: Callable[[Blob], Any] | None = None,
    ):
        self.view = view
        self.position = position
        self.budget = budget
        self.persistent = persistent
        self.unwrap = unwrap
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.value: Any = None

    def read(self) -> Any:
        """Return the value, or raise DamagedFileError or UnsafeFileError."""
        view, limit = self.view, len(self.view)
        while True:
            self.budget.step()
            if self.position >= limit:
                raise DamagedFileError(_TRUNCATED)
            operation = OPERATIONS.get(view[self.position])
            if operation is None:
                raise DamagedFileError(
                    f"The file's data hold an unknown instruction at byte {self.position}; it is damaged or not a checkpoint."
                )
            self.position += 1
            try:
                if operation(self):
                    return self.value
            except CheckpointError:
                raise
            except (*FOREIGN, MemoryError, RecursionError, StopIteration, RuntimeError) as e:
                raise DamagedFileError(_DAMAGED) from e

    def take(self, count: int) -> memoryview:
        """Step over ``count`` bytes and return them, uncopied."""
        end = self.position + count
        if count < 0 or end > len(self.view):
            raise DamagedFileError(_TRUNCATED)
        taken = self.view[self.position : end]
        self.position = end
        return taken

    def number(self, layout: struct.Struct) -> int:
        return layout.unpack(self.take(layout.size))[0]

    def line(self) -> str:
        chunk = bytes(self.view[self.position : self.position + 512])
        length = chunk.index(b"\n")
        self.position += length + 1
        return chunk[:length].decode()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is MARK:
            raise ValueError
        return value

    def pop_to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise IndexError
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items


U1, U2, U4, U8 = (struct.Struct(c) for c in ("<B", "<H", "<I", "<Q"))
I4, F8 = struct.Struct("<i"), struct.Struct(">d")


def _constant(value: Any) -> Callable[[Machine], None]:
    return lambda m: m.push(value)


def _number(layout: struct.Struct) -> Callable[[Machine], None]:
    return lambda m: m.push(m.number(layout))


def _bytes(layout: struct.Struct) -> Callable[[Machine], None]:
    return lambda m: m.push(Blob(m.take(m.number(layout))))


def _text(layout: struct.Struct) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        view = m.take(m.number(layout))
        m.push(Blob(view, text=True) if len(view) > LAZY_BYTES else str(view, "utf-8", "surrogatepass"))

    return run


def _old_string(layout: struct.Struct) -> Callable[[Machine], None]:
    """Python 2 wrote text and bytes alike: short runs are taken for text."""

    def run(m: Machine) -> None:
        view = m.take(m.number(layout))
        m.push(Blob(view) if len(view) > LAZY_BYTES else str(view, "latin-1"))

    return run


def _long(layout: struct.Struct) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        count = m.number(layout)
        if not 0 <= count <= 32:
            raise ValueError
        m.push(int.from_bytes(m.take(count), "little", signed=True))

    return run


def _decimal(m: Machine) -> None:
    text = m.line().rstrip("L")
    m.push({"00": False, "01": True}[text] if text in ("00", "01") else int(text[:40]))


def _protocol(m: Machine) -> None:
    if not 2 <= m.number(U1) <= 5:
        raise ValueError


def _frame(m: Machine) -> None:
    if m.number(U8) > len(m.view) - m.position:
        raise DamagedFileError(_TRUNCATED)


def _get(layout: struct.Struct) -> Callable[[Machine], None]:
    return lambda m: m.push(m.memo[m.number(layout)])


def _put(layout: struct.Struct) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        m.memo[m.number(layout)] = m.stack[-1]

    return run


def _memoize(m: Machine) -> None:
    m.memo[len(m.memo)] = m.stack[-1]


def _tuple(count: int) -> Callable[[Machine], None]:
    return lambda m: m.push(tuple(reversed([m.pop() for _ in range(count)])))


def _append(m: Machine) -> None:
    item = m.pop()
    _target(m, list).append(item)


def _appends(m: Machine) -> None:
    items = m.pop_to_mark()
    _target(m, list).extend(items)


def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    _target(m, dict)[_key(key)] = value


def _set_items(m: Machine) -> None:
    items = m.pop_to_mark()
    if len(items) % 2:
        raise ValueError
    _target(m, dict).update((_key(k), v) for k, v in zip(items[::2], items[1::2]))


def _add_items(m: Machine) -> None:
    items = m.pop_to_mark()
    _target(m, set).update(_member(k) for k in items)


def _target(m: Machine, kind: type) -> Any:
    if type(m.stack[-1]) is not kind:
        raise TypeError
    return m.stack[-1]


def _key(key: Any) -> Any:
    """Only plain keys: hashing a nested tuple recurses without a limit, and a long one costs its length every time."""
    if type(key) is tuple and len(key) <= MAX_KEY_PARTS and all(type(k) in (str, int) for k in key):
        return key
    if type(key) not in (str, int, float, bool, type(None)):
        raise TypeError
    return key


def _member(value: Any) -> Any:
    if type(value) is tuple:
        raise TypeError
    return _key(value)


def _dict_from_mark(m: Machine) -> None:
    items = m.pop_to_mark()
    m.push({_key(k): v for k, v in zip(items[::2], items[1::2], strict=True)})


def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    if type(name) is not str or type(module) is not str:
        raise TypeError
    m.push(resolve(module, name))


def _reduce(m: Machine) -> None:
    args, function = m.pop(), m.pop()
    if type(function) is not Global or type(args) is not tuple:
        raise UnsafeFileError("The file calls a value that is not a name; this is not a checkpoint. Nothing of it was executed.")
    m.push(apply(m, function, args))


def _new_object_with_keywords(m: Machine) -> None:
    keywords = m.pop()
    if type(keywords) is not dict or keywords:
        raise ValueError
    _reduce(m)


def _build(m: Machine) -> None:
    state = m.pop()
    build(m, m.stack[-1], state)


def _persistent(m: Machine) -> None:
    if m.persistent is None:
        raise UnsafeFileError("The file refers to data outside itself, which no plain pickle checkpoint does. Nothing of it was executed.")
    m.push(m.persistent(m.pop()))


def _stop(m: Machine) -> bool:
    m.value = m.pop()
    return True


def _pop(m: Machine) -> None:
    m.stack.pop()


OPERATIONS: dict[int, Callable[[Machine], Any]] = {
    ord(code): operation
    for code, operation in {
        "\x80": _protocol,
        "\x95": _frame,
        ".": _stop,
        "(": _constant(MARK),
        "0": _pop,
        "1": lambda m: m.pop_to_mark() and None,
        "2": lambda m: m.push(m.stack[-1]),
        "N": _constant(None),
        "\x88": _constant(True),
        "\x89": _constant(False),
        "I": _decimal,
        "L": _decimal,
        "J": _number(I4),
        "K": _number(U1),
        "M": _number(U2),
        "\x8a": _long(U1),
        "\x8b": _long(I4),
        "G": _number(F8),
        "X": _text(U4),
        "\x8c": _text(U1),
        "\x8d": _text(U8),
        "T": _old_string(I4),
        "U": _old_string(U1),
        "B": _bytes(U4),
        "C": _bytes(U1),
        "\x8e": _bytes(U8),
        "\x96": _bytes(U8),
        ")": lambda m: m.push(()),
        "]": lambda m: m.push([]),
        "}": lambda m: m.push({}),
        "\x8f": lambda m: m.push(set()),
        "t": lambda m: m.push(tuple(m.pop_to_mark())),
        "\x85": _tuple(1),
        "\x86": _tuple(2),
        "\x87": _tuple(3),
        "l": lambda m: m.push(m.pop_to_mark()),
        "d": _dict_from_mark,
        "\x91": lambda m: m.push(frozenset([_member(k) for k in m.pop_to_mark()])),
        "a": _append,
        "e": _appends,
        "s": _set_item,
        "u": _set_items,
        "\x90": _add_items,
        "h": _get(U1),
        "j": _get(U4),
        "q": _put(U1),
        "r": _put(U4),
        "\x94": _memoize,
        "c": lambda m: m.push(resolve(m.line(), m.line())),  # its module, and its name in there
        "\x93": _stack_global,
        "R": _reduce,
        "\x81": _reduce,
        "\x92": _new_object_with_keywords,
        "b": _build,
        "Q": _persistent,
    }.items()
}
