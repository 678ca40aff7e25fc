"""``micromotion convert``: a generator, an inverter, a direction or face codes of any tool -> a safe ``.safetensors`` file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from .. import stylegan2
from ..files.native import kind_of
from ..stylegan2.codes import ASK
from ..stylegan2.inversion import save_inverter
from ..subspaces.describing import describe_codes, describe_motion
from ..subspaces.opening import face_or_motion
from .inspect import describe_inverter
from .models import check_files, check_output, load_generator, open_named, split_choice
from .terminal import Clock, UsageError, note, say

FACE, MOTION, INVERTER = "face", "motion", "inverter"


def run(args: Namespace, clock: Clock) -> None:
    """Convert ``args.source`` to ``args.out``, and say what was read and written."""
    source = Path(split_choice(args.source)[0])
    check_files(source, args.generator)
    out = check_output(args.out, (".safetensors",))
    with clock.stage("convert"):
        say(_convert(source, out, args))


def _convert(source: Path, out: Path, args: Namespace) -> str:
    """Write the generator, direction or codes in ``source`` to ``out``; returns what it is."""
    if args.kind == INVERTER:
        return _convert_inverter(source, out)
    if args.kind is not None or kind_of(source) in ("codes", "subspace"):
        return _convert_codes(source, out, args, args.kind or face_or_motion(source))
    try:
        generator = stylegan2.convert(source, out)
    except stylegan2.CheckpointError as reason:
        try:
            kind = face_or_motion(source, load_generator(args.generator))
        except stylegan2.MicromotionError:
            raise reason from None  # a file that is no generator and nothing else: the first refusal names it
        return _convert_codes(source, out, args, kind)
    note(*generator.provenance.notes)
    if "pSp" in generator.provenance.format:
        note("The file's inverter is left out; convert it to a file of its own with --as inverter.")
    return f"{out}  ({generator.provenance.format}, {generator.resolution} px, {generator.num_layers} layers of {generator.width})"


def _convert_codes(source: Path, out: Path, args: Namespace, kind: str) -> str:
    generator = load_generator(args.generator)
    if kind == MOTION:
        motion = open_named(args.source, generator)
        motion.save(out)
        return f"{out}\n{describe_motion(motion)}"
    if kind != FACE:
        raise UsageError(f"{source} is a face's code or a motion. {ASK}: give it with --generator FILE, or say --as face or --as motion.")
    found = stylegan2.read_codes(source, generator)
    note(*found.notes)
    stylegan2.save_codes(out, found.codes, generator, found.names)
    return f"{out}\n{describe_codes(stylegan2.read_codes(out))}"


def _convert_inverter(source: Path, out: Path) -> str:
    inverter = stylegan2.load_inverter(source)
    note(*inverter.card.notes)
    save_inverter(inverter, out)
    return f"{out}\n{describe_inverter(inverter)}"
