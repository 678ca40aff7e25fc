"""``micromotion inspect``: what a model or motion file holds."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from .. import stylegan2
from ..files.native import kind_of, read
from ..stylegan2 import Generator
from ..stylegan2.inversion import Inverter
from ..subspaces.describing import describe_codes, describe_foreign, describe_motion, rows
from ..subspaces.errors import NamedKindError
from ..subspaces.opening import open_motion
from .models import check_files, load_generator
from .terminal import Clock, say


def run(args: Namespace, clock: Clock) -> None:
    """Say what ``args.file`` is and holds; nothing in it is executed."""
    check_files(args.file, args.generator)
    with clock.stage("read the file"):
        say(describe(args.file, load_generator(args.generator)))


def describe(path: Path, generator: Generator | None = None) -> str:
    """A paragraph on a file of any kind; ``generator`` tells a face's code from a motion."""
    kind = kind_of(path)
    if kind == "codes":
        return f"{path}\n{describe_codes(stylegan2.read_codes(path, generator))}"
    if kind == "tuning":
        return f"{path}\n{describe_tuning(path)}"
    if kind == "subspace":
        return f"{path}\n{describe_motion(open_motion(path))}"
    if kind == "inverter":
        return f"{path}\n{describe_inverter(stylegan2.load_inverter(path))}"
    if kind == "scorer":
        return f"{path}\n{rows({'kind': 'text scorer (open_clip)', 'size': f'{path.stat().st_size:,} bytes'})}"
    try:
        return describe_generator(path)
    except stylegan2.CheckpointError as reason:
        with suppress(stylegan2.MicromotionError):
            return f"{path}\n{describe_inverter(stylegan2.load_inverter(path))}"
        try:
            return f"{path}\n{describe_foreign(path, generator)}"
        except NamedKindError:  # directions that cannot be used, and why
            raise
        except stylegan2.MicromotionError:
            raise reason from None


def describe_generator(path: Path) -> str:
    """A generator's report; files of inverters hold both, so that the second is told as well."""
    report = stylegan2.inspect(path)
    lines = [str(report)]
    if "pSp" in report.format:
        with suppress(stylegan2.MicromotionError):
            lines.append(describe_inverter(stylegan2.load_inverter(path)))
    return "\n".join(lines)


def describe_tuning(path: Path) -> str:
    """Which generator a tuning bends, and how much of it."""
    header, tensors = read(path, "tuning")
    return rows(
        {
            "kind": "tuning of a generator to one face (pivotal tuning)",
            "generator": str(header.get("base"))[:40],
            "tuned": str(header.get("tuned"))[:40],
            "tensors": f"{sum(not name.endswith('.scale') for name in tensors)} that differ from the generator's",
        }
    )


def describe_inverter(inverter: Inverter) -> str:
    """Which pictures an inverter knows, how well, and which generator it belongs to."""
    card = inverter.card
    return rows(
        {
            "kind": f"inverter ({card.encoder_type or card.format})",
            "made for": card.domain,
            "codes": f"{inverter.num_layers} layers of {inverter.width}, {inverter.passes} pass(es)",
            "typical": f"{card.typical_psnr:.1f} dB" if card.typical_psnr else "",
            "generator": card.generator,
            "notes": " ".join(card.notes),
        }
    )
