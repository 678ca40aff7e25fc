"""``micromotion fit``: a text or a clip -> a motion file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import torch

from ..avatars.make_motions import ANCHOR_WEIGHTS
from ..subspaces import Anchors, fit, with_preview
from ..subspaces.anchors import text_anchors, video_anchors
from .inspect import describe_motion
from .media import check_output, read_clip, thinned
from .models import Models, check_files
from .portrait import Framing
from .terminal import Clock, UsageError, progress_bar, say

MOST_FRAMES = 96


def run(args: Namespace, clock: Clock) -> None:
    """Decode the motion of ``args.source``, save it, and say what it is."""
    out = check_output(args.out, (".safetensors",))
    check_files(args.generator, args.inverter, args.predictor)
    models = Models(args.generator, args.inverter, args.scorer, args.device)
    if "{degree}" in args.source:
        with clock.stage("find anchors for the text"):
            anchors = anchors_of_text(args.source, models, {"seeds": range(args.seed, args.seed + args.seeds)}, args.steps)
    else:
        anchors = anchors_of_clip(_existing(args.source), models, Framing(args.align, args.predictor), args.positive, clock)
    with clock.stage("fit"):
        motion = fit(anchors, estimator=args.estimator, rank=args.rank, name=out.stem)
    with clock.stage("draw the preview"):
        motion = with_preview(motion, models.generator, anchors.codes[0] if anchors.start is None else anchors.start[0])
    motion.save(out)
    say(f"{out}\n{describe_motion(motion)}")


def _existing(source: str) -> Path:
    if Path(source).exists():
        return Path(source)
    raise UsageError(
        f'{source!r} is no file or folder, and as a template it lacks {{degree}}; write for example "a person with {{degree}} smile".'
    )


def anchors_of_text(template: str, models: Models, faces: dict, steps: int | None = None) -> Anchors:
    """Anchors of a template on ``faces``: ``{"seeds": [...]}``, or ``{"start": codes [G, L, D]}``."""
    options = {} if steps is None else {"steps": steps}
    if models.is_embedded:
        options["weights"] = ANCHOR_WEIGHTS
    with progress_bar("Text anchors") as progress:
        return text_anchors(models.generator, models.scorer, template, progress=progress, **faces, **options)


def anchors_of_clip(path: Path, models: Models, framing: Framing, positive: int | None, clock: Clock) -> Anchors:
    """Anchors of a clip of one moving face: its frames aligned and inverted."""
    with clock.stage("read and align the clip"):
        frames, spacing = thinned(read_clip(path), MOST_FRAMES)
        if len({frame.shape for frame in frames}) != 1:
            raise UsageError(f"The pictures in {path} have different sizes; one clip has one size.")
        squares, kept = framing.frame_clip(torch.stack(frames), path)
    with clock.stage("invert the clip"), progress_bar("Invert") as progress:
        codes = models.inverter.invert(models.generator, squares, progress=progress)
    return video_anchors(
        codes,
        positive=None if positive is None else min(range(len(kept)), key=lambda i: abs(kept[i] * spacing - positive)),
        generator=models.generator,
        crop_policy="fixed",
        description=path.name if spacing == 1 else f"{path.name}, every {spacing} frames",
    )
