"""The hypotheses' harness in a linear world: what it finds where there is something, and where there is nothing."""

from __future__ import annotations

import json

import pytest
import torch
from micromotion.avatars.motions import MOTIONS
from micromotion.lab import hypotheses
from micromotion.lab.evaluation import lowrank, metrics, response, spoiled
from micromotion.lab.evaluation.cache import Cache
from micromotion.lab.evaluation.measure import grid, sweep
from micromotion.lab.evaluation.study import INVERTED, ORACLE, POOLED, VIDEO, Study
from micromotion.lab.evaluation.world import STEP
from PIL import Image
from toy import ExactInverter, ToyWorld, toy

SMILE = MOTIONS[0]
CLIPS = f"{INVERTED}, {POOLED}"


class ToyPictures(hypotheses.PictureWorld):
    draw = ToyWorld.draw


def pictures(error: float = 0.0) -> ToyPictures:
    world = toy()
    return ToyPictures(world.generator, world.regressor, None, ExactInverter(error), world.sizes)


@pytest.fixture
def study(tmp_path) -> hypotheses.Hypotheses:
    return hypotheses.Hypotheses(pictures(), Cache(tmp_path, "free"))


def test_the_code_of_a_face_is_what_the_inverter_reads_off_its_picture():
    parameters = torch.rand(3, pictures().generator.width, generator=torch.Generator().manual_seed(0))
    exact, off = pictures().faces(parameters), pictures(0.25).faces(parameters)
    assert torch.allclose(exact.codes, toy().faces(parameters).codes, atol=1e-5)
    assert torch.allclose(off.codes, exact.codes + 0.25, atol=1e-5)


def test_exact_latents_are_no_source_and_nulls_stand_beside_ours(study):
    assert study.sources == [INVERTED] and set(hypotheses.NULLS) < set(study.groups)
    assert set(Study(study.world, study.cache).sources) == {VIDEO, INVERTED}


@pytest.mark.parametrize("null", hypotheses.NULLS)
def test_a_null_is_repeatable_and_moves_nothing_as_asked(study, null):
    raw = study._null(null, SMILE)
    assert torch.equal(raw, study._null(null, SMILE)) and len(raw) == study.sizes.pool
    true = study.directions(CLIPS, SMILE)
    assert metrics.cosine(true, true)[0] > 0.99
    assert metrics.cosine(raw, true.expand_as(raw)).abs().max() < 0.8
    read = sweep(study.world, study.tests(null), study.directions(null, SMILE), grid(study.world, SMILE))
    assert read.success(SMILE, STEP["smile"]).mean() < 0.5


def test_a_null_is_given_its_better_sign(study):
    backwards = -study.directions(CLIPS, SMILE)[0]
    assert metrics.cosine(study._best_sign(backwards, SMILE)[None], -backwards[None])[0] > 0.99


def test_a_linear_world_has_its_factors_in_its_codes_and_a_blind_one_has_not(study, tmp_path):
    found = hypotheses.written(study)
    assert all(r["value"] > 0.99 for r in found["rows"])
    blind = hypotheses.Hypotheses(pictures(), Cache(tmp_path, "blind"))
    codes, labels = study.labeled()
    blind.labeled = lambda: (torch.randn(codes.shape, generator=torch.Generator().manual_seed(0)), labels)
    assert all(r["value"] < 0.2 for r in hypotheses.written(blind)["rows"])


def test_labeled_faces_are_drawn_and_read_once(study, monkeypatch):
    first = study.labeled()
    monkeypatch.setattr(Study, "labeled", lambda *_: pytest.fail("drawn again"))
    assert all(torch.equal(a, b) for a, b in zip(first, study.labeled()))


def test_low_rank_is_printed_beside_a_face_that_turns_into_another(study):
    rows = hypotheses.low_rank(study)["rows"]
    morph = [r["value"] for r in rows if r["group"] == hypotheses.MORPH]
    assert len(morph) == len(MOTIONS) and all(v > 0.99 for v in morph)  # a straight path in a linear world


@pytest.fixture
def worlds(study) -> dict:
    found = {"gate": {"passed": True, "rows": []}, **{n: hypotheses.SECTIONS[n](study) for n in ("lowrank", "alignment", "response")}}
    return json.loads(json.dumps({hypotheses.LABEL_FREE: found, hypotheses.DISTILLED: found}))


def test_alignment_is_printed_beside_chance(study):
    rows = hypotheses.alignment(study)["rows"]
    near = {r["group"]: r["value"] for r in rows if (r["metric"], r["motion"]) == (lowrank.WITHIN.key, "smile")}
    assert near[INVERTED] > 0.99 and all(near[null] < 0.8 for null in hypotheses.NULLS)


def test_findings_follow_from_the_figures(worlds):
    first, alike, transfer, in_all = hypotheses.findings(worlds)
    assert "Above both nulls: none" in first  # a morph is as straight as a motion here
    assert "smile 1.00" in alike
    assert "above the nulls: smile" in transfer
    assert "motions as the paper has them: smile" in in_all and "Bent" not in in_all and "even the labels' direction" not in in_all
    for r in worlds[hypotheses.LABEL_FREE]["response"]["rows"]:
        if (r["metric"], r["group"], r["motion"]) == (response.SUCCESS.key, CLIPS, "smile"):
            r["value"] = 0.1
    assert "above the nulls: smile" not in hypotheses.findings(worlds)[2]
    assert "motions as the paper has them: smile" not in hypotheses.findings(worlds)[3]
    assert hypotheses.values(worlds[hypotheses.LABEL_FREE], "response", response.SUCCESS, ORACLE)["smile"] > 0.9


def test_a_bent_motion_and_one_beyond_the_labels_are_named(worlds):
    free = worlds[hypotheses.LABEL_FREE]
    for r in free["lowrank"]["rows"]:
        if (r["metric"], r["group"], r["motion"]) == (lowrank.FIRST.key, INVERTED, "smile"):
            r["value"] = 0.8
    for r in free["response"]["rows"]:
        if (r["metric"], r["group"], r["motion"]) == (response.SUCCESS.key, ORACLE, "smile"):
            r["value"] = 0.4
    ways = {hypotheses.PATH: 0.77, f"{hypotheses.PATH}, rank 1": 0.66}
    free["paths"] = {"rows": [{"metric": "success", "group": g, "motion": "smile", "value": v} for g, v in ways.items()]}
    said = hypotheses.findings(worlds)[3]
    assert (
        "two components do: smile" in said
        and "smile 0.77 (by its main direction alone smile 0.66); along the fitted line in smile 1.00" in said
        and "even the labels' direction fails on most faces (smile)" in said
    )
    assert "motions as the paper has them: smile" not in said


def test_the_page_names_upper_bounds_and_publishes_nothing_behind_a_closed_gate(worlds):
    document = {"command": "x", "sizes": {"frames": 8, "identities": 10}, "worlds": worlds}
    text = hypotheses.page(document)
    assert "distilled (by construction): clips (inverted), pooled" in text and f"label-free: {hypotheses.RANDOM}" in text
    assert lowrank.FIRST.title in text and "no evidence" in text
    worlds[hypotheses.LABEL_FREE]["gate"]["passed"] = False
    assert "|" not in hypotheses.page(document)


def test_figures_of_another_generator_are_refused_and_those_of_the_shipped_one_are_read(tmp_path):
    results = json.loads(hypotheses.DOCS.joinpath("results/results.json").read_text())
    found = hypotheses.distilled_sections(hypotheses.DOCS / "results/results.json")
    assert set(found) == {"gate", *hypotheses.SHARED} & set(results["sections"])
    assert hypotheses.values(found, "response", response.SUCCESS, ORACLE)
    assert not any(r["group"].endswith(hypotheses.SHIPPED) for s in found.values() for r in s["rows"])
    (tmp_path / "results.json").write_text(json.dumps({**results, "generator": "0" * 16}))
    with pytest.raises(SystemExit, match="run lab.evaluate first"):
        hypotheses.distilled_sections(tmp_path / "results.json")


def test_spoiled_clips_lead_the_plain_estimators_astray_and_clean_ones_none(study, monkeypatch):
    monkeypatch.setattr(study, "motions", MOTIONS[:1])
    rows = spoiled.run(study)["rows"]
    near = {tuple(r["group"].split(" | ")): r["value"] for r in rows}
    assert all(near["clean", name] > 0.99 for name in spoiled.ESTIMATORS if name != "published")
    assert near["a cut", "secant"] < 0.6 < near["a cut", "rpca"]


@pytest.mark.parametrize(("kind", "touched"), [("blinks", 2), ("a cut", 2), ("covered", 2)])
def test_a_spoiled_clip_differs_in_an_eighth_of_its_frames(study, kind, touched):
    parameters = spoiled.clip(study.world.anchor_parameters()[:1], SMILE, 16)
    other = study.world.draw(study.world.neutral(1, 5))[0]
    drawn = [spoiled.SPOILS[k](study, parameters, other, torch.Generator().manual_seed(0)) for k in ("clean", kind)]
    assert (drawn[0] != drawn[1]).flatten(1).any(1).sum() == touched


def test_a_clip_of_a_move_runs_from_end_to_end_and_changes_nothing_else(study, monkeypatch):
    seen = []
    render = hypotheses.rendering.render
    monkeypatch.setattr(hypotheses.rendering, "render", lambda p, size, style, m: seen.append((p, m)) or render(p, size, style, m))
    assert len(hypotheses.move_clips(study, "nod")) == study.sizes.pool
    parameters, values = seen[0]
    column = list(hypotheses.rendering.MOVES).index("nod")
    assert (parameters == parameters[0]).all()
    assert values[0, column] == pytest.approx(0.05) and values[-1, column] == pytest.approx(0.95)
    values[:, column] = 0.5
    assert torch.equal(values, hypotheses.rendering.rest_moves(len(values)))


def test_a_bent_path_is_followed_where_a_line_fails_and_its_place_is_the_asked_change(study, monkeypatch):
    straight = hypotheses.mean_path(study, SMILE)
    assert torch.allclose(hypotheses.along(straight, SMILE, 0.45), straight[-1] / 2, atol=1e-5)
    assert torch.allclose(hypotheses.along(straight, SMILE, 0.9), straight[-1], atol=1e-5)
    assert torch.allclose(hypotheses.flattened(straight, 1), straight, atol=1e-5)
    bent = straight.clone()
    bent[1:-1] += 5 * torch.randn(straight.shape[1:], generator=torch.Generator().manual_seed(0))  # out of the line and back
    assert (hypotheses.flattened(bent, 2) - bent).abs().max() < 1e-4 < (hypotheses.flattened(bent, 1) - bent).abs().max()
    monkeypatch.setattr(study, "motions", MOTIONS[:1])
    found = {(r["group"], r["metric"]): r["value"] for r in hypotheses.paths(study)["rows"]}
    assert found[hypotheses.PATH, "success"] > 0.9 and found[f"{hypotheses.PATH}, rank 1", "success"] > 0.9
    monkeypatch.setattr(hypotheses, "mean_path", lambda *_: 0 * straight)
    assert {r["value"] for r in hypotheses.paths(study)["rows"] if r["metric"] == "success"} == {0.0}


def test_moves_are_measured_where_no_label_made_the_codes_and_drawn_on_a_sheet(study, tmp_path, monkeypatch):
    def line(study, move):
        direction = torch.zeros(study.world.generator.num_layers, study.world.generator.width)
        direction[:, list(hypotheses.rendering.MOVES).index(move)] = 1.0
        return [torch.linspace(0, 1, 8)[:, None, None] * direction for _ in range(study.sizes.pool)]

    monkeypatch.setattr(hypotheses, "move_clips", line)
    rows = hypotheses.moves(study)["rows"]
    assert {r["motion"] for r in rows} == set(hypotheses.rendering.MOVES) and all(r["met"] is None for r in rows)
    assert {round(r["value"], 6) for r in rows} == {0.0, 1.0}
    study.cache.json("gate", lambda: {"passed": True, "styles": []})
    assert set(hypotheses.measure(study, ["moves"])) == {"gate", "moves"}
    hypotheses.illustrate(study, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (9 * 96, (len(MOTIONS) + len(hypotheses.rendering.MOVES)) * 96)


def test_reconstructions_stand_beside_those_of_the_shipped_models(tmp_path):
    study = hypotheses.label_free_study(hypotheses.WEIGHTS, hypotheses.SIZES["quick"], 0, tmp_path, text=False)
    hypotheses.compare(study, hypotheses.WEIGHTS, tmp_path / "sheet.png", 2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 128, 3 * 128)
        pixels = torch.frombuffer(bytearray(sheet.convert("RGB").tobytes()), dtype=torch.uint8).reshape(3, 128, -1)
    assert torch.equal(pixels[1], pixels[2]) and not torch.equal(pixels[0], pixels[1])


def test_a_folder_of_generator_and_inverter_becomes_a_study_of_all_motions(tmp_path):
    sizes = hypotheses.SIZES["quick"]
    study = hypotheses.label_free_study(hypotheses.WEIGHTS, sizes, 0, tmp_path, text=False)
    assert study.motions == MOTIONS and study.sizes is sizes
    assert study.world.scorer is None and study.made is not study.cache
    faces = study.world.faces(study.world.neutral(1, 0))
    assert faces.codes.shape == (1, study.world.generator.num_layers, study.world.generator.width)
