"""New faces from seeds: whose random numbers they are, and of which class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..files import limits
from ..files.errors import MicromotionError
from .generator import Generator

SEEDS_OF = ("micromotion", "nvidia")


class SamplingError(MicromotionError):
    """A sentence for the user about a seed or a class."""


def random_z(seeds: Sequence[int], size: int, seeds_of: str = "micromotion") -> torch.Tensor:
    """``z [N, size]``, one row per seed, the same on every machine.

    ``seeds_of``: ``micromotion`` draws by torch's generator on the CPU; ``nvidia`` as NVIDIA's scripts do, with
    ``numpy.random.RandomState(seed).randn(1, size)``, so that a seed names the face that those scripts show for it.
    """
    if seeds_of not in SEEDS_OF:
        raise SamplingError(f"There are no seeds of {seeds_of!r}; choose one of {', '.join(SEEDS_OF)}.")
    seeds = [limits.SEED.checked(s, "A seed is", SamplingError) for s in seeds]
    if seeds_of == "nvidia":
        rows = [torch.from_numpy(np.random.RandomState(s).randn(1, size)).float() for s in seeds]
    else:
        rows = [torch.randn(1, size, generator=torch.Generator().manual_seed(s)) for s in seeds]
    return torch.cat(rows)


def seeds_from(first: int, count: int) -> list[int]:
    """``count`` seeds in a row; after the last there is comes 0. Raises SamplingError for numbers that no door allows."""
    first = limits.SEED.checked(first, "The first seed is", SamplingError)
    count = limits.FACES.checked(count, "The faces are", SamplingError)
    return [(first + i) % (int(limits.SEED.high) + 1) for i in range(count)]


def one_hot(classes: torch.Tensor, count: int) -> torch.Tensor:
    """``classes [N]`` -> labels ``[N, count]``, without a square table of all classes."""
    return torch.zeros(len(classes), count).scatter_(1, classes[:, None], 1.0)


@torch.no_grad()
def sample_w(generator: Generator, count: int) -> torch.Tensor:
    """Codes in W ``[count, D]`` as the generator draws them, always the same ones, to measure how W is spread; of all its classes."""
    rng, arch, device = torch.Generator().manual_seed(0), generator.architecture, generator.w_avg.device
    z = torch.randn(count, arch.z_dim, generator=rng)
    labels = one_hot(torch.randint(arch.c_dim, (count,), generator=rng), arch.c_dim).to(device) if arch.c_dim else None
    return generator.mapping(z.to(device), labels)


def class_labels(generator: Generator, category: int | str | None, count: int) -> torch.Tensor | None:
    """One-hot labels ``[count, C]`` on the generator's device for a class by number (from 0) or name; None for "" and None.

    Raises SamplingError for a generator without classes and for a class that it does not have.
    """
    if category in (None, ""):
        return None
    classes = generator.architecture.c_dim
    if not classes:
        raise SamplingError("This generator has no classes; leave the class out.")
    return one_hot(torch.full((count,), _index(generator, str(category).strip())), classes).to(generator.w_avg.device)


def _index(generator: Generator, category: str) -> int:
    names, count = [n.lower() for n in generator.provenance.classes], generator.architecture.c_dim
    if category.lower() in names:
        return names.index(category.lower())
    if 0 <= limits.counted(category) < count:
        return limits.counted(category)
    raise SamplingError(f"This generator has no class {category[:40]!r}; it has {described(generator)}.")


def described(generator: Generator) -> str:
    """The classes in words: their numbers, and their names where the file keeps them."""
    count, names = generator.architecture.c_dim, ", ".join(generator.provenance.classes[:12])
    return f"{count} classes, 0 to {count - 1}" + (f": {names}" if names else "")


def unchosen(generator: Generator, category: int | str | None) -> str | None:
    """What to remark where a generator has classes and none was chosen."""
    if not generator.architecture.c_dim or category not in (None, ""):
        return None
    return f"This generator has {described(generator)}; none was chosen, so the faces are of no class. Choose one (--class, or class_of)."
