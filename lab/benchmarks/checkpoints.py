"""Measure checkpoints: for every format, the largest difference between its pictures and the official ones.

``python lab/benchmarks/checkpoints.py`` prints the table; ``--write`` also renews that of docs/checkpoints.md between its markers. The two
fixtures were made with the official implementations; the other formats hold the same weights, written by the rules of those
repositories (tests/stylegan2/formats/writers.py, which shares no code with the loader).
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "stylegan2"
PAGE = ROOT / "docs" / "checkpoints.md"
START, END = "<!-- figures: python lab/benchmarks/checkpoints.py --write -->", "<!-- end of figures -->"


def module(name: str, path: Path, **search) -> Any:
    spec = importlib.util.spec_from_file_location(name, path, **search)
    assert spec is not None and spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


if importlib.util.find_spec("micromotion") is None:
    module("micromotion", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
writers = module("writers", TESTS / "formats" / "writers.py")

from micromotion import stylegan2  # noqa: E402

NVIDIA, ROSINALITY = TESTS / "data" / "nvidia_ada_small_nosrc.pkl", TESTS / "data" / "rosinality_small.pt"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew docs/checkpoints.md")
    table = "\n".join(rows())
    print(table)
    if parser.parse_args().write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(re.sub(f"{START}.*?{END}", lambda _: f"{START}\n{table}\n{END}", page, flags=re.DOTALL), encoding="utf-8")


def rows() -> Iterator[str]:
    yield "| format | test | pictures compared | largest difference | largest value |"
    yield "|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for name, test, path, fixture in files(Path(folder)):
            difference, largest, count = compare(stylegan2.load(path), fixture)
            yield f"| {name} | `{test}` | {count} | {difference:.1e} | {largest:.1f} |"


def compare(generator: stylegan2.Generator, fixture: Path) -> tuple[float, float, int]:
    """Largest absolute difference to the fixture's pictures, their largest value, and how many there are."""
    reference = np.load(fixture.with_name(fixture.name.replace("_nosrc.pkl", ".npz").replace(".pt", ".npz")))
    names = [k for k in reference.files if k.startswith("img")]
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
    for source, fixture in ((ada, NVIDIA), (ros, ROSINALITY)):
        path = stylegan2.save(source, folder / f"{fixture.stem}.safetensors")
        yield f"micromotion `.safetensors` from {fixture.suffix}", formats + "test_native_files_keep_everything", path, fixture
    path = stylegan2.save(ros, folder / "half.safetensors", torch.float16)
    yield "the same in float16", "test_checkpoint.py::test_half_files_are_half_the_size_and_load_as_float32", path, ROSINALITY


if __name__ == "__main__":
    main()
