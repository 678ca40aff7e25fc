"""Nodes between photos and aligned squares."""

from __future__ import annotations

import math

import torch
from comfy_api.latest import io

from ..stylegan2.faces import Crop, align, paste
from . import host, sockets

CATEGORY = "micromotion/faces"
UNIT = (0, 1)  # what black and white are in an IMAGE
WHOLE = "whole picture"


def size_input() -> io.Int.Input:
    return io.Int.Input(
        "size",
        default=256,
        min=32,
        max=2048,
        step=8,
        tooltip="Side of the square in pixels, 32..2048. Inverters read 256; a larger square keeps more for Paste Face's colours.",
    )


def square_outputs() -> list:
    return [
        io.Image.Output("square", tooltip="The face in a square, as the inverter knows faces."),
        sockets.Crop.Output("crop", tooltip="Where in the photo the square came from; Paste Face needs it."),
    ]


def align_image(image: torch.Tensor, landmarks, size: int) -> tuple[torch.Tensor, tuple[Crop, ...]]:
    """Squares as IMAGE, and one crop for each."""
    squares, crops = align(channels_first(image), landmarks, size, value_range=UNIT)
    return host.to_host(squares.movedim(1, -1)), crops if isinstance(crops, tuple) else (crops,)


def channels_first(image: torch.Tensor) -> torch.Tensor:
    """IMAGE ``[N, H, W, C]`` -> ``[N, C, H, W]``, values untouched."""
    return image.movedim(-1, 1)


def hand_crop(width: int, height: int, x: float, y: float, share: float, tilt: float, side: int) -> Crop:
    """The square around (x, y) in shares of the picture, ``share`` of its shorter side wide, turned by ``tilt`` degrees."""
    half, turn = share * min(width, height) / 2, math.radians(tilt)
    centre = (x * width - 0.5, y * height - 0.5)
    return Crop.from_square(centre, (half * math.cos(turn), half * math.sin(turn)), (width, height), side)


class FrameFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionFrameFace",
            display_name="Frame Face by Hand",
            category=CATEGORY,
            description="Cut a square out of a picture by hand: for avatars, drawings and statues, where no face detector helps."
            " The defaults take the largest square in the middle, and a square picture as it is.",
            search_aliases=["crop face", "manual align", "square crop", "avatar", "cut out"],
            inputs=[
                io.Image.Input("image", tooltip="The picture, or the frames of a clip; all are cut at the same place."),
                io.Float.Input("x", default=0.5, min=0.0, max=1.0, step=0.005, tooltip="Middle of the face, share of the width: 0 left, 1 right."),
                io.Float.Input("y", default=0.5, min=0.0, max=1.0, step=0.005, tooltip="Middle of the face, share of the height: 0 top, 1 bottom."),
                io.Float.Input(
                    "share", default=1.0, min=0.02, max=2.0, step=0.005, tooltip="Side of the square in shares of the picture's shorter side, 0.02..2."
                ),
                io.Float.Input("tilt", default=0.0, min=-180.0, max=180.0, step=0.5, tooltip="How far the head is turned clockwise, in degrees."),
                size_input(),
            ],
            outputs=square_outputs(),
        )

    @classmethod
    def execute(cls, image, x, y, share, tilt, size) -> io.NodeOutput:
        height, width = image.shape[1:3]
        whole = width == height and (x, y, share, tilt) == (0.5, 0.5, 1.0, 0.0)
        crop = Crop.aligned((width, height), size) if whole else hand_crop(width, height, x, y, share, tilt, size)
        return io.NodeOutput(*align_image(image, [crop] * len(image), size))


class PasteFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionPasteFace",
            display_name="Paste Face",
            category=CATEGORY,
            description="Put edited squares back into the photo, at the photo's own resolution. With the unedited face connected only the"
            " difference that the edit makes is added: where nothing moves, the photo stays as it is, bit for bit.",
            search_aliases=["paste back", "uncrop", "composite face", "blend face", "stitch"],
            inputs=[
                io.Image.Input("photo", tooltip="The picture that the face was cut from; one, or one per frame."),
                io.Image.Input("faces", tooltip="The edited squares, of Synthesize Faces; one per frame."),
                sockets.Crop.Input("crop", tooltip="Where the square came from, of Align Face or Frame Face by Hand."),
                io.Image.Input(
                    "unedited",
                    optional=True,
                    tooltip="The square of the unedited code, synthesized the same way. Without it the square replaces the photo.",
                ),
                io.Combo.Input("shape", options=["face", "square"], default="face", tooltip="What is pasted: the face, or the whole square."),
                io.Float.Input("mask_size", default=1.0, min=0.1, max=3.0, step=0.05, advanced=True, tooltip="Size of the mask, 0.1..3 times the shape."),
                io.Float.Input(
                    "softness", default=0.15, min=0.0, max=1.0, step=0.01, advanced=True, tooltip="Width of the soft edge, 0..1 times the face's height."
                ),
                io.Boolean.Input(
                    "colour_match", default=False, advanced=True, tooltip="Give the square the photo's mean colour and contrast, the same for all frames."
                ),
                io.Mask.Input("limit", optional=True, tooltip="Where pasting is allowed, 0..1, as large as the photo: a hand before the face, for example."),
            ],
            outputs=[
                io.Image.Output("image", display_name="images", tooltip="The photo with the edited face, one per frame."),
                io.Mask.Output("mask", tooltip="Where the photo may have changed, 0..1; for a KSampler or a compositing node."),
            ],
        )

    @classmethod
    def execute(cls, photo, faces, crop, shape, mask_size, softness, colour_match, unedited=None, limit=None) -> io.NodeOutput:
        pictures, mask = paste(
            channels_first(photo),
            channels_first(faces),
            list(crop),
            reconstruction=None if unedited is None else channels_first(unedited),
            mask=shape,
            size=mask_size,
            softness=softness,
            limit=limit,
            colour_match=colour_match,
            value_range=UNIT,
        )
        return io.NodeOutput(host.to_host(pictures.movedim(1, -1)), mask.to(host.management.intermediate_device()))


NODES = [FrameFace, PasteFace]
