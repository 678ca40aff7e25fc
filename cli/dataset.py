"""``micromotion dataset``: training pairs of known strength, as a folder that trainers read."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from os.path import realpath  # Path.resolve raises where links lead in a circle
from pathlib import Path

from ..avatars.instrument import AvatarInstrument
from ..files import catalog
from ..media.clips import PICTURES
from ..pairs import Gate, Job, LandmarkInstrument, MotionPlan, Plan, make, plain_name, repeated_codes, repeated_photos
from ..pairs.landmarks import why_not
from ..pairs.samples import fitting_batch
from ..pairs.store import is_address
from ..stylegan2 import load_codes
from ..stylegan2.sampling import class_labels, unchosen
from .models import Models, check_files, embedded, find_motion, models_folder
from .terminal import Clock, UsageError, note, progress_bar, say

STRENGTHS = (0.5, 1.0)


def run(args: Namespace, clock: Clock) -> None:
    """Make the set that ``args`` describe, or go on with it, and say what it holds."""
    check_files(args.generator, args.inverter, args.identity)
    job = job_of(args)
    note(f"{job.plan.pairs:,} pairs of {len(job.plan.keys):,} faces in {job.plan.shards:,} shards.")
    if job.repeats:
        note(f"Copies of other faces, which are left out: {len(job.repeats):,}.")
    with clock.stage("make the pairs"), progress_bar("Pairs", "shard") as progress:
        summary = make(job, ray=args.ray, workers=args.workers, progress=lambda done, total: progress(done, total))
    say(f"{args.out}  ({summary})")


def job_of(args: Namespace) -> Job:
    """The job that the arguments describe. Raises UsageError or PairsError."""
    models = Models(args.generator, args.inverter, None, args.device)
    kind, keys, repeats = _faces(args, models)
    _check_class(args, kind, models)
    if kind == "photo" and args.generator is None:
        raise UsageError("The embedded models know rendered avatars only; for --photos give --generator and --inverter.")
    if kind == "photo" and args.inverter is None and not models.generator.is_oblong:
        raise UsageError("--photos needs --inverter FILE, the inverter of that generator.")
    if args.paste and kind == "photo" and models.generator.is_oblong:
        raise UsageError("--paste puts squares back into photos, and this generator draws oblong pictures; leave it out.")
    plan = Plan(
        kind=kind,
        keys=keys,
        motions=tuple(_motion(text, args) for text in args.motion),
        generator=realpath(args.generator or embedded("generator")),
        inverter="" if args.inverter is None else realpath(args.inverter),
        truncation=args.truncation,
        category=args.category or "",
        draws=args.draws,
        mixed=args.together,
        size=args.size or 0,
        format=args.format,
        quality=args.quality,
        paste=args.paste,
        test=args.test,
        seed=args.seed,
        shard=args.shard,
        threads=args.threads,
        batch=args.batch or (1 if models.torch_device.type == "cpu" else fitting_batch(models.generator)),
    )
    out = args.out if is_address(args.out) else realpath(args.out)
    device = "auto" if args.ray is not None and args.device == "auto" else str(models.torch_device)
    license = args.license or _license(args.generator)
    return Job(plan, out, args.layout, _instrument(args, models), _gate(args), device, license, landmark_folders(), tuple(repeats.items()))


def _instrument(args: Namespace, models: Models) -> Callable | None:
    """What measures the pairs: the avatars' own regressor, or landmarks; nothing where nobody asks."""
    if models.is_embedded:
        return AvatarInstrument
    if args.no_gate and args.identity is None:
        return None
    if sentence := why_not(models.generator, landmark_folders()):
        note(f"{sentence} The pairs are not measured, and every pair is kept.")
        return None
    return partial(LandmarkInstrument, "" if args.identity is None else realpath(args.identity), landmark_folders())


def landmark_folders() -> tuple[str, ...]:
    """Where dlib's landmark file may lie."""
    return (realpath(models_folder() / catalog.LANDMARKS),)


def _license(generator: Path | None) -> str:
    """That of the embedded avatars, or of a public file that has this name."""
    if generator is None:
        return "MIT"
    return next((entry.license for entry in catalog.ENTRIES if entry.file == generator.name), "")


def _check_class(args: Namespace, kind: str, models: Models) -> None:
    if kind != "seed" and args.category is not None:
        raise UsageError("--class says which faces are drawn, and --photos and --codes give them already; leave it out.")
    if kind == "seed" and not models.is_embedded:
        class_labels(models.generator, args.category, 1)
        if sentence := unchosen(models.generator, args.category):
            note(sentence)


def _gate(args: Namespace) -> Gate:
    return Gate(None, None, None) if args.no_gate else Gate(args.least_identity, args.least_change, args.most_leakage)


def _faces(args: Namespace, models: Models) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """The kind of the faces, their keys, and those that are copies of others."""
    if (args.photos is not None) + bool(args.codes) + (args.seeds is not None) > 1:
        raise UsageError("--seeds, --photos and --codes each say whose faces; give one of them.")
    if args.photos is not None:
        photos = _photos(args.photos)
        repeats = repeated_photos(photos)
        return "photo", tuple(p for p in photos if p not in repeats), repeats
    if args.codes:
        stored = {f"{realpath(file)}#{i}": code for file in args.codes for i, code in enumerate(load_codes(file, models.generator))}
        repeats = repeated_codes(stored)
        return "code", tuple(key for key in stored if key not in repeats), repeats
    return "seed", tuple(str((args.seed + i) % 2**32) for i in range(args.seeds or 100)), {}


def _photos(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; --photos takes a folder of pictures.")
    files = sorted(realpath(p) for p in folder.iterdir() if p.suffix.lower() in PICTURES)
    if not files:
        raise UsageError(f"The folder {folder} has no pictures ({', '.join(sorted(PICTURES))}).")
    return tuple(files)


def _motion(text: str, args: Namespace) -> MotionPlan:
    """``NAME``, ``NAME=0.25,0.5,1`` or ``NAME=-1:1`` (random draws between)."""
    name, _, values = text.partition("=")
    file = find_motion(name)
    label = plain_name(file.stem)
    words = {"plus": args.instruction or "", "minus": args.opposite or "", "caption": args.caption or ""}
    if not values:
        return MotionPlan(label, realpath(file), STRENGTHS, (0.0, 1.0), **words)
    try:
        numbers = tuple(float(v) for v in values.replace(":", ",").split(","))
    except ValueError as error:
        raise UsageError(f"{text!r} is neither NAME=0.25,0.5,1 nor NAME=LOW:HIGH; write the strengths as numbers.") from error
    if ":" in values:
        if len(numbers) != 2 or not args.draws:
            raise UsageError(f"{text!r} gives a range: that needs two numbers, and --draws to say how many variants each face gets.")
        return MotionPlan(label, realpath(file), (), (min(numbers), max(numbers)), **words)
    return MotionPlan(label, realpath(file), numbers, (min(numbers), max(numbers)), **words)
