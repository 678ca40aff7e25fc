"""What a motion is, in words: a line for each fact that is known."""

from __future__ import annotations

from pathlib import Path

from ..stylegan2.codes import ASK, CodesFile, read_codes
from ..stylegan2.generator import Generator
from .directions import STRENGTH, Directions, load_direction, read_directions
from .errors import SubspaceError
from .opening import face_or_motion
from .subspace import Subspace

LONGEST_VALUE = 2000  # characters


def describe_motion(motion: Subspace) -> str:
    """What a motion was decoded from, how low its rank is, and what one coefficient unit means."""
    shares = [f"{share:.0%}" for share in motion.explained[:3].tolist()]
    return rows(
        {
            "kind": "motion",
            "name": motion.name,
            "made from": motion.template or motion.source,
            "estimator": motion.estimator,
            "codes": f"{motion.num_layers} layers of {motion.width}, rank {motion.rank}, touching {len(motion.layers)} layers",
            "generator": motion.fingerprint,
            "variance": f"{', '.join(shares)} in the first components, cumulative" if shares else "",
            "effective rank": f"{motion.effective_rank:.2f}" if motion.effective_rank else "",
            "one unit": motion.calibration.unit,
            "own length": f"{norm:g} in the file it came from" if isinstance(norm := motion.parameters.get("norm"), (int, float)) else "",
            "safe range": "{:+.2f} to {:+.2f}".format(*motion.safe_range) if motion.safe_range else "not measured",
            "license": motion.license,
            "notes": " ".join(motion.notes),
        }
    )


def describe_codes(found: CodesFile) -> str:
    """How many faces a file holds, their names, and which generator draws them."""
    faces, layers, width = found.codes.shape
    names = ", ".join(name[:60] for name in found.names[:8]) + (", ..." if len(found.names) > 8 else "")
    return rows(
        {
            "kind": f"face codes ({found.format})",
            "faces": f"{faces}: {names}" if names else f"{faces}",
            "codes": f"{layers} layers of {width}",
            "generator": found.fingerprint,
            "notes": " ".join(found.notes),
        }
    )


def describe_foreign(path: Path, generator: Generator | None = None) -> str:
    """What a file of another tool holds that is no network: faces, motions, or what only their generator tells apart."""
    kind = face_or_motion(path, generator)
    if kind == "face":
        return describe_codes(read_codes(path, generator))
    found = read_directions(path)
    shapes = {tuple(x.shape) for x in found.tensors}
    either = f"{ASK}. Give it to be told (--generator FILE on the command line)."
    return rows(
        {
            "kind": found.kind if kind == "motion" else "a face's code, or a motion",
            "number": f"{len(found.names)}: {found.listed()}" if len(found.names) > 1 else "",
            "shape": " or ".join(sorted(str(list(shape)) for shape in shapes)[:3]),
            "one unit": _unit(path, generator) + ("" if kind == "motion" else ", as a motion"),
            "own length": _lengths(found),
            "rows": "one for all layers of the generator" if all(len(s) == 1 or s[-2] == 1 for s in shapes) else "",
            "notes": either if kind == "either" else "",
        }
    )


def _unit(path: Path, generator: Generator | None) -> str:
    """What one coefficient of a file's first direction will be; a row for all layers has its length once they are known."""
    try:
        return load_direction(path, 1, generator=generator).calibration.unit
    except SubspaceError:
        return f"length {STRENGTH:g} in code space"


def _lengths(found: Directions) -> str:
    norms = sorted(float(tensor.double().norm()) for tensor in found.tensors)
    return f"{norms[0]:.4g}" + (f" to {norms[-1]:.4g}" if norms[-1] > 1.0005 * norms[0] else "") + " in the file"


def rows(facts: dict[str, str]) -> str:
    """Names and values in two columns; facts without a value are left out, and those without end are cut."""
    cut = {name: value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}..." for name, value in facts.items()}
    return "\n".join(f"  {name:<16}{value}" for name, value in cut.items() if value)
