"""Give the checkout its package name, as ComfyUI does, so that tests run before and after an install; small generators for all rooms."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent


def _import_pack() -> None:
    spec = importlib.util.spec_from_file_location("micromotion", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["micromotion"] = module
    spec.loader.exec_module(module)


_import_pack()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


def load_module(name, folder="stylegan2/formats"):
    spec = importlib.util.spec_from_file_location(f"checkpoint_{name}", TESTS / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def write():
    return load_module("writers")


@pytest.fixture(scope="session")
def file_host():
    """The stand-in for the hosts of public files; skips, saying why, where it cannot be."""
    module = load_module("file_host", ".")
    if reason := module.why_not():
        pytest.skip(reason)
    return module


@pytest.fixture(scope="session")
def data():
    return TESTS / "stylegan2" / "data"


@pytest.fixture(scope="session")
def make():
    """A generator with random weights, noise strengths and mean code."""

    def build(resolution=16, channels=None, seed=0, **arch):
        channels = channels or {4 << i: 12 - 2 * i for i in range(resolution.bit_length() - 2)}
        sizes = {"w_dim": 24, "z_dim": 20, "mapping_layers": 2, **arch}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            from micromotion.stylegan2 import Architecture, Generator

            generator = Generator(Architecture(resolution, channels, **sizes)).requires_grad_(False)
            for name, tensor in generator.state_dict().items():
                if name.endswith(("noise_strength", "w_avg", "conv1.bias")):
                    tensor.copy_(torch.randn(tensor.shape) * 0.3)
        return generator.eval()

    return build


@pytest.fixture
def small(make):
    return make()


@pytest.fixture(scope="session")
def pictures():
    """Pictures and codes of a generator for fixed inputs, with its constant noise."""

    def draw(generator):
        rng = torch.Generator().manual_seed(7)
        z = torch.randn(2, generator.architecture.z_dim, generator=rng)
        classes = generator.architecture.c_dim
        labels = torch.eye(classes)[[0, classes - 1]] if classes else None
        codes = generator.map(z, 0.6, labels=labels)
        return codes, generator.synthesize(codes)

    return draw


def draw_picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Shapes, gradients and noise: edges in every direction and texture at every scale. ``[H, W, 3]`` uint8."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(width, height)
    waves = [np.sin(2 * np.pi * (f * (np.cos(a) * x + np.sin(a) * y) + p)) for f, a, p in random.uniform([1, 0, 0], [40, 6.3, 1], (9, 3))]
    picture = 127 + 30 * np.stack(waves).reshape(3, 3, height, width).sum(0).transpose(1, 2, 0) + random.normal(0, 10, (height, width, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def drawn():
    return draw_picture


@pytest.fixture(scope="session")
def photo():
    """A portrait with a face (public domain, from scikit-image's wheel): ``[512, 512, 3]`` uint8."""
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the test photo")
    return data.astronaut()
