"""Optimization of codes: it finds them, repeats itself bit for bit, and leaves the generator alone."""

from __future__ import annotations

import pytest
import torch
from micromotion.files import limits
from micromotion.stylegan2.inversion import InversionError, Weights, optimize
from micromotion.stylegan2.inversion.optimization import code_scale, default_batch, learning_rate, psnr

QUICK = {"steps": 20, "perceptual": "pyramid"}


def reconstruct(generator, codes) -> torch.Tensor:
    with torch.no_grad():
        return generator.synthesize(codes)


def quality(generator, codes, images) -> torch.Tensor:
    return psnr(reconstruct(generator, codes), images)


def test_pictures_of_the_generator_are_found_again(generator, images):
    before = quality(generator, generator.w_avg.expand(2, generator.num_layers, -1), images)
    codes = optimize(generator, images, steps=150, perceptual="pyramid", weights=Weights(prior=0))
    after = quality(generator, codes, images)
    assert codes.shape == (2, generator.num_layers, generator.width)
    assert (after > before + 12).all() and (after > 30).all()


def test_w_has_one_row_and_w_plus_fits_better(generator, images):
    other = images.flip(-1)  # nothing that one code of this generator shows
    one = optimize(generator, other, space="w", steps=60, perceptual="pyramid")
    many = optimize(generator, other, space="w+", steps=60, perceptual="pyramid")
    assert (one == one[:, :1]).all()
    assert (many - many[:, :1]).abs().max() > 0.01
    assert (quality(generator, many, other) > quality(generator, one, other)).all()


def test_a_start_is_used_and_never_made_worse(generator, images):
    z = torch.randn(2, generator.width, generator=torch.Generator().manual_seed(5))
    start = generator.map(z, 0.7)  # the truth
    for lr in (1e-4, 0.5):
        codes = optimize(generator, images, start, steps=5, lr=lr, weights=Weights(prior=0), perceptual="pyramid")
        assert (quality(generator, codes, images) > 60).all()


def test_same_seed_same_bits_and_the_seed_matters(generator, images):
    runs = [optimize(generator, images, jitter=0.3, seed=seed, **QUICK) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_global_random_state_is_untouched(generator, images):
    state = torch.get_rng_state()
    optimize(generator, images, jitter=0.3, steps=2, perceptual="pyramid")
    assert torch.equal(state, torch.get_rng_state())


def test_generator_and_images_are_left_alone(generator, images):
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    flags = [p.requires_grad for p in generator.parameters()]
    given = images.clone()
    optimize(generator, given, **QUICK)
    assert torch.equal(given, images)
    assert all(torch.equal(before[k], v) for k, v in generator.state_dict().items())
    assert flags == [p.requires_grad for p in generator.parameters()]
    assert all(p.grad is None for p in generator.parameters())


def test_works_inside_inference_mode_with_weights_made_there(make_generator, images):
    expected = optimize(make_generator(), images, **QUICK)
    with torch.inference_mode():
        codes = optimize(make_generator(), images.clone(), **QUICK)
    assert not codes.is_inference()
    assert torch.equal(codes, expected)


def test_trainable_generator_gives_the_same_codes(make_generator, generator, images):
    expected = optimize(generator, images, **QUICK)
    assert torch.equal(optimize(make_generator().requires_grad_(True), images, **QUICK), expected)


def test_batches_split_without_changing_much(generator, images):
    together = optimize(generator, images, batch=2, steps=8, perceptual="pyramid")
    alone = optimize(generator, images, batch=1, steps=8, perceptual="pyramid")
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-3)


def test_progress_shows_reconstructions_and_cancels_within_a_step(generator, images):
    seen = []
    optimize(generator, images, batch=1, steps=4, perceptual="pyramid", progress=lambda d, t, p: seen.append((d, t, tuple(p.shape))))
    assert seen == [(i + 1, 8, (1, 3, 16, 16)) for i in range(8)]

    def cancel(done, total, preview):
        seen.append(done)
        if done == 3:
            raise KeyboardInterrupt

    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        optimize(generator, images, steps=100, perceptual="pyramid", progress=cancel)
    assert seen == [1, 2, 3]


def test_early_stop_on_a_plateau(generator, images):
    z = torch.randn(2, generator.width, generator=torch.Generator().manual_seed(5))
    seen = []
    optimize(
        generator,
        images,
        generator.map(z, 0.7),
        steps=200,
        patience=5,
        weights=Weights(prior=0),
        perceptual="pyramid",
        progress=lambda d, t, p: seen.append(d),
    )
    assert len(seen) <= 10 and seen[-1] == 200


def test_early_stop_at_a_target(generator, images):
    steps = []
    codes = optimize(
        generator, images, steps=200, target_psnr=20.0, perceptual="pyramid", observe=lambda step, codes, errors: steps.append(step)
    )
    assert 1 < len(steps) < 150
    assert (quality(generator, codes, images) > 19).all()


def test_observer_sees_falling_errors(generator, images):
    curve = []
    optimize(generator, images, observe=lambda step, codes, errors: curve.append((step, codes.shape, errors.mean().item())), **QUICK)
    assert [c[0] for c in curve] == list(range(20))
    assert {c[1] for c in curve} == {(2, 6, 32)}
    assert curve[-1][2] < 0.7 * curve[0][2]


def test_prior_pulls_toward_the_mean_code(generator, images):
    free, held = (optimize(generator, images, weights=Weights(prior=prior), **QUICK) for prior in (0.0, 10.0))
    distance = [(codes - generator.w_avg).norm() for codes in (free, held)]
    assert distance[1] < 0.3 * distance[0]


class Channels(torch.nn.Module):
    """An identity network that sees the mean colors."""

    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Linear(3, 4, bias=False)
        self.mix.weight.data = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])

    def embed(self, images):
        return torch.nn.functional.normalize(self.mix(images.mean((2, 3)) + torch.tensor([0.3, 0.1, -0.2])))


def test_identity_term_moves_the_identity(generator, images):
    network = Channels()
    alone = Weights(pixel=0, perceptual=0, identity=1, prior=0)
    codes = optimize(generator, images, weights=alone, identity=network, steps=40)
    similarity = (network.embed(reconstruct(generator, codes)) * network.embed(images)).sum(1)
    start = reconstruct(generator, generator.w_avg.expand(2, generator.num_layers, -1))
    before = (network.embed(start) * network.embed(images)).sum(1)
    assert (similarity > before).all() and (similarity > 0.999).all()
    assert all(p.requires_grad for p in network.parameters())


def test_own_distance_can_be_the_perceptual_term(generator, images):
    calls = []

    def distance(a, b):
        calls.append(a.shape)
        return (a - b).square().mean((1, 2, 3))

    optimize(generator, images, steps=3, perceptual=distance)
    assert len(calls) == 4


def test_scale_is_the_spread_of_w(generator):
    w = generator.map(torch.randn(4096, generator.width, generator=torch.Generator().manual_seed(9)))[:, 0]
    assert code_scale(generator) == pytest.approx(float(w.var(0).mean().sqrt()), rel=0.05)


def test_result_does_not_depend_on_the_units_of_w(make_generator, images):
    """The same network with codes ten times as large must be inverted to the same pictures."""
    small, large = make_generator(), make_generator()
    last = large.mapping.fc1
    last.weight.mul_(10)
    last.bias.mul_(10)
    large.mapping.w_avg.mul_(10)
    for name, parameter in large.synthesis.named_parameters():
        if name.endswith("affine.weight"):
            parameter.div_(10)
    pictures = [reconstruct(g, optimize(g, images, **QUICK)) for g in (small, large)]
    torch.testing.assert_close(*pictures, atol=2e-2, rtol=1e-2)


def test_smaller_pictures_are_compared_at_their_size(generator, images):
    small = torch.nn.functional.avg_pool2d(images, 2)
    codes = optimize(generator, small, steps=100, perceptual="pyramid")
    made = torch.nn.functional.avg_pool2d(reconstruct(generator, codes), 2)
    assert (psnr(made, small) > 25).all()


def test_learning_rate_ramps():
    assert learning_rate(0) == 0
    assert learning_rate(0.05) == learning_rate(0.5) == learning_rate(0.75) == 1
    assert 0 < learning_rate(0.9) < 1
    assert learning_rate(1) == pytest.approx(0)


def test_psnr_of_a_known_error():
    a = torch.zeros(1, 3, 8, 8)
    assert psnr(a + 0.2, a).item() == pytest.approx(20, abs=1e-3)  # 10 log10(4 / 0.04)


def test_batch_fits_the_size(make_generator, generator):
    assert default_batch(generator) == 16
    with torch.device("meta"):
        from micromotion.stylegan2 import Architecture, Generator

        large = Generator(Architecture(1024, {2**k: 4 for k in range(2, 11)}, w_dim=8, z_dim=8))
    large.mapping.w_avg = torch.zeros(8)
    assert default_batch(large) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"space": "z"}, r"Unknown space 'z'; choose one of w\+, w"),
        ({"steps": 0}, "The steps are 0; give a whole number from 1 to 100000"),
        ({"lr": 0.0}, "The learning rate is 0.0; give a number from"),
        ({"lr": float("nan")}, "The learning rate is nan"),
        ({"start": torch.zeros(3, 6, 32)}, r"2 image\(s\) on this 16 px generator need \[2, 6, 32\]"),
        ({"start": torch.zeros(2, 8, 32)}, "starting codes have shape"),
        ({"start": torch.full((1, 6, 32), torch.nan)}, "starting codes contain NaN"),
        ({"perceptual": "vgg"}, "Unknown perceptual term 'vgg'; choose one of auto, lpips, features, pyramid"),
    ],
)
def test_requests_that_make_no_sense(options, sentence, generator, images):
    with pytest.raises(InversionError, match=sentence):
        optimize(generator, images, **{"perceptual": "pyramid", **options})


def test_an_optimization_that_diverges_says_so(generator, images, monkeypatch):
    monkeypatch.setattr(limits, "LEARNING_RATE", limits.Limit(1e-6, 1e31))
    with pytest.raises(InversionError, match="diverged"):
        optimize(generator, images, perceptual="pyramid", lr=1e30, steps=5)


def test_bad_images_are_refused(generator):
    with pytest.raises(InversionError, match="NaN"):
        optimize(generator, torch.full((1, 3, 16, 16), torch.nan))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_repeats_itself_bit_for_bit(make_generator, images):
    generator = make_generator().cuda()
    runs = [optimize(generator, images, jitter=0.1, **QUICK) for _ in range(2)]
    assert runs[0].is_cuda and torch.equal(*runs)


def test_the_best_code_is_kept_and_not_the_last(generator, images):
    """Steps far too long throw the codes about: what comes out is the best of all that were seen."""
    seen = []

    def observe(step, codes, errors):
        seen.append(errors.clone())

    found = optimize(generator, images, steps=12, lr=2.0, perceptual="pyramid", weights=Weights(prior=0), patience=None, observe=observe)
    lowest = torch.stack(seen).amin(0)
    assert (lowest < seen[-1]).any(), "or the last is the best, and nothing is tested"
    again = []
    look = {"steps": 1, "perceptual": "pyramid", "weights": Weights(prior=0)}
    optimize(generator, images, found, observe=lambda step, codes, errors: again.append(errors), **look)
    assert (again[0] <= lowest * 1.0001).all()
