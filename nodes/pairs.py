"""The node that keeps pictures as training pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from comfy_api.v0_0_2 import io

from ..files import limits
from ..pairs import LAYOUTS, Added, MotionPlan, PairsError, add_face, plain_name
from ..pairs.plan import FORMATS
from . import host, sockets, wording

CATEGORY = "micromotion/pairs"
STILL = 5e-5  # coefficients below are written as 0
_sets: set[Path] = set()  # that this process wrote


class SavePairs(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        rarely = {"optional": True, "advanced": True}
        return wording.schema(
            "MicromotionSavePairs",
            CATEGORY,
            inputs=[
                io.Image.Input("images"),
                sockets.Sweep.Input("sweep"),
                sockets.Subspace.Input("motion"),
                io.Combo.Input("layout", options=list(LAYOUTS)),
                io.String.Input("name", default="training_pairs"),
                io.Image.Input("neutral", optional=True),
                sockets.number("coefficient", limits.COEFFICIENT, 1.0, step=0.01, **rarely),
                io.Combo.Input("format", options=list(FORMATS), **rarely),
                sockets.number("test", limits.SHARE, 0.1, step=0.05, **rarely),
                io.String.Input("instruction", default="", **rarely),
                io.String.Input("opposite", default="", **rarely),
                io.String.Input("caption", default="", **rarely),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        """Others may remove a set: then it is written again."""
        return sum(not folder.exists() for folder in _sets)

    @classmethod
    def execute(
        cls,
        images,
        sweep,
        motion,
        layout,
        name,
        neutral=None,
        coefficient=1.0,
        format="png",
        test=0.1,
        instruction="",
        opposite="",
        caption="",
    ) -> io.NodeOutput:
        factor = limits.COEFFICIENT.checked(coefficient, "The coefficient is", PairsError)
        steps = (one_component(sweep) * factor).tolist()
        plan = MotionPlan(plain_name(motion.name or "motion"), "", plus=instruction, minus=opposite, caption=caption)
        known = {"unit": motion.calibration.unit, "license": motion.license}
        folder, report = host.output_folder(name, "training_pairs"), host.progress()
        faces, added, new = one_by_one(images, steps, neutral), Added(0, 0, 0), 0
        for done, (still, moved) in enumerate(faces, 1):
            added = add_face(str(folder), still, moved, steps, plan, layout=layout, form=format, test=test, **known)
            new += added.new
            _sets.add(folder)
            report(done, len(faces))
        return host.output(said=f"output/{folder.name}: {replace(added, new=new)}")


def one_component(sweep: torch.Tensor) -> torch.Tensor:
    """A sweep ``[F]``; one of several components has no single strength to write down."""
    if sweep.ndim not in (1, 2) or not sweep.numel():
        raise PairsError(f"This sweep has shape {list(sweep.shape)}; a sweep is one coefficient for each frame, at least one.")
    if sweep.ndim == 1:
        return sweep
    if (sweep[:, 1:] != 0).any():
        raise PairsError("This sweep moves several components, so a pair has no single strength; give a sweep of one component.")
    return sweep[:, 0]


def one_by_one(images: torch.Tensor, steps: list[float], neutral: torch.Tensor | None) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The neutral picture ``[3, H, W]`` and the frames ``[F, 3, H, W]`` of each face, in -1..1."""
    frames = host.from_image(images)
    if len(frames) % len(steps):
        raise PairsError(f"There are {len(frames)} frames and {len(steps)} coefficients; connect the sweep that made these frames.")
    faces = frames.split(len(steps))
    if neutral is not None:
        stills = host.from_image(neutral)
        if len(stills) != len(faces):
            raise PairsError(f"The frames show {len(faces)} faces and neutral {len(stills)}; give one neutral picture for each face.")
        return list(zip(stills, faces))
    at = next((i for i, step in enumerate(steps) if abs(step) < STILL), None)
    if at is None:
        raise PairsError("No frame is at coefficient 0, so nothing shows the unmoved face; let the sweep pass 0, or connect neutral.")
    return [(face[at], face) for face in faces]


NODES = [SavePairs]
