"""Pivotal tuning and its difference files."""

from __future__ import annotations

import pytest
import torch
from micromotion.files import limits
from micromotion.stylegan2 import MicromotionError
from micromotion.stylegan2.inversion import InversionError, load_tuning, save_tuning, tune
from micromotion.stylegan2.inversion.optimization import psnr
from micromotion.stylegan2.inversion.tuning import autocorrelation, noisy_layers

QUICK = {"steps": 8, "lr": 3e-3, "perceptual": "pyramid"}


@pytest.fixture(scope="module")
def pivot(generator):
    z = torch.randn(1, generator.width, generator=torch.Generator().manual_seed(7))
    return generator.map(z, 0.7)


@pytest.fixture(scope="module")
def picture(generator, pivot):
    return generator.synthesize(pivot).flip(-1).clamp(-1, 1)


@pytest.fixture(scope="module")
def tuned(generator, picture, pivot):
    return tune(generator, picture, pivot, **QUICK)


def test_pivot_shows_the_picture_better(generator, picture, pivot):
    better = tune(generator, picture, pivot, steps=80, lr=3e-3, perceptual="pyramid", locality=0)
    before, after = (psnr(g.synthesize(pivot), picture).item() for g in (generator, better))
    assert after > before + 5


def test_given_generator_is_not_changed(generator, picture, pivot):
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    fingerprint = generator.fingerprint
    made = tune(generator, picture, pivot, **QUICK)
    assert all(torch.equal(before[k], v) for k, v in generator.state_dict().items())
    assert not any(p.requires_grad for p in generator.parameters())
    assert made is not generator and made.fingerprint != fingerprint == generator.fingerprint
    assert "tuned to 1 picture" in made.provenance.notes[-1]
    assert not any(p.requires_grad for p in made.parameters())


def test_only_the_synthesis_changes(generator, tuned):
    changed = {k for k, v in tuned.state_dict().items() if not torch.equal(v, generator.state_dict()[k])}
    assert changed and all(k.startswith("synthesis.") for k in changed)
    assert not any(k.endswith(("noise_const", "resample_filter")) for k in changed)


def test_noise_pictures_are_bent_only_when_asked_and_stay_noise(make_generator, pivot, picture):
    generator = make_generator()
    for layer in noisy_layers(generator):
        layer.noise_strength.fill_(0.3)
    target = generator.synthesize(pivot, "none").clamp(-1, 1)
    runs = {w: tune(generator, target, pivot, noise_regularization=w, **{**QUICK, "lr": 0.03}) for w in (None, 0.0, 1e3)}
    kept, free, held = ([m.noise_const for m in noisy_layers(g)] for g in runs.values())
    given = [m.noise_const for m in noisy_layers(generator)]
    assert all(torch.equal(a, b) for a, b in zip(kept, given))
    assert not any(torch.equal(a, b) for a, b in zip(free, given))
    assert sum(map(autocorrelation, held)) < 0.5 * sum(map(autocorrelation, free))
    assert not any(n.requires_grad for n in held)


def test_autocorrelation_is_zero_for_white_noise_only():
    white = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    assert autocorrelation(white) < 0.15
    smooth = torch.nn.functional.avg_pool2d(white[None], 3, 1, 1)[0] * 3
    assert autocorrelation(smooth) > 0.5


def test_locality_keeps_other_faces(generator, picture, pivot):
    others = generator.map(torch.randn(8, generator.width, generator=torch.Generator().manual_seed(3)), 0.7)
    drift = []
    for locality in (0.0, 30.0):
        made = tune(generator, picture, pivot, steps=40, lr=3e-3, perceptual="pyramid", locality=locality)
        drift.append((made.synthesize(others) - generator.synthesize(others)).square().mean().item())
    assert drift[1] < 0.7 * drift[0]


def test_same_seed_same_bits(generator, picture, pivot, tuned):
    again = tune(generator, picture, pivot, **QUICK)
    assert again.fingerprint == tuned.fingerprint
    assert tune(generator, picture, pivot, seed=1, **QUICK).fingerprint != tuned.fingerprint


def test_stops_at_a_target_and_cancels(generator, pivot, picture):
    seen = []
    tune(generator, generator.synthesize(pivot), pivot, target_psnr=50.0, progress=lambda d, t, p: seen.append((d, t)), **QUICK)
    assert seen == [(1, 8)]

    def cancel(done, total, preview):
        assert preview.shape == (1, 3, 16, 16)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(generator, picture, pivot, progress=cancel, **QUICK)


def test_works_inside_inference_mode(make_generator, picture, pivot, tuned):
    with torch.inference_mode():
        made = tune(make_generator(), picture.clone(), pivot.clone(), **QUICK)
    assert made.fingerprint == tuned.fingerprint
    assert not any(p.is_inference() for p in made.parameters())


def test_difference_file_is_exact_and_small(generator, tuned, pivot, tmp_path):
    path = tmp_path / "face.safetensors"
    save_tuning(tuned, generator, path)
    again = load_tuning(path, generator)
    assert again.fingerprint == tuned.fingerprint
    assert torch.equal(again.synthesize(pivot), tuned.synthesize(pivot))
    whole = sum(v.numel() * 4 for v in generator.state_dict().values())
    assert path.stat().st_size < whole
    assert again.provenance.notes[-1] == "tuned by face.safetensors"


def test_half_file_is_half_as_large_and_close(generator, tuned, pivot, tmp_path):
    save_tuning(tuned, generator, tmp_path / "full.safetensors")
    save_tuning(tuned, generator, tmp_path / "half.safetensors", half=True)
    again = load_tuning(tmp_path / "half.safetensors", generator)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.75 * sizes[1]
    effect = (tuned.synthesize(pivot) - generator.synthesize(pivot)).abs().max()
    assert (again.synthesize(pivot) - tuned.synthesize(pivot)).abs().max() < 1e-2 * effect


def test_another_base_is_refused(generator, tuned, make_generator, tmp_path):
    save_tuning(tuned, generator, tmp_path / "face.safetensors")
    stranger = make_generator(seed=4)
    with pytest.raises(InversionError, match=f"made on generator {generator.fingerprint}; generator {stranger.fingerprint} is loaded"):
        load_tuning(tmp_path / "face.safetensors", stranger)
    with pytest.raises(InversionError, match="not of the same architecture"):
        save_tuning(tuned, make_generator(resolution=32), tmp_path / "x.safetensors")


def test_files_that_are_no_tuning(generator, tuned, tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "face.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"micromotion": '{"kind": "generator"}'})
    with pytest.raises(MicromotionError, match="is a generator, not a tuning"):
        load_tuning(path, generator)
    save_tuning(tuned, generator, path)
    tensors = load_file(path)
    header = f'{{"kind": "tuning", "version": 1, "base": "{generator.fingerprint}"}}'
    save_file({**tensors, "synthesis.b4.magic": torch.zeros(1)}, path, metadata={"micromotion": header})
    with pytest.raises(MicromotionError, match=r"names 'synthesis\.b4\.magic'"):
        load_tuning(path, generator)
    save_file({k: v.flatten()[:1].clone() for k, v in tensors.items()}, path, metadata={"micromotion": header})
    with pytest.raises(MicromotionError, match="does not fit its generator"):
        load_tuning(path, generator)
    scaled = {**tensors, **{f"{k}.scale": torch.ones(100_000) for k in tensors}}
    save_file(scaled, path, metadata={"micromotion": header})
    with pytest.raises(MicromotionError, match="does not fit its generator"):
        load_tuning(path, generator)
    with pytest.raises(MicromotionError, match="no file"):
        load_tuning(tmp_path / "absent.safetensors", generator)
    with pytest.raises(MicromotionError, match=r"should end in \.safetensors"):
        save_tuning(tuned, generator, tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("options", "sentence"), [({"steps": 0}, "The steps are 0"), ({"lr": -1.0}, "The learning rate is -1.0"), ({"lr": 1e25}, "diverged")]
)
def test_requests_that_make_no_sense(options, sentence, generator, picture, pivot, monkeypatch):
    if sentence == "diverged":
        monkeypatch.setattr(limits, "LEARNING_RATE", limits.Limit(1e-6, 1e31))
    with pytest.raises(InversionError, match=sentence):
        tune(generator, picture, pivot, **{**QUICK, **options})
