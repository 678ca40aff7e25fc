"""Nodes that move along a motion: coefficients over frames, and what they do to codes."""

from __future__ import annotations

import torch
from comfy_api.input import CurveInput
from comfy_api.v0_0_2 import InputImpl, io

from ..files.writing import whole_file
from ..media import open_writer, to_bytes
from ..stylegan2.frames import frame_bytes
from ..subspaces import EASINGS, close_loop, from_samples, play, read_coefficients, reading_gain
from ..subspaces import keyframes as make_keyframes
from ..subspaces import sweep as make_sweep
from . import host, measure, sockets, wording
from . import plots as pictures
from .codes import half_input
from .faces import paste_image
from .subspaces import component_input

CATEGORY = "micromotion/animation"
CURVE_SAMPLES = 1025
SLIDERS = 8
LARGEST = 10.0  # coefficient that may be typed
SLIDER_WORDS = [
    "face sliders",
    "edit face",
    "expression",
    "expression editor",
    "liveportrait alternative",
    "smile",
    "age",
    "mouth",
    "morph",
]
SLIDER_WORDS += ["portrait", "live slider", "mix motions", "face animation"]


class Sweep(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionSweep",
            CATEGORY,
            search_aliases=["animate", "face animation", "keyframes", "timeline", "ease", "ping pong", "interpolate", "schedule", "curve"],
            inputs=[
                io.Int.Input("frames", default=48, min=1, max=100000),
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
        still_input("hold_start"),
        still_input("hold_end"),
        io.Int.Input("cycles", default=1, min=1, max=1000, optional=True, advanced=True),
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
    return io.Float.Input(name, default=default, min=-10.0, max=10.0, step=0.05)


def easing_input() -> io.Combo.Input:
    return io.Combo.Input("easing", options=list(EASINGS), default="ease")


def still_input(name: str) -> io.Int.Input:
    return io.Int.Input(name, default=0, min=0, max=100000, optional=True, advanced=True)


def from_start_to_end(frames: int, start, end, easing, ping_pong, hold_start=0, hold_end=0, cycles=1) -> torch.Tensor:
    still = {"hold_start": hold_start, "hold_end": hold_end, "cycles": cycles}
    return make_sweep(frames, start, end, easing=easing, ping_pong=ping_pong, **still)


def from_keyframes(frames: int, keyframes, easing, loop) -> torch.Tensor:
    return make_keyframes(keyframes, frames, easing=easing, loop=loop)


def from_curve(frames: int, curve, low, high) -> torch.Tensor:
    samples = CurveInput.from_raw(curve).to_lut(CURVE_SAMPLES)
    return from_samples(torch.from_numpy(samples), frames, low, high)


SHAPES = {"start to end": from_start_to_end, "keyframes": from_keyframes, "curve": from_curve}


class ApplySubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionApplySubspace",
            CATEGORY,
            has_intermediate_output=True,
            search_aliases=["edit face", "expression", "strength", "slider", "animate", "smile", "age"],
            inputs=[
                sockets.Codes.Input("codes"),
                sockets.Subspace.Input("motion"),
                slider_input("coefficient", 1.0, "How far along the motion"),
                sockets.Sweep.Input("sweep", optional=True),
                component_input(),
            ],
            outputs=[sockets.Codes.Output("moved")],
        )

    @classmethod
    def validate_inputs(cls, coefficient=None):
        return within_reach({"coefficient": coefficient})

    @classmethod
    def execute(cls, codes, motion, coefficient, sweep=None, component=1) -> io.NodeOutput:
        steps = codes.new_ones(len(codes)) if sweep is None else sweep
        coefficients = in_component(steps * coefficient, component, motion.rank)
        warn_beyond(motion, coefficients)
        return host.output(motion.apply(codes, coefficients))


class FaceSliders(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionFaceSliders",
            CATEGORY,
            has_intermediate_output=True,
            search_aliases=SLIDER_WORDS,
            inputs=[
                sockets.Codes.Input("codes"),
                io.Autogrow.Input(
                    "motions",
                    template=io.Autogrow.TemplateNames(
                        sockets.Subspace.Input("motion"), names=[f"motion_{i}" for i in range(1, SLIDERS + 1)], min=1
                    ),
                ),
                *(slider_input(f"coefficient_{i}", 0.0, f"How far along motion_{i}") for i in range(1, SLIDERS + 1)),
                sockets.Sweep.Input("sweep", optional=True),
            ],
            outputs=[sockets.Codes.Output("moved")],
        )

    @classmethod
    def validate_inputs(cls, **inputs):
        return within_reach({name: value for name, value in inputs.items() if name.startswith("coefficient")})

    @classmethod
    def execute(cls, codes, motions, sweep=None, **coefficients) -> io.NodeOutput:
        steps = codes.new_ones(len(codes)) if sweep is None else sweep
        for name, motion in motions.items():
            along = steps * coefficients[name.replace("motion", "coefficient")]
            warn_beyond(motion, along)
            codes = motion.apply(codes, along)
        return host.output(codes)


def within_reach(coefficients: dict) -> bool | str:
    """For ``validate_inputs``: what is typed or sent may go beyond a slider, up to ``LARGEST``; a linked input is not known yet."""
    wrong = [name for name, value in coefficients.items() if value is not None and not abs(value) <= LARGEST]
    return f"{wrong[0]} lies outside -{LARGEST:g} to {LARGEST:g}; give a smaller number." if wrong else True


def slider_input(name: str, default: float, what: str) -> io.Float.Input:
    """A slider over the usual range of a motion; ``within_reach`` lets typed numbers beyond it pass."""
    return io.Float.Input(name, default=default, min=-1.25, max=1.25, step=0.01, display_mode=io.NumberDisplay.slider)


def warn_beyond(motion, coefficients: torch.Tensor) -> None:
    """Say so when a sweep ``[F]`` or ``[F, K]`` leaves the range in which a motion was measured to hold."""
    columns = coefficients[:, None] if coefficients.ndim == 1 else coefficients
    for k, (safe, column) in enumerate(zip(motion.calibration.safe, columns.T)):
        if safe is not None and len(column) and not safe[0] - 1e-6 <= float(column.min()) <= float(column.max()) <= safe[1] + 1e-6:
            which = motion.name or "the motion" if motion.rank == 1 else f"component {k + 1} of {motion.name or 'the motion'}"
            host.remark(
                f"The coefficient goes from {float(column.min()):.2f} to {float(column.max()):.2f};"
                f" {which} was measured to hold from {safe[0]:.2f} to {safe[1]:.2f}."
            )


def in_component(sweep: torch.Tensor, component: int, rank: int) -> torch.Tensor:
    """A sweep ``[F]`` as coefficients of one component of ``rank``; one that has them for every component, ``[F, K]``, is left alone."""
    if sweep.ndim > 1 or component == 1:
        return sweep
    if component > rank:
        raise host.HostError(f"There is no component {component}; this motion has {rank}, counted from 1.")
    coefficients = sweep.new_zeros(len(sweep), rank)
    coefficients[:, component - 1] = sweep
    return coefficients


class ReadCoefficients(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionReadCoefficients",
            CATEGORY,
            search_aliases=["motion transfer", "driving video", "retarget", "track expression", "reenact"],
            inputs=[
                sockets.Codes.Input("codes"),
                sockets.Subspace.Input("motion"),
                io.Combo.Input("count_from", options=["first", "median"]),
                io.Float.Input("smooth", default=1.0, min=0.0, max=30.0, step=0.5),
                io.Boolean.Input("robust", default=True, optional=True, advanced=True),
                io.Int.Input("loop", default=0, min=0, max=10000, optional=True, advanced=True),
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
        return io.NodeOutput(track, pictures.to_image(pictures.plot(curves, range(len(track)), "Read from the clip", "frame")))


def inverters_gain(generator, inverter, motion, face: torch.Tensor, robust: bool) -> torch.Tensor:
    """What the inverter keeps of a motion of this face."""
    net, finder = host.ready(generator, inverter)

    def invert(images: torch.Tensor) -> torch.Tensor:
        with host.gradients():
            return finder.invert(net, host.plain(images))

    return reading_gain(motion, net, invert, face, robust=robust)


class MeasureMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionMeasure",
            CATEGORY,
            search_aliases=["curve", "analyze", "blendshapes", "identity similarity", "evaluate", "jitter"],
            inputs=[
                io.Image.Input("images"),
                io.String.Input("text", default="a person with 100% smile"),
                sockets.Scorer.Input("scorer", optional=True),
                sockets.Landmarks.Input("landmarks", optional=True),
                sockets.Identity.Input("identity", optional=True),
                sockets.Sweep.Input("sweep", optional=True),
            ],
            outputs=[io.Image.Output("plot"), io.String.Output("table")],
        )

    @classmethod
    def execute(cls, images, text, scorer=None, landmarks=None, identity=None, sweep=None) -> io.NodeOutput:
        judge, likeness = host.ready_with(scorer, identity)
        curves = measure.curves(images, text, judge, likeness, landmarks)
        x = range(len(images)) if sweep is None else (sweep if sweep.ndim == 1 else sweep[:, 0]).tolist()
        if len(x) != len(images):
            raise host.HostError(f"There are {len(images)} frames and {len(x)} coefficients; connect the sweep that made these frames.")
        name = "frame" if sweep is None else "coefficient"
        return io.NodeOutput(pictures.to_image(pictures.plot(curves, x, "Measured motion", name)), measure.table(curves, x, name))


class SweepToVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionSweepToVideo",
            CATEGORY,
            has_intermediate_output=True,
            search_aliases=["long video", "render video", "stream video", "mp4", "high resolution"],
            inputs=[
                sockets.Generator.Input("generator"),
                sockets.Codes.Input("codes"),
                sockets.Subspace.Input("motion"),
                sockets.Sweep.Input("sweep"),
                io.Float.Input("coefficient", default=1.0, min=-5.0, max=5.0, step=0.01),
                io.Float.Input("fps", default=24.0, min=1.0, max=120.0, step=1.0),
                io.Image.Input("photo", optional=True),
                sockets.Crop.Input("crop", optional=True),
                io.Image.Input("unedited", optional=True),
                io.Combo.Input("shape", options=["face", "square"], default="face"),
                half_input(),
            ],
            outputs=[io.Video.Output("video")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        """The video lies in a file that others may remove: then it is made again."""
        return host.lost_videos()

    @classmethod
    def execute(
        cls, generator, codes, motion, sweep, coefficient, fps, shape, photo=None, crop=None, unedited=None, half=0
    ) -> io.NodeOutput:
        if (photo is None) != (crop is None):
            raise host.HostError("photo and crop belong together: connect both to paste the face back, or neither for the square alone.")
        net = host.ready(generator, memory=frame_bytes(generator.value))
        motion.check(net)
        warn_beyond(motion, sweep * coefficient)
        path = host.temporary_video()
        with whole_file(path) as part, open_writer(part, fps) as out:
            for images in play(net, codes, [(motion, sweep * coefficient)], half=half, progress=host.progress()):
                if photo is not None:
                    images = host.from_image(paste_image(photo, host.to_image(images), crop, unedited, mask=shape)[0])
                out.write(to_bytes(images))
        return host.output(InputImpl.VideoFromFile(str(path)))


NODES = [Sweep, ReadCoefficients, ApplySubspace, FaceSliders, SweepToVideo, MeasureMotion]
