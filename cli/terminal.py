"""What a command says: sentences, progress bars, and where the time went."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ..files.errors import MicromotionError
from ..files.timing import Announcement

_LONG = re.compile(r"(\S{200})\S{100,}")  # words that are no words
# What a terminal acts on, and what turns the reading direction: names and notes in files may hold it.
_ACTED_ON = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class UsageError(MicromotionError):
    """A sentence for the person at the terminal: what is wrong, with which argument, and what would be right."""


def sentence_of(error: Exception) -> str | None:
    """What to tell the user of an error: its own sentence if it is one of ours or a file's, or that memory ran out; None for a fault."""
    from ..stylegan2.memory import is_out_of_memory

    if isinstance(error, (MicromotionError, OSError)):
        return _LONG.sub(r"\1...", " ".join(_said(error).split()))
    if is_out_of_memory(error):
        return "Memory ran out. Close other programs, compute elsewhere with --device, or use a smaller generator, picture or --size."
    return None


def _said(error: Exception) -> str:
    """An error's own words; of a file's, the words of the system and its name, without their number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{'' if error.filename is None else f': {error.filename}'}."
    return str(error)


def shown(text: str) -> str:
    """A text without characters that a terminal would act on."""
    return _ACTED_ON.sub("?", text)


class Plain(logging.Formatter):
    """Records as they are `shown`."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


def say(sentence: str) -> None:
    """Print a result on standard output."""
    print(shown(sentence), flush=True)


def note(*sentences: str) -> None:
    """Print remarks on standard error, so that results can be piped on."""
    for sentence in sentences:
        print(shown(sentence), file=sys.stderr, flush=True)


class Clock:
    """Seconds per stage of a command, in the order in which the stages ran."""

    def __init__(self):
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to the stage ``name``."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - begun

    def each(self, name: str, items: Iterable) -> Iterator:
        """Yield the items; the time spent making them belongs to the stage ``name``."""
        items = iter(items)
        while True:
            with self.stage(name):
                item = next(items, None)
            if item is None:
                return
            yield item

    def report(self) -> str:
        """One line per stage, the rest of the command's time, and their sum."""
        total = time.perf_counter() - self.started
        rows = [*self.seconds.items(), ("everything else", total - sum(self.seconds.values())), ("in all", total)]
        return "\n".join(f"{seconds:8.2f} s  {name}" for name, seconds in rows)


@contextmanager
def progress_bar(name: str, unit: str = "step", *, scale: bool = False, cheaper: str = "") -> Iterator[Callable]:
    """Show a bar on a terminal and nothing elsewhere; yields the library's ``progress(done, total, preview)``.

    With ``cheaper``, a sentence on what takes less, work that will take over a minute is announced.
    """
    from tqdm import tqdm

    with tqdm(desc=name, unit=unit, unit_scale=scale, disable=None, leave=False, dynamic_ncols=True) as bar:
        announce = Announcement(note, cheaper)

        def progress(done: int, total: int, preview=None) -> None:
            if cheaper:
                announce(done, total)
            bar.total = total or None
            bar.update(done - bar.n)

        yield progress
