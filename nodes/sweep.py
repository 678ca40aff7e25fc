"""Nodes that move along a motion: coefficients over frames, and what they do to codes."""

from __future__ import annotations

from comfy_api.latest import io

from ..subspaces import sweep as make_sweep
from . import sockets

CATEGORY = "micromotion/animation"
EASINGS = ("smooth", "linear", "ease_in", "ease_out")


class Sweep(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionSweep",
            display_name="Make Sweep",
            category=CATEGORY,
            description="Coefficients over frames: how far along the motion each frame is.",
            search_aliases=["animate", "keyframes", "timeline", "ease", "ping pong", "interpolate", "schedule"],
            inputs=[
                io.Int.Input("frames", default=48, min=1, max=100000, tooltip="How many frames, 1..100000; 24 are one second at 24 fps."),
                io.Float.Input("start", default=0.0, min=-10.0, max=10.0, step=0.05, tooltip="Coefficient of the first frame: 0 is the face as it is."),
                io.Float.Input(
                    "end",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="Coefficient at the far end: 1 is the whole motion, negative values are its opposite.",
                ),
                io.Combo.Input("easing", options=list(EASINGS), default="smooth", tooltip="smooth starts and ends gently; linear moves evenly."),
                io.Boolean.Input("ping_pong", default=True, tooltip="Go to the end and back within the frames, so that the clip loops."),
            ],
            outputs=[sockets.Sweep.Output("sweep", tooltip="One coefficient per frame.")],
        )

    @classmethod
    def execute(cls, frames, start, end, easing, ping_pong) -> io.NodeOutput:
        return io.NodeOutput(make_sweep(frames, start, end, easing=easing, ping_pong=ping_pong))


class ApplySubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionApplySubspace",
            display_name="Apply Micromotion",
            category=CATEGORY,
            description="Move codes along a motion. Without a sweep the coefficient edits the face; with one, it scales the sweep and"
            " every frame gets its code. Chain several to mix motions. At coefficient 0 the codes are returned bit for bit.",
            search_aliases=["edit face", "expression", "strength", "slider", "animate", "smile", "age"],
            inputs=[
                sockets.Codes.Input("codes", tooltip="One code, or one per frame (from another Apply Micromotion)."),
                sockets.Subspace.Input("motion", tooltip="The motion to go along; made for the generator of these codes."),
                io.Float.Input(
                    "coefficient",
                    default=1.0,
                    min=-5.0,
                    max=5.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How far, -5..5: 0 nothing, 1 one calibrated unit (the whole motion), negative the opposite.",
                ),
                sockets.Sweep.Input("sweep", optional=True, tooltip="Coefficients over frames; multiplied by the coefficient above."),
            ],
            outputs=[sockets.Codes.Output("moved", display_name="codes", tooltip="The moved codes: one per frame of the sweep.")],
        )

    @classmethod
    def execute(cls, codes, motion, coefficient, sweep=None) -> io.NodeOutput:
        steps = codes.new_ones(len(codes)) if sweep is None else sweep
        return io.NodeOutput(motion.apply(codes, steps * coefficient))


NODES = [Sweep, ApplySubspace]
