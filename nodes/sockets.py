"""Every socket type of the pack, once, with the value that travels on it; and number inputs, bounded as everywhere."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..files.limits import Limit

Generator = io.Custom("STYLEGAN2_GENERATOR")  # host.Managed around stylegan2.Generator
Inverter = io.Custom("STYLEGAN2_INVERTER")  # host.Managed around an inverter
Codes = io.Custom("STYLEGAN2_CODES")  # float32 [N, L, D] on the CPU
Scorer = io.Custom("MICROMOTION_SCORER")  # host.Managed around subspaces.anchors.Scorer
Identity = io.Custom("FACE_IDENTITY")  # host.Managed around stylegan2.inversion.Identity
Anchors = io.Custom("MICROMOTION_ANCHORS")  # subspaces.anchors.Anchors
Subspace = io.Custom("MICROMOTION_SUBSPACE")  # subspaces.Subspace
Sweep = io.Custom("MICROMOTION_SWEEP")  # coefficients, float32 [F], or [F, K] of every component
Crop = io.Custom("FACE_CROP")  # tuple of stylegan2.faces.Crop, one per frame or one for all
Face = io.Custom("MICROMOTION_FACE")  # tuple of stylegan2.faces.Face or None, one per frame
Landmarks = io.Custom("FACE_LANDMARKS")  # core MediaPipe nodes: 478 points and 52 blendshapes a face
Box = io.BoundingBox  # {x, y, width, height} in pixels, or a list of them for each frame; always with force_input, or it is a widget


def number(name: str, limit: Limit, default: float, *, unset: float | None = None, **rest) -> io.Int.Input | io.Float.Input:
    """A number with the bounds that `files.limits` has for every door; ``unset`` is a value below them that stands for "not given"."""
    limit = limit if unset is None else limit.or_unset(unset)
    kind, exact = (io.Int, int) if limit.whole else (io.Float, float)
    return kind.Input(name, default=exact(default), min=exact(limit.low), max=exact(limit.high), **rest)


def several(name: str, socket: io.Input, most: int) -> io.Autogrow.Input:
    """At least one ``socket``, and another as soon as it is connected: ``motion_1``, ``motion_2``, ... up to ``most``."""
    names = [f"{socket.id}_{i}" for i in range(1, most + 1)]
    return io.Autogrow.Input(name, template=io.Autogrow.TemplateNames(socket, names=names, min=1))
