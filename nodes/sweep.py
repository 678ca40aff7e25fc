"""Nodes that make, read and play coefficients over frames."""

from __future__ import annotations

import torch
from comfy_api.input import CurveInput
from comfy_api.v0_0_2 import InputImpl, io

from ..files import limits
from ..files.writing import whole_file
from ..media import open_writer, to_bytes
from ..stylegan2.frames import frame_bytes
from ..subspaces import EASINGS, LostMotionError, close_loop, from_measured, from_samples, play, read_coefficients, reading_gain
from ..subspaces import keyframes as make_keyframes
from ..subspaces import sweep as make_sweep
from . import host, measure, sockets, wording
from . import plots as pictures
from .codes import half_input
from .faces import AUTOMATIC, BLENDS, paste_squares, settled
from .sliders import reachable, warn_beyond, warn_of_stranger

CATEGORY = "micromotion/animation"
CURVE_SAMPLES = 1025


class Sweep(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionSweep",
            CATEGORY,
            inputs=[
                sockets.number("frames", limits.FRAMES, 48),
                io.DynamicCombo.Input(
                    "shape",
                    options=[
                        io.DynamicCombo.Option("start to end", start_to_end_inputs()),
                        io.DynamicCombo.Option("keyframes", keyframe_inputs()),
                        io.DynamicCombo.Option("curve", curve_inputs()),
                    ],
                ),
            ],
            outputs=[sockets.Sweep.Output("sweep")],
        )

    @classmethod
    def execute(cls, frames, shape) -> io.NodeOutput:
        options = {name: value for name, value in shape.items() if name != "shape"}
        return io.NodeOutput(SHAPES[shape["shape"]](frames, **options))


def start_to_end_inputs() -> list:
    return [
        coefficient_input("start", 0.0),
        coefficient_input("end", 1.0),
        easing_input(),
        io.Boolean.Input("ping_pong", default=True),
        sockets.number("hold_start", limits.HOLD, 0, optional=True, advanced=True),
        sockets.number("hold_end", limits.HOLD, 0, optional=True, advanced=True),
        sockets.number("cycles", limits.CYCLES, 1, optional=True, advanced=True),
    ]


def keyframe_inputs() -> list:
    return [
        io.String.Input("keyframes", default="0: 0, 12: 1, 24: 1, 36: -0.3", multiline=True),
        easing_input(),
        io.Boolean.Input("loop", default=True),
    ]


def curve_inputs() -> list:
    return [io.Curve.Input("curve"), coefficient_input("low", 0.0), coefficient_input("high", 1.0)]


def coefficient_input(name: str, default: float) -> io.Float.Input:
    return sockets.number(name, limits.COEFFICIENT, default, step=0.05)


def easing_input() -> io.Combo.Input:
    return io.Combo.Input("easing", options=list(EASINGS), default="ease")


def from_curve(frames: int, curve, low, high) -> torch.Tensor:
    samples = CurveInput.from_raw(curve).to_lut(CURVE_SAMPLES)
    return from_samples(torch.from_numpy(samples), frames, low, high)


SHAPES = {
    "start to end": make_sweep,
    "keyframes": lambda frames, keyframes, **how: make_keyframes(keyframes, frames, **how),
    "curve": from_curve,
}


class ReadCoefficients(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionReadCoefficients",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                sockets.Codes.Input("codes"),
                sockets.Subspace.Input("motion"),
                io.Combo.Input("count_from", options=["first", "median"]),
                sockets.number("smooth", limits.SMOOTH, 1.0, step=0.5),
                io.Boolean.Input("robust", default=True, optional=True, advanced=True),
                sockets.number("loop", limits.HOLD, 0, optional=True, advanced=True),
                sockets.Codes.Input("neutral", optional=True),
                sockets.Generator.Input("generator", optional=True),
                sockets.Inverter.Input("inverter", optional=True),
            ],
            outputs=[sockets.Sweep.Output("sweep"), io.Image.Output("plot")],
        )

    @classmethod
    def execute(cls, codes, motion, count_from, smooth, robust=True, loop=0, neutral=None, generator=None, inverter=None) -> io.NodeOutput:
        origin = count_from if neutral is None else neutral[0]
        face = codes[0] if neutral is None else neutral[0]
        if (generator is None) != (inverter is None):
            raise host.HostError("What the inverter loses is measured with both generator and inverter; connect both, or none.")
        gain = None if generator is None else inverters_gain(generator, inverter, motion, face, robust)
        track = read_coefficients(motion, codes, reference=origin, smooth=smooth, robust=robust, gain=gain)
        track = close_loop(track, loop) if loop else track
        name = motion.name or "motion"
        columns = {name: track} if track.ndim == 1 else {f"{name}, component {k + 1}": c for k, c in enumerate(track.T)}
        curves = {label: column.tolist() for label, column in columns.items()}
        return host.output(track, pictures.to_image(pictures.plot(curves, range(len(track)), "Read from the clip", "frame")))


def inverters_gain(generator, inverter, motion, face: torch.Tensor, robust: bool) -> torch.Tensor | None:
    """What the inverter keeps of a motion of this face; None, with a remark, where that is too little to be relied on."""
    net, finder = host.ready(generator, inverter)

    def invert(images: torch.Tensor) -> torch.Tensor:
        with host.gradients():
            return finder.invert(net, host.plain(images))

    try:
        return reading_gain(motion, net, invert, face, robust=robust)
    except LostMotionError as error:
        host.remark(str(error))
        return None


class MeasureMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionMeasure",
            CATEGORY,
            inputs=[
                io.Image.Input("images"),
                io.String.Input("text", default="a person with 100% smile"),
                sockets.Scorer.Input("scorer", optional=True),
                sockets.Landmarks.Input("landmarks", optional=True),
                sockets.Identity.Input("identity", optional=True),
                sockets.Sweep.Input("sweep", optional=True),
                io.Combo.Input("quantity", options=[measure.NOTHING, measure.ALL, *measure.MEASURED], optional=True),
                sockets.number("unit", limits.FACTOR, 0, step=0.01, round=0.0001, optional=True, advanced=True),
            ],
            outputs=[io.Image.Output("plot"), io.String.Output("table"), sockets.Sweep.Output("measured")],
        )

    @classmethod
    def execute(
        cls, images, text, scorer=None, landmarks=None, identity=None, sweep=None, quantity=measure.NOTHING, unit=0.0
    ) -> io.NodeOutput:
        judge, likeness = host.ready(scorer, identity)
        curves = measure.curves(images, text, judge, likeness, landmarks, quantity)
        x = range(len(images)) if sweep is None else (sweep if sweep.ndim == 1 else sweep[:, 0]).tolist()
        if len(x) != len(images):
            raise host.HostError(f"There are {len(images)} frames and {len(x)} coefficients; connect the sweep that made these frames.")
        name = "frame" if sweep is None else "coefficient"
        plot = pictures.to_image(pictures.plot(curves, x, "Measured motion", name))
        return io.NodeOutput(plot, measure.table(curves, x, name), from_measured(next(iter(curves.values())), unit or None))


class SweepToVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionSweepToVideo",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                sockets.Generator.Input("generator"),
                sockets.Codes.Input("codes"),
                sockets.Subspace.Input("motion"),
                sockets.Sweep.Input("sweep"),
                sockets.number("coefficient", limits.COEFFICIENT, 1.0, step=0.01),
                sockets.number("fps", limits.FPS, 24.0, step=1.0),
                io.Image.Input("photo", optional=True),
                sockets.Crop.Input("crop", optional=True),
                io.Image.Input("unedited", optional=True),
                io.Combo.Input("shape", options=["face", "square"], default="face"),
                half_input(),
                io.Combo.Input("blend", options=list(BLENDS), default=BLENDS[0], optional=True),
            ],
            outputs=[io.Video.Output("video")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        """The video lies in a file that others may remove: then it is made again."""
        return host.lost_videos()

    @classmethod
    def execute(
        cls, generator, codes, motion, sweep, coefficient, fps, shape, photo=None, crop=None, unedited=None, half=0, blend=BLENDS[0]
    ) -> io.NodeOutput:
        if (photo is None) != (crop is None):
            raise host.HostError("photo and crop belong together: connect both to paste the face back, or neither for the square alone.")
        net = host.ready(generator, memory=frame_bytes(generator.value))
        motion.check(net)
        sweep = sweep * reachable(coefficient)
        warn_of_stranger(motion, codes)
        warn_beyond(motion, sweep)
        if photo is not None and crop is not None and unedited is not None and blend == AUTOMATIC:
            # once, so that no frame looks otherwise than the next
            blend, shape = settled(blend, shape, photo[:1], farthest(net, codes, motion, sweep, half), crop[:1], unedited[:1])
        path = host.temporary_video()
        with whole_file(path) as part, open_writer(part, fps) as out:
            for images in play(net, codes, [(motion, sweep)], half=half, progress=host.progress()):
                if photo is not None:
                    images = host.from_image(paste_squares(photo, host.to_image(images), crop, unedited, blend, mask=shape)[0])
                out.write(to_bytes(images))
        return host.output(InputImpl.VideoFromFile(str(path)))


def farthest(net, codes: torch.Tensor, motion, sweep: torch.Tensor, half: int) -> torch.Tensor:
    """The IMAGE of the frame that is moved most."""
    coefficients = motion.coefficients(sweep)
    at = int(coefficients.abs().flatten(1).amax(1).argmax())
    code = codes[at : at + 1] if len(codes) > 1 else codes
    return host.to_image(next(play(net, code, [(motion, coefficients[at : at + 1])], half=half)))


NODES = [Sweep, ReadCoefficients, SweepToVideo, MeasureMotion]
