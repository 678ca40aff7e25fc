"""Encoder inverters: files, the ReStyle loop, errors."""

from __future__ import annotations

import argparse
import json
import logging
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from micromotion.cli.inspect import describe
from micromotion.stylegan2 import MicromotionError, load, load_inverter
from micromotion.stylegan2.inversion import EncoderInverter, InversionError, InverterCard, save_inverter
from micromotion.stylegan2.inversion.compact import CompactEncoder
from micromotion.stylegan2.inversion.encoders import ENCODER_TYPES
from micromotion.stylegan2.inversion.files import NO_MEAN, inverter_from_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

SINGLE = (
    "GradualStyleEncoder",
    "Encoder4Editing",
    "BackboneEncoder",
    "SingleStyleCodeEncoder",
    "ResNetBackboneEncoder",
    "BackboneEncoderUsingLastLayerIntoWPlus",
)
RESTYLE = ("BackboneEncoder", "ProgressiveBackboneEncoder", "ResNetProgressiveBackboneEncoder")


@pytest.fixture
def count_syntheses(generator, monkeypatch):
    """How many pictures the generator made."""
    made = []
    original = type(generator).synthesize

    def counted(self, codes, noise="const", **options):
        made.append(len(codes))
        return original(self, codes, noise, **options)

    monkeypatch.setattr(type(generator), "synthesize", counted)
    return made


@pytest.mark.parametrize("encoder_type", SINGLE)
def test_single_pass_is_encoder_plus_mean_code(encoder_type, make_file, generator, images):
    path, encoder = make_file(encoder_type)
    inverter = load_inverter(path)
    codes = inverter.invert(generator, images)
    resized = F.interpolate(images, size=inverter.input_size, mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = encoder(resized) + generator.w_avg
    torch.testing.assert_close(codes, expected)
    assert inverter.card.encoder_type == encoder_type
    assert inverter.card.domain == "FFHQ photos"


@pytest.mark.parametrize("encoder_type", RESTYLE)
def test_restyle_follows_its_definition(encoder_type, make_file, generator, images):
    path, encoder = make_file(encoder_type, 6)
    x = F.interpolate(images, size=32, mode="bilinear", antialias=True)
    w = generator.w_avg.expand(2, generator.num_layers, -1)
    with torch.no_grad():
        for _ in range(5):
            y = F.adaptive_avg_pool2d(generator.synthesize(w), 32)
            w = w + encoder(torch.cat([x, y], 1))
    torch.testing.assert_close(load_inverter(path).invert(generator, images), w, atol=1e-4, rtol=1e-4)


def test_restyle_skips_the_last_synthesis_and_keeps_the_mean_image(make_file, generator, images, count_syntheses):
    inverter = load_inverter(make_file("BackboneEncoder", 6)[0])
    inverter.invert(generator, images)
    assert sum(count_syntheses) == 1 + 4 * 2
    inverter.invert(generator, images)
    assert sum(count_syntheses) == 1 + 4 * 2 + 4 * 2


def test_mean_image_is_made_again_when_the_weights_change(make_file, make_generator, images, count_syntheses):
    inverter, generator = load_inverter(make_file("BackboneEncoder", 6)[0]), make_generator()
    first = inverter.invert(generator, images, steps=1)
    generator.synthesis.b4.const.data.add_(1)
    generator.synthesis.b4.conv1.weight.mul_(1.5)
    second = inverter.invert(generator, images, steps=1)
    assert sum(count_syntheses) == 2
    assert (first - second).abs().max() > 1e-6


def test_progress_tells_every_pass_of_every_chunk_and_cancels(make_file, generator, images):
    inverter = load_inverter(make_file("BackboneEncoder", 6)[0])
    seen = []
    inverter.invert(generator, images, steps=3, progress=lambda done, total, preview: seen.append((done, total, preview.shape)), batch=1)
    assert [s[:2] for s in seen] == [(i + 1, 6) for i in range(6)]
    assert {s[2] for s in seen} == {(1, 3, 32, 32)}

    def cancel(done, total, preview):
        seen.append(done)
        raise KeyboardInterrupt

    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        inverter.invert(generator, images, progress=cancel)
    assert seen == [1]


def test_restyle_starts_from_the_mean_code_whatever_its_options_say(make_file, generator, images):
    """The authors' loop reads start_from_latent_avg only for encoders of a single pass."""
    first, second = (load_inverter(make_file("BackboneEncoder", 6, start_from_latent_avg=b)[0]) for b in (True, False))
    assert torch.equal(first.invert(generator, images), second.invert(generator, images))


def test_files_of_parallel_training_and_options_as_a_namespace(make_file, generator, images):
    path = make_file("ProgressiveBackboneEncoder", 6)[0]
    expected = load_inverter(path).invert(generator, images)
    content = torch.load(path)
    content["state_dict"] = {f"module.{k}": v for k, v in content["state_dict"].items()}
    content["opts"] = argparse.Namespace(**content["opts"])
    torch.save(content, path)
    inverter = load_inverter(path)
    assert inverter.card.encoder_type == "ProgressiveBackboneEncoder"
    assert torch.equal(inverter.invert(generator, images), expected)


def test_one_file_is_generator_and_inverter(make_file, generator, rosinality_state, images):
    """The published files hold both: each loader takes its part, and what inspect prints tells both."""
    path = make_file("ProgressiveBackboneEncoder", 6)[0]
    content = torch.load(path)
    content["state_dict"] |= {f"decoder.{k}": v for k, v in rosinality_state(generator).items()}
    torch.save(content, path)
    inverter = load_inverter(path)
    assert inverter.mismatch(load(path)) is None
    assert torch.equal(inverter.invert(load(path), images), inverter.invert(generator, images))
    text = describe(path)
    assert "pSp / e4e / ReStyle (its decoder)" in text and "inverter (ProgressiveBackboneEncoder)" in text and "5 pass(es)" in text


def test_batches_do_not_change_the_codes(make_file, generator, images):
    inverter = load_inverter(make_file("ProgressiveBackboneEncoder", 6)[0])
    together, alone = inverter.invert(generator, images, batch=2), inverter.invert(generator, images, batch=1)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_more_steps_of_a_single_pass_encoder_go_on_by_optimizing(make_file, generator, images):
    inverter = load_inverter(make_file("GradualStyleEncoder")[0])
    before, after = inverter.invert(generator, images), inverter.invert(generator, images, steps=15)
    assert error(generator, after, images) < 0.9 * error(generator, before, images)


def test_more_steps_than_passes_go_on_by_optimizing(make_file, generator, images):
    inverter = load_inverter(make_file("BackboneEncoder", 6)[0])
    seen = []
    codes = inverter.invert(generator, images, steps=15, progress=lambda done, total, preview: seen.append((done, total)))
    assert seen == [(i, 15) for i in range(1, 16)]
    assert error(generator, codes, images) < error(generator, inverter.invert(generator, images, steps=5), images)


def error(generator, codes, images) -> float:
    return float((generator.synthesize(codes) - images).square().mean())


@pytest.mark.parametrize("encoder_type", ENCODER_TYPES)
@pytest.mark.parametrize("channels", [3, 6])
def test_native_round_trip_is_exact(encoder_type, channels, make_file, generator, images, tmp_path):
    inverter = load_inverter(make_file(encoder_type, channels)[0])
    save_inverter(inverter, tmp_path / "native.safetensors", domain="drawings", typical_psnr=21.5, generator=generator.fingerprint)
    again = load_inverter(tmp_path / "native.safetensors")
    assert torch.equal(again.invert(generator, images), inverter.invert(generator, images))
    assert (again.card.domain, again.card.typical_psnr, again.card.format) == ("drawings", 21.5, inverter.card.format)
    assert again.passes == (5 if channels == 6 else 1)


def test_sixteen_bit_file_is_half_as_large_and_close(make_file, generator, images, tmp_path):
    inverter = load_inverter(make_file("GradualStyleEncoder")[0])
    save_inverter(inverter, tmp_path / "full.safetensors")
    save_inverter(inverter, tmp_path / "half.safetensors", dtype=torch.float16)
    half = load_inverter(tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.7 * (tmp_path / "full.safetensors").stat().st_size
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    torch.testing.assert_close(half.invert(generator, images), inverter.invert(generator, images), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(
    ("opts", "latent_avg", "start"),
    [
        ({}, "rows", "file"),
        ({}, "one", "file"),
        ({"start_from_latent_avg": False}, "rows", "zero"),
        ({"start_from_latent_avg": False, "learn_in_w": True}, "rows", "file"),
    ],
)
def test_starting_code_follows_the_options(opts, latent_avg, start, make_file, generator, images):
    average = torch.full((6, 32) if latent_avg == "rows" else (32,), 0.5)
    path, encoder = make_file("BackboneEncoder", latent_avg=average, **opts)
    codes = load_inverter(path).invert(generator, images)
    with torch.no_grad():
        offsets = encoder(F.interpolate(images, size=32, mode="bilinear", antialias=True))
    torch.testing.assert_close(codes, offsets + (0.0 if start == "zero" else 0.5))


def test_old_file_without_type_or_mean_code(make_file, generator, images):
    path, encoder = make_file("GradualStyleEncoder", named=False)
    data = torch.load(path, weights_only=True)
    del data["latent_avg"]
    torch.save(data, path)
    inverter = load_inverter(path)
    assert inverter.card.encoder_type == "GradualStyleEncoder"
    assert "does not name its encoder" in inverter.card.notes[0]
    assert inverter.start == "generator"
    assert inverter.card.notes[1:] == (NO_MEAN,)
    assert load_inverter(path, encoder_type="Encoder4Editing").card.notes == (NO_MEAN,)
    progressive = load_inverter(path, encoder_type="Encoder4Editing").invert(generator, images)
    plain = inverter.invert(generator, images)
    torch.testing.assert_close(progressive[:, 1] - progressive[:, 0], plain[:, 1] - generator.w_avg, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("encoder_type", "opts", "start", "words"),
    [
        ("Encoder4Editing", {}, "generator", "no mean code"),
        ("BackboneEncoder", {"start_from_latent_avg": False}, "zero", "whole codes"),
        ("BackboneEncoder", {"start_from_latent_avg": True}, "generator", "no mean code"),
    ],
)
def test_an_encoder_without_a_mean_code_says_where_it_starts(encoder_type, opts, start, words, make_file, generator, images):
    path, encoder = make_file(encoder_type, **opts)
    data = torch.load(path, weights_only=True)
    del data["latent_avg"]
    if not opts:
        del data["opts"]["start_from_latent_avg"]
    torch.save(data, path)
    inverter = load_inverter(path)
    assert inverter.start == start and words in " ".join(inverter.card.notes)
    with torch.no_grad():
        offsets = encoder(F.interpolate(images, size=inverter.input_size, mode="bilinear", antialias=True))
    torch.testing.assert_close(inverter.invert(generator, images), offsets + (generator.w_avg if start == "generator" else 0))


def test_hyperstyles_w_encoder(make_file, generator, images):
    """The kind that pSp calls BackboneEncoderUsingLastLayerIntoW, under another name."""
    path, encoder = make_file("BackboneEncoderUsingLastLayerIntoW")
    data = torch.load(path, weights_only=True)
    data["opts"]["encoder_type"] = "WEncoder"
    torch.save(data, path)
    codes = load_inverter(path).invert(generator, images)
    with torch.no_grad():
        offsets = encoder(F.interpolate(images, size=256, mode="bilinear", antialias=True))
    torch.testing.assert_close(codes, offsets + generator.w_avg)


@pytest.mark.parametrize(("dataset", "words"), [("cars_encode", "'cars' pictures.*four wide"), ("afhq_wild_encode", "'afhq_wild'")])
def test_other_domains_are_said(dataset, words, make_file):
    inverter = load_inverter(make_file("BackboneEncoder", dataset_type=dataset)[0])
    assert re.search(words, " ".join(inverter.card.notes)) and inverter.card.domain == dataset.removesuffix("_encode")
    assert not load_inverter(make_file("BackboneEncoder", dataset_type="celebs_sketch_to_face")[0]).card.notes


def test_e4e_options_reveal_a_progressive_encoder(make_file):
    path, _ = make_file("Encoder4Editing", named=False, stylegan_size=16)
    assert load_inverter(path).card.encoder_type == "Encoder4Editing"


def test_generator_of_another_size_is_refused(make_file, make_generator, images):
    inverter = load_inverter(make_file("BackboneEncoder")[0])
    with pytest.raises(InversionError, match="6 layers x 32; the loaded 32 px generator takes 8 x 32"):
        inverter.invert(make_generator(resolution=32), images)


def test_another_generator_of_that_size_is_warned_about_once(make_file, make_generator, generator, images, caplog):
    inverter = load_inverter(make_file("BackboneEncoder")[0])
    stranger = make_generator(seed=1)
    with caplog.at_level(logging.WARNING):
        inverter.invert(generator, images)
        assert not caplog.records
        inverter.invert(stranger, images)
        inverter.invert(stranger, images)
    assert len(caplog.records) == 1
    assert "another generator" in caplog.text
    assert inverter.mismatch(generator) is None


def test_native_file_knows_its_generator(make_file, make_generator, generator, tmp_path):
    inverter = load_inverter(make_file("BackboneEncoder")[0])
    save_inverter(inverter, tmp_path / "i.safetensors", generator=generator.fingerprint)
    again = load_inverter(tmp_path / "i.safetensors")
    assert again.mismatch(generator) is None
    stranger = make_generator(seed=1)
    assert generator.fingerprint in again.mismatch(stranger) and stranger.fingerprint in again.mismatch(stranger)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (torch.zeros(3, 16, 16), r"shape \(3, 16, 16\)"),
        (torch.zeros(1, 1, 16, 16), r"takes \[N, 3, H, W\]"),
        (torch.zeros(0, 3, 16, 16), "no image"),
        (torch.zeros(1, 3, 16, 24), "24 x 16 px; inversion takes aligned squares"),
        (torch.full((1, 3, 16, 16), torch.nan), "NaN"),
        (torch.full((1, 3, 16, 16), 200.0), "values up to 200"),
    ],
)
def test_images_that_cannot_be_inverted(images, sentence, make_file, generator):
    with pytest.raises(InversionError, match=sentence):
        load_inverter(make_file("BackboneEncoder")[0]).invert(generator, images)


def test_zero_steps_are_refused(make_file, generator, images):
    with pytest.raises(InversionError, match="The steps are 0; give a whole number from 1"):
        load_inverter(make_file("BackboneEncoder")[0]).invert(generator, images, steps=0)


def test_damaged_weights_are_named(make_file, generator, images):
    inverter = load_inverter(make_file("BackboneEncoder")[0])
    inverter.encoder.styles[0].linear.bias.data.fill_(torch.nan)
    with pytest.raises(InversionError, match="NaN for this image"):
        inverter.invert(generator, images)


def test_files_that_are_no_inverters(tmp_path, generator):
    def saved(data):
        torch.save(data, tmp_path / "file.pt")
        return tmp_path / "file.pt"

    with pytest.raises(MicromotionError, match="no file"):
        load_inverter(tmp_path / "absent.pt")
    with pytest.raises(InversionError, match="holds a generator, no encoder"):
        load_inverter(saved({"state_dict": {"decoder.convs.0.conv.weight": torch.zeros(1)}}))
    with pytest.raises(InversionError, match="holds an identity network"):
        load_inverter(saved({"output_layer.3.weight": torch.zeros(1)}))
    with pytest.raises(InversionError, match="holds a list"):
        load_inverter(saved([1, 2]))
    with pytest.raises(InversionError, match="holds no tensors"):
        load_inverter(saved({"state_dict": {}}))
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(MicromotionError, match=r"text\.pt"):
        load_inverter(tmp_path / "text.pt")


def test_incomplete_encoders_are_refused(make_file):
    path, _ = make_file("GradualStyleEncoder")
    data = torch.load(path, weights_only=True)
    for key in ("encoder.latlayer2.bias", "encoder.body.3.res_layer.1.weight", "encoder.input_layer.0.weight"):
        state = {k: v for k, v in data["state_dict"].items() if k != key}
        torch.save({**data, "state_dict": state}, path)
        with pytest.raises(InversionError, match="incomplete"):
            load_inverter(path)
    torch.save({**data, "opts": {"encoder_type": "MagicEncoder"}}, path)
    with pytest.raises(InversionError, match="'MagicEncoder'; known types: BackboneEncoder"):
        load_inverter(path)


def test_native_files_that_are_damaged(make_file, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(MicromotionError, match="file of another program"):
        load_inverter(path)
    save_file({"a": torch.zeros(1)}, path, metadata={"micromotion": '{"kind": "subspace"}'})
    with pytest.raises(MicromotionError, match="is a motion, not an inverter"):
        load_inverter(path)
    start = '{"kind": "inverter", "version": 1'
    for header in ("[1]", "{", '{"kind": "inverter"}', start + "}", start + ', "encoder": "style", "config": {"encoder_type": "x"}}'):
        save_file({"a": torch.zeros(1)}, path, metadata={"micromotion": header})
        with pytest.raises(MicromotionError):
            load_inverter(path)
    save_inverter(load_inverter(make_file("BackboneEncoder")[0]), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MicromotionError, match="damaged|not a sound safetensors file"):
        load_inverter(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def native_parts(make_encoder, tmp_path_factory):
    """The header and tensors of a sound native file, and where to write altered ones."""
    folder = tmp_path_factory.mktemp("native")
    save_inverter(EncoderInverter(make_encoder("GradualStyleEncoder")), folder / "sound.safetensors")
    with safe_open(folder / "sound.safetensors", "pt") as file:
        header = json.loads(file.metadata()["micromotion"])
        return header, {k: file.get_tensor(k) for k in file.keys()}, folder / "altered.safetensors"


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(data=st.data())
def test_altered_headers_raise_only_our_errors(native_parts, data):
    header, tensors, path = native_parts
    header = json.loads(json.dumps(header))
    place = data.draw(st.sampled_from([header, header["config"], header["card"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(VALUES)
    save_file(tensors, path, metadata={"micromotion": json.dumps(header)})
    try:
        inverter = load_inverter(path)
    except MicromotionError:
        return
    assert isinstance(inverter.card.domain, str) and inverter.passes >= 1


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(data=st.data())
def test_altered_checkpoints_raise_only_our_errors(make_encoder, data):
    encoder = make_encoder("GradualStyleEncoder").state_dict()
    state = {f"encoder.{k}": v for k, v in encoder.items()}
    opts = {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": True, "n_iters_per_batch": 5}
    checkpoint = {"state_dict": state, "opts": opts, "latent_avg": torch.zeros(6, 32)}
    place = data.draw(st.sampled_from([checkpoint, opts, state]))
    tensors = st.sampled_from(
        [torch.zeros([]), torch.zeros(3), torch.zeros(0, 4), torch.zeros(2, 2, 2, 2), torch.ones(64, dtype=torch.long)]
    )
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(VALUES | tensors)
    try:
        inverter = inverter_from_checkpoint(checkpoint)
    except MicromotionError:
        return
    assert inverter.num_layers == 6 and inverter.passes == 1


def test_compact_encoder_round_trip(generator, images, tmp_path):
    config = {"input_size": 16, "channels_in": 6, "widths": [4, 8], "hidden": 16, "num_layers": 6, "width": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inverter = EncoderInverter(CompactEncoder(config), passes=2, card=InverterCard(domain="rendered avatars"))
    inverter.encoder.blocks[0].norm0.running_mean.fill_(0.3)
    save_inverter(inverter, tmp_path / "c.safetensors", dtype=torch.float16, typical_psnr=25.0)
    again = load_inverter(tmp_path / "c.safetensors")
    torch.testing.assert_close(again.invert(generator, images), inverter.invert(generator, images), atol=1e-2, rtol=1e-2)
    assert (again.passes, again.iterative, again.card.typical_psnr) == (2, True, 25.0)
    tensors = load_file(tmp_path / "c.safetensors")
    with safe_open(tmp_path / "c.safetensors", "pt") as file:
        metadata = file.metadata()
    del tensors["encoder.neck.bias"]
    save_file(tensors, tmp_path / "c.safetensors", metadata=metadata)
    with pytest.raises(InversionError, match=r"damaged.*neck\.bias"):
        load_inverter(tmp_path / "c.safetensors")


def test_unknown_card_fields_are_refused(make_file, tmp_path):
    with pytest.raises(InversionError, match="no field psnr; known: domain"):
        save_inverter(load_inverter(make_file("BackboneEncoder")[0]), tmp_path / "x.safetensors", psnr=3)


def test_any_module_can_be_the_encoder(generator, images):
    class Constant(torch.nn.Module):
        config = {"channels_in": 3, "input_size": 8, "num_layers": 6, "width": 32}

        def __init__(self):
            super().__init__()
            self.offset = torch.nn.Parameter(torch.ones(1))

        def forward(self, x):
            return self.offset * x.mean((1, 2, 3)).reshape(-1, 1, 1).expand(-1, 6, 32)

    inverter = EncoderInverter(Constant(), card=InverterCard(domain="flat squares"))
    codes = inverter.invert(generator, torch.full((1, 3, 8, 8), 0.25))
    torch.testing.assert_close(codes, (generator.w_avg + 0.25).expand(1, 6, 32))


def test_inverting_inside_inference_mode(make_file, generator, images):
    with torch.inference_mode():
        inverter = load_inverter(make_file("BackboneEncoder", 6)[0])
        codes = inverter.invert(generator, images)
    torch.testing.assert_close(codes.clone(), inverter.invert(generator, images))
