"""``micromotion combine``: several motions -> one, or a table of how much they resemble one another."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

from ..stylegan2 import Generator
from ..subspaces import Subspace, add, cosine_table, merge, negate, orthogonalize, restrict, scale, subtract
from ..subspaces.describing import describe_motion
from .models import check_files, load_generator, open_named
from .outputs import check_output
from .terminal import Clock, UsageError, say

Operation = Callable[[Subspace, Sequence[Subspace], Namespace], Subspace]
OF_ONE: dict[str, Operation] = {
    "negate": lambda first, others, args: negate(first),
    "scale": lambda first, others, args: scale(first, args.weight),
    "restrict": lambda first, others, args: first,
}
OF_SEVERAL: dict[str, Operation] = {
    "add": lambda first, others, args: reduce(lambda a, b: add(a, b, args.weight), others, first),
    "subtract": lambda first, others, args: reduce(lambda a, b: subtract(a, b, args.weight), others, first),
    "without": lambda first, others, args: orthogonalize(first, others, per_layer=args.per_layer),
    "merge": lambda first, others, args: merge([first, *others]),
}


def run(args: Namespace, clock: Clock) -> None:
    """Combine ``args.motions``, save the result and say what it is; or print the table of cosines."""
    _check(args)
    out = None if args.operation == "cosines" else check_output(args.out, (".safetensors",))
    check_files(args.generator)
    generator = load_generator(args.generator)
    first, *others = [_named(name, generator) for name in args.motions]
    if out is None:
        say(cosine_table([first, *others]))
        return
    with clock.stage("combine"):
        motion = (OF_ONE | OF_SEVERAL)[args.operation](first, others, args)
        motion = motion if args.layers is None else restrict(motion, args.layers)
        motion = replace(motion, name=args.name or out.stem)
    motion.save(out)
    say(f"{out}\n{describe_motion(motion)}")


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
