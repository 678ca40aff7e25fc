"""``micromotion fit``: a text or a clip -> a motion file."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from os.path import realpath
from pathlib import Path

from ..pairs.cluster import spread
from ..stylegan2.inversion import load_identity
from ..stylegan2.sampling import seeds_from, unchosen
from ..subspaces import Anchors, fit, pool, with_preview
from ..subspaces.anchors import text_anchors, video_anchors
from ..subspaces.describing import describe_motion
from .clips import ClipCodes, clips_in, codes_of_clip
from .models import Models, check_files, check_output
from .portrait import Framing
from .terminal import Clock, UsageError, note, progress_bar, say

MOST_FRAMES = 96

CHEAPER = "Fewer --steps take less; so does --quality fast, which large pictures have anyway."


def run(args: Namespace, clock: Clock) -> None:
    """Decode the motion of ``args.source``, save it, and say what it is."""
    out = check_output(args.out, (".safetensors",))
    check_files(args.generator, args.inverter, args.predictor, args.identity)
    models = Models(args.generator, args.inverter, args.scorer, args.device)
    from_text = "{degree}" in args.source
    _check(args, from_text)
    kept = [_state(out)]
    if from_text:
        with clock.stage("find anchors for the text"):
            anchors = _text(args, models, out)
    else:
        anchors, kept = _read_clips(args, models, out, clock)
    with clock.stage("fit"):
        motion = fit(
            anchors,
            estimator=args.estimator,
            rank=args.rank,
            joint=args.joint,
            sparsity=args.sparsity,
            layers=args.layers,
            reverse=args.reverse,
            name=args.name or out.stem,
            license=args.license,
        )
    with clock.stage("draw the preview"):
        motion = with_preview(motion, models.generator, anchors.codes[0] if anchors.start is None else anchors.start[0])
    motion.save(out)
    for part in kept:
        part.unlink(missing_ok=True)
    say(f"{out}\n{describe_motion(motion)}")


def _check(args: Namespace, from_text: bool) -> None:
    """Refuse options that the source cannot follow, instead of leaving them unread."""
    of_text = {"--degrees": args.degrees, "--negative": args.negative, "--neutral": args.neutral, "--identity": args.identity}
    of_text |= {"--space": args.space, "--views": args.views is not None, "--class": args.category is not None}
    of_clip = {"--also": args.also, "--positive": args.positive is not None, "--reverse": args.reverse, "--ray": args.ray is not None}
    if unread := [name for name, value in (of_clip if from_text else of_text).items() if value]:
        wanted, given = ("clips", "text") if from_text else ("texts", "clip")
        raise UsageError(f"{unread[0]} is for {wanted}, and {args.source!r} is a {given}; leave it out.")


def _state(out: Path) -> Path:
    """Where finished anchors are kept until the motion is, so that the same command goes on after it was interrupted."""
    return out.with_name(f".{out.stem}.anchors.safetensors")


def _text(args: Namespace, models: Models, out: Path) -> Anchors:
    options = {
        "negative": args.negative or "",
        "neutral": args.neutral,
        "degrees": args.degrees,
        "layers": args.layers,
        "quality": args.quality,
    }
    options |= {name: value for name, value in (("space", args.space), ("views", args.views)) if value is not None}
    if args.identity is not None:
        options["identity"] = load_identity(args.identity).to(models.torch_device)
    faces = {"seeds": seeds_from(args.seed, args.faces), "category": args.category}
    if sentence := unchosen(models.generator, args.category):
        note(sentence)
    return anchors_of_text(args.source, models, faces, args.steps, state=_state(out), **options)


def _existing(source: str | Path) -> Path:
    if Path(source).exists():
        return Path(source)
    raise UsageError(
        f'{str(source)!r} is not a file or folder, and a template needs {{degree}}; write for example "a person with {{degree}} smile".'
    )


def anchors_of_text(template: str, models: Models, faces: dict, steps: int | None = None, **options) -> Anchors:
    """Anchors of a template on ``faces``: ``{"seeds": [...]}``, or ``{"start": codes [G, L, D]}``."""
    if steps is not None:
        options["steps"] = steps
    with progress_bar("Text anchors", cheaper=CHEAPER) as progress:
        return text_anchors(models.generator, models.scorer, template, progress=progress, **faces, **options)


class ClipReader:
    """Reads and inverts clips, one after another; what it found of each is kept in a file, so that the same command goes on from there."""

    def __init__(self, paths: list[Path], kept: list[Path], models: Models, framing: Framing, clock: Clock):
        self.paths, self.kept, self.models, self.framing, self.clock = paths, kept, models, framing, clock

    def __call__(self, item: dict[str, int]) -> dict[str, int]:
        """Read the clip ``item["clip"]`` unless it was read before; Ray calls this with rows of its own."""
        i = int(item["clip"])
        if not self.kept[i].is_file():
            codes_of_clip(self.paths[i], self.models, self.framing, MOST_FRAMES, self.clock).save(self.kept[i])
        return {"clip": i}


def _read_clips(args: Namespace, models: Models, out: Path, clock: Clock) -> tuple[Anchors, list[Path]]:
    """The pooled anchors of all clips, and the files that what was found of each is kept in until the motion is there."""
    paths = [Path(realpath(clip)) for source in (args.source, *args.also) for clip in clips_in(_existing(source))]
    framing = Framing(args.align, args.predictor and Path(realpath(args.predictor)), anyway=args.anyway)
    kept = [Path(realpath(out)).with_name(f".{out.stem}.clip-{_stamp(path, args)}.safetensors") for path in paths]
    items = [{"clip": i} for i in range(len(paths))]
    with progress_bar("Clips", "clip") as progress:
        for done, _ in enumerate(spread(ClipReader, (paths, kept, models, framing, clock), items, ray=args.ray, workers=args.workers), 1):
            progress(done, len(paths))
    return anchors_of_clips([(path, ClipCodes.load(at)) for path, at in zip(paths, kept)], models, args.positive), kept


def _stamp(path: Path, args: Namespace) -> str:
    """A name for everything that the codes of a clip depend on: the files with their sizes and times, and how faces are cut out."""
    files = [*sorted(path.iterdir() if path.is_dir() else [path]), *filter(None, (args.generator, args.inverter, args.predictor))]
    facts = [(realpath(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(repr((facts, args.align, args.anyway)).encode()).hexdigest()[:12]


def anchors_of_clips(clips: list[tuple[Path, ClipCodes]], models: Models, positive: int | None) -> Anchors:
    """Anchors of clips of moving faces, of each for itself and pooled."""
    named = [path.name if clip.spacing == 1 else f"{path.name}, every {clip.spacing} frames" for path, clip in clips]
    common = {"generator": models.generator, "crop_policy": "fixed", "description": "; ".join(named)}
    if positive is None:
        return video_anchors([clip.codes for _, clip in clips], **common)
    return pool([video_anchors(clip.codes, positive=clip.nearest(positive), **common) for _, clip in clips])
