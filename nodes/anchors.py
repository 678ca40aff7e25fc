"""Nodes that find anchors: codes known to show degrees of a motion."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..files import limits
from ..stylegan2.sampling import seeds_from
from ..subspaces.anchors import QUALITIES, SPACES, Weights, text_anchors, video_anchors
from . import host, sockets, wording
from .codes import class_input, remark_class

CATEGORY = "micromotion/motions"
AUTO, RECOMMENDED = "auto", -1  # what the scorer's file recommends


def layers_input() -> io.String.Input:
    return io.String.Input("layers", default="all", advanced=True)


class TextAnchors(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionTextAnchors",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                sockets.Generator.Input("generator"),
                sockets.Scorer.Input("scorer"),
                io.String.Input("template", default="a person with {degree} smile"),
                sockets.number("seeds", limits.FACES, 3),
                sockets.number("steps", limits.STEPS, 40),
                sockets.Codes.Input("codes", optional=True),
                sockets.Identity.Input("identity", optional=True),
                io.String.Input("negative", default="", advanced=True),
                io.String.Input("neutral", default="", advanced=True),
                sockets.number("first_seed", limits.SEED, 0, advanced=True),
                sockets.number("truncation", limits.TRUNCATION, 0.7, step=0.05, advanced=True),
                sockets.number("stay_near", limits.WEIGHT, RECOMMENDED, unset=RECOMMENDED, step=0.001, round=0.0001, advanced=True),
                sockets.number("stay_natural", limits.WEIGHT, RECOMMENDED, unset=RECOMMENDED, step=0.01, advanced=True),
                layers_input(),
                io.String.Input("degrees", default="", optional=True, advanced=True),
                sockets.number("keep_identity", limits.WEIGHT, 0.005, step=0.001, round=0.0001, optional=True, advanced=True),
                sockets.number("learning_rate", limits.LEARNING_RATE, 0.1, step=0.01, round=0.001, optional=True, advanced=True),
                io.Combo.Input("space", options=[AUTO, *SPACES], default=AUTO, optional=True, advanced=True),
                sockets.number("views", limits.VIEWS, RECOMMENDED, unset=RECOMMENDED, optional=True, advanced=True),
                io.Combo.Input("quality", options=[AUTO, *QUALITIES], default=AUTO, optional=True, advanced=True),
                class_input(),
            ],
            outputs=[sockets.Anchors.Output("anchors")],
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
        quality=AUTO,
        class_of="",
    ) -> io.NodeOutput:
        net, judge, likeness = host.ready(generator, scorer, identity, memory=host.gradient_memory(generator))
        if codes is None:
            remark_class(net, class_of)
        anchors = text_anchors(
            net,
            judge,
            template,
            degrees=degrees.strip() or None,
            seeds=seeds_from(first_seed, seeds),
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
            quality=None if quality == AUTO else quality,
            category=class_of,
            state=host.resume_path("text_anchors"),
            progress=host.progress("Fewer steps or faces take less; so does quality fast, which large pictures have anyway."),
        )
        return host.output(anchors)


def _said(value: float) -> float | None:
    """A number of the user's own, None where the scorer's file recommends one."""
    return None if value < 0 else value


class VideoAnchors(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionVideoAnchors",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                sockets.Generator.Input("generator"),
                sockets.Codes.Input("codes"),
                sockets.number("positive", limits.FRAME, -1, unset=-1, advanced=True),
                sockets.number("max_frames", limits.ANCHOR_FRAMES, 96, advanced=True),
                sockets.Sweep.Input("degrees", optional=True),
                sockets.Crop.Input("crop", optional=True),
                io.String.Input("description", default="", optional=True, advanced=True),
            ],
            outputs=[sockets.Anchors.Output("anchors")],
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
        host.remark(*anchors.notes)
        return host.output(anchors)


def crop_policy(crops: tuple | None) -> str:
    """How a clip was cut: from one place in all frames, or where the face was in each."""
    if crops is None:
        return ""
    return "fixed" if all(crop == crops[0] for crop in crops) else "follows the face"


NODES = [TextAnchors, VideoAnchors]
