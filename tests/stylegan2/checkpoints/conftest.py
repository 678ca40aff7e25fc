"""Small generators of every kind, and the writers of other repositories' files."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from micromotion.stylegan2 import Architecture, Generator

HERE = Path(__file__).parent


def load_module(name):
    spec = importlib.util.spec_from_file_location(f"checkpoint_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def write():
    return load_module("writers")


@pytest.fixture(scope="session")
def data():
    return HERE.parent / "data"


@pytest.fixture(scope="session")
def make():
    """A generator with random weights, noise strengths and mean code."""

    def build(resolution=16, channels=None, seed=0, **arch):
        channels = channels or {4 << i: 12 - 2 * i for i in range(resolution.bit_length() - 2)}
        sizes = {"w_dim": 24, "z_dim": 20, "mapping_layers": 2, **arch}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
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
