"""Nodes between photos and aligned squares."""

from __future__ import annotations

NODES = []
