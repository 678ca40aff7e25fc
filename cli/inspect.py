"""``micromotion inspect``: what a model or motion file holds."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from .. import stylegan2
from ..stylegan2.checkpoint import read_metadata
from ..stylegan2.inversion import Inverter
from ..subspaces import Subspace, load_direction
from .models import check_files
from .terminal import Clock, say


def run(args: Namespace, clock: Clock) -> None:
    """Say what ``args.file`` is and holds; nothing in it is executed."""
    check_files(args.file)
    with clock.stage("read the file"):
        say(describe(args.file))


def describe(path: Path) -> str:
    """A paragraph on a generator, inverter, scorer or motion file."""
    kind = _native_kind(path)
    if kind == "subspace":
        return f"{path}\n{describe_motion(Subspace.load(path))}"
    if kind == "inverter":
        return f"{path}\n{describe_inverter(stylegan2.load_inverter(path))}"
    if kind == "scorer":
        return f"{path}\n{_rows({'kind': 'text scorer (open_clip)', 'size': f'{path.stat().st_size:,} bytes'})}"
    try:
        return describe_generator(path)
    except stylegan2.CheckpointError as reason:
        for read in (lambda: describe_inverter(stylegan2.load_inverter(path)), lambda: describe_motion(load_direction(path))):
            with suppress(stylegan2.MicromotionError):
                return f"{path}\n{read()}"
        raise reason from None


def describe_generator(path: Path) -> str:
    """A generator's report; files of inverters hold both, so that the second is told as well."""
    report = stylegan2.inspect(path)
    lines = [str(report)]
    if "pSp" in report.format:
        with suppress(stylegan2.MicromotionError):
            lines.append(describe_inverter(stylegan2.load_inverter(path)))
    return "\n".join(lines)


def _native_kind(path: Path) -> str:
    """The kind that a ``.safetensors`` file of this pack says it is, else an empty text."""
    metadata = read_metadata(path) if path.suffix == ".safetensors" else None
    try:
        header = json.loads((metadata or {}).get("micromotion", "{}"))
    except ValueError:
        return ""
    return str(header.get("kind", "")) if isinstance(header, dict) else ""


def describe_motion(motion: Subspace) -> str:
    """What a motion was decoded from, how low its rank is, and what one coefficient unit means."""
    shares = [f"{share:.0%}" for share in motion.explained[:3].tolist()]
    return _rows(
        {
            "kind": "motion",
            "made from": motion.template or motion.source,
            "estimator": motion.estimator,
            "codes": f"{motion.num_layers} layers of {motion.width}, rank {motion.rank}, touching {len(motion.layers)} layers",
            "generator": motion.fingerprint,
            "variance": f"{', '.join(shares)} in the first components, cumulative" if shares else "",
            "one unit": motion.calibration.unit,
            "own length": f"{norm:g} in the file it came from" if isinstance(norm := motion.parameters.get("norm"), (int, float)) else "",
            "safe range": "{:+.2f} to {:+.2f}".format(*motion.safe_range) if motion.safe_range else "not measured",
            "licence": motion.licence,
            "notes": " ".join(motion.notes),
        }
    )


def describe_inverter(inverter: Inverter) -> str:
    """Which pictures an inverter knows, how well, and which generator it belongs to."""
    card = inverter.card
    return _rows(
        {
            "kind": f"inverter ({card.encoder_type or card.format})",
            "made for": card.domain,
            "codes": f"{inverter.num_layers} layers of {inverter.width}, {inverter.passes} pass(es)",
            "typical": f"{card.typical_psnr:.1f} dB" if card.typical_psnr else "",
            "generator": card.generator,
            "notes": " ".join(card.notes),
        }
    )


def _rows(values: dict[str, str]) -> str:
    return "\n".join(f"  {name:<11}{value}" for name, value in values.items() if value)
