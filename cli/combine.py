"""``micromotion combine``: several motions -> one, or a table of how much they resemble one another."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from ..stylegan2 import Generator
from ..subspaces import Subspace, combine, cosine_table, negate, restrict, scale
from ..subspaces.describing import describe_motion
from .models import check_files, check_output, load_generator, open_named
from .terminal import Clock, UsageError, say

OF_ONE = ("negate", "scale", "restrict")


def run(args: Namespace, clock: Clock) -> None:
    """Combine ``args.motions``, save the result and say what it is; or print the table of cosines."""
    _check(args)
    out = None if args.operation == "cosines" else check_output(args.out, (".safetensors",))
    check_files(args.generator)
    generator = load_generator(args.generator)
    motions = [_named(name, generator) for name in args.motions]
    if out is None:
        say(cosine_table(motions))
        return
    with clock.stage("combine"):
        motion = _combined(motions, args)
        motion = motion if args.layers is None else restrict(motion, args.layers)
        motion = replace(motion, name=args.name or out.stem)
    motion.save(out)
    say(f"{out}\n{describe_motion(motion)}")


def _combined(motions: list[Subspace], args: Namespace) -> Subspace:
    if args.operation not in OF_ONE:
        return combine(args.operation, motions, weight=args.weight, per_layer=args.per_layer)
    (motion,) = motions
    if args.operation == "restrict":
        return motion
    return negate(motion) if args.operation == "negate" else scale(motion, args.weight)


def _named(name: str, generator: Generator | None) -> Subspace:
    motion = open_named(name, generator)
    return motion if motion.name else replace(motion, name=name)


def _check(args: Namespace) -> None:
    if args.operation in OF_ONE and len(args.motions) > 1:
        raise UsageError(f"{args.operation} takes one motion; {len(args.motions)} were given.")
    if args.operation not in OF_ONE and len(args.motions) < 2:
        raise UsageError(f"{args.operation} takes two motions or more; one was given.")
    if args.operation == "restrict" and args.layers is None:
        raise UsageError("restrict needs to know the layers; give --layers, for example --layers coarse.")
    if args.operation != "cosines" and args.out is None:
        raise UsageError("Say where to write the new motion: --out FILE.safetensors.")
