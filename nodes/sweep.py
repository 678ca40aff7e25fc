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
from . import host, measure, sockets
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
        return io.Schema(
            node_id="MicromotionSweep",
            display_name="Make Sweep",
            category=CATEGORY,
            description="Coefficients over frames: how far along the motion each frame is. From a start to an end, by written keyframes, or"
            " along a drawn curve.",
            search_aliases=["animate", "face animation", "keyframes", "timeline", "ease", "ping pong", "interpolate", "schedule", "curve"],
            inputs=[
                io.Int.Input("frames", default=48, min=1, max=100000, tooltip="How many frames, 1..100000; 24 are one second at 24 fps."),
                io.DynamicCombo.Input(
                    "shape",
                    options=[
                        io.DynamicCombo.Option("start to end", start_to_end_inputs()),
                        io.DynamicCombo.Option("keyframes", keyframe_inputs()),
                        io.DynamicCombo.Option("curve", curve_inputs()),
                    ],
                    tooltip="How the coefficients are given: eased from a start to an end, written as keyframes, or drawn as a curve"
                    " (only Nodes 2.0 draws curves).",
                ),
            ],
            outputs=[sockets.Sweep.Output("sweep", tooltip="One coefficient per frame.")],
        )

    @classmethod
    def execute(cls, frames, shape) -> io.NodeOutput:
        options = {name: value for name, value in shape.items() if name != "shape"}
        return io.NodeOutput(SHAPES[shape["shape"]](frames, **options))


def start_to_end_inputs() -> list:
    return [
        coefficient_input("start", 0.0, "Coefficient of the first frame, -10..10: 0 is the face as it is."),
        coefficient_input("end", 1.0, "Coefficient at the far end, -10..10: 1 is the whole motion, negative values are its opposite."),
        easing_input(),
        io.Boolean.Input("ping_pong", default=True, tooltip="Go to the end and back within the frames, so that the clip loops."),
        still_input("hold_start", "Frames to rest at the start of each cycle, 0..100000; they count within the frames."),
        still_input("hold_end", "Frames to rest at the end of each cycle, 0..100000; they count within the frames."),
        io.Int.Input(
            "cycles",
            default=1,
            min=1,
            max=1000,
            optional=True,
            advanced=True,
            tooltip="How often the whole is run through within the frames, 1..1000.",
        ),
    ]


def keyframe_inputs() -> list:
    return [
        io.String.Input(
            "keyframes",
            default="0: 0, 12: 1, 24: 1, 36: -0.3",
            multiline=True,
            tooltip="Pairs of frame (from 0) and coefficient, with commas or on lines of their own: 0: 0, 12: 1, 36: -0.3.",
        ),
        easing_input(),
        io.Boolean.Input(
            "loop", default=True, tooltip="Lead on from the last keyframe to the first, so that the clip loops exactly; else hold."
        ),
    ]


def curve_inputs() -> list:
    return [
        io.Curve.Input("curve", tooltip="The drawn curve: left is the first frame, right the last; click to add a point, drag to move it."),
        coefficient_input("low", 0.0, "Coefficient at the bottom of the curve, -10..10."),
        coefficient_input("high", 1.0, "Coefficient at the top of the curve, -10..10."),
    ]


def coefficient_input(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=-10.0, max=10.0, step=0.05, tooltip=tooltip)


def easing_input() -> io.Combo.Input:
    tooltip = "How the frames between are spread: ease starts and ends gently, linear moves evenly."
    return io.Combo.Input("easing", options=list(EASINGS), default="ease", tooltip=tooltip)


def still_input(name: str, tooltip: str) -> io.Int.Input:
    return io.Int.Input(name, default=0, min=0, max=100000, optional=True, advanced=True, tooltip=tooltip)


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
        return io.Schema(
            node_id="MicromotionApplySubspace",
            display_name="Apply Micromotion",
            category=CATEGORY,
            description="Move codes along a motion. Without a sweep the coefficient edits the face; with one, it scales the sweep and"
            " every frame gets its code. Chain several to mix motions. At coefficient 0 the codes are returned bit for bit.",
            has_intermediate_output=True,
            search_aliases=["edit face", "expression", "strength", "slider", "animate", "smile", "age"],
            inputs=[
                sockets.Codes.Input("codes", tooltip="One code, or one per frame (from another Apply Micromotion)."),
                sockets.Subspace.Input("motion", tooltip="The motion to go along; made for the generator of these codes."),
                slider_input("coefficient", 1.0, "How far along the motion"),
                sockets.Sweep.Input("sweep", optional=True, tooltip="Coefficients over frames; multiplied by the coefficient above."),
                component_input(),
            ],
            outputs=[sockets.Codes.Output("moved", display_name="codes", tooltip="The moved codes: one per frame of the sweep.")],
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
        return io.Schema(
            node_id="MicromotionFaceSliders",
            display_name="Face Sliders",
            category=CATEGORY,
            description="One slider for each motion, all on one face: smile, age, turn and whatever else is connected. Without a sweep the"
            " sliders edit the face; with one, they scale it and every frame gets its code. At 0 the codes are returned bit for bit."
            " With Run (On Change) the picture follows the mouse.",
            has_intermediate_output=True,
            search_aliases=SLIDER_WORDS,
            inputs=[
                sockets.Codes.Input("codes", tooltip="One code, or one per frame."),
                io.Autogrow.Input(
                    "motions",
                    template=io.Autogrow.TemplateNames(
                        sockets.Subspace.Input("motion", tooltip="A motion, made for the generator of these codes."),
                        names=[f"motion_{i}" for i in range(1, SLIDERS + 1)],
                        min=1,
                    ),
                    tooltip="Up to eight motions, made for the generator of these codes; a new socket appears as one is taken.",
                ),
                *(slider_input(f"coefficient_{i}", 0.0, f"How far along motion_{i}") for i in range(1, SLIDERS + 1)),
                sockets.Sweep.Input("sweep", optional=True, tooltip="Coefficients over frames; multiplied by the sliders."),
            ],
            outputs=[sockets.Codes.Output("moved", display_name="codes", tooltip="The moved codes: one per frame of the sweep.")],
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
    return io.Float.Input(
        name,
        default=default,
        min=-1.25,
        max=1.25,
        step=0.01,
        display_mode=io.NumberDisplay.slider,
        tooltip=f"{what}: 0 nothing, 1 the whole motion, negative the opposite. The slider travels -1.25..1.25; a number that"
        f" comes over a link or by API may lie beyond, within -{LARGEST:g} to {LARGEST:g}.",
    )


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
        return io.Schema(
            node_id="MicromotionReadCoefficients",
            display_name="Read Coefficients",
            category=CATEGORY,
            description="Read how far along a motion each frame of a clip is. The sweep drives another face with the same motion.",
            search_aliases=["motion transfer", "driving video", "retarget", "track expression", "reenact"],
            inputs=[
                sockets.Codes.Input("codes", tooltip="The clip's codes, one per frame, from Invert Face."),
                sockets.Subspace.Input("motion", tooltip="The motion to read."),
                io.Combo.Input(
                    "count_from",
                    options=["first", "median"],
                    tooltip="Which frame of the clip is coefficient 0: the first, or the middle of all.",
                ),
                io.Float.Input(
                    "smooth",
                    default=1.0,
                    min=0.0,
                    max=30.0,
                    step=0.5,
                    tooltip="How much jitter is taken out, 0..30 frames; 0 leaves the track as read.",
                ),
                io.Boolean.Input(
                    "robust",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip="Give little weight to what does not go along with the motion (another expression, a bad frame); off projects.",
                ),
                io.Int.Input(
                    "loop",
                    default=0,
                    min=0,
                    max=10000,
                    optional=True,
                    advanced=True,
                    tooltip="Fade the beginning in from the end over as many frames, 0..10000, so that the clip loops; it gets shorter.",
                ),
                sockets.Codes.Input("neutral", optional=True, tooltip="A code of this person at rest, which is then coefficient 0."),
                sockets.Generator.Input(
                    "generator", optional=True, tooltip="With inverter: measure on this person what the inverter loses, and make up for it."
                ),
                sockets.Inverter.Input("inverter", optional=True, tooltip="The inverter that found the clip's codes; needs generator."),
            ],
            outputs=[
                sockets.Sweep.Output("sweep", tooltip="One coefficient per frame; of a motion of higher rank one for each component."),
                io.Image.Output("plot", tooltip="The coefficients over the frames."),
            ],
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
        return io.Schema(
            node_id="MicromotionMeasure",
            display_name="Measure Motion",
            category=CATEGORY,
            description="Measure the frames of a clip: how they fit a sentence, how core's blendshapes move, whether the"
            " person stays the same, and how much the picture changes. A plot and a table.",
            search_aliases=["curve", "analyze", "blendshapes", "identity similarity", "evaluate", "jitter"],
            inputs=[
                io.Image.Input("images", tooltip="The frames, from Synthesize Faces or from any clip of an aligned face."),
                io.String.Input(
                    "text", default="a person with 100% smile", tooltip="The sentence that the scorer compares with; needs a scorer."
                ),
                sockets.Scorer.Input("scorer", optional=True, tooltip="Measures how well each frame fits the text, cosine -1..1."),
                sockets.Landmarks.Input(
                    "landmarks", optional=True, tooltip="Of core's Detect Face Landmarks: the blendshapes that move most, 0..1."
                ),
                sockets.Identity.Input(
                    "identity", optional=True, tooltip="Cosine to the first frame's person, -1..1, from Load Identity Network."
                ),
                sockets.Sweep.Input(
                    "sweep", optional=True, tooltip="Coefficients of the frames, as the horizontal axis; without it the frame number."
                ),
            ],
            outputs=[
                io.Image.Output("plot", tooltip="The measured curves."),
                io.String.Output("table", tooltip="The same as comma-separated values, a line per frame."),
            ],
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
        return io.Schema(
            node_id="MicromotionSweepToVideo",
            display_name="Sweep to Video",
            category=CATEGORY,
            description="Apply a motion, synthesize and encode in one go, a few frames at a time: memory stays flat for any length."
            " With photo and crop connected the face is pasted back.",
            has_intermediate_output=True,
            search_aliases=["long video", "render video", "stream video", "mp4", "high resolution"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that draws."),
                sockets.Codes.Input("codes", tooltip="One code, or one per frame."),
                sockets.Subspace.Input("motion", tooltip="The motion to go along."),
                sockets.Sweep.Input("sweep", tooltip="Coefficients over frames: one frame of video for each."),
                io.Float.Input("coefficient", default=1.0, min=-5.0, max=5.0, step=0.01, tooltip="Multiplies the sweep, -5..5."),
                io.Float.Input("fps", default=24.0, min=1.0, max=120.0, step=1.0, tooltip="Frames per second, 1..120."),
                io.Image.Input(
                    "photo", optional=True, tooltip="The picture that the face was cut from; with crop, the face is pasted back."
                ),
                sockets.Crop.Input("crop", optional=True, tooltip="Where in the photo the face is, from Align Face or Frame Face by Hand."),
                io.Image.Input("unedited", optional=True, tooltip="The square of the unedited code: only the difference to it is pasted."),
                io.Combo.Input(
                    "shape", options=["face", "square"], default="face", tooltip="What is pasted: the face, or the whole square."
                ),
                half_input(),
            ],
            outputs=[io.Video.Output("video", tooltip="The clip, H.264 in a temporary file; Save Video keeps it.")],
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
