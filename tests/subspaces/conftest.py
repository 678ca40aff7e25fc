"""What the tests of this room share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch


def _load(name: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_load("synthetic")


@pytest.fixture(scope="session")
def generator():
    """A random 16 px generator, 6 layers of 32."""
    from micromotion.stylegan2 import Architecture, Generator

    torch.manual_seed(0)
    net = Generator(Architecture(16, {4: 16, 8: 16, 16: 16}, w_dim=32, z_dim=32, mapping_layers=2))
    return net.eval().requires_grad_(False)
