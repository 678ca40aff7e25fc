"""The names under which the page shows directions: results.json keeps the short ones, a reader needs to know what an anchor is."""

from __future__ import annotations

from .study import INVERTED, ORACLE, SHIPPED, TEXT, VIDEO

EXACT, THROUGH = "clips (exact latents)", "clips (inverted)"
SOURCES = {VIDEO: EXACT, INVERTED: THROUGH, TEXT: "text", SHIPPED: "ready motions", ORACLE: "labels (oracle)"}


def said(group: str) -> str:
    """A group in words: whether a clip's codes are exact latents or went through the inverter, bars as colons."""
    marked = group.replace(INVERTED, "\0").replace(VIDEO, EXACT).replace("\0", THROUGH)
    return marked.replace(" | ", ": ").replace(SHIPPED, "ready motion")


def source_of(group: str) -> str:
    """Which of ``SOURCES`` a group's directions come from; "" for what is not a direction."""
    own = group.rpartition(" | ")[2].removeprefix("ours, ")
    return next((name for name in (ORACLE, SHIPPED, INVERTED, VIDEO, TEXT) if own.startswith(name)), "")
