"""The authors' published decomposition beside our ``published`` on the same anchors, from a checkout of their repository.

None of their code is here: ``git clone https://github.com/wuqiuche/micromotion-styleGAN`` wherever you like, then ``python -m
micromotion.lab.official PATH``. **This runs the module** ``StyleCLIP/optimization/pca.py`` **of that folder.** Their truncation to rank
four is randomized; it is run as published, twice, and once to convergence, so that what it adds by chance is seen for itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch

from ..subspaces import Anchors, fit
from ..subspaces.decomposition import published

RANK = 4
DEGREES = 11
STUBS = ("StyleCLIP", "StyleCLIP.models", "StyleCLIP.models.stylegan2", "StyleCLIP.models.stylegan2.model", "torchvision")
ERRORS = (0.0, 0.02, 0.1)


def load_solver(repository: Path):
    """Their class ``RPCA_gpu``; what else the module imports (a generator, picture files) takes no part and is left empty."""
    path = Path(repository) / "StyleCLIP/optimization/pca.py"
    if not path.is_file():
        raise SystemExit(f"There is no {path}; give the folder of a checkout of the authors' repository.")
    stubs = {name: ModuleType(name) for name in STUBS}
    vars(stubs[STUBS[3]])["Generator"] = None
    spec = importlib.util.spec_from_file_location("official_pca", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, stubs):
        spec.loader.exec_module(module)
    return module.RPCA_gpu


def official_direction(solver, rows: torch.Tensor, *, converged: bool = False) -> torch.Tensor:
    """Their direction ``[L, D]`` from ``rows [A, L, D]``, the start first: each layer decomposed, truncated, next-to-last minus first."""
    directions = []
    for layer in rows.unbind(1):
        low, _ = solver(layer).fit()
        U, s, V = torch.pca_lowrank(low, q=len(low) if converged else RANK, center=False, niter=8 if converged else 2)
        kept = (U[:, :RANK] * s[:RANK]) @ V[:, :RANK].T
        directions.append(kept[DEGREES - 1] - kept[0])
    return torch.stack(directions)


def synthetic(errors: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A start ``[L, D]`` and eleven anchors ``[A, L, D]`` on a line, with noise and a share of gross ``errors``."""
    g = torch.Generator().manual_seed(seed)
    start, direction = torch.randn(18, 512, generator=g), 0.3 * torch.randn(18, 512, generator=g)
    codes = start + torch.linspace(0, 1, DEGREES)[:, None, None] * direction + 0.05 * torch.randn(DEGREES, 18, 512, generator=g)
    hit, gross = torch.rand(codes.shape, generator=g) < errors, 3 * torch.randn(codes.shape, generator=g)
    return start, torch.where(hit, codes + gross, codes)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


def compare(solver, start: torch.Tensor, codes: torch.Tensor) -> dict[str, float]:
    """Relative differences between their results and ours."""
    rows = torch.cat([start[None], codes])
    ours = fit(Anchors(codes, degrees=torch.linspace(0, 1, len(codes)), start=start[None]), estimator="published").direction
    layer = rows[:, 0].double()
    low, sparse = solver(layer).fit()
    first, second = (official_direction(solver, rows) for _ in range(2))
    return {
        "low-rank part": difference(published(layer)[0], low),
        "sparse part": difference(published(layer)[1], sparse),
        "direction, truncation converged": difference(ours, official_direction(solver, rows.double(), converged=True)),
        "direction, as published": difference(ours, first),
        "theirs from run to run": difference(second, first),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("repository", type=Path, help="folder of a checkout of wuqiuche/micromotion-styleGAN")
    parser.add_argument("--seeds", type=int, default=4)
    args = parser.parse_args(arguments)
    solver = load_solver(args.repository)
    torch.manual_seed(0)
    found = {errors: [compare(solver, *synthetic(errors, seed)) for seed in range(args.seeds)] for errors in ERRORS}
    print("| largest relative difference | " + " | ".join(f"{errors:.0%} gross errors" for errors in found) + " |")
    print("|---|" + "---|" * len(found))
    for name in found[0.0][0]:
        print(f"| {name} | " + " | ".join(f"{max(r[name] for r in results):.1e}" for results in found.values()) + " |")


if __name__ == "__main__":
    main()
