"""The same network under other projects' names draws the same pictures; averaged weights are found under any usual name."""

from __future__ import annotations

import pytest
import torch
from micromotion import stylegan2
from micromotion.files.errors import DamagedFileError, UnsupportedFileError
from micromotion.stylegan2.formats.candidates import rank

FORMATS = {
    "mmgen": ("mmgeneration", ".pth"),
    "basicsr": ("BasicSR", ".pth"),
    "paddle": ("PaddleGAN", ".pdparams"),
    "sahlman": ("adriansahlman", ".pth"),
}


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("form", FORMATS)
def test_the_same_pictures_under_other_names(form, square, make, write, pictures, tmp_path):
    generator = make(z_dim=24) if square else make(z_dim=24, channels={4: 24, 8: 7, 16: 24})
    generator.synthesis.b16.torgb.bias[0] += 2  # red enough not to be taken for blue
    name, ending = FORMATS[form]
    loaded = stylegan2.load(getattr(write, form)(tmp_path / f"a{ending}", generator))
    assert name in loaded.provenance.format
    for key, tensor in generator.synthesis.state_dict().items():
        assert torch.equal(loaded.synthesis.state_dict()[key], tensor), key
    codes, _ = pictures(generator)
    assert torch.equal(generator.map(torch.ones(1, 24)), loaded.map(torch.ones(1, 24)))
    assert torch.equal(generator.synthesize(codes), loaded.synthesize(codes))


@pytest.mark.parametrize("prefix", ["generator_ema.", "generator_ema.module.", "module.generator_ema."])
def test_mmgeneration_takes_the_average(prefix, small, write, tmp_path):
    small.synthesis.b16.torgb.bias[0] += 2
    loaded = stylegan2.load(write.mmgen(tmp_path / "a.pth", small, prefix))
    assert torch.equal(loaded.synthesis.b4.const, small.synthesis.b4.const)


def test_networks_that_draw_blue_first_are_turned(make, write, tmp_path):
    generator = make()
    generator.synthesis.b16.torgb.bias.copy_(torch.tensor([-3.0, 0.0, 3.0]))
    loaded = stylegan2.load(write.mmgen(tmp_path / "a.pth", generator))
    code = generator.map(torch.ones(1, 20))
    torch.testing.assert_close(loaded.synthesize(code), generator.synthesize(code).flip(1), atol=1e-5, rtol=1e-5)
    assert any("blue before red" in note for note in loaded.provenance.notes)
    rosinality = tmp_path / "b.pt"
    torch.save({"g_ema": write.rosinality_state(generator)}, rosinality)
    assert torch.equal(stylegan2.load(rosinality).synthesize(code), generator.synthesize(code)), "other formats are taken as they are"


AVERAGED = (
    "gen_ema g_running EMA_generator ema_model G_avg netG_shadow generator_smooth Gs params_ema ema genEMA averaged_generator swa".split()
)


@pytest.mark.parametrize("averaged", AVERAGED)
@pytest.mark.parametrize("raw", ["G", "generator", "decoder", "net"])
def test_averaged_weights_under_any_usual_name(averaged, raw, small, write, tmp_path):
    state = write.rosinality_state(small)
    for order in ((raw, averaged), (averaged, raw)):
        content = {raw: {k: v + 1 for k, v in state.items()}, averaged: state}
        torch.save({k: content[k] for k in order}, tmp_path / "a.pt")
        assert torch.equal(stylegan2.load(tmp_path / "a.pt").synthesis.b4.const, small.synthesis.b4.const)


@pytest.mark.parametrize("name", ["schema", "cinema", "g", "decoder", "scavenger", "running_man", "gsm"])
def test_words_that_only_look_averaged(name):
    assert rank(name) > 0 or name == "running_man"


def test_another_gfpgan_is_named(small, write, tmp_path):
    state = {k.replace("activate.bias", "bias"): v for k, v in write.basicsr_state(small).items()}
    torch.save({"params_ema": {f"stylegan_decoder.{k}": v for k, v in state.items()}}, tmp_path / "GFPGANv1.4.pth")
    with pytest.raises(UnsupportedFileError, match="GFPGAN.*StyleGAN2_512_Cmul1"):
        stylegan2.load(tmp_path / "GFPGANv1.4.pth")


@pytest.mark.parametrize(("name", "value"), [("conv_block_size", 3), ("kernel_size", 5), ("demodulate", False), ("activation", "tanh")])
def test_other_networks_of_the_nested_kind_are_refused(name, value, small, write, tmp_path):
    with pytest.raises(UnsupportedFileError, match=name):
        stylegan2.load(write.sahlman(tmp_path / "Gs.pth", small, **{name: value}))


def test_dualstylegans_second_path_is_said(small, write, tmp_path):
    state = {f"generator.{k}": v for k, v in write.rosinality_state(small).items()}
    torch.save({"g_ema": {**state, "res.0.conv.weight": torch.ones(3, 3, 3, 3)}}, tmp_path / "generator.pt")
    assert any("DualStyleGAN" in note for note in stylegan2.load(tmp_path / "generator.pt").provenance.notes)


def test_a_lost_label_embedding_is_refused(make, tmp_path):
    generator = make(c_dim=5, z_dim=24)
    torch.save({k: v for k, v in generator.state_dict().items() if "embed" not in k}, tmp_path / "a.pt")
    with pytest.raises(DamagedFileError, match="label embedding was lost"):
        stylegan2.load(tmp_path / "a.pt")
