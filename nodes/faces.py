"""Nodes between photos and aligned squares."""

from __future__ import annotations

import functools
import math

import torch
from comfy_api.v0_0_2 import io

from ..faces import (
    GHOST_LIMIT,
    Crop,
    Face,
    FaceError,
    MissingToolError,
    align,
    align_clip,
    choose,
    detect,
    draw,
    faces_from_mediapipe,
    fade,
    find_cuts,
    follow,
    frame,
    key_frames,
    paste,
    reconstruction_error,
    shows_two_faces,
    whole_pictures,
)
from ..faces.alignment import check_sizes, paired_count
from ..faces.clips import MISSING, PATHS
from ..faces.framing import NO_FACE
from ..faces.landmarks import ORDERS
from ..files import limits
from ..stylegan2.inversion import kept_outlines
from . import host, live, sockets, wording

CATEGORY = "micromotion/faces"
UNIT = (0, 1)  # what black and white are in an IMAGE
BLENDS = AUTOMATIC, DIFFERENCE, FADE, REPLACE = ("automatic", "difference", "fade", "replace")  # how the unedited face is used
NEAREST, ALL = "nearest", "all"
BY_HAND, HAND = "by hand", ("x", "y", "share", "tilt")
CUT_BY_HAND = "The square was put by hand: nobody looked for a face."
REPRODUCED = (
    "The reconstruction differs from the photo by {error:.1f} % of the value range in parts of the face (over {limit:.1f} % ghosts show):"
    " as the edit begins, the generator's own drawing takes the photo's place. Invert with more steps, or refine the face."
)
FLOAT_NOISE = 1 / 512  # half an 8-bit step
WHOLE_FRAMES = "The whole frames were taken: none shows a face that the detector is sure of."


def shots(image: torch.Tensor) -> tuple[int, ...]:
    """First frames of the new shots of a clip."""
    return find_cuts(channels_first(image), value_range=UNIT)


def align_image(image: torch.Tensor, landmarks, size: int) -> tuple[torch.Tensor, tuple[Crop, ...]]:
    """Squares as IMAGE, and one crop for each."""
    squares, crops = align(channels_first(image), landmarks, size, value_range=UNIT)
    return host.to_host(squares.movedim(1, -1)), crops if isinstance(crops, tuple) else (crops,)


def picture_size(image: torch.Tensor) -> tuple[int, int]:
    """(width, height) of an IMAGE."""
    return image.shape[2], image.shape[1]


def frame_photo(found: list[Face], image: torch.Tensor, size: int, no_face: str) -> tuple[list[Crop], str]:
    """The crop of the largest face of one photo, or of all of it, and the sentence that says which."""
    crop, said = frame(found, picture_size(image), size, no_face=no_face, where="image")
    return [crop], said


def channels_first(image: torch.Tensor) -> torch.Tensor:
    """IMAGE ``[N, H, W, C]`` -> ``[N, C, H, W]``, values untouched."""
    return host.checked(image).movedim(-1, 1)


def hand_crop(width: int, height: int, x: float, y: float, share: float, tilt: float, side: int) -> Crop:
    """The square around (x, y) in shares of the picture, ``share`` of its shorter side wide, turned by ``tilt`` degrees."""
    x, y = (limits.SHARE.checked(value, f"{name} is", FaceError) for name, value in (("x", x), ("y", y)))
    share, tilt = limits.CROP_SHARE.checked(share, "share is", FaceError), limits.TILT.checked(tilt, "tilt is", FaceError)
    half, turn = share * min(width, height) / 2, math.radians(tilt)
    center = (x * width - 0.5, y * height - 0.5)
    return Crop.from_square(center, (half * math.cos(turn), half * math.sin(turn)), (width, height), side)


def find_faces(image: torch.Tensor, landmarks=None, cuts: tuple[int, ...] | None = None) -> list[list[Face]]:
    """The faces of every frame: of core's MediaPipe node where its output is given, else found by dlib."""
    height, width = image.shape[1:3]
    if landmarks is not None:
        found = faces_from_mediapipe(landmarks, (width, height))
        return found * len(image) if len(found) == 1 else found
    folders = host.landmark_folders()
    try:
        return detect(channels_first(image), folders=folders, clip=True, cuts=cuts, progress=host.progress(), value_range=UNIT)
    except MissingToolError as error:
        raise MissingToolError(
            f"{error} Fetch Model fetches the landmark file, and core's Detect Face Landmarks (MediaPipe), connected to landmarks, needs"
            " neither."
        ) from error


def find_or_doubt(image: torch.Tensor, landmarks, cuts: tuple[int, ...], no_face: str) -> list[list[Face]]:
    """``find_faces``, or no face where the tools are missing and square pictures without one go in whole."""
    try:
        return find_faces(image, landmarks, cuts)
    except MissingToolError as error:
        if not whole_pictures([], picture_size(image), no_face):
            raise
        host.remark(f"Nobody looked for faces. {error}")
        return [[] for _ in image]


def choose_faces(found: list[list[Face]], cuts, order: str, **which) -> tuple[Face | None, ...]:
    """One face per frame, followed through a clip, None where it is gone; or all faces of one photo."""
    if order == ALL:
        return all_faces(found)
    by = "largest" if order == NEAREST else order
    if len(found) == 1:
        return (choose(found[0], by, where="image", **which),)
    return tuple(follow(found, by, cuts=cuts, **which))


def all_faces(found: list[list[Face]]) -> tuple[Face, ...]:
    if len(found) != 1:
        raise FaceError(f"order all takes the faces of one photo, and image has {len(found)} frames: choose one face of a clip.")
    choose(found[0], where="image")  # says so when there is none
    return tuple(found[0])


def place(image: torch.Tensor, order: str, x: float, y: float, box) -> dict:
    """What a face must be nearest to, in pixels; nothing where another order counts."""
    height, width = image.shape[1:3]
    if box is not None:
        return {"box": corners(box)}
    x, y = (limits.SHARE.checked(value, f"{name} is", FaceError) for name, value in (("x", x), ("y", y)))
    return {"point": (x * width - 0.5, y * height - 0.5)} if order == NEAREST else {}


def corners(box) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the first box of the host's BOUNDING_BOX, which may be one, a list, or a list for each frame."""
    while isinstance(box, (list, tuple)):
        if not box:
            raise FaceError("box is empty: no box was found in the first frame. Give another, or choose by order and index.")
        box = box[0]
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


class PickFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionPickFace",
            CATEGORY,
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("order", options=[*ORDERS, NEAREST, ALL], default="left to right"),
                sockets.number("index", limits.INDEX, 0),
                sockets.Landmarks.Input("landmarks", optional=True),
                sockets.number("x", limits.SHARE, 0.5, step=0.005, optional=True),
                sockets.number("y", limits.SHARE, 0.5, step=0.005, optional=True),
                sockets.Box.Input("box", optional=True, force_input=True, socketless=False),
            ],
            outputs=[sockets.Face.Output("face"), io.Image.Output("numbered")],
        )

    @classmethod
    def execute(cls, image, order, index, landmarks=None, x=0.5, y=0.5, box=None) -> io.NodeOutput:
        cuts = shots(image)
        found = find_faces(image, landmarks, cuts)
        shown = key_frames(found, cuts)
        numbered = draw(channels_first(image[shown]), [found[i] for i in shown], value_range=UNIT)
        chosen = choose_faces(found, cuts, order, index=index, **place(image, order, x, y, box))
        return io.NodeOutput(chosen, host.to_host(numbered.movedim(1, -1)))


class AlignFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionAlignFace",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("image"),
                sockets.number("size", limits.SIZE, 256, step=8),
                io.DynamicCombo.Input("path", options=ways()),
                sockets.Face.Input("face", optional=True),
                sockets.Landmarks.Input("landmarks", optional=True),
                io.Combo.Input("missing", options=list(MISSING), default="interpolate", optional=True),
                io.Combo.Input("no_face", options=list(NO_FACE), default="stop", optional=True),
            ],
            outputs=[
                io.Image.Output("square"),
                sockets.Crop.Output("crop"),
                io.Image.Output("kept"),
                io.Int.Output("count"),
                io.String.Output("report"),
            ],
        )

    @classmethod
    def execute(cls, image, size, path, face=None, landmarks=None, missing="interpolate", no_face="stop") -> io.NodeOutput:
        if path["path"] == BY_HAND:
            return host.output(*cut_by_hand(image, size, *(path[name] for name in HAND)), image, len(image), CUT_BY_HAND)
        cuts = shots(image) if len(image) > 1 else ()
        found = [] if face else find_or_doubt(image, landmarks, cuts, no_face)
        if len(image) == 1:
            crops, said = ([*face], f"{len(face)} of 1 photo") if face else frame_photo(found[0], image, size, no_face)
            squares, crops = align_image(image, crops, size)
            host.remark(said)
            return host.output(squares, crops, image, len(squares), said)
        if found and whole_pictures(found, picture_size(image), no_face):
            squares, crops = align_image(image, ["aligned"] * len(image), size)
            host.remark(WHOLE_FRAMES)
            return host.output(squares, crops, image, len(squares), WHOLE_FRAMES)
        chosen = face or choose_faces(found, cuts, "largest")
        options = {"path": path["path"], "missing": missing, "cuts": cuts, "jumps": True, "progress": host.progress(), "value_range": UNIT}
        squares, crops, report = align_clip(channels_first(image), chosen, size, **options)
        host.remark(str(report))
        return host.output(host.to_host(squares.movedim(1, -1)), crops, image[list(report.kept)], len(squares), str(report))


def ways() -> list:
    """How a square may lie, and where it is put by hand."""
    hand = [
        sockets.number("x", limits.SHARE, 0.5, step=0.005),
        sockets.number("y", limits.SHARE, 0.5, step=0.005),
        sockets.number("share", limits.CROP_SHARE, 1.0, step=0.005),
        sockets.number("tilt", limits.TILT, 0.0, step=0.5),
    ]
    return [io.DynamicCombo.Option(way, hand if way == BY_HAND else []) for way in (*PATHS, BY_HAND)]


def cut_by_hand(image: torch.Tensor, size: int, x: float, y: float, share: float, tilt: float) -> tuple[torch.Tensor, tuple[Crop, ...]]:
    """The same square of every frame, and its crops; a square picture goes in whole where nothing was chosen."""
    width, height = picture_size(image)
    size, _ = check_sizes(size)
    whole = width == height and (x, y, share, tilt) == (0.5, 0.5, 1.0, 0.0)
    crop = Crop.aligned((width, height), size) if whole else hand_crop(width, height, x, y, share, tilt, size)
    return align_image(image, [crop] * len(image), size)


class PasteFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionPasteFace",
            CATEGORY,
            hidden=live.HIDDEN,
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("photo"),
                io.Image.Input("faces"),
                sockets.Crop.Input("crop"),
                io.Image.Input("unedited", optional=True),
                io.Combo.Input("shape", options=["face", "square"], default="face"),
                io.Combo.Input("blend", options=list(BLENDS), default=BLENDS[0]),
                sockets.number("mask_size", limits.MASK_SIZE, 1.0, step=0.05, advanced=True),
                sockets.number("softness", limits.SHARE, 0.15, step=0.01, advanced=True),
                io.Boolean.Input("color_match", default=False, advanced=True),
                io.Mask.Input("limit", optional=True),
                sockets.number("ghost_limit", limits.SHARE, GHOST_LIMIT, step=0.01, optional=True, advanced=True),
                io.Boolean.Input("together", default=False, optional=True, advanced=True),
            ],
            outputs=[io.Image.Output("image"), io.Mask.Output("mask")],
        )

    @classmethod
    @live.remembered
    def execute(
        cls,
        photo,
        faces,
        crop,
        shape,
        blend,
        mask_size,
        softness,
        color_match,
        unedited=None,
        limit=None,
        ghost_limit=GHOST_LIMIT,
        together=False,
    ) -> io.NodeOutput:
        options = {"mask": shape, "mask_size": mask_size, "softness": softness, "limit": limit, "color_match": color_match}
        options |= {"ghost_limit": ghost_limit, "warn": host.remark, "progress": host.progress()}
        return host.output(*paste_squares(photo, faces, crop, unedited, blend, together, **options))


def paste_squares(photo, squares, crop, unedited, blend: str, together: bool = False, **options) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures and the MASK, blended as the user chose."""
    squares, base = squares[..., :3], None if unedited is None or blend == REPLACE else unedited[..., :3]
    if base is not None:
        check_pair(squares, base)
    return (paste_together if together else paste_image)(photo, squares, crop, base, blend, **options)


def settled(
    blend: str, shape: str, photo: torch.Tensor, squares: torch.Tensor, crop, unedited: torch.Tensor, ghost_limit: float = GHOST_LIMIT
) -> tuple[str, str]:
    """Blend and shape; *automatic* comes to fading the whole square where the difference would show two faces, as at the command line."""
    if blend != AUTOMATIC:
        return blend, shape
    base = channels_first(unedited)
    if shows_two_faces(float(kept_outlines(channels_first(squares), base).min()), crop, squares.shape[2]):
        return FADE, "square"
    if not all(one.is_whole for one in crop):
        return DIFFERENCE, shape
    error = float(reconstruction_error(channels_first(photo), base, list(crop), value_range=UNIT).max())
    if error <= ghost_limit:
        return DIFFERENCE, shape
    host.remark(REPRODUCED.format(error=100 * error, limit=100 * ghost_limit))
    return FADE, "square"


def check_pair(squares: torch.Tensor, unedited: torch.Tensor) -> None:
    """Edited and unedited squares of one size; as many, or one for all."""
    if squares.shape[1:3] != unedited.shape[1:3]:
        raise FaceError(f"faces is {squares.shape[2]} px wide and unedited {unedited.shape[2]} px: synthesize both with one generator.")
    paired_count(len(squares), len(unedited), "faces", "unedited")


def paste_image(photo: torch.Tensor, squares: torch.Tensor, crop, unedited: torch.Tensor | None, blend: str, mask: str, **options):
    """``faces.paste``, or ``fade``, for IMAGEs: the pictures and the MASK."""
    put = paste
    if unedited is not None:
        blend, mask = settled(blend, mask, photo, squares, crop, unedited, options.get("ghost_limit", GHOST_LIMIT))
        put = functools.partial(fade if blend == FADE else paste, reconstruction=channels_first(unedited))
        squares = quiet(squares, unedited)
    images, covered = put(channels_first(photo), channels_first(squares), list(crop), mask=mask, value_range=UNIT, **options)
    return host.to_host(images.movedim(1, -1)), host.to_host(covered)


def paste_together(photo: torch.Tensor, squares: torch.Tensor, crop, unedited: torch.Tensor | None, blend: str, **options):
    """Several faces of one photo, one after another into the same picture; the MASK covers them all."""
    if len(crop) != len(squares):
        raise FaceError(f"together needs one square for each crop, and faces has {len(squares)} squares and crop {len(crop)}.")
    masks = []
    for i, one in enumerate(crop):
        base = None if unedited is None else unedited[i % len(unedited)][None]
        photo, mask = paste_image(photo, squares[i : i + 1], (one,), base, blend, **options)
        masks.append(mask)
    return photo, torch.stack(masks).amax(0)


def quiet(squares: torch.Tensor, unedited: torch.Tensor) -> torch.Tensor:
    """The squares, equal to the unedited one where both agree but for rounding, which differs with the size of a batch."""
    return torch.where((squares - unedited).abs() < FLOAT_NOISE, unedited, squares)


NODES = [PickFace, AlignFace, PasteFace]
