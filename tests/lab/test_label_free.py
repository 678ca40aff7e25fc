"""Training without labels, on toy sizes: what resumes, what learns, what the pictures hide."""

from __future__ import annotations

import ast
import inspect
import json

import pytest
import torch
from micromotion.lab import draw_pictures, muon, train_label_free, train_prior
from micromotion.stylegan2 import Generator, load, load_inverter
from micromotion.stylegan2.inversion.compact import CompactEncoder

SIZE = 16


@pytest.fixture
def pictures(tmp_path):
    draw_pictures.main(["--out", str(tmp_path / "set"), "--size", str(SIZE), "--count", "64"])
    return draw_pictures.PictureSet(tmp_path / "set")


@pytest.fixture
def small(monkeypatch):
    def architecture(resolution=SIZE):
        return train_label_free.Architecture(resolution=SIZE, channels={4: 16, 8: 16, 16: 16}, w_dim=8, z_dim=8, mapping_layers=2)

    def config(size=SIZE):
        return {"input_size": SIZE, "channels_in": 3, "widths": [8, 8, 8, 16], "hidden": 16, "num_layers": 1, "width": 8}

    for module in (train_label_free, train_prior):
        monkeypatch.setattr(module, "architecture", architecture)
        monkeypatch.setattr(module, "encoder_config", config)
    monkeypatch.setattr(train_label_free, "WIDTH", 8)
    monkeypatch.setattr(train_label_free, "STAGES", ((8, 16),))


def training(pictures, out, total=32, **options):
    out.mkdir(exist_ok=True)
    return train_label_free.Training(pictures, pictures, out, 8, total=total, **options)


def test_a_set_that_was_interrupted_goes_on_to_the_same_pictures(pictures, tmp_path, monkeypatch):
    draw, drawn = draw_pictures.draw, []

    def stop_at_the_second(chunk, *rest):
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(chunk)
        return draw(chunk, *rest)

    options = ["--out", str(tmp_path / "again"), "--size", str(SIZE), "--count", "64"]
    monkeypatch.setattr(draw_pictures, "draw", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        draw_pictures.main(options)
    again = draw_pictures.PictureSet(tmp_path / "again")
    assert again.drawn == 32
    monkeypatch.setattr(draw_pictures, "draw", lambda chunk, *rest: drawn.append(chunk) or draw(chunk, *rest))
    draw_pictures.main(options)
    assert drawn == [0, 1, 2, 3] and again.drawn == 64
    assert (again.data == pictures.data).all()


def test_pictures_come_back_as_drawn_and_mirrored_on_request(pictures):
    numbers, flips = torch.arange(16), torch.arange(16) % 2 == 1
    drawn = draw_pictures.draw(0, SIZE, draw_pictures.TRAINING_SEED)
    assert (pictures.batch(numbers) - drawn).abs().max() <= 1 / 127
    mirrored = pictures.batch(numbers, flips)
    assert torch.equal(mirrored[1], pictures.batch(numbers)[1].flip(2)) and torch.equal(mirrored[0], pictures.batch(numbers)[0])


def test_held_out_pictures_are_others_and_another_size_is_refused(pictures, tmp_path):
    draw_pictures.main(["--out", str(tmp_path / "held"), "--size", str(SIZE), "--count", "16", "--held-out"])
    held = draw_pictures.PictureSet(tmp_path / "held")
    assert not (held.data[:16] == pictures.data[:16]).all((1, 2, 3)).any()
    with pytest.raises(SystemExit, match="holds 64 pictures of 16 px"):
        draw_pictures.main(["--out", str(tmp_path / "set"), "--size", "32", "--count", "64"])


def test_nothing_but_pictures_is_on_disk_or_in_the_trainer(pictures):
    assert sorted(p.name for p in pictures.folder.iterdir()) == ["pictures.json", "pictures.u8"]
    assert set(json.loads((pictures.folder / "pictures.json").read_text())) == {"size", "count", "drawn"}
    for module in (train_label_free, train_prior):
        names = {a.name for n in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(n, ast.ImportFrom) for a in n.names}
        assert not names & {"renderer", "draw", "PARAMETERS", "FACTORS"}


@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_an_orthogonalized_matrix_has_singular_values_near_one(shape):
    values = torch.linalg.svdvals(muon.orthogonalized(torch.randn(*shape, generator=torch.Generator().manual_seed(0))))
    assert 0.6 < values.min() and values.max() < 1.3


def test_a_step_of_muon_is_as_large_as_its_rate():
    weight = torch.nn.Parameter(torch.zeros(16, 4, 3, 3))
    weight.grad = torch.randn(16, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    muon.Muon([weight], lr=0.01).step()
    assert weight.square().mean().sqrt().item() == pytest.approx(0.01, rel=0.2)
    assert (weight * weight.grad).sum() < 0


def test_detail_that_stays_wrong_counts_more():
    detail = train_label_free.Detail(16)
    eye = torch.zeros(4, 3, 16, 16)
    eye[:, :, 5, 5] = 1.0
    cheek = eye.roll(6, 3)
    for _ in range(50):
        detail(eye)
    frozen = detail.wrong.clone()
    here = detail(eye)
    detail.wrong.copy_(frozen)
    assert here > 20 * detail(cheek)


@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_a_stopped_training_resumes_bit_for_bit(pictures, tmp_path, small, monkeypatch, mixing):
    monkeypatch.setattr(train_label_free, "learning_rate", lambda *_, **__: 1.0)
    training(pictures, tmp_path / "twice", 24, mixing=mixing).run()
    twice, once = (training(pictures, tmp_path / name, mixing=mixing) for name in ("twice", "once"))
    twice.run()
    once.run()
    for part in ("synthesis", "encoder", "details", "judge"):
        a, b = (getattr(t, part).state_dict() for t in (twice, once))
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_goes_on_from_another_with_rates_of_its_own(pictures, tmp_path, small, monkeypatch):
    rates = []
    training(pictures, tmp_path / "first", 24).run()
    monkeypatch.setattr(train_label_free, "learning_rate", lambda *given, **_: rates.append(given) or 0.5)
    start = tmp_path / "first/label_free.pt"
    trained = training(pictures, tmp_path / "second", 40, mixing=1.0, start=start)
    trained.step = lambda seen: rates.append(seen) or 0.0
    trained.run()
    assert rates == [(0, 16, 0.5), 24, (8, 16, 0.5), 32]
    before, after = (torch.load(p, weights_only=True)["synthesis"] for p in (start, tmp_path / "second/label_free.pt"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(SystemExit, match="no checkpoint"):
        options = ["--pictures", str(pictures.folder), "--held-out", str(pictures.folder), "--out", str(tmp_path / "third")]
        train_label_free.main([*options, "--start", str(tmp_path / "nowhere.pt")])


def test_the_judge_learns_how_far_pictures_are_mixed_and_training_hides_it(pictures, tmp_path, small, monkeypatch):
    monkeypatch.setattr(train_label_free, "STAGES", ())
    trained = training(pictures, tmp_path / "run", mixing=20.0)
    shares = torch.linspace(0, 0.5, 8)
    mixed = torch.randn(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 0.1 + shares[:, None, None, None]
    pure = torch.zeros(8, 3, SIZE, SIZE)
    for _ in range(100):
        trained.step_judge(mixed, shares, pure)
    assert (trained.judged(mixed) - shares).abs().max() < 0.1 and trained.judged(pure).abs().max() < 0.1
    monkeypatch.setattr(trained, "step_judge", lambda *_: None)
    plain, drawn = training(pictures, tmp_path / "plain", mixing=0.0), []
    for run in (trained, plain):
        for name, optimizer in run.optimizers.items():
            optimizer.param_groups[0]["lr"] = train_label_free.RATES[name]
        losses = [run.step(0) for _ in range(40)]
        with torch.no_grad():
            codes = run.encoder(run.targets(0))[:, 0]
            drawn.append(trained.judged(run.synthesized(codes.flip(0).lerp(codes, 0.5), SIZE)).square().mean().item())
        assert losses[-1] < losses[0]
    assert drawn[0] < 0.7 * drawn[1]
    trained.report(8, 0.5, 1.0)
    assert "told" in json.loads((tmp_path / "run/log.jsonl").read_text()) and (tmp_path / "run/mixed.png").is_file()


def test_small_stages_are_not_judged(pictures, tmp_path, small, monkeypatch):
    monkeypatch.setattr(train_label_free, "STAGES", ((8, 16),))
    trained = training(pictures, tmp_path / "run", mixing=1.0)
    monkeypatch.setattr(trained, "step_judge", lambda *_: pytest.fail("judged"))
    trained.step(0)


def test_training_learns_to_draw_its_pictures_and_reports_it(pictures, tmp_path, small, monkeypatch):
    monkeypatch.setattr(train_label_free, "STAGES", ())
    monkeypatch.setattr(train_label_free, "settle", lambda *_: None)
    trained = training(pictures, tmp_path / "run", 8)
    for name, optimizer in trained.optimizers.items():
        optimizer.param_groups[0]["lr"] = 3 * train_label_free.RATES[name]
    losses = [trained.step(8 * k) for k in range(150)]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])
    trained.report(8, losses[-1], 1.0)
    line = json.loads((tmp_path / "run/log.jsonl").read_text())
    assert line["images"] == 8 and 10 < line["psnr"] < 60
    assert (tmp_path / "run/held_out.png").is_file()


def test_the_encoder_learns_through_the_generator(pictures, tmp_path, small):
    trained = training(pictures, tmp_path / "run")
    before = {k: v.clone() for k, v in trained.encoder.named_parameters()}
    for name, optimizer in trained.optimizers.items():
        optimizer.param_groups[0]["lr"] = train_label_free.RATES[name]
    trained.step(0)
    assert all(not torch.equal(before[k], v) for k, v in trained.encoder.named_parameters())


def test_the_prior_draws_codes_as_pictures_have_them():
    noise = torch.randn(4000, 8, generator=torch.Generator().manual_seed(0))
    codes = torch.cat([noise[:, :1], noise[:, :1].square() + 0.1 * noise[:, 1:2], 0.3 * noise[:, 2:]], 1)  # a bent sheet: not Gaussian
    arch = train_label_free.Architecture(resolution=8, channels={4: 8, 8: 8}, w_dim=8, z_dim=8, mapping_layers=3, hidden_dim=32)
    prior = train_prior.Prior(Generator(arch).mapping, codes)
    prior.start_straight()
    z = prior.latents(64)
    assert torch.allclose(prior.mapping(z), prior.gaussian(z), atol=1e-3)
    straight = prior.likeness(prior.mapping, 1000)
    prior.fit_critic(400)
    assert prior.likeness(prior.mapping, 1000) < straight - 0.03
    assert torch.equal(prior.mapping.w_avg, codes.mean(0))


def test_generator_and_inverter_are_written_and_belong_together(small, tmp_path, pictures, capsys):
    run = training(pictures, tmp_path / "run")
    run.run()
    options = ["--run", str(tmp_path / "run"), "--pictures", str(pictures.folder), "--steps", "2", "--save", str(tmp_path / "weights")]
    train_prior.main(options)
    assert {"likeness", "likeness_gaussian"} == set(json.loads(capsys.readouterr().out.strip().splitlines()[-1]))
    generator, inverter = (
        f(tmp_path / "weights" / n) for f, n in ((load, "generator.safetensors"), (load_inverter, "inverter.safetensors"))
    )
    codes = inverter.invert(generator, pictures.batch(torch.arange(4)))
    assert codes.shape == (4, generator.num_layers, 8)
    assert torch.equal(codes[:, 0], codes[:, -1])
    assert inverter.mismatch(generator) is None or not inverter.mismatch(generator)
    assert generator.w_avg.abs().max() > 0


def test_an_inverter_writes_the_encoders_code_on_every_row():
    encoder = CompactEncoder({"input_size": 16, "channels_in": 3, "widths": [8, 8], "hidden": 8, "num_layers": 1, "width": 4}).eval()
    images = torch.randn(2, 3, 16, 16)
    whole = train_prior.inverter_of(encoder, 6)(images)
    assert whole.shape == (2, 6, 4)
    assert torch.allclose(whole, encoder(images).expand(-1, 6, -1), atol=1e-6)
