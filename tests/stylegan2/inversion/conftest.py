"""Tiny random networks, and files in the published layouts that hold them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from micromotion.stylegan2 import Architecture, Generator
from micromotion.stylegan2.inversion.backbones import BodySpec
from micromotion.stylegan2.inversion.encoders import ENCODER_TYPES, EncoderConfig, StyleEncoder

DATA = Path(__file__).parent / "data"
WIDTHS = {"irse": (4, 4, 8, 8, 16, 32), "resnet": (4, 4, 8, 16, 32)}
WIDTH, RESOLUTION = 32, 16
LAYERS = 6


def _module(name: str, file: Path):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fill():
    return _module("inversion_keyed", Path(__file__).with_name("keyed.py")).fill


@pytest.fixture(scope="session")
def rosinality_state():
    """A generator's state dict under rosinality's names."""
    return _module("inversion_writers", Path(__file__).parent.parent / "formats" / "writers.py").rosinality_state


@pytest.fixture(scope="session")
def make_generator():
    def make(seed: int = 0, resolution: int = RESOLUTION, width: int = WIDTH, channels: int = 16) -> Generator:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            blocks = {2**k: channels for k in range(2, resolution.bit_length())}
            generator = Generator(Architecture(resolution, blocks, w_dim=width, z_dim=width, mapping_layers=2))
            for parameter in generator.synthesis.parameters():
                if parameter.shape[:2] == (3, channels):
                    parameter.data *= 0.3
            w = generator.map(torch.randn(256, width))[:, 0]
        generator.mapping.w_avg.copy_(w.mean(0).detach())
        return generator.requires_grad_(False)

    return make


@pytest.fixture(scope="session")
def generator(make_generator):
    return make_generator()


@pytest.fixture
def images(generator):
    z = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(5))
    return generator.synthesize(generator.map(z, 0.7))


def tiny_encoder(encoder_type: str, channels_in: int = 3, convs: int = 1) -> StyleEncoder:
    taps, progressive = ENCODER_TYPES[encoder_type]
    kind = "resnet" if encoder_type.startswith("ResNet") else "irse"
    body = BodySpec(kind, channels_in, 4, WIDTHS[kind])
    encoder = StyleEncoder(EncoderConfig(body, taps, progressive, LAYERS, WIDTH, convs, encoder_type))
    return encoder.eval()


@pytest.fixture(scope="session")
def make_encoder(fill):
    return lambda *args, **kwargs: fill(tiny_encoder(*args, **kwargs))


@pytest.fixture
def make_file(tmp_path, make_encoder, generator):
    """Write a checkpoint as the authors' training code does; returns its path and the encoder in it."""

    def make(encoder_type: str, channels_in: int = 3, latent_avg=None, named: bool = True, **opts):
        encoder = make_encoder(encoder_type, channels_in)
        state = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
        state["decoder.input.input"] = generator.synthesis.b4.const.data[None]
        state |= {f"decoder.convs.{i}.conv.weight": torch.zeros(1) for i in range(LAYERS - 2)}
        latent_avg = generator.w_avg.repeat(LAYERS, 1) if latent_avg is None else latent_avg
        opts = {"start_from_latent_avg": True, "dataset_type": "ffhq_encode", **({"encoder_type": encoder_type} if named else {}), **opts}
        path = tmp_path / f"{encoder_type}.pt"
        torch.save({"state_dict": state, "opts": opts, "latent_avg": latent_avg}, path)
        return path, encoder

    return make
