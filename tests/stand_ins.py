"""Files of full size in the layouts that the catalog's public ones have, without their weights: random ones, but for what draws an avatar.

The generator's layers up to 128 px are those of the embedded avatars, so that its pictures show something; everything else is random.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch

TESTS = Path(__file__).resolve().parent
WEIGHTS = TESTS.parent / "avatars" / "weights"
MOTIONS = {"smile": "smile", "angry": "anger", "aging": "age", "eyesClose": "eyes", "headsTurn": "turn"}  # theirs: ours
LENGTH = 10.0  # what the loader makes of a direction of unknown strength; our smile gets it
IRSE50 = (64,) * 3 + (128,) * 4 + (256,) * 14 + (512,) * 3
TIMID = 0.02  # of an encoder's last layers: every face is the mean face, and a little else


def module(path: str) -> ModuleType:
    """A module of the tests by its path."""
    spec = importlib.util.spec_from_file_location(f"stand_ins_{Path(path).stem}", TESTS / path)
    assert spec is not None and spec.loader is not None
    made = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def generator(resolution: int = 1024):
    """Config F of this resolution that draws avatars, enlarged from 128 px; its codes are the avatars' ones, shorter and padded with 0."""
    from micromotion.stylegan2 import Architecture, Generator, load

    avatar = load(WEIGHTS / "generator.safetensors")
    torch.manual_seed(0)
    channels = {2**k: min(32768 >> k, 512) for k in range(2, resolution.bit_length())}
    made = Generator(Architecture(resolution, channels)).eval().requires_grad_(False)
    own, given, shrink = made.state_dict(), avatar.state_dict(), scale()
    for name, tensor in own.items():
        if name in given and not name.startswith("mapping.fc"):
            tensor.copy_(_padded(given[name], tensor, name, shrink))
        elif name.endswith(("torgb.weight", "torgb.bias")):
            tensor.zero_()
    return made


def scale() -> float:
    """By how much the codes of ``generator`` are shorter than the avatars' ones."""
    from micromotion.subspaces import Subspace

    return LENGTH / float(Subspace.load(WEIGHTS / "motions" / "smile.safetensors").direction.norm())


def _padded(small: torch.Tensor, large: torch.Tensor, name: str, shrink: float) -> torch.Tensor:
    """Weights with 0 around them that compute the same: layers divide by the root of their inputs, which are more now."""
    if name.endswith("w_avg"):
        small = small * shrink
    if name.endswith("affine.weight"):
        small = small / shrink
    if name.endswith("weight"):
        inputs = [t[0].numel() for t in (large, small)]
        small = small * (inputs[0] / inputs[1]) ** 0.5
    room = torch.zeros_like(large)
    if name.endswith("affine.bias"):
        room += 1
    room[tuple(slice(n) for n in small.shape)] = small
    return room


def rosinality(path: Path, made) -> None:
    """``stylegan2-ffhq-config-f.pt`` as rosinality's converter writes it."""
    torch.save({"g_ema": module("stylegan2/formats/writers.py").rosinality_state(made), "latent_avg": made.w_avg.clone()}, path)


def nvidia(path: Path, made) -> None:
    """``ffhq.pkl`` of stylegan2-ada-pytorch."""
    module("stylegan2/formats/writers.py").nvidia_pickle(path, made)


def encoder(path: Path, made, kind: str = "Encoder4Editing", channels: int = 3, **opts) -> None:
    """e4e, pSp or ReStyle with its generator in one file, as the authors' training code saves it."""
    from micromotion.stylegan2.inversion.backbones import BodySpec
    from micromotion.stylegan2.inversion.encoders import ENCODER_TYPES, EncoderConfig, StyleEncoder

    taps, progressive = ENCODER_TYPES[kind]
    body = BodySpec("irse", channels, 64, IRSE50)
    network = module("stylegan2/inversion/keyed.py").fill(
        StyleEncoder(EncoderConfig(body, taps, progressive, made.num_layers, made.width, encoder_type=kind))
    )
    state = {f"encoder.{k}": v * TIMID if k.endswith("linear.weight") else v for k, v in network.state_dict().items()}
    state |= {f"decoder.{k}": v for k, v in module("stylegan2/formats/writers.py").rosinality_state(made).items()}
    opts = {"encoder_type": kind, "start_from_latent_avg": True, "dataset_type": "ffhq_encode", "stylegan_size": made.resolution, **opts}
    torch.save({"state_dict": state, "opts": opts, "latent_avg": made.w_avg.repeat(made.num_layers, 1)}, path)


def restyle(path: Path, made) -> None:
    encoder(path, made, "BackboneEncoder", 6, n_iters_per_batch=5)


def arcface(path: Path, made=None) -> None:
    """``model_ir_se50.pth``: a bare state dict."""
    from micromotion.stylegan2.inversion.backbones import BodySpec
    from micromotion.stylegan2.inversion.identity import Identity

    torch.save(module("stylegan2/inversion/keyed.py").fill(Identity(BodySpec("irse", 3, 64, IRSE50))).state_dict(), path)


class Holder(torch.nn.Module):
    """Weights by their dotted names in half precision, and the sizes that OpenAI keeps among them."""

    def __init__(self, state: dict[str, torch.Tensor]):
        super().__init__()
        self.visual = torch.nn.Module()
        for name, value in state.items():
            *folders, last = name.split(".")
            place: torch.nn.Module = self
            for folder in folders:
                if not hasattr(place, folder):
                    place.add_module(folder, torch.nn.Module())
                place = getattr(place, folder)
            place.register_buffer(last, value.half())
        for name, size in (("input_resolution", 224), ("context_length", 77), ("vocab_size", 49408)):
            self.register_buffer(name, torch.tensor(size))


def clip(path: Path, made=None) -> None:
    """``ViT-B-32.pt`` as OpenAI published it: a TorchScript archive."""
    import open_clip

    torch.manual_seed(0)
    torch.jit.save(torch.jit.script(Holder(open_clip.create_model("ViT-B-32-quickgelu").state_dict())), str(path))


def landmarks(path: Path, made=None) -> None:
    """The true file, out of the package that ``requirements.txt`` brings; packed where the name says so."""
    import bz2

    from micromotion.faces.detection import find_predictor

    data = find_predictor().read_bytes()
    path.write_bytes(bz2.compress(data) if path.suffix == ".bz2" else data)


def direction(path: Path, made) -> None:
    """One of the authors' directions ``[1, L, D]``: an avatar's motion where there is one of that kind, else chance."""
    from micromotion.subspaces import Subspace

    room = torch.zeros(1, made.num_layers, made.width)
    if path.stem in MOTIONS:
        small = Subspace.load(WEIGHTS / "motions" / f"{MOTIONS[path.stem]}.safetensors").direction * scale()
        room[0, : small.shape[0], : small.shape[1]] = small
    else:
        room.copy_(torch.randn(room.shape, generator=torch.Generator().manual_seed(1)) / 30)
    torch.save(room, path)


WRITERS: dict[str, Callable] = {
    "ffhq-rosinality": rosinality,
    "ffhq": nvidia,
    "e4e": encoder,
    "restyle-psp": restyle,
    "arcface": arcface,
    "clip-vit-b-32-openai": clip,
    "landmarks": landmarks,
}


def write(folder: Path, *names: str) -> dict[str, Path]:
    """Stand-ins for the catalog's ``names`` under ``folder``, each in the folder where it belongs; those that are there already stay."""
    from micromotion.files import catalog

    entries, paths, made = [catalog.find(name) for name in names], {}, None
    for entry in entries:
        path = paths[entry.name] = folder / entry.target
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            made = made or generator()
            with torch.no_grad():
                WRITERS.get(entry.name, direction)(path, made)
    return paths


def as_published(folder: Path, entries: tuple) -> tuple:
    """The catalog's ``entries`` with the sizes and hashes of those files that lie under ``folder``."""
    from micromotion.files.download import hash_file

    def known(entry):
        path = folder / entry.target
        return replace(entry, size=path.stat().st_size, sha256=hash_file(path), packed_sha256=None) if path.is_file() else entry

    return tuple(map(known, entries))
