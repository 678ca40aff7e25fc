"""What reading one file may cost: one purse, on which every instruction, every allowed call and every nested file draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import DamagedFileError, MicromotionError

MAX_STEPS = 400_000
MULTIPLE = 4  # of the file's size, which reading it may take in memory
SLACK = 1 << 26  # bytes, on top of that: what small files may take
ENTRY_BYTES = 100  # of a table, with its key


class Budget:
    """Steps and bytes that are left for a file of ``size`` bytes; spending more than that raises DamagedFileError."""

    def __init__(self, size: int):
        self.steps = MAX_STEPS
        self.room = MULTIPLE * size + SLACK

    def step(self) -> None:
        """One instruction."""
        self.steps -= 1
        if self.steps < 0:
            raise DamagedFileError(f"The file takes more than {MAX_STEPS:,} steps to read, far more than any checkpoint; it is refused.")

    def spend(self, count: int) -> None:
        """``count`` bytes that are about to be made or walked through."""
        self.room -= count
        if self.room < 0:
            raise DamagedFileError("The file unfolds into far more data than it holds; it is refused.")

    def copy(self, items) -> None:
        """The entries of a table or list that are about to be copied."""
        self.spend(ENTRY_BYTES * len(items))


@contextmanager
def border(name: str, own: type[MicromotionError] = DamagedFileError) -> Iterator[None]:
    """The border of a reader: our own errors pass; whatever else a file makes a library raise becomes ``own``, in one sentence."""
    try:
        yield
    except MicromotionError:
        raise
    except RecursionError as error:
        raise own(f"{name} is nested without end; it is damaged. Copy or download it again.") from error
    except OSError as error:
        raise own(f"{name} cannot be read ({error.strerror or short(error)}).") from error
    except Exception as error:  # foreign readers raise whatever a damaged file makes them raise
        if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error)):  # PyTorch's own
            raise own(f"{name} asks for more memory than this machine has; it is damaged, or too large to be read here.") from error
        raise own(f"{name} is damaged, or of a kind that cannot be read ({short(error)}). Copy or download it again.") from error


def short(error: BaseException) -> str:
    """The first line of an error, at most 160 printable characters."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return "".join(c if c.isprintable() else "?" for c in line[:160]).rstrip(". ")
