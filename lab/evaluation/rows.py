"""One figure with its target: what every table, verdict and JSON file is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from .metrics import Interval, bootstrap, median


@dataclass(frozen=True)
class Metric:
    """What is measured: a key, a title, the number of decimals, and which side of the target is good ("" where there is none)."""

    key: str
    title: str
    sense: str = ""
    target: float | None = None
    decimals: int = 2


@dataclass(frozen=True)
class Row:
    """The figure of one metric for one motion ("" for all) and one group (how the direction was made)."""

    metric: str
    group: str
    motion: str
    value: float
    low: float | None = None
    high: float | None = None
    count: int = 0
    sense: str = ""
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.sense == ">=" else self.value <= self.target

    def json(self) -> dict:
        return {**asdict(self), "met": self.met}


def row(metric: Metric, group: str, motion: str, value: float | Interval, *, target: float | None = None, judged: bool = True) -> Row:
    """A row from a plain number or an interval; ``target`` overrides the metric's, ``judged`` False leaves it out."""
    goal = (metric.target if target is None else target) if judged else None
    found = (value.value, value.low, value.high, value.count) if isinstance(value, Interval) else (float(value), None, None, 0)
    return Row(metric.key, group, motion, *found, metric.sense if goal is not None else "", goal)


def spread(metric: Metric, group: str, motion: str, values: torch.Tensor, statistic: Callable = median, **options) -> Row:
    """A row from one value per identity, with its bootstrap interval."""
    return row(metric, group, motion, bootstrap(values, statistic), **options)


def section(title: str, metrics: list[Metric], rows: list[Row], text: str = "", **extra) -> dict:
    """A section of the report, as plain data."""
    return {"title": title, "text": text, "metrics": [asdict(m) for m in metrics], "rows": [r.json() for r in rows], **extra}
