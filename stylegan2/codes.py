"""Face codes as files: our own, and what projectors, encoders and tuners of every kind write."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..files import limits, native
from ..files.budget import border
from ..files.containers import require
from ..files.errors import DamagedFileError, UnsupportedFileError, naming
from ..files.reading import read_file
from .generator import Generator
from .makers import fingerprint_of, like, made_by
from .sampling import sample_w

log = logging.getLogger(__name__)
KIND = "codes"
SUFFIXES = (".safetensors", ".npz", ".npy", ".pt", ".pth", ".pkl")
# What tools call W or W+ codes, the surest names first: NVIDIA's projector writes w, rosinality's latent, ReStyle and e4e latents.
KEYS = (
    *("codes", "w_plus", "wplus", "w+", "dlatents", "dlatent", "projected_w", "w_pivot", "ws", "w", "latents", "latent"),
    *("latent_codes", "latent_code", "code", "result_latents", "all_latents"),
)
OTHERS = {"z", "eigvec", "comp", "lat_comp"}  # names that stand beside no codes: random numbers, SeFa's and GANSpace's directions
MOST_LAYERS = 22  # of a 4096 px generator
DEPTH = 4  # of dicts in dicts
MOST_STYLES = 200  # parts of a list of styles
MANY_WIDTHS = 3  # widths of layers from which a list is one of styles
SAMPLES = 256
OWN = "micromotion"
_SLASHES = re.compile(r"[\\/]")
SUPPORTED = "Face codes are read from .npz, .npy, .pt, .pth and .pkl files of any tool, and from micromotion .safetensors."
ASK = "Only its generator tells a face's code from a motion of the same shape"


@dataclass(frozen=True)
class CodesFile:
    """What a file of codes holds: ``codes [N, L, D]`` float32, a name for each where the file has any, and remarks for the user."""

    codes: torch.Tensor
    names: tuple[str, ...] = ()
    fingerprint: str = ""  # of the generator, where the file keeps it
    format: str = OWN
    notes: tuple[str, ...] = ()

    def pick(self, which: str | int | None = None) -> torch.Tensor:
        """One code ``[1, L, D]``: by name, by number from 1, or the first. Raises UnsupportedFileError with the choices."""
        text = "1" if which in (None, "") else str(which).strip()
        if text in self.names:
            index = self.names.index(text)
        elif 1 <= limits.counted(text) <= len(self.codes):
            index = limits.counted(text) - 1
        else:
            held = f"{len(self.codes)} ({', '.join(n[:60] for n in self.names[:8])})" if self.names else f"{len(self.codes)}"
            raise UnsupportedFileError(f"There is no face {text[:60]!r} in this file; it holds {held}. Give a number or a name.")
        return like(self.codes[index : index + 1], self.codes)


def save_codes(path: str | Path, codes: torch.Tensor, generator: Generator | None = None, names: Sequence[str] = ()) -> Path:
    """Write codes ``[N, L, D]`` (or one ``[L, D]``) as ``.safetensors``, with the fingerprint of their generator where it is known.

    Codes that were drawn, inverted, read, or moved along a motion know it without being told (`makers`); ``generator`` is that of others.
    ``names``: one for each code, or none. Raises CheckpointError.
    """
    fingerprint = fingerprint_of(codes) or ("" if generator is None else generator.fingerprint)
    codes = codes[None] if codes.ndim == 2 else codes
    if codes.ndim != 3 or not codes.numel() or not codes.isfinite().all():
        raise DamagedFileError(f"Codes are finite numbers [N, layers, width]; these have shape {list(codes.shape)}. Make them again.")
    if names and len(names) != len(codes):
        raise DamagedFileError(f"{len(codes)} codes came with {len(names)} names; give one name each, or none.")
    header = {"fingerprint": fingerprint, "names": list(names)}
    return native.write(path, KIND, header, {"codes": native.plain(codes)})


def load_codes(path: str | Path, generator: Generator | None = None) -> torch.Tensor:
    """The codes ``[N, L, D]`` of a file of any tool, float32, on the CPU; what `read_codes` remarks goes to the log."""
    found = read_codes(path, generator)
    for note in found.notes:
        log.warning("%s", note)
    return found.codes


def read_codes(path: str | Path, generator: Generator | None = None) -> CodesFile:
    """Read codes from our own ``.safetensors``, or from ``.npz``, ``.npy``, ``.pt``, ``.pth``, ``.pkl`` of any tool; nothing is executed.

    W ``[D]``, ``[1, D]`` is repeated over the layers of ``generator``; ``[L, D]``, ``[N, L, D]``, ``[N, 1, D]`` and flat ``[N, L * D]``
    are understood, in half to double precision, alone, in lists, or in dicts under a usual name (`KEYS`) or under file names. With
    ``generator``, codes of another shape and motions are refused, and a stranger is remarked. Raises CheckpointError.
    """
    path = Path(path)
    require(path)
    with naming(path.name), border(path.name):
        found = _own(path) if native.is_ours(path) else _foreign(path, generator)
    made_by(found.codes, found.fingerprint or generator)
    if generator is not None:
        return _checked(found, path, generator)
    return found if found.format == OWN else replace(found, notes=(*found.notes, f"{path.name} is taken for a face's code. {ASK}."))


def _own(path: Path) -> CodesFile:
    kind = native.kind_of(path)
    if kind == "subspace":
        raise UnsupportedFileError(f"{path.name} is a motion, not a face. Load it with Load Micromotion, or give it as --motion.")
    header, tensors = native.read(path, KIND, {"codes": True}, "Give a file of face codes.")
    fields = native.take(header, {"fingerprint": native.text, "names": native.texts}, path)
    codes = tensors["codes"]
    if codes.ndim != 3 or not codes.numel() or not codes.is_floating_point() or not codes.isfinite().all():
        raise native.damaged(path, "its codes are not finite numbers [N, layers, width]")
    names = fields.get("names", ())
    return CodesFile(native.plain(codes), names if len(names) == len(codes) else (), fields.get("fingerprint", ""))


def _foreign(path: Path, generator: Generator | None) -> CodesFile:
    tree = read_file(path, SUPPORTED)
    found = [] if is_style_list(tree) else list(_faces(tree, "", DEPTH))
    if not found:
        raise UnsupportedFileError(f"{path.name} holds no face codes: {describe(tree)}")
    shaped = [(name, _shaped(tensor, generator, path.name)) for name, tensor, _ in found]
    if len({tuple(x.shape[1:]) for _, x in shaped}) > 1:
        raise UnsupportedFileError(f"{path.name} holds tensors of several shapes, not face codes: {describe(tree)}")
    names = tuple(_SLASHES.split(name)[-1] for name, x in shaped for _ in x) if all(name for name, _ in shaped) else ()
    passes = max(n for _, _, n in found)
    notes = [f"{path.name} keeps {passes} passes of each face; the last is taken."] if passes > 1 else []
    return CodesFile(native.plain(torch.cat([x for _, x in shaped])), names, "", path.suffix.lower(), tuple(notes))


def _checked(found: CodesFile, path: Path, generator: Generator) -> CodesFile:
    layers, width = found.codes.shape[1:]
    if (layers, width) != (generator.num_layers, generator.width):
        raise UnsupportedFileError(
            f"{path.name} holds codes of {layers} layers x {width}; the loaded {generator.resolution} px generator takes"
            f" {generator.num_layers} x {generator.width}. Load the generator that they were made with."
        )
    notes = list(found.notes)
    if found.fingerprint and found.fingerprint != generator.fingerprint:
        notes.append(
            f"{path.name} was made with another generator ({found.fingerprint}, not {generator.fingerprint}), perhaps an earlier one: the"
            " face will look different. Invert its picture again with this one, unless one was tuned from the other."
        )
    if found.format != OWN:
        notes += _judged(found.codes, path, generator)
    return replace(found, notes=tuple(notes))


def _judged(codes: torch.Tensor, path: Path, generator: Generator) -> list[str]:
    is_code, cosine = resembles_code(codes, generator)
    if is_code is False:
        raise UnsupportedFileError(
            f"{path.name} is not a face's code: its cosine to the generator's mean code is {cosine:.2f}, that of a motion. Load it with"
            " Load Micromotion, or give it as --motion; or load the generator that it was made with."
        )
    return [f"Whether {path.name} is a face's code or a motion cannot be told with this generator; it is taken for a code."] * (
        is_code is None
    )


@torch.no_grad()
def resembles_code(x: torch.Tensor, generator: Generator) -> tuple[bool | None, float]:
    """Whether ``x [..., L, D]`` is a code rather than a displacement (None: not to be told), and its cosine to the mean code.

    A code is the mean code plus something that is nearly at a right angle to it, so its projection on the mean code is about 1; that of
    a motion is about 0. Generators whose mean code is small beside their spread, such as untrained ones, do not tell the two apart.
    """
    x = x.detach().to("cpu", torch.float32).reshape(-1, generator.num_layers * generator.width).mean(0)
    mean = generator.w_avg.detach().cpu().float()
    spread = (sample_w(generator, SAMPLES).cpu() - mean).norm(dim=1).mean()
    mean = mean.repeat(generator.num_layers)
    cosine = float(torch.cosine_similarity(x, mean, 0))
    projection = float(x @ mean / (mean @ mean).clamp(min=1e-12))
    if mean.norm() < spread * generator.num_layers**0.5 / 2:
        return None, cosine
    if abs(cosine) < 0.2 or abs(projection) < 0.35:
        return False, cosine
    return (True if cosine > 0.3 and 0.6 < projection < 1.8 else None), cosine


def _faces(node: Any, name: str, depth: int) -> Iterator[tuple[str, torch.Tensor, int]]:
    """Name, tensor and number of passes of every code in a tree of plain values."""
    if isinstance(node, torch.Tensor):
        if is_code_shaped(node):
            yield name, node, 1
    elif isinstance(node, Mapping) and depth:
        yield from _faces_of_dict(node, name, depth)
    elif isinstance(node, (list, tuple)) and node:
        yield from _faces_of_list(node, name, depth)


def _faces_of_dict(node: Mapping, name: str, depth: int) -> Iterator[tuple[str, torch.Tensor, int]]:
    known = {str(k).lower(): v for k, v in node.items()}
    for key in KEYS:
        if key in known and (found := list(_faces(known[key], name, depth - 1))):
            yield from found
            return
    if known.keys() & OTHERS:
        return
    values = [(str(k), v) for k, v in node.items() if isinstance(v, (torch.Tensor, list, tuple, Mapping))]
    found = [list(_passes(v, k, depth - 1)) for k, v in values]
    if found and all(found):
        yield from (face for faces in found for face in faces)


def _passes(value: Any, name: str, depth: int) -> Iterator[tuple[str, torch.Tensor, int]]:
    """Under a face's own name, a list holds the passes that led to it."""
    if isinstance(value, (list, tuple)) and len(value) > 1 and all(isinstance(v, torch.Tensor) for v in value):
        yield from ((n, t, len(value)) for n, t, _ in _faces(value[-1], name, depth))
    else:
        yield from _faces(value, name, depth)


def _faces_of_list(node: Sequence, name: str, depth: int) -> Iterator[tuple[str, torch.Tensor, int]]:
    if all(isinstance(v, (list, tuple, int, float)) for v in node):
        if (numbers := _numbers(node)) is not None:
            yield from _faces(numbers, name, depth)
            return
    found = [list(_faces(v, name, depth - 1)) for v in node if not isinstance(v, (str, type(None)))] if depth else []
    if found and all(found):
        yield from (face for faces in found for face in faces)


def _numbers(node: Sequence) -> torch.Tensor | None:
    try:
        numbers = torch.tensor(node, dtype=torch.float32)
        return numbers if numbers.ndim > 1 else None
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def is_code_shaped(x: torch.Tensor) -> bool:
    """Whether a tensor has a shape that codes have in any tool's files."""
    return x.is_floating_point() and 1 <= x.ndim <= 4 and x.numel() > 0 and x.shape[-1] >= 8


def _shaped(x: torch.Tensor, generator: Generator | None, file: str) -> torch.Tensor:
    """``[N, L, D]`` of one tensor."""
    if not x.isfinite().all():
        raise DamagedFileError(f"{file} holds numbers that are not finite (NaN or infinity); make the codes again.")
    shape = list(x.shape)
    x = x.float()
    x = x.reshape(-1, *x.shape[2:]) if x.ndim == 4 and 1 in x.shape[:2] else x
    layers, width = (None, None) if generator is None else (generator.num_layers, generator.width)
    if layers is not None and width is not None and x.ndim < 3 and x.shape[-1] == layers * width:
        return x.reshape(-1, layers, width)
    x = x.reshape(1, 1, -1) if x.ndim == 1 else x
    if x.ndim == 2:
        x = x[None] if _is_one_code(x, layers) else x[:, None]
    if x.ndim == 3 and x.shape[1] == 1:
        return _repeated(x, layers, file)
    if x.ndim != 3 or x.shape[1] > MOST_LAYERS:
        raise UnsupportedFileError(f"{file} has shape {shape}; face codes are [N, layers, width], [layers, width] or [N, width].")
    return x


def _is_one_code(x: torch.Tensor, layers: int | None) -> bool:
    """Whether ``x [R, D]`` is the rows of one code, rather than R codes of one row; an even number of rows where no generator says."""
    return len(x) == layers if layers is not None else len(x) > 1 and len(x) % 2 == 0 and len(x) <= MOST_LAYERS


def _repeated(x: torch.Tensor, layers: int | None, file: str) -> torch.Tensor:
    if layers is None:
        raise UnsupportedFileError(
            f"{file} holds W codes, one row of {x.shape[-1]} for all layers; how many layers there are, its generator says."
            " Give the generator too (--generator FILE on the command line)."
        )
    return x.repeat(1, layers, 1)


def describe(tree: Any) -> str:
    """What a tree without codes is, in a sentence with a way on."""
    if isinstance(tree, Mapping):
        keys = {str(k).lower() for k in tree}
        if keys & OTHERS - {"z"}:
            return "it holds directions. Load it with Load Micromotion, or give it as --motion."
        if "z" in keys:
            return "it holds z, the random numbers before the mapping. Give W or W+ codes."
        if any("." in k for k in keys):
            return "it holds a network. Load it as a generator or an inverter."
        return f"its names are {', '.join(ascii(k)[1:-1][:40] for k in list(tree)[:4]) or 'none'}. Give W or W+ codes."
    if is_style_list(tree):
        return (
            "it holds styles (S space): one number for every channel of every layer, behind the layers that read codes. No W+ code"
            " gives them; give the latent codes that they were made from."
        )
    return "face codes are numbers [N, layers, width], [layers, width] or [N, width]."


def is_style_list(tree: Any) -> bool:
    """Whether a list holds one tensor per layer, as wide as the layer: StyleSpace (Wu et al. 2021, arXiv 2011.12799).

    Their means and deviations are two such lists in one, and an ``.npz`` holds them under the layers' names.
    """
    if isinstance(tree, Mapping):
        tree = [] if any("." in str(key) for key in tree) else list(tree.values())
    if not isinstance(tree, (list, tuple)) or len(tree) > MOST_STYLES:
        return False
    inner = [v for part in tree for v in (part if isinstance(part, (list, tuple)) else [part])]
    tensors = [v for v in inner if isinstance(v, torch.Tensor) and v.ndim]
    return len(tensors) == len(inner) and len(tensors) >= 8 and len({v.shape[-1] for v in tensors}) >= MANY_WIDTHS
