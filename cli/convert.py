"""``micromotion convert``: a generator of any supported format -> a safe ``.safetensors`` file."""

from __future__ import annotations

from argparse import Namespace

from .. import stylegan2
from .media import check_output
from .models import check_files
from .terminal import Clock, note, say


def run(args: Namespace, clock: Clock) -> None:
    """Convert ``args.source`` to ``args.out``, and say what was read and written."""
    check_files(args.source)
    out = check_output(args.out, (".safetensors",))
    with clock.stage("convert"):
        generator = stylegan2.convert(args.source, out)
    for sentence in generator.provenance.notes:
        note(sentence)
    say(f"{out}  ({generator.provenance.format}, {generator.resolution} px, {generator.num_layers} layers of {generator.width})")
