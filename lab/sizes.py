"""The sizes of published networks, for tests and benchmarks without their weights."""

from __future__ import annotations

from ..stylegan2.inversion.backbones import BodySpec


def full_spec(kind: str, channels_in: int = 3) -> BodySpec:
    """The published sizes: 24 units for IR-SE50, 16 for ResNet34, widths 64 to 512."""
    depths = {"irse": (3, 4, 14, 3), "resnet": (3, 4, 6, 3)}[kind]
    widths = tuple(w for w, n in zip((64, 128, 256, 512), depths) for _ in range(n))
    return BodySpec(kind, channels_in, 64, widths)
