"""Text anchors against a fake scorer whose optimum is known, and against the published loop written out."""

from __future__ import annotations

import math

import pytest
import torch
from micromotion.stylegan2 import Architecture, Generator
from micromotion.subspaces import SubspaceError, fit
from micromotion.subspaces.anchors import DEGREES, Settings, Weights, text_anchors
from micromotion.subspaces.anchors import text as room
from micromotion.subspaces.anchors.degrees import fill, parse_degrees
from micromotion.subspaces.anchors.views import view
from torch import nn
from torch.nn import functional as F


class FakeScorer(nn.Module):
    """Sees pictures through a fixed random projection; texts are fixed random unit vectors."""

    name = "fake"
    calls = []  # of the class, so that twins report too

    def __init__(self, resolution=16, width=8):
        super().__init__()
        rng = torch.Generator().manual_seed(1)
        self.projection = nn.Parameter(torch.randn(3 * resolution**2, width, generator=rng) / resolution)

    def encode_images(self, images):
        return F.normalize(images.flatten(1) @ self.projection, dim=1)

    def encode_texts(self, texts):
        self.calls.append(list(texts))
        seeds = [sum(map(ord, t)) for t in texts]
        return F.normalize(torch.stack([torch.randn(8, generator=torch.Generator().manual_seed(s)) for s in seeds]), dim=1)


@pytest.fixture(scope="module")
def scorer():
    return FakeScorer()


TEMPLATE = "a person with {degree} smile"


def published_loop(generator, scorer, start, sentence, steps, lr, identity=None):
    """Section 5.3 for one anchor, with a weight gradient and all."""
    code = start.clone().requires_grad_(True)
    adam = torch.optim.Adam([code], lr=lr)
    text = scorer.encode_texts([sentence])
    for i in range(steps):
        t = i / steps
        adam.param_groups[0]["lr"] = lr * min(1, t / 0.05) * (0.5 - 0.5 * math.cos(math.pi * min(1, (1 - t) / 0.25)))
        images = generator.synthesize(code)
        loss = 1 - (scorer.encode_images(images) @ text.T).sum() + 0.008 * (code - start).square().sum()
        if identity is not None:
            loss = loss + 0.005 * (1 - (identity(images) * identity(generator.synthesize(start))).sum())
        adam.zero_grad()
        loss.backward()
        adam.step()
    return code.detach()


def drift(codes, reference, start):
    """How far apart two results are, over how far they moved: Adam's first steps are signs, which amplify rounding."""
    return ((codes - reference).norm() / (reference - start).norm()).item()


def test_a_batch_of_degrees_and_faces_follows_the_published_loop_one_by_one(generator, scorer):
    found = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "50%", "100%"], seeds=(3, 4), steps=12)
    assert found.codes.shape == (6, 6, 32)
    for a, word in enumerate(["no", "50%", "100%"] * 2):
        alone = published_loop(generator, scorer, found.start[a // 3][None], f"a person with {word} smile", 12, 0.1)
        assert drift(found.codes[a], alone[0], found.start[a // 3]) < 0.01
        assert (found.codes[a] - found.start[a // 3]).norm() > 0.1


def test_the_identity_term_is_summed_over_the_batch(generator, scorer):
    def identity(images):
        return F.normalize(images.mean((2, 3)) + 0.1, dim=1)

    found = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "100%"], steps=6, identity=identity)
    alone = published_loop(generator, scorer, found.start, "a person with 100% smile", 6, 0.1, identity)
    without = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "100%"], steps=6)
    assert drift(found.codes[1], alone[0], found.start[0]) < 1e-3
    assert drift(without.codes[1], alone[0], found.start[0]) > 2e-3


def test_anchors_fit_their_sentences_better_than_the_start(generator, scorer):
    found = text_anchors(generator, scorer, TEMPLATE, steps=20, weights=Weights(l2=0.0))
    cosine = (
        scorer.encode_images(generator.synthesize(found.codes)) * scorer.encode_texts([TEMPLATE.replace("{degree}", d) for d in DEGREES])
    ).sum(1)
    before = (
        scorer.encode_images(generator.synthesize(found.start)) @ scorer.encode_texts([TEMPLATE.replace("{degree}", d) for d in DEGREES]).T
    )
    assert (cosine > before[0] + 0.05).all()


def test_describes_its_anchors(generator, scorer):
    found = text_anchors(generator, scorer, TEMPLATE, seeds=(0, 1), steps=1)
    assert found.degrees.tolist() == pytest.approx([d / 10 for d in range(11)] * 2)
    assert found.group.tolist() == [0] * 11 + [1] * 11
    assert found.labels == DEGREES * 2
    assert found.template == TEMPLATE
    assert found.fingerprint == generator.fingerprint
    assert found.source == "text"
    assert found.parameters["seeds"] == [0, 1]
    assert fit(text_anchors(generator, scorer, TEMPLATE, steps=4)).estimator == "theil_sen"


def test_batches_do_not_change_the_result_and_text_is_read_once(generator, scorer):
    scorer.calls.clear()
    whole = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "50%", "100%"], seeds=(0, 1), steps=5)
    assert len(scorer.calls) == 1
    for batch in (1, 4):
        parts = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "50%", "100%"], seeds=(0, 1), steps=5, batch=batch)
        assert drift(parts.codes, whole.codes, whole.start[whole.group]) < 0.01


def test_the_same_seed_gives_the_same_bits_whatever_came_before(generator, scorer):
    first = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "100%"], steps=5)
    torch.manual_seed(77)
    torch.randn(5)
    second = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "100%"], steps=5)
    assert torch.equal(first.codes, second.codes)


def test_neither_network_is_touched(generator, scorer):
    scorer.projection.requires_grad_(True).grad = None
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    text_anchors(generator, scorer, TEMPLATE, degrees=["no", "100%"], steps=3)
    assert scorer.projection.grad is None
    assert scorer.projection.requires_grad
    assert all(torch.equal(v, before[k]) for k, v in generator.state_dict().items())


def test_works_inside_inference_mode_even_with_networks_made_there(scorer):
    from micromotion.stylegan2 import Architecture, Generator

    with torch.inference_mode():
        torch.manual_seed(0)
        net = Generator(Architecture(8, {4: 8, 8: 8}, w_dim=16, z_dim=16, mapping_layers=1))
        judge = FakeScorer(8)
        start = net.map(torch.randn(1, 16))
        found = text_anchors(net, judge, TEMPLATE, degrees=["no", "50%", "100%"], start=start, steps=3)
    assert (found.codes - found.start).abs().max() > 0
    assert not found.codes.is_inference()


def test_layers_outside_the_mask_stay(generator, scorer):
    found = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "100%"], steps=5, layers="coarse")
    moved = (found.codes - found.start[found.group]).abs().amax((0, 2))
    assert (moved[:4] > 0).all()
    assert (moved[4:] == 0).all()


class Looker(FakeScorer):
    """Looks at pictures of any size, shrunk to 4 px; keeps the sizes."""

    sizes = []

    def __init__(self):
        super().__init__(resolution=4)

    def encode_images(self, images):
        self.sizes.append(images.shape[-1])
        return super().encode_images(F.adaptive_avg_pool2d(images, 4))


def test_fast_anchors_look_at_smaller_pictures_and_fit_their_sentences_too(generator):
    options = {"degrees": ["no", "50%", "100%"], "seeds": (3, 4), "steps": 20}
    judge = Looker()
    exact = text_anchors(generator, judge, TEMPLATE, **options)
    Looker.sizes.clear()
    fast = text_anchors(generator, judge, TEMPLATE, **options, quality="fast")
    assert Looker.sizes == [8] * 12 + [16] * 8
    texts = judge.encode_texts([fill(TEMPLATE, d) for d in options["degrees"]]).repeat(2, 1)

    def fit_of(codes):
        return (judge.encode_images(generator.synthesize(codes)) * texts).sum(1).mean()

    start = fit_of(exact.start.repeat_interleave(3, 0))
    assert fit_of(fast.codes) - start > 0.6 * (fit_of(exact.codes) - start) > 0
    assert not torch.equal(fast.codes, exact.codes) and fast.parameters["quality"] == "fast"


def test_large_pictures_get_fewer_degrees_and_smaller_looks_unless_somebody_says_otherwise(generator, monkeypatch):
    judge = Looker()
    few = {"steps": 9, "batch": 1000}
    Looker.sizes.clear()
    small = text_anchors(generator, judge, TEMPLATE, **few)
    assert Looker.sizes == [16] * 9 and small.labels == DEGREES
    monkeypatch.setattr(room, "LARGE", 16)
    Looker.sizes.clear()
    large = text_anchors(generator, judge, TEMPLATE, **few)
    assert Looker.sizes == [8] + [16] * 8 and large.labels == ("no", "25%", "50%", "75%", "100%")
    Looker.sizes.clear()
    said = text_anchors(generator, judge, TEMPLATE, **few, degrees="no, 100%", quality="exact")
    assert Looker.sizes == [16] * 9 and said.labels == ("no", "100%")
    odd = Generator(Architecture(16, {4: 4, 8: 4, 16: 4}, w_dim=32, z_dim=32, mapping_layers=2, architecture="resnet"))
    assert text_anchors(odd, judge, TEMPLATE, **few, degrees="no, 100%").parameters["quality"] == "exact"


def test_a_quality_that_cannot_be_had_is_one_sentence(generator, scorer):
    with pytest.raises(SubspaceError, match="'best'.*exact, fast"):
        text_anchors(generator, scorer, TEMPLATE, quality="best")
    odd = Generator(Architecture(16, {4: 4, 8: 4, 16: 4}, w_dim=32, z_dim=32, mapping_layers=2, architecture="resnet"))
    with pytest.raises(SubspaceError, match="'resnet'. Choose 'exact'"):
        text_anchors(odd, scorer, TEMPLATE, quality="fast")


def test_the_prior_holds_codes_where_the_generator_draws(generator, scorer):
    free = text_anchors(generator, scorer, TEMPLATE, degrees=["100%"], steps=10)
    held = text_anchors(generator, scorer, TEMPLATE, degrees=["100%"], steps=10, weights=Weights(prior=1.0))
    whitening = room.prior_whitening(generator)

    def length(found):
        return ((found.codes - found.start) @ whitening).norm()

    assert length(held) < 0.7 * length(free)


def test_tied_rows_move_alike_and_only_where_they_may(generator, scorer):
    found = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "100%"], seeds=(3,), steps=6, space="w", layers=(1, 2, 4))
    moved = found.codes - found.start
    assert moved[:, [0, 3, 5]].abs().max() == 0
    assert moved[:, 1].norm() > 0.1
    assert torch.allclose(moved[:, 1:2].expand(-1, 2, -1), moved[:, [2, 4]], atol=1e-6)


def test_views_are_the_same_for_every_batch_and_steer_the_codes(generator, scorer):
    ask = dict(degrees=["no", "50%", "100%"], seeds=(3,), steps=6)
    plain = text_anchors(generator, scorer, TEMPLATE, **ask)
    together, alone = (text_anchors(generator, scorer, TEMPLATE, views=2, batch=b, **ask) for b in (3, 1))
    assert drift(alone.codes, together.codes, together.start) < 0.01
    assert drift(plain.codes, together.codes, together.start) > 0.05
    assert together.parameters["views"] == 2 and together.parameters["space"] == "w+"


def test_a_view_is_named_by_its_seed_and_keeps_the_picture():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    first, again, other = (view(images, seed) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == images.shape and (first - other)[0].sub((first - other)[1]).abs().max() < 4
    pixels = torch.zeros(1, 3, 32, 32, requires_grad=True)
    view(pixels, 5).sum().backward()
    assert pixels.grad.abs().sum() > 0


def test_a_negative_template_gives_degrees_below_zero(generator, scorer):
    found = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "50%", "100%"], negative="a person with {degree} frown", steps=2)
    assert found.degrees.tolist() == [0, 0.5, 1, -0.5, -1]
    assert found.labels[-1] == "-100%"


def test_a_neutral_sentence_changes_what_is_asked_for(generator, scorer):
    plain = text_anchors(generator, scorer, TEMPLATE, degrees=["100%"], steps=5)
    contrast = text_anchors(generator, scorer, TEMPLATE, degrees=["100%"], steps=5, neutral="a person")
    assert not torch.allclose(plain.codes, contrast.codes, atol=1e-3)


class CancelledError(BaseException):
    pass


def test_progress_shows_pictures_every_step_and_cancels_at_once(generator, scorer):
    seen = []

    def progress(done, total, images):
        seen.append((done, total, tuple(images.shape)))
        if len(seen) == 3:
            raise CancelledError

    with pytest.raises(CancelledError):
        text_anchors(generator, scorer, TEMPLATE, degrees=["no", "100%"], steps=10, progress=progress)
    assert seen == [(2, 20, (2, 3, 16, 16)), (4, 20, (2, 3, 16, 16)), (6, 20, (2, 3, 16, 16))]


def test_a_canceled_run_goes_on_where_it_stopped(generator, scorer, tmp_path):
    options = {"degrees": ["no", "50%", "100%"], "steps": 4, "batch": 1, "state": tmp_path / "run.safetensors"}
    whole = text_anchors(generator, scorer, TEMPLATE, **{**options, "state": None})

    def stop(done, total, images):
        if done > 9:
            raise CancelledError

    with pytest.raises(CancelledError):
        text_anchors(generator, scorer, TEMPLATE, **options, progress=stop)
    done = []
    again = text_anchors(generator, scorer, TEMPLATE, **options, progress=lambda d, t, i: done.append(d))
    assert done == [9, 10, 11, 12]
    assert torch.equal(again.codes, whole.codes)
    other = text_anchors(generator, scorer, TEMPLATE, **{**options, "lr": 0.05}, progress=lambda d, t, i: done.append(d))
    assert len(done) == 16
    assert not torch.equal(other.codes, whole.codes)


def test_a_run_with_another_scorer_of_the_same_name_begins_anew(generator, scorer, tmp_path):
    options = {"degrees": ["no", "100%"], "steps": 3, "state": tmp_path / "run.safetensors"}
    first = text_anchors(generator, scorer, TEMPLATE, **options)

    class Other(FakeScorer):
        def encode_texts(self, texts):
            return -super().encode_texts(texts)

    assert not torch.equal(text_anchors(generator, Other(), TEMPLATE, **options).codes, first.codes)


def test_out_of_memory_halves_the_batch(generator, scorer, monkeypatch):
    inner, sizes = room._Optimizer.__call__, []

    def limited(self, chosen, progress):
        sizes.append(len(chosen))
        if len(chosen) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(self, chosen, progress)

    monkeypatch.setattr(room._Optimizer, "__call__", limited)
    found = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "25%", "50%", "75%", "100%"], steps=2)
    assert sizes == [5, 2, 2, 1]
    assert (found.codes != found.start).any(2).any(1).all()


def test_the_learning_rate_follows_the_published_ramp():
    rates = [0.1 * room.learning_rate(i / 40) for i in range(40)]
    assert rates[:3] == pytest.approx([0, 0.05, 0.1])
    assert rates[30] == pytest.approx(0.1)
    assert rates[31] < 0.1
    assert rates[39] == pytest.approx(0.0024, abs=1e-4)


def test_templates_are_replaced_plainly():
    assert fill("a {degree} {smile} {__import__('os')}", "50%") == "a 50% {smile} {__import__('os')}"
    assert fill("a person with {degree} smile", "") == "a person with smile"


@pytest.mark.parametrize(
    ("given", "labels", "values"),
    [
        (None, DEGREES, tuple(d / 10 for d in range(11))),
        ([0, 0.25, 1.0], ("no", "25%", "100%"), (0, 0.25, 1)),
        ([0, 5, 40], ("no", "5%", "40%"), (0, 0.05, 0.4)),
        (["no", "12.5%", "100 %"], ("no", "12.5%", "100 %"), (0, 0.125, 1)),
        (["no", "slight", "big"], ("no", "slight", "big"), (0, 0.5, 1)),
        (["0", "0.5", "1"], ("no", "50%", "100%"), (0, 0.5, 1)),
        ([1, 50, 100], ("1%", "50%", "100%"), (0.01, 0.5, 1)),
        ("no, 50%, 100%", ("no", "50%", "100%"), (0, 0.5, 1)),
        ("no, half, big", ("no", "half", "big"), (0, 0.5, 1)),
        (["big"], ("big",), (1,)),
    ],
)
def test_degrees_are_words_percentages_or_numbers(given, labels, values):
    assert parse_degrees(given)[0] == labels
    assert parse_degrees(given)[1] == pytest.approx(values)


def test_an_optimization_that_diverges_says_so(generator, scorer):
    class Broken(type(scorer)):
        def encode_images(self, images):
            return super().encode_images(images) * float("inf")

    with pytest.raises(SubspaceError, match="diverged; lower lr"):
        text_anchors(generator, Broken(), TEMPLATE, degrees=["no"], steps=2)


def test_given_codes_are_recorded_in_place_of_seeds(generator, scorer):
    given = text_anchors(generator, scorer, TEMPLATE, degrees=["100%"], start=torch.zeros(1, 6, 32), steps=1).parameters
    assert given["start"] == "1 given code" and not {"seeds", "truncation"} & set(given)
    drawn = text_anchors(generator, scorer, TEMPLATE, degrees=["100%"], seeds=range(4, 6), truncation=0.5, steps=1).parameters
    assert (drawn["seeds"], drawn["truncation"]) == ([4, 5], 0.5) and "start" not in drawn


def test_what_the_scorer_recommends_holds_where_nothing_else_is_said(generator, scorer):
    class Advised(type(scorer)):
        settings = Settings(l2=0.5, prior=0.25, space="w", views=2, degrees=("no", "full"))

    ask = {"seeds": [1], "steps": 3}
    advised = text_anchors(generator, Advised(), TEMPLATE, **ask)
    said = text_anchors(generator, scorer, TEMPLATE, degrees=["no", "full"], weights=Weights(0.5, prior=0.25), space="w", views=2, **ask)
    assert torch.equal(advised.codes, said.codes) and advised.parameters == said.parameters
    own = text_anchors(generator, Advised(), TEMPLATE, degrees=["no"], weights=Weights(l2=0.125), space="w+", views=0, **ask).parameters
    assert (own["l2"], own["prior"], own["space"], own["views"]) == (0.125, 0.25, "w+", 0)


NAN = torch.full((1, 6, 32), float("nan"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"template": "a smile"}, "has no {degree}"),
        ({"negative": "a frown"}, "has no {degree}"),
        ({"degrees": []}, "no degrees"),
        ({"degrees": ["50%", "50%"]}, "the same"),
        ({"degrees": ["150%"]}, "outside"),
        ({"degrees": [-0.5]}, "outside"),
        ({"degrees": "nan, 1"}, "outside"),
        ({"degrees": " "}, "no degrees"),
        ({"degrees": [None, 1]}, "not a word, a percentage or a number"),
        ({"degrees": ["no", "10%", "slight"]}, "How far along 'slight'"),
        ({"seeds": ()}, "no seeds"),
        ({"seeds": 3}, r"\[3\] for that one face, range\(3\) for 3 faces"),
        ({"seeds": ["a"]}, "A seed is a; give a whole number"),
        ({"seeds": 1.5}, "not whole numbers"),
        ({"truncation": float("nan")}, "truncation is nan"),
        ({"steps": 0}, "The steps are 0; give a whole number from 1 to 100000"),
        ({"steps": 2.5}, "whole number"),
        ({"steps": 10**12}, "whole number"),
        ({"views": 1000}, "The views are 1000"),
        ({"batch": -1}, "The batch is -1"),
        ({"weights": Weights(l2=float("nan"))}, "The weight l2 is nan"),
        ({"weights": Weights(prior=-1.0)}, "The weight prior is -1"),
        ({"seeds": [-1]}, "A seed is -1"),
        ({"seeds": range(10**12)}, "too many seeds"),
        ({"truncation": 1e30}, "from -2 to 2"),
        ({"lr": 0.0}, "The learning rate lr is 0"),
        ({"layers": "9"}, "count from 0 to 5"),
        ({"start": torch.zeros(1, 4, 32)}, "start codes have shape"),
        ({"start": NAN}, "not finite"),
        ({"lr": 1e30}, "The learning rate lr is 1e"),
    ],
)
def test_bad_requests_get_one_sentence(generator, scorer, options, words):
    with pytest.raises(SubspaceError, match=words):
        text_anchors(generator, scorer, **{"template": TEMPLATE, "degrees": ["no", "100%"], **options})


def test_every_step_looks_with_other_eyes(generator, scorer, monkeypatch):
    seen = []
    monkeypatch.setattr(room, "view", lambda images, seed: seen.append(seed) or images)
    text_anchors(generator, scorer, TEMPLATE, degrees=["no", "100%"], steps=3, views=2)
    assert seen == [0, 1, 2, 3, 4, 5]
