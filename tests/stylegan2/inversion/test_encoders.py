"""Encoders against the reference outputs, and their structure at tiny widths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from micromotion.lab.sizes import full_spec
from micromotion.stylegan2.inversion.backbones import read_spec
from micromotion.stylegan2.inversion.encoders import ENCODER_TYPES, EncoderConfig, StyleEncoder, read_config
from micromotion.stylegan2.inversion.errors import InversionError
from micromotion.stylegan2.inversion.identity import Identity, crop_face, identity_from_state, load_identity

TOLERANCE = 1e-5
# reference -> (image channels, tensors, parameters)
FULL_SIZE = {
    "BackboneEncoder": (6, 565, 205_585_792),
    "ProgressiveBackboneEncoder": (6, 565, 205_585_792),
    "GradualStyleEncoder": (3, 621, 267_136_704),
    "Encoder4Editing": (3, 621, 267_136_704),
    "ResNetBackboneEncoder": (6, 397, 195_928_128),
    "ResNetGradualStyleEncoder": (3, 453, 257_471_360),
}
# how many of the 18 heads a quick run builds: enough to reach the second level of the pyramid, and once the third
QUICK_ROWS = {
    "BackboneEncoder": 1,
    "ProgressiveBackboneEncoder": 2,
    "GradualStyleEncoder": 4,
    "Encoder4Editing": 4,
    "ResNetBackboneEncoder": 1,
    "ResNetGradualStyleEncoder": 8,
}


@pytest.fixture(scope="module")
def reference():
    return np.load(Path(__file__).parent / "data" / "encoders_keyed_fullsize.npz")


@pytest.fixture(scope="module")
def six_channels(reference):
    return F.interpolate(torch.from_numpy(reference["lowres6"]), size=256, mode="bilinear")


def full_width(name: str, rows: int) -> StyleEncoder:
    taps, progressive = ENCODER_TYPES[name]
    body = full_spec("resnet" if name.startswith("ResNet") else "irse", FULL_SIZE[name][0])
    with torch.device("meta"):
        return StyleEncoder(EncoderConfig(body, taps, progressive, rows, 512))


@pytest.mark.parametrize("name", FULL_SIZE)
def test_first_rows_of_the_full_width_encoder_are_official(name, reference, six_channels, fill):
    rows = QUICK_ROWS[name]
    with torch.no_grad():
        codes = fill(full_width(name, rows))(six_channels[:, : FULL_SIZE[name][0]])
    np.testing.assert_allclose(codes.numpy(), reference[name][:, :rows], atol=TOLERANCE, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_encoder_gives_the_official_codes(name, reference, six_channels, fill):
    channels, tensors, parameters = FULL_SIZE[name]
    encoder = full_width(name, 18)
    assert len(encoder.state_dict()) == tensors
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    with torch.no_grad():
        codes = fill(encoder)(six_channels[:, :channels])
    np.testing.assert_allclose(codes.numpy(), reference[name], atol=TOLERANCE, rtol=0)


def test_arcface_gives_the_official_embeddings(reference, six_channels, fill):
    with torch.device("meta"):
        network = Identity(full_spec("irse"))
    assert len(network.state_dict()) == 397
    large = F.interpolate(six_channels, size=1024, mode="bilinear")
    fill(network)
    with torch.no_grad():
        a, b = network.embed(large[:, :3]), network.embed(large[:, 3:])
        loss = 1 - (a * b).sum(1)
    np.testing.assert_allclose(a.numpy(), reference["arcface_a"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(b.numpy(), reference["arcface_b"], atol=TOLERANCE, rtol=0)
    assert abs(loss.item() - reference["id_loss"]) < TOLERANCE


@pytest.mark.parametrize("name", ENCODER_TYPES)
@pytest.mark.parametrize("channels", [3, 6])
def test_sizes_are_read_from_the_tensors(name, channels, make_encoder):
    encoder = make_encoder(name, channels)
    config = read_config(encoder.state_dict(), name, encoder.config.num_layers)
    assert config.body == encoder.config.body
    assert (config.taps, config.progressive, config.num_layers, config.width) == (*ENCODER_TYPES[name], 6, 32)


@pytest.mark.parametrize("kind", ["irse", "resnet"])
def test_full_spec_is_what_the_published_tensors_say(kind):
    with torch.device("meta"):
        encoder = StyleEncoder(EncoderConfig(full_spec(kind, 6), "pyramid", False, 8, 512))
    spec = read_spec({k: tuple(v.shape) for k, v in encoder.state_dict().items()})
    assert spec == full_spec(kind, 6)
    taps = {"irse": [2, 6, 20, 23], "resnet": [2, 6, 12, 15]}[kind]
    assert spec.stage_ends == taps
    assert [i for i, step in enumerate(spec.steps) if step[2] == 2] == {"irse": [0, 3, 7, 21], "resnet": [3, 7, 13]}[kind]


@pytest.mark.parametrize("name", ENCODER_TYPES)
def test_codes_have_one_row_per_layer_and_batches_equal_singles(name, make_encoder):
    encoder = make_encoder(name)
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = encoder(images)
        single = torch.cat([encoder(x[None]) for x in images])
    assert codes.shape == (3, 6, 32)
    torch.testing.assert_close(codes, single, atol=1e-5, rtol=1e-4)
    assert (codes[0] - codes[1]).abs().max() > 1e-3


def test_progressive_rows_are_offsets_to_the_first(make_encoder):
    plain, progressive = make_encoder("BackboneEncoder"), make_encoder("ProgressiveBackboneEncoder")
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        a, b = plain(images), progressive(images)
    torch.testing.assert_close(b[:, 0], a[:, 0])
    torch.testing.assert_close(b[:, 1:], a[:, 1:] + a[:, :1])


def test_w_encoder_repeats_one_row(make_encoder):
    with torch.no_grad():
        codes = make_encoder("BackboneEncoderUsingLastLayerIntoW")(torch.randn(2, 3, 32, 32))
    assert (codes == codes[:, :1]).all()


def test_type_that_contradicts_the_tensors_is_refused(make_encoder):
    state = make_encoder("BackboneEncoder").state_dict()
    with pytest.raises(InversionError, match="Encoder4Editing.*plain style encoder"):
        read_config(state, "Encoder4Editing")


def tiny_identity(fill):
    from micromotion.stylegan2.inversion.backbones import BodySpec

    return fill(Identity(BodySpec("irse", 3, 4, (4, 8, 16, 32)), 112, 24))


def test_identity_is_read_from_its_tensors(fill, tmp_path):
    network = tiny_identity(fill)
    torch.save(network.state_dict(), tmp_path / "model_ir_se50.pth")
    loaded = load_identity(tmp_path / "model_ir_se50.pth")
    images = torch.randn(2, 3, 128, 128)
    vectors = loaded.embed(images)
    assert vectors.shape == (2, 24)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(vectors, network.embed(images))
    assert not any(p.requires_grad for p in loaded.parameters())


def test_identity_has_a_gradient(fill):
    images = torch.randn(1, 3, 64, 64, requires_grad=True)
    network = tiny_identity(fill).requires_grad_(False)
    (network.embed(images) * network.embed(torch.randn(1, 3, 64, 64))).sum().backward()
    assert images.grad.abs().max() > 0


def test_face_crop_is_that_of_the_loss():
    images = torch.zeros(1, 3, 512, 512)
    images[..., 70:446, 64:440] = 1  # rows 35..223, columns 32..220 at 256
    assert (crop_face(images) == 1).all()
    assert crop_face(images).shape == (1, 3, 112, 112)
    images[..., 68:70, :] = 0
    ramp = torch.arange(256.0).expand(1, 3, 256, 256)
    expected = F.adaptive_avg_pool2d(ramp[..., 35:223, 32:220], 112)
    torch.testing.assert_close(crop_face(ramp), expected)


def test_a_body_that_shrinks_a_picture_otherwise_is_refused_when_it_is_read(fill, tmp_path):
    from micromotion.stylegan2.inversion.backbones import BodySpec

    torch.save(fill(Identity(BodySpec("irse", 3, 4, (4, 4, 6)), 32, 8)).state_dict(), tmp_path / "face.pth")
    with pytest.raises(InversionError, match="makes a picture 4 times smaller, not 16 times"):
        load_identity(tmp_path / "face.pth")


def test_other_networks_are_no_identity(fill):
    with pytest.raises(InversionError, match=r"model_ir_se50\.pth"):
        identity_from_state({"conv1.weight": torch.zeros(4, 3, 7, 7)}, "this.pth")
    state = tiny_identity(fill).state_dict()
    del state["body.2.res_layer.0.weight"]
    with pytest.raises(InversionError, match=r"not a complete ArcFace.*body\.2\.res_layer\.0\.weight"):
        identity_from_state(state)
