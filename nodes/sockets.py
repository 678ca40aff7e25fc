"""Every socket type of the pack, once. The value that travels on each is named beside it."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

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
