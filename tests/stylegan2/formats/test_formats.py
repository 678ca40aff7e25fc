"""Every format loads, whatever the sizes, and draws what its weights drew before they were written."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from micromotion import stylegan2
from micromotion.stylegan2 import checkpoint
from safetensors.torch import save_file

ARCHITECTURES = {
    "skip": {},
    "orig": {"architecture": "orig"},
    "resnet": {"architecture": "resnet"},
    "clamp": {"conv_clamp": 0.7},
    "resnet clamp": {"architecture": "resnet", "conv_clamp": 0.9},
    "labels": {"c_dim": 5},
    "wide labels": {"c_dim": 3, "embed_dim": 7, "hidden_dim": 11, "mapping_layers": 3},
    "deep mapping": {"mapping_layers": 8},
    "one layer": {"mapping_layers": 1},
    "no noise": {"use_noise": False},
    "other filter": {"resample_filter": (1, 2, 1)},
    "gray": {"img_channels": 1},
    "linear": {"activation": "linear", "lr_multiplier": 0.1},
    "4 px": {"resolution": 4},
    "tall": {"base": (4, 2)},
    "wide": {"base": (4, 8), "resolution": 32},
    "uneven": {"resolution": 32, "channels": {4: 3, 8: 9, 16: 5, 32: 2}, "w_dim": 7, "z_dim": 31},
}


def assert_same(loaded, original, pictures, exact=True):
    assert loaded.architecture == original.architecture
    for a, b, name in zip(pictures(loaded), pictures(original), ("codes", "images")):
        torch.testing.assert_close(a, b, atol=0 if exact else 1e-4, rtol=0 if exact else 1e-4, msg=lambda m, n=name: f"{n}: {m}")
    if exact:
        assert loaded.fingerprint == original.fingerprint


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("layout", ["ada", "sg3", "G_ema only"])
def test_nvidia_architectures(kind, layout, make, write, pictures, tmp_path):
    generator = make(**ARCHITECTURES[kind])
    path = write.nvidia_pickle(tmp_path / "a.pkl", generator, layout=layout)
    assert_same(stylegan2.load(path), generator, pictures)


@pytest.mark.parametrize("kind", ["skip", "clamp", "resnet clamp", "other filter", "linear"])
@pytest.mark.parametrize("layout", ["ada", "sg3"])
def test_constructor_arguments_serve_where_layers_say_nothing(kind, layout, make, write, pictures, tmp_path):
    generator = make(**ARCHITECTURES[kind])
    assert_same(stylegan2.load(write.nvidia_pickle(tmp_path / "a.pkl", generator, layout=layout, old=True)), generator, pictures)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nvidia_protocols(protocol, small, write, pictures, tmp_path):
    assert_same(stylegan2.load(write.nvidia_pickle(tmp_path / "a.pkl", small, protocol)), small, pictures)


@pytest.mark.parametrize("zipped", [True, False])
def test_nvidia_networks_saved_with_torch_save(zipped, small, write, pictures, tmp_path):
    assert_same(stylegan2.load(write.nvidia_module_file(tmp_path / "a.pt", small, zipped)), small, pictures)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["skip", "resnet clamp", "orig", "labels", "deep mapping", "other filter"])
def test_tensorflow(kind, protocol, make, write, pictures, tmp_path):
    generator = make(**ARCHITECTURES[kind])
    loaded = stylegan2.load(write.tf_pickle(tmp_path / "a.pkl", generator, protocol))
    assert_same(loaded, generator, pictures, exact=False)


@pytest.mark.parametrize("zipped", [True, False])
def test_rosinality_training_checkpoints_take_the_average_and_estimate_the_mean(zipped, small, write, tmp_path):
    path = write.rosinality_training(tmp_path / "a.pt", small, zipped)
    loaded, again = stylegan2.load(path), stylegan2.load(path)
    assert torch.equal(loaded.synthesis.b4.const, small.synthesis.b4.const)
    assert torch.equal(loaded.w_avg, again.w_avg)
    w = small.map(torch.randn(20_000, 20, generator=torch.Generator().manual_seed(3)))[:, 0]
    assert ((loaded.w_avg - w.mean(0)).abs() < 5 * w.std(0) / 10_000**0.5).all()
    assert any("estimated" in note for note in loaded.provenance.notes)


def rosinality_containers(state, w):
    return {
        "g_ema": {"g_ema": state, "latent_avg": w},
        "row": {"g_ema": state, "latent_avg": w[None]},
        "repeated": {"g_ema": state, "latent_avg": w.repeat(6, 1)},
        "g only": {"g": state, "latent_avg": w},
        "bare": {**state, "latent_avg": w},
        "parallel": {"g_ema": {f"module.{k}": v for k, v in state.items()}, "latent_avg": w},
        "state_dict": {"state_dict": {f"generator.{k}": v for k, v in state.items()}, "latent_avg": w},
    }


@pytest.mark.parametrize("kind", ["g_ema", "row", "repeated", "g only", "bare", "parallel", "state_dict"])
@pytest.mark.parametrize("zipped", [True, False])
def test_rosinality_containers(kind, zipped, small, write, pictures, tmp_path):
    content = rosinality_containers(write.rosinality_state(small), small.w_avg)[kind]
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert_same(stylegan2.load(tmp_path / "a.pt"), small, pictures)


@pytest.mark.parametrize("prefix", ["", "g_ema.", "decoder."])
def test_rosinality_names_in_safetensors(prefix, small, write, pictures, tmp_path):
    state = {f"{prefix}{k}": v.clone() for k, v in write.rosinality_state(small).items()}
    save_file({**state, "latent_avg": small.w_avg.repeat(6, 1)}, tmp_path / "a.safetensors")
    assert_same(stylegan2.load(tmp_path / "a.safetensors"), small, pictures)


def test_rosinality_files_without_noise_or_filters(small, write, tmp_path):
    state = write.rosinality_state(small, noises=False, buffers=False)
    torch.save({"g_ema": state, "latent_avg": small.w_avg}, tmp_path / "a.pt")
    loaded = stylegan2.load(tmp_path / "a.pt")
    codes = loaded.map(torch.randn(2, 20))
    assert torch.equal(loaded.synthesize(codes), small.synthesize(codes, "none"))
    assert any("noise" in note for note in loaded.provenance.notes)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("zipped", [True, False])
def test_rosinality_whole_modules(zipped, small, write, tmp_path):
    loaded = stylegan2.load(write.rosinality_module_file(tmp_path / "a.pt", small, zipped))
    codes = small.map(torch.randn(2, 20))
    assert torch.equal(loaded.synthesize(codes), small.synthesize(codes))


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("zipped", [True, False])
def test_genforce_whole_modules(zipped, small, write, pictures, tmp_path):
    assert_same(stylegan2.load(write.genforce_module_file(tmp_path / "a.pt", small, zipped)), small, pictures, exact=False)


@pytest.mark.parametrize("repeated", [True, False])
def test_psp_e4e_restyle(repeated, small, write, pictures, tmp_path):
    path = write.psp(tmp_path / "a.pt", small, repeated, global_step=3, optimizer={"state": {}, "param_groups": []}, best_val_loss=1.0)
    loaded = stylegan2.load(path)
    assert_same(loaded, small, pictures)
    assert "pSp" in loaded.provenance.format


def test_psp_without_a_mean_code(small, write, tmp_path):
    loaded = stylegan2.load(write.psp(tmp_path / "a.pt", small, mean=False))
    assert any("estimated" in note for note in loaded.provenance.notes)


@pytest.mark.parametrize("kind", ["skip", "orig", "labels", "deep mapping", "gray", "uneven"])
def test_genforce(kind, make, write, pictures, tmp_path):
    generator = make(**ARCHITECTURES[kind])
    assert_same(stylegan2.load(write.genforce(tmp_path / "a.pth", generator)), generator, pictures, exact=False)


def test_genforce_training_runs_keep_their_models_one_level_down(small, write, pictures, tmp_path):
    models = torch.load(write.genforce(tmp_path / "zoo.pth", small))
    torch.save({"models": models, "running_metadata": {"iter": 1}, "optimizers": {}, "learning_rates": {}}, tmp_path / "a.pth")
    assert_same(stylegan2.load(tmp_path / "a.pth"), small, pictures, exact=False)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_native_files_keep_everything(kind, make, pictures, tmp_path):
    generator = make(**ARCHITECTURES[kind])
    path = stylegan2.save(generator, tmp_path / "a.safetensors")
    loaded = stylegan2.load(path)
    assert_same(loaded, generator, pictures)
    assert set(loaded.state_dict()) == set(generator.state_dict())


def test_canonical_state_dicts_without_metadata(small, pictures, tmp_path):
    torch.save({"G_ema": small.state_dict()}, tmp_path / "a.pth")
    assert_same(stylegan2.load(tmp_path / "a.pth"), small, pictures)
    save_file(small.state_dict(), tmp_path / "a.safetensors")
    assert_same(stylegan2.load(tmp_path / "a.safetensors"), small, pictures)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_widened(dtype, small, write, tmp_path):
    state = {k: v.to(dtype) for k, v in write.rosinality_state(small).items()}
    torch.save({"g_ema": state, "latent_avg": small.w_avg}, tmp_path / "a.pt")
    loaded = stylegan2.load(tmp_path / "a.pt")
    assert all(v.dtype == torch.float32 for v in loaded.state_dict().values())
    expected = small.synthesis.b16.conv1.weight.to(dtype).float()
    assert torch.equal(loaded.synthesis.b16.conv1.weight, expected)


def test_loading_leaves_the_random_numbers_alone(data):
    before = torch.random.get_rng_state()
    stylegan2.load(data / "rosinality_small.pt")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_1024_px_at_full_width_has_the_published_number_of_parameters(tmp_path):
    channels = {4 << i: min(32768 // (4 << i), 512) for i in range(9)}
    with torch.device("meta"):
        generator = stylegan2.Generator(stylegan2.Architecture(1024, channels))
    state = {k: torch.zeros(v.shape, dtype=torch.float16) for k, v in generator.state_dict().items()}
    torch.save(state, tmp_path / "a.pt")
    report = stylegan2.inspect(tmp_path / "a.pt")
    assert (report.resolution, report.layers, report.width, report.channels) == (1024, 18, 512, channels)
    assert report.parameters == 30_370_060


def test_inspect(data):
    report = stylegan2.inspect(data / "nvidia_ada_small_nosrc.pkl")
    assert (report.resolution, report.layers, report.width, report.size) == (32, 8, 64, 1425876)
    assert "NVIDIA" in report.format and "research" in report.license
    assert report.sha256 in str(report) and "32 px" in str(report)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.size = 0


def test_official_weights_in_every_format_give_the_official_pictures(data, write, tmp_path):
    """The fixture's weights, written by the other repositories' rules: the loader must undo each of them."""
    official = stylegan2.load(data / "nvidia_ada_small_nosrc.pkl")
    reference = np.load(data / "nvidia_ada_small.npz")
    files = [
        write.tf_pickle(tmp_path / "tf.pkl", official),
        write.genforce(tmp_path / "genforce.pth", official),
        write.psp(tmp_path / "psp.pt", official),
        checkpoint.convert(data / "nvidia_ada_small_nosrc.pkl", tmp_path / "n.safetensors") and tmp_path / "n.safetensors",
    ]
    for path in files:
        generator = stylegan2.load(path)
        image = generator.synthesize(generator.map(torch.from_numpy(reference["z"]), 0.7))
        np.testing.assert_allclose(image.numpy(), reference["img_z_psi0.7_const"], atol=1e-4, rtol=1e-4, err_msg=path.name)
