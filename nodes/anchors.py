"""Nodes that find anchors: codes known to show degrees of a motion."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..subspaces.anchors import QUALITIES, SPACES, Weights, text_anchors, video_anchors
from . import host, sockets

CATEGORY = "micromotion/motions"
AUTO, RECOMMENDED = "auto", -1  # what the scorer's file recommends


def layers_input() -> io.String.Input:
    return io.String.Input(
        "layers",
        default="all",
        advanced=True,
        tooltip="Which rows of the code may move: all, coarse (shape, pose), middle (features), fine (color), or numbers such as 0-3, 7.",
    )


class TextAnchors(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionTextAnchors",
            display_name="Make Anchors from Text",
            category=CATEGORY,
            description="Find faces that show a motion in rising degrees, by optimizing codes until they fit a sentence."
            " Fit Micromotion turns them into a motion. Cancel stops it within one step;"
            " the next run goes on with the anchors that are missing.",
            has_intermediate_output=True,
            search_aliases=["clip", "prompt", "text to motion", "styleclip", "make motion", "new motion"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 whose codes are optimized."),
                sockets.Scorer.Input("scorer", tooltip="The network that says how well a picture fits the sentence."),
                io.String.Input(
                    "template",
                    default="a person with {degree} smile",
                    tooltip="A sentence with {degree}, which becomes no, 10%, 20% ... 100%. Other braces stay as they are.",
                ),
                io.Int.Input(
                    "seeds",
                    display_name="faces",
                    default=3,
                    min=1,
                    max=20,
                    tooltip="From how many random faces, 1..20: time grows in proportion and the motion gets cleaner.",
                ),
                io.Int.Input("steps", default=40, min=1, max=1000, tooltip="Optimization steps per degree, 1..1000; 40 as published."),
                sockets.Codes.Input("codes", optional=True, tooltip="Faces to begin from, instead of random ones."),
                sockets.Identity.Input(
                    "identity", optional=True, tooltip="A face recognizer that keeps the likeness, from Load Identity Network."
                ),
                io.String.Input(
                    "negative",
                    default="",
                    advanced=True,
                    tooltip="A second sentence with {degree} for the opposite motion, such as a person with {degree} frown; or empty.",
                ),
                io.String.Input(
                    "neutral",
                    default="",
                    advanced=True,
                    tooltip="A sentence that fits every face, such as a person: only what the degree adds to it is asked for.",
                ),
                io.Int.Input(
                    "first_seed",
                    display_name="seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    advanced=True,
                    tooltip="The first random face, 0..4294967295; the others follow it.",
                ),
                io.Float.Input(
                    "truncation",
                    default=0.7,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    advanced=True,
                    tooltip="How typical the random faces are, 0..1: 0 is the mean face.",
                ),
                io.Float.Input(
                    "stay_near",
                    default=RECOMMENDED,
                    min=RECOMMENDED,
                    max=1.0,
                    step=0.001,
                    round=0.0001,
                    advanced=True,
                    tooltip="How strongly a code is held at its start, -1..1 (weight of the squared distance): 0.008 as published, -1 as"
                    " the scorer's file recommends.",
                ),
                io.Float.Input(
                    "stay_natural",
                    default=RECOMMENDED,
                    min=RECOMMENDED,
                    max=10.0,
                    step=0.01,
                    advanced=True,
                    tooltip="How strongly a code is held among those the generator draws by itself, -1..10: 0 as published, -1 as the"
                    " scorer's file recommends.",
                ),
                layers_input(),
                io.String.Input(
                    "degrees",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="What {degree} becomes, with commas: words, percentages or numbers; empty: as the scorer's file recommends,"
                    " else no, 10% to 100% in steps of 10.",
                ),
                io.Float.Input(
                    "keep_identity",
                    default=0.005,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=0.0001,
                    optional=True,
                    advanced=True,
                    tooltip="How much the likeness counts where an identity network is connected, 0..1; 0.005 as published.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=0.1,
                    min=0.001,
                    max=1.0,
                    step=0.01,
                    round=0.001,
                    optional=True,
                    advanced=True,
                    tooltip="Size of an optimization step, 0.001..1; 0.1 as published. Lower it when faces fall apart.",
                ),
                io.Combo.Input(
                    "space",
                    options=[AUTO, *SPACES],
                    default=AUTO,
                    optional=True,
                    advanced=True,
                    tooltip="w+: every row of a code moves by itself, as published. w: all rows move alike, which leaks less."
                    " auto: as the scorer's file recommends.",
                ),
                io.Int.Input(
                    "views",
                    default=RECOMMENDED,
                    min=RECOMMENDED,
                    max=16,
                    optional=True,
                    advanced=True,
                    tooltip="Altered looks at each picture, scored in its place, -1..16: 0 as published, 2 or more avoid false hits, -1 as"
                    " the scorer's file recommends.",
                ),
                io.Combo.Input(
                    "quality",
                    options=list(QUALITIES),
                    default="exact",
                    optional=True,
                    advanced=True,
                    tooltip="exact, or fast: most steps look at pictures of at most 256 px, which saves more than half of the time with a"
                    " 1024 px generator and gives slightly other anchors.",
                ),
            ],
            outputs=[sockets.Anchors.Output("anchors", tooltip="Codes that show the degrees 0..1 of the motion, for each face.")],
        )

    @classmethod
    def execute(
        cls,
        generator,
        scorer,
        template,
        seeds,
        steps,
        negative,
        neutral,
        first_seed,
        truncation,
        stay_near,
        stay_natural,
        layers,
        codes=None,
        identity=None,
        degrees="",
        keep_identity=0.005,
        learning_rate=0.1,
        space=AUTO,
        views=RECOMMENDED,
        quality="exact",
    ) -> io.NodeOutput:
        net, judge, likeness = host.ready_with(generator, scorer, identity, memory=host.gradient_memory(generator))
        anchors = text_anchors(
            net,
            judge,
            template,
            degrees=degrees.strip() or None,
            seeds=range(first_seed, first_seed + seeds),
            start=codes,
            negative=negative.strip(),
            neutral=neutral.strip(),
            steps=steps,
            lr=learning_rate,
            truncation=truncation,
            weights=Weights(l2=_said(stay_near), identity=keep_identity, prior=_said(stay_natural)),
            identity=likeness,
            layers=layers,
            space=None if space == AUTO else space,
            views=None if views < 0 else views,
            quality=quality,
            state=host.resume_path("text_anchors"),
            progress=host.progress("Quality fast, fewer steps or fewer faces take less."),
        )
        return host.output(anchors)


def _said(value: float) -> float | None:
    """A number of the user's own, None where the scorer's file recommends one."""
    return None if value < 0 else value


class VideoAnchors(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionVideoAnchors",
            display_name="Make Anchors from Clip",
            category=CATEGORY,
            description="Take the frames of a short clip of one moving face as anchors, in the order of the motion that they share."
            " Frames that do not fit are left out. Fit Micromotion turns them into a motion.",
            has_intermediate_output=True,
            search_aliases=["video to motion", "driving video", "learn motion", "head turn", "record expression"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that the clip was inverted with."),
                sockets.Codes.Input(
                    "codes", tooltip="The clip's codes, one per frame, from Invert Face; 3 frames at least, 24 or more are good."
                ),
                io.Int.Input(
                    "positive",
                    default=-1,
                    min=-1,
                    max=100000,
                    advanced=True,
                    tooltip="The frame that shows the motion most, -1..100000, counted from 0;"
                    " -1 takes the end that is farther from the clip's beginning.",
                ),
                io.Int.Input(
                    "max_frames", default=96, min=3, max=1000, advanced=True, tooltip="Longer clips are thinned to as many, 3..1000."
                ),
                sockets.Sweep.Input(
                    "degrees", optional=True, tooltip="How far along each frame is, 0..1, where that is known: a sweep of as many frames."
                ),
                sockets.Crop.Input(
                    "crop", optional=True, tooltip="The crops of Align Face: whether the frame stood still or followed the face is noted."
                ),
                io.String.Input(
                    "description", default="", optional=True, advanced=True, tooltip="What the clip shows; it is kept in the motion's file."
                ),
            ],
            outputs=[sockets.Anchors.Output("anchors", tooltip="The clip's codes in the order of the motion.")],
        )

    @classmethod
    def execute(cls, generator, codes, positive, max_frames, degrees=None, crop=None, description="") -> io.NodeOutput:
        anchors = video_anchors(
            codes,
            degrees=degrees,
            generator=generator.value,
            positive=None if positive < 0 else positive,
            max_frames=max_frames,
            crop_policy=crop_policy(crop),
            description=description.strip(),
        )
        for note in anchors.notes:
            host.remark(note)
        return host.output(anchors)


def crop_policy(crops: tuple | None) -> str:
    """How a clip was cut: from one place in all frames, or where the face was in each."""
    if crops is None:
        return ""
    return "fixed" if all(crop == crops[0] for crop in crops) else "follows the face"


NODES = [TextAnchors, VideoAnchors]
