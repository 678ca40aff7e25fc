"""A folder of tiny random networks in the layout of the embedded weights: the graph runs on it in seconds."""

from __future__ import annotations

from pathlib import Path

import torch
from micromotion.stylegan2 import Architecture, Generator, save
from micromotion.stylegan2.inversion import EncoderInverter, InverterCard, save_inverter
from micromotion.stylegan2.inversion.backbones import BodySpec
from micromotion.stylegan2.inversion.encoders import EncoderConfig, StyleEncoder
from micromotion.subspaces import Subspace
from micromotion.subspaces.anchors import Settings
from micromotion.subspaces.anchors.scorer_files import build_model, save_scorer

RESOLUTION, WIDTH, LAYERS = 32, 32, 8
MOTIONS = ("smile", "anger", "eyes", "turn", "age")
SCORER = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 16, "width": 32, "heads": 2, "layers": 1},
    "merges": 300,
    "normalize": False,
}
SETTINGS = Settings(l2=0.001, prior=0.05, space="w", views=1)  # unlike the published ones


def make_generator(resolution: int = RESOLUTION, seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    channels = {2**k: 16 for k in range(2, resolution.bit_length())}
    generator = Generator(Architecture(resolution, channels, w_dim=WIDTH, z_dim=WIDTH, mapping_layers=2))
    for name, parameter in generator.named_parameters():
        if "torgb" in name:
            parameter.data *= 0.3
    generator.mapping.w_avg.copy_(generator.map(torch.randn(256, WIDTH)).detach()[:, 0].mean(0))
    return generator.eval().requires_grad_(False)


def make_inverter(generator: Generator, typical_psnr: float | None = None) -> EncoderInverter:
    torch.manual_seed(1)
    body = BodySpec("irse", 3, 4, (4, 4, 8, 8, 16, 32))
    encoder = StyleEncoder(EncoderConfig(body, "last", False, generator.num_layers, WIDTH, 1, "BackboneEncoder")).eval()
    card = InverterCard(domain="rendered avatars", generator=generator.fingerprint, typical_psnr=typical_psnr)
    return EncoderInverter(encoder, input_size=32, card=card)


def make_motion(generator: Generator, name: str, seed: int) -> Subspace:
    torch.manual_seed(seed)
    return Subspace(torch.randn(1, generator.num_layers, WIDTH), name=name, fingerprint=generator.fingerprint)


def write(folder: Path, typical_psnr: float | None = 60.0) -> Path:
    """Write all of it; random networks reproduce nothing, so ``typical_psnr`` makes every picture a stranger."""
    (folder / "motions").mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(False), torch.random.fork_rng():
        generator = make_generator()
        save(generator, folder / "generator.safetensors")
        save_inverter(make_inverter(generator, typical_psnr), folder / "inverter.safetensors")
        torch.manual_seed(2)
        save_scorer(build_model(SCORER), SCORER, folder / "scorer.safetensors", settings=SETTINGS)
        for i, name in enumerate(MOTIONS):
            make_motion(generator, name, 10 + i).save(folder / "motions" / f"{name}.safetensors")
    return folder
