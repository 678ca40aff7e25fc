"""Measure files: for every format of generators, the largest difference between its pictures and the official ones; for every kind of
codes and directions, the largest difference between the numbers that were written and those that are read.

``python lab/benchmarks/checkpoints.py`` prints the tables; ``--write`` also renews those of docs/checkpoints.md between their markers. The
two fixtures were made with the official implementations; the other formats hold the same weights, written by the rules of those
repositories (tests/stylegan2/formats/writers.py, which shares no code with the loader). Codes and directions are of the embedded avatars.
"""

from __future__ import annotations

import argparse
import importlib.util
import pickle
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "stylegan2"
PAGE = ROOT / "docs" / "checkpoints.md"
END = "<!-- end of figures -->"


def module(name: str, path: Path, **search) -> Any:
    spec = importlib.util.spec_from_file_location(name, path, **search)
    assert spec is not None and spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


if importlib.util.find_spec("micromotion") is None:
    module("micromotion", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
codes_of_tools = module("codes_of_tools", TESTS / "test_codes.py")
writers = module("writers", TESTS / "formats" / "writers.py")

from micromotion import stylegan2  # noqa: E402
from micromotion.files.embedded import embedded_root  # noqa: E402
from micromotion.subspaces import Subspace, load_direction  # noqa: E402

NVIDIA, ROSINALITY = TESTS / "data" / "nvidia_ada_small_nosrc.pkl", TESTS / "data" / "rosinality_small.pt"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew docs/checkpoints.md")
    write = parser.parse_args().write
    for name, rows in (("generators", generators()), ("codes", codes()), ("directions", directions())):
        table = "\n".join(rows)
        print(f"{table}\n")
        if write:
            renew(name, table)


def renew(name: str, table: str) -> None:
    """Put a table between its markers in the page."""
    start = f"<!-- {name}: python lab/benchmarks/checkpoints.py --write -->"
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(re.sub(f"{start}.*?{END}", lambda _: f"{start}\n{table}\n{END}", page, flags=re.DOTALL), encoding="utf-8")


def generators() -> Iterator[str]:
    yield "| format | test | pictures compared | largest difference | largest value |"
    yield "|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for name, test, path, fixture in files(Path(folder)):
            difference, largest, count = compare(stylegan2.load(path), fixture)
            yield f"| {name} | `{test}` | {count} | {difference:.1e} | {largest:.1f} |"


def compare(generator: stylegan2.Generator, fixture: Path) -> tuple[float, float, int]:
    """Largest absolute difference to the fixture's pictures, their largest value, and how many there are."""
    reference = np.load(fixture.with_name(fixture.name.replace("_nosrc.pkl", ".npz").replace(".pt", ".npz")))
    estimated = any("no mean code" in note for note in generator.provenance.notes)  # then nothing that is truncated can be compared
    names = [k for k in reference.files if k.startswith("img") and not (estimated and "psi0.7" in k)]
    pairs = [(draw(generator, reference, k), torch.from_numpy(reference[k])) for k in names]
    return max((a - b).abs().max().item() for a, b in pairs), max(b.abs().max().item() for _, b in pairs), len(pairs)


def draw(generator: stylegan2.Generator, reference, name: str) -> torch.Tensor:
    codes = torch.from_numpy(reference["wplus"]) if "wplus" in name else None
    if codes is None:
        codes = generator.map(torch.from_numpy(reference["z"]), 0.7 if "psi0.7" in name else 1.0)
    return generator.synthesize(codes, "const" if "const" in name else "none")


def files(folder: Path) -> Iterator[tuple[str, str, Path, Path]]:
    """Name, test, file and the fixture whose weights it holds."""
    formats = "test_formats.py::"
    ada, ros = stylegan2.load(NVIDIA), stylegan2.load(ROSINALITY)
    official = "test_checkpoint.py::test_official_files_give_the_official_pictures"
    yield "NVIDIA stylegan2-ada-pytorch `.pkl` (official file)", official, NVIDIA, NVIDIA
    for protocol in (2, 3, 4, 5):
        path = writers.nvidia_pickle(folder / f"ada{protocol}.pkl", ada, protocol)
        yield f"the same, pickle protocol {protocol}", formats + "test_nvidia_protocols", path, NVIDIA
    path = writers.nvidia_pickle(folder / "sg3.pkl", ada, layout="sg3")
    yield "NVIDIA stylegan3 repository, StyleGAN2 `.pkl`", formats + "test_nvidia_architectures", path, NVIDIA
    path = writers.nvidia_module_file(folder / "module.pt", ada)
    yield "NVIDIA network by `torch.save`", formats + "test_nvidia_networks_saved_with_torch_save", path, NVIDIA
    yield "NVIDIA TensorFlow `.pkl`", formats + "test_tensorflow", writers.tf_pickle(folder / "tf.pkl", ada), NVIDIA
    yield "rosinality `.pt` (official file)", official, ROSINALITY, ROSINALITY
    torch.save({"g_ema": writers.rosinality_state(ros), "latent_avg": ros.w_avg}, folder / "old.pt", _use_new_zipfile_serialization=False)
    yield "the same, old serialization", formats + "test_rosinality_containers", folder / "old.pt", ROSINALITY
    yield "pSp, e4e, ReStyle `.pt` (decoder)", formats + "test_psp_e4e_restyle", writers.psp(folder / "psp.pt", ros), ROSINALITY
    yield "genforce `.pth`", formats + "test_genforce", writers.genforce(folder / "genforce.pth", ada), NVIDIA
    dialects = "test_dialects.py::test_the_same_pictures_under_other_names"
    yield "mmgeneration, MMagic `.pth`", dialects, writers.mmgen(folder / "mmgen.pth", ros), ROSINALITY
    yield "BasicSR, GFPGAN's priors `.pth`", dialects, writers.basicsr(folder / "basicsr.pth", ros), ROSINALITY
    yield "PaddleGAN `.pdparams`", dialects, writers.paddle(folder / "paddle.pdparams", ros), ROSINALITY
    yield "adriansahlman `Gs.pth`", dialects, writers.sahlman(folder / "Gs.pth", ada), NVIDIA
    for source, fixture in ((ada, NVIDIA), (ros, ROSINALITY)):
        path = stylegan2.save(source, folder / f"{fixture.stem}.safetensors")
        yield f"micromotion `.safetensors` from {fixture.suffix}", formats + "test_native_files_keep_everything", path, fixture
    path = stylegan2.save(ros, folder / "half.safetensors", torch.float16)
    yield "the same in float16", "test_checkpoint.py::test_half_files_are_half_the_size_and_load_as_float32", path, ROSINALITY


def codes() -> Iterator[str]:
    """Codes of three avatars as every tool writes them, read again."""
    avatar = stylegan2.load(embedded_root() / "generator.safetensors")
    faces = avatar.map(torch.randn(3, avatar.architecture.z_dim, generator=torch.Generator().manual_seed(5)), 0.7)
    yield "| codes | test | faces | largest difference |"
    yield "|---|---|---|---|"
    for name, write in codes_of_tools.WRITERS.items():
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "face", faces)
            (path,) = Path(folder).iterdir()
            found = stylegan2.load_codes(path, avatar)
            error = (found - faces[: len(found)]).abs().max()
            yield f"| {name} | `test_codes.py::test_codes_of_every_tool` | {len(found)} | {error:.1e} |"


def directions() -> Iterator[str]:
    """The ready smile as other tools keep directions, read again at its own length."""
    avatar = stylegan2.load(embedded_root() / "generator.safetensors")
    smile = Subspace.load(embedded_root() / "motions" / "smile.safetensors").direction
    yield "| directions | test | chosen by | largest difference |"
    yield "|---|---|---|---|"
    for name, test, value, ending, which, truth in stored(smile):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"direction{ending}"
            keep(path, value)
            found = load_direction(path, which, strength=None, generator=avatar).direction
            error = (found - truth).abs().max()
            yield f"| {name} | `test_directions.py::{test}` | {which or 'the only one'} | {error:.1e} |"


def stored(smile: torch.Tensor) -> Iterator[tuple]:
    """Name, test, content, ending, choice and the direction ``[L, D]`` that it stands for."""
    formats, several = "test_reads_every_format_and_brings_it_to_one_strength", "test_lists_and_dicts_of_directions"
    row = smile[4:5]
    filled, count = row.expand(len(smile), -1), smile.shape[1]
    for ending in (".pt", ".pth", ".npy", ".safetensors"):
        yield f"the authors' d_latent, [1, L, D], as `{ending}`", formats, smile[None], ending, None, smile
    yield "InterFaceGAN's boundary, [1, D], `.npy`", "test_one_row_fills_all_layers_of_the_generator", row, ".npy", None, filled
    beside = {"boundary": row, "intercept": row[:, :1]}
    yield "the same with its intercept, `.npz`", "test_what_stands_beside_a_boundary_is_left_out", beside, ".npz", None, filled
    yield "a flat code, [1, L * D], `.npy`", "test_a_row_as_long_as_a_code_is_one", smile.reshape(1, -1), ".npy", None, smile
    named = {"age": -smile, "smile": smile}
    yield "a dict of directions, `.pkl`", several, {k: v.numpy() for k, v in named.items()}, ".pkl", "smile", smile
    yield "an archive of directions, `.npz`", several, named, ".npz", "smile", smile
    yield "a stack, [N, L, D], `.npy`", several, torch.stack([-smile, smile]), ".npy", 2, smile
    anycost = {"00_Young": -row[None], "01_Smiling": row[None]}
    yield "anycost-gan's boundaries, `.pt`", "test_one_of_several_by_name_or_number", anycost, ".pt", "Smiling", filled
    length = row.norm()
    pca = {"comp": torch.stack([-row, row / length]), "mean": torch.zeros(1, 1, count), "std": torch.stack([length, length])}
    yield "GANSpace's components, `.pt`", "test_ganspace_components_have_their_deviations_length", pca, ".pt", 2, filled
    ipca = {"lat_comp": pca["comp"], "lat_stdev": pca["std"], "lat_mean": pca["mean"]}
    yield "GANSpace's components, `.npz`", "test_ganspace_components_have_their_deviations_length", ipca, ".npz", 2, filled
    odd = {"boundaries": torch.cat([-row, row, -row]), "eigen_values": torch.ones(3)}
    yield "SeFa's boundaries, [K, D], `.npz`", "test_an_odd_number_of_rows_are_as_many_directions", odd, ".npz", 2, filled
    yield "SeFa's factors, `.pt`", "test_sefa_eigenvectors_are_columns", {"eigvec": torch.cat([-row, row]).T}, ".pt", 2, filled


def keep(path: Path, value) -> None:
    """Write a value by the library that its ending belongs to."""
    if path.suffix == ".npz":
        np.savez(path, **{k: v.numpy() for k, v in value.items()})
    elif path.suffix == ".npy":
        np.save(path, value.numpy())
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(value))
    elif path.suffix == ".safetensors":
        save_file({"direction": value.contiguous()}, path)
    else:
        torch.save(value, path)


if __name__ == "__main__":
    main()
