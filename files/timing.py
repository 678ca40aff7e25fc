"""How long work will take, said once and early, from a step that was measured."""

from __future__ import annotations

import time
from collections.abc import Callable

LONG = 60.0  # seconds of work left from which on it is announced


class Announcement:
    """Called with ``(done, total)`` as the work goes on; ``say`` gets one sentence after the second call, if more than a minute is left.

    ``cheaper`` is a sentence on what takes less time.
    """

    def __init__(self, say: Callable[[str], None], cheaper: str, clock: Callable[[], float] = time.monotonic):
        self.say, self.cheaper, self.clock = say, cheaper, clock
        self.first: tuple[int, float] | None = None
        self.is_done = False

    def __call__(self, done: int, total: int) -> None:
        if self.is_done:
            return
        if self.first is None:
            self.first = done, self.clock()
        elif done > self.first[0]:
            self.is_done = True
            left = (self.clock() - self.first[1]) / (done - self.first[0]) * (total - done)
            if left > LONG:
                self.say(f"This will take about {spoken(left)} more. {self.cheaper}")


def spoken(seconds: float) -> str:
    """Seconds in words, as exact as an estimate is."""
    if seconds < 5400:
        minutes = max(round(seconds / 60), 1)
        return f"{minutes} minute{'s' * (minutes > 1)}"
    return f"{seconds / 3600:.1f} hours"
