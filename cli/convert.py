"""``micromotion convert``: a generator or a direction of any supported format -> a safe ``.safetensors`` file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from .. import stylegan2
from ..subspaces.describing import describe_motion
from ..subspaces.directions import load_direction
from .models import check_files
from .outputs import check_output
from .terminal import Clock, note, say


def run(args: Namespace, clock: Clock) -> None:
    """Convert ``args.source`` to ``args.out``, and say what was read and written."""
    check_files(args.source)
    out = check_output(args.out, (".safetensors",))
    with clock.stage("convert"):
        say(convert(args.source, out))


def convert(source: Path, out: Path) -> str:
    """Write the generator or direction in ``source`` to ``out``; returns what it is."""
    try:
        generator = stylegan2.convert(source, out)
    except stylegan2.CheckpointError as reason:
        return _convert_direction(source, out, reason)
    for sentence in generator.provenance.notes:
        note(sentence)
    return f"{out}  ({generator.provenance.format}, {generator.resolution} px, {generator.num_layers} layers of {generator.width})"


def _convert_direction(source: Path, out: Path, reason: stylegan2.CheckpointError) -> str:
    """Directions come second: only a file that is no generator is read as one, and its first refusal stays the answer."""
    try:
        motion = load_direction(source)
    except stylegan2.MicromotionError:
        raise reason from None
    motion.save(out)
    return f"{out}\n{describe_motion(motion)}"
