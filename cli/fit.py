"""``micromotion fit``: a text or a clip -> a motion file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import torch

from ..subspaces import Anchors, Subspace, fit
from ..subspaces.anchors.text import text_anchors
from .inspect import describe_motion
from .media import check_output, read_clip
from .models import Models, check_files
from .portrait import Framing
from .terminal import Clock, UsageError, progress_bar, say


def run(args: Namespace, clock: Clock) -> None:
    """Decode the motion of ``args.source``, save it, and say what it is."""
    out = check_output(args.out, (".safetensors",))
    check_files(args.generator, args.inverter, args.predictor)
    models = Models(args.generator, args.inverter, args.scorer, args.device)
    options = {"estimator": args.estimator, "rank": args.rank, "name": out.stem}
    if "{degree}" in args.source:
        with clock.stage("decode the motion from text"):
            motion = decode_text(args.source, models, {"seeds": range(args.seed, args.seed + args.seeds)}, args.steps, **options)
    else:
        motion = decode_clip(_existing(args.source), models, Framing(args.align, args.predictor), clock, **options)
    motion.save(out)
    say(f"{out}\n{describe_motion(motion)}")


def _existing(source: str) -> Path:
    if Path(source).exists():
        return Path(source)
    raise UsageError(
        f'{source!r} is no file or folder, and as a template it lacks {{degree}}; write for example "a person with {{degree}} smile".'
    )


def decode_text(template: str, models: Models, faces: dict, steps: int | None = None, **options) -> Subspace:
    """A motion from a template, pooled over ``faces``: ``{"seeds": [...]}``, or ``{"start": codes [G, L, D]}``."""
    given = {} if steps is None else {"steps": steps}
    with progress_bar("Text anchors") as progress:
        anchors = text_anchors(models.generator, models.scorer, template, progress=progress, **faces, **given)
    return fit(anchors, **options)


def decode_clip(path: Path, models: Models, framing: Framing, clock: Clock, **options) -> Subspace:
    """A motion from a clip of one moving face: every frame is aligned and inverted."""
    with clock.stage("read and align the clip"):
        squares = [framing.frame(frame, f"Frame {i} of {path}")[0] for i, frame in enumerate(read_clip(path))]
    with clock.stage("invert the clip"), progress_bar("Invert") as progress:
        codes = models.inverter.invert(models.generator, torch.cat(squares), progress=progress)
    anchors = Anchors(
        codes, source="video", fingerprint=models.generator.fingerprint, labels=tuple(f"frame {i}" for i in range(len(codes)))
    )
    return fit(anchors, **options)
