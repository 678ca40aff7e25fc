"""``micromotion calibrate``: a motion -> the same with its unit and safe range measured."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from ..avatars.instrument import AvatarInstrument
from ..stylegan2.sampling import seeds_from
from ..subspaces import calibrate
from ..subspaces.anchors import contrast
from ..subspaces.describing import describe_motion
from .measuring import landmark_meter
from .models import Models, check_files, check_output, drawn_faces, embedded, open_named
from .terminal import Clock, UsageError, progress_bar, say

MIN_IDENTITY = 0.7  # of the factor regressor, as for the ready motions


def run(args: Namespace, clock: Clock) -> None:
    """Measure ``args.motion``, save it as ``args.out``, and say what was found."""
    out = check_output(args.out, (".safetensors",))
    _check(args)
    check_files(args.generator)
    models = Models(args.generator, None, args.scorer, args.device)
    generator = models.generator
    motion = open_named(args.motion, generator)
    measure, instrument, identity = _instrument(args, models)
    with clock.stage("measure"), progress_bar("Calibrate", "face") as progress:
        motion = calibrate(
            motion,
            measure,
            generator,
            drawn_faces(generator, seeds_from(args.seed, args.faces), category=args.category),
            reach=args.reach,
            component=args.component,
            change=args.change,
            instrument=instrument,
            rescale=args.change is not None,
            identity=identity,
            min_identity=MIN_IDENTITY,
            progress=progress,
        )
    motion.save(out)
    say(f"{out}\n{describe_motion(motion)}")


def _check(args: Namespace) -> None:
    given = [bool(args.factor), bool(args.geometry), bool(args.full or args.none)]
    if sum(given) > 1:
        raise UsageError("Give one instrument: --factor, --geometry, or --full and --none.")
    if not any(given) or (given[2] and not (args.full and args.none)):
        raise UsageError(
            "Give the instrument: --full and --none, two texts for the text scorer, --geometry for photos of people, or --factor for the"
            " embedded avatars."
        )
    if args.factor and args.generator is not None:
        raise UsageError("--factor knows the embedded avatars only; with --generator give --full and --none, and its --scorer.")


def _instrument(args: Namespace, models: Models) -> tuple[Callable, str, Callable | None]:
    """What measures pictures, its name, and what says whose face they show."""
    if args.geometry:
        return landmark_meter(args.geometry), f"{args.geometry} by dlib's landmarks", None
    if not args.factor:
        return *contrast(models.scorer, args.full, args.none), None
    avatars = AvatarInstrument(embedded("regressor"), models.torch_device)
    ((factor, whole),) = avatars.meant_by(args.factor).items()
    read, rest = avatars.meter(factor)
    return lambda x: (read(x) - rest) / whole, f"degree of {args.factor} by the avatar factor regressor", avatars.identity
