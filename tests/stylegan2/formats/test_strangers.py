"""Sound files that hold something else are named for what they are."""

from __future__ import annotations

import json
import pickle

import pytest
import safetensors.torch
import torch
from micromotion import stylegan2
from micromotion.files import catalog
from micromotion.stylegan2 import checkpoint

T = torch.ones(2, 2)
STATES = {
    "StyleGAN3": {"synthesis.input.freqs": T, "synthesis.L0_36_512.weight": T, "mapping.fc0.weight": T},
    "StyleGAN1": {"generator.progression.0.conv1.conv.weight": T, "style.1.weight": T},
    "discriminator": {"convs.0.0.weight": T, "final_conv.0.weight": T, "final_linear.0.weight": T},
    "LoRA": {"lora_unet_down_blocks_0.lora_down.weight": T, "lora_unet_down_blocks_0.lora_up.weight": T},
    "diffusion": {"model.diffusion_model.input_blocks.0.0.weight": T},
    "face inverter": {"encoder.styles.0.convs.0.weight": T, "encoder.input_layer.0.weight": T},
    "face recognition": {"input_layer.0.weight": T, "output_layer.3.weight": T},
    "CLIP": {"visual.conv1.weight": T, "transformer.resblocks.0.ln_1.weight": T},
    "VAE": {"encoder.down.0.block.0.norm1.weight": T, "decoder.up.0.block.0.norm1.weight": T},
    "body.weight": {"body.weight": T},
}


@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("form", ["zip", "old", "safetensors"])
def test_what_the_file_is_and_what_is_supported(kind, form, tmp_path):
    path = tmp_path / ("a.safetensors" if form == "safetensors" else "a.pt")
    if form == "safetensors":
        safetensors.torch.save_file({k: v.clone() for k, v in STATES[kind].items()}, path)
    else:
        torch.save({"state_dict": STATES[kind]}, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(checkpoint.UnsupportedFileError) as caught:
        stylegan2.load(path)
    assert kind in str(caught.value) and "Supported are StyleGAN2 generators" in str(caught.value)
    assert path.name in str(caught.value)


def test_stylegan3_pickles(write, tmp_path):
    with write.nvidia_modules():
        network = write.nested(
            {"synthesis.input.freqs": T, "synthesis.L0_36_512.weight": T, "mapping.fc0.weight": T}, "Generator", lambda p: {}
        )
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"G_ema": network}))
    with pytest.raises(checkpoint.UnsupportedFileError, match="StyleGAN3"):
        stylegan2.load(tmp_path / "a.pkl")


def test_a_discriminator_pickle(write, tmp_path):
    with write.nvidia_modules():
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"D": write.discriminator()}))
    with pytest.raises(checkpoint.UnsupportedFileError, match="discriminator"):
        stylegan2.load(tmp_path / "a.pkl")


def test_lucidrains(tmp_path):
    torch.save({"GAN": {"S.net.0.weight": T, "G.initial_block": T}, "version": "1.8.9"}, tmp_path / "a.pt")
    with pytest.raises(checkpoint.UnsupportedFileError, match="lucidrains"):
        stylegan2.load(tmp_path / "a.pt")


def test_tensorflow_networks_of_other_kinds(write, small, tmp_path):
    def file(variables):
        with write.modules(dnnlib__tflib__network={"Network": write.Network}):
            net = write.Network(name="Gs", variables=variables, static_kwargs={}, components={})
            (tmp_path / "a.pkl").write_bytes(pickle.dumps((net, net, net)))
        return tmp_path / "a.pkl"

    one = T.numpy()
    for variables, words in {
        (("synthesis/4x4/Const/StyleMod/weight", 1),): "StyleGAN1",
        (("mapping/LabelConcat/weight", 1),): "before ADA",
        (("4x4/Dense/weight", 1),): "'Gs' in this file is not a StyleGAN2 generator",
    }.items():
        with pytest.raises(checkpoint.UnsupportedFileError, match=words):
            stylegan2.load(file([(k, one) for k, _ in variables]))


def test_genforce_networks_of_other_kinds(write, small, tmp_path):
    state = write.genforce_state(small)
    for change, words in {
        ("mapping.label_weight", torch.ones(3, 20)): "before ADA",
        ("synthesis.layer1.weight", torch.ones(10, 12, 1, 1)): "resnet layout",
    }.items():
        torch.save({"generator_smooth": {**state, change[0]: change[1]}}, tmp_path / "a.pth")
        with pytest.raises(checkpoint.UnsupportedFileError, match=words):
            stylegan2.load(tmp_path / "a.pth")


def test_a_part_of_a_larger_network_is_no_generator_of_pictures(make, write, tmp_path):
    """EG3D keeps a StyleGAN2 of 96 channels as its backbone."""
    with write.nvidia_modules():
        backbone = write.nvidia_network(make(img_channels=96))
        network = write.module("TriPlaneGenerator", {}, {"backbone": backbone})
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"G_ema": network}))
    with pytest.raises(checkpoint.UnsupportedFileError, match="96 channels"):
        stylegan2.load(tmp_path / "a.pkl")


def test_the_authors_directions_are_named(tmp_path):
    torch.save(torch.zeros(1, 18, 512), tmp_path / "smile.pt")
    with pytest.raises(checkpoint.UnsupportedFileError, match=r"\[1, 18, 512\].*direction"):
        stylegan2.load(tmp_path / "smile.pt")
    assert checkpoint.read_file(tmp_path / "smile.pt").shape == (1, 18, 512)


@pytest.mark.parametrize("kind", ["subspace", "inverter", "scorer"])
def test_our_other_files(kind, tmp_path):
    safetensors.torch.save_file({"a": T.clone()}, tmp_path / "a.safetensors", {"micromotion": json.dumps({"kind": kind, "version": 1})})
    with pytest.raises(checkpoint.UnsupportedFileError, match=kind):
        stylegan2.load(tmp_path / "a.safetensors")


def test_a_missing_file_quotes_the_catalog(tmp_path):
    with pytest.raises(checkpoint.MissingFileError, match="micromotion download ffhq"):
        stylegan2.load(tmp_path / "ffhq.pkl")
    with pytest.raises(checkpoint.MissingFileError, match="381,624,121 bytes.*research and evaluation only.*nvlabs-fi-cdn"):
        stylegan2.load(tmp_path / "other.pkl")
    with pytest.raises(checkpoint.MissingFileError, match="is a folder"):
        stylegan2.load(tmp_path)


def test_the_catalog_is_sound():
    names = [e.name for e in catalog.ENTRIES]
    assert len(set(names)) == len(names) == len({e.target for e in catalog.ENTRIES})
    folders = {catalog.GENERATORS, catalog.INVERTERS, catalog.IDENTITY, catalog.SCORERS, catalog.MOTIONS, catalog.LANDMARKS}
    for entry in catalog.ENTRIES:
        assert entry.url.startswith("https://") and entry.folder in folders and entry.license
        assert entry.sha256 is None or (len(entry.sha256) == 64 and int(entry.sha256, 16))
        assert str(entry.target) in str(entry)
    assert sum(e.name.startswith("direction-") for e in catalog.ENTRIES) == 7
    for folder in folders:
        assert "micromotion download" in catalog.advice(folder)


def test_torchscript_programs_give_their_numbers_and_are_not_run(tmp_path):
    class Scorer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.ReLU())
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.sizes = [1, 2]

        def forward(self, x):
            return self.visual(x) * self.scale * self.sizes[0]

    network = Scorer()
    torch.jit.script(network).save(str(tmp_path / "a.pt"))
    found = checkpoint.read_file(tmp_path / "a.pt")
    assert torch.equal(found["visual"]["0"]["weight"], network.visual[0].weight) and found["sizes"] == [1, 2]
    with pytest.raises(checkpoint.UnsupportedFileError, match="TorchScript program"):
        stylegan2.load(tmp_path / "a.pt")


@pytest.mark.parametrize(("const", "words"), [((12, 4, 2), "noise_const has shape"), ((12, 4, 64), "more than any StyleGAN2's")])
def test_a_constant_of_another_shape_than_the_rest(const, words, small, tmp_path):
    torch.save({**small.state_dict(), "synthesis.b4.const": torch.zeros(const)}, tmp_path / "a.pt")
    with pytest.raises(checkpoint.DamagedFileError, match=words):
        stylegan2.load(tmp_path / "a.pt")


def test_saving_says_what_is_wrong(small, tmp_path):
    with pytest.raises(checkpoint.CheckpointError, match=".safetensors"):
        stylegan2.save(small, tmp_path / "a.pt")
    with pytest.raises(checkpoint.CheckpointError, match="float16"):
        stylegan2.save(small, tmp_path / "a.safetensors", torch.int8)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(checkpoint.CheckpointError, match="cannot be written"):
        stylegan2.save(small, tmp_path / "folder.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.safetensors"]


@pytest.mark.parametrize(
    ("reader", "supported"),
    [(stylegan2.load, "StyleGAN2 generators"), (stylegan2.read_codes, "Face codes are read from"), (stylegan2.load_inverter, "pSp, e4e")],
)
def test_each_reader_says_what_it_would_read(reader, supported, tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(b"GGUF\x03\0\0\0")
    with pytest.raises(checkpoint.UnsupportedFileError) as caught:
        reader(path)
    assert "GGUF" in str(caught.value) and supported in str(caught.value) and str(caught.value).count("upported") <= 1
