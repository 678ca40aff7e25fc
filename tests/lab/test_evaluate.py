"""The measurements in a linear world, where every one of them has a known answer."""

from __future__ import annotations

import json

import pytest
import torch
from micromotion.avatars.motions import FURTHER, MOTIONS
from micromotion.avatars.regressor import READ
from micromotion.lab import evaluate
from micromotion.lab.evaluation import (
    ablations,
    anchors,
    baselines,
    counterfactual,
    domains,
    drawn,
    further,
    inversion,
    lowrank,
    measure,
    metrics,
    misses,
    naming,
    published,
    response,
    steadiness,
    tables,
)
from micromotion.lab.evaluation import page as report
from micromotion.lab.evaluation.cache import Cache
from micromotion.lab.evaluation.study import ORACLE, POOLED, SHIPPED, VIDEO, Study
from micromotion.lab.evaluation.world import FACTORS, factor_of, moved, sign_of
from micromotion.subspaces import Anchors, Subspace
from toy import ExactInverter, PerfectInstrument, toy

SMILE, EYES = MOTIONS[0], MOTIONS[1]
OURS = f"{VIDEO}, {POOLED}"


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(toy(inverter=ExactInverter()), Cache(tmp_path, "toy"), MOTIONS[:2])


@pytest.fixture
def bare(tmp_path) -> Study:
    return Study(toy(), Cache(tmp_path, "bare"), MOTIONS[:2])


def value(section: dict, metric: str, group: str, motion: str = "smile") -> float:
    return next(r["value"] for r in section["rows"] if (r["metric"], r["group"], r["motion"]) == (metric, group, motion))


def true_direction(study: Study, motion) -> torch.Tensor:
    faces = study.world.tests(1)
    return study.world.faces(moved(faces.parameters, motion, 1.0)).codes[0] - faces.codes[0]


def test_different_uses_have_different_faces(bare):
    world = bare.world
    sets = [world.tests().parameters, world.calibration().parameters, world.anchor_parameters()]
    assert not any(torch.isin(a, b).any() for i, a in enumerate(sets) for b in sets[i + 1 :])


def test_a_clip_moves_one_factor_only(bare):
    parameters = anchors.clip(bare.world.anchor_parameters()[:1], EYES, 8)
    moving = parameters.std(0) > 1e-6
    assert moving.nonzero().flatten().tolist() == [FACTORS.index("eyes")]
    assert parameters[0, 1] > parameters[-1, 1]


@pytest.mark.parametrize("motion", MOTIONS[:2], ids=lambda m: m.name)
def test_calibration_finds_the_unit_and_keeps_the_direction(bare, motion):
    truth = true_direction(bare, motion)
    found = measure.calibrate(bare.world, 7.3 * truth, motion, bare.world.calibration())
    assert torch.allclose(found, truth, atol=1e-3)


def test_a_powerless_direction_is_stopped(bare):
    world = bare.world
    other = true_direction(bare, MOTIONS[3])
    found = measure.calibrate(world, other, SMILE, world.calibration())
    assert found.norm() == pytest.approx(measure.LONGEST * measure.typical_length(world), rel=1e-3)


def test_sweep_gives_each_face_its_own_direction(bare):
    directions = torch.stack([true_direction(bare, SMILE), 2 * true_direction(bare, SMILE)])
    readings = measure.sweep(bare.world, bare.world.tests(4), directions, [0.0, 0.1])
    assert readings.response(SMILE)[:, 1].tolist() == pytest.approx([0.1, 0.2, 0.1, 0.2], abs=1e-5)


@pytest.mark.parametrize("motion", MOTIONS[:2], ids=lambda m: m.name)
def test_every_way_of_ours_finds_the_true_direction(study, motion):
    truth = true_direction(study, motion)
    for group in study.groups:
        found = study.directions(group, motion)
        assert metrics.cosine(found, truth.expand_as(found)).min() > 0.999, group


def test_a_linear_world_meets_every_target_of_the_response(study):
    section = response.responses(study)
    missed = [r for r in section["rows"] if r["met"] is False]
    assert not missed
    assert value(section, "slope", OURS) == pytest.approx(1, abs=1e-3)
    assert section["matrices"][OURS][1][FACTORS.index("eyes")] == pytest.approx(-1, abs=1e-3)


def test_a_leak_of_known_size_is_found(bare):
    mixed = true_direction(bare, SMILE) + 0.62 * true_direction(bare, EYES)
    readings = measure.sweep(bare.world, bare.world.tests(), mixed[None], measure.grid(bare.world, SMILE))
    rows = {r.metric: r for r in response.rows_of(readings, "mixed", SMILE)}
    assert rows["leakage"].value == pytest.approx(0.31, abs=1e-3) and rows["leakage"].met is False
    assert rows["worst_leak"].value == pytest.approx(0.62, abs=1e-3)
    assert rows["success"].value == 0 and rows["spearman"].value == pytest.approx(1)


def test_low_rank_beside_its_nulls(bare):
    section = lowrank.low_rank(bare)
    assert value(section, "evr1", VIDEO) == pytest.approx(1, abs=1e-4)
    assert value(section, "rank1_response", VIDEO) == pytest.approx(1, abs=1e-3)
    assert value(section, "evr1", f"{VIDEO}, null: independent noise") < value(section, "evr1", f"{VIDEO}, null: random walk") < 0.9


def test_alignment_of_equal_and_of_orthogonal_motions(bare):
    section = lowrank.alignment(bare)
    assert value(section, "cosine_one", VIDEO) == pytest.approx(1, abs=1e-4)
    assert value(section, "cosine_other", VIDEO) == pytest.approx(0, abs=1e-4)


def test_counterfactual_is_zero_for_the_truth_and_one_for_no_edit(bare):
    faces, truth = bare.world.tests(), true_direction(bare, SMILE)[None]
    errors = counterfactual.error_of(bare.world, SMILE, faces, truth)
    still = counterfactual.error_of(bare.world, SMILE, faces, 0 * truth)
    assert errors.max() < 1e-4 and torch.allclose(still, torch.ones_like(still))


def test_an_inverter_that_errs_is_charged(study):
    exact = inversion.run(study)
    wrong = toy(inverter=ExactInverter(0.2))
    parameters = wrong.tests(4).parameters
    images = wrong.draw(parameters)
    rows = inversion.inversion_rows(wrong, "x", images, parameters, wrong.invert(images))
    assert value(exact, "factor_error", "2 steps", "") < 1e-5 and value(exact, "psnr", "2 steps", "") > 60
    assert rows[1].met is False


def test_motions_reach_every_style_through_the_inverter(study):
    section = domains.run(study)
    assert value(section, "domain_success", f"bronze, inverted | {OURS}") == 1
    assert value(section, "domain_share", f"bronze, inverted | {OURS}") == 1
    assert {r["metric"] for r in section["rows"] if r["met"] is not None} == {"domain_share"}
    assert not any(r["met"] is not None for r in section["rows"] if r["group"].endswith(ORACLE))


def test_the_renderer_itself_is_the_ceiling_of_a_style(study):
    section = domains.run(study)
    assert value(section, "domain_success", "stone, renders | the renderer itself") == 1
    assert value(section, "domain_gain", "stone, renders | the renderer itself") == pytest.approx(1, abs=1e-4)
    assert not any(r["met"] is not None for r in section["rows"] if "renderer" in r["group"])


def test_nothing_moves_that_should_not(bare):
    section = steadiness.run(bare)
    assert value(section, "zero", OURS) == 1 and value(section, "jitter", OURS) == 0
    assert value(section, "drift", OURS) == pytest.approx(0, abs=0.05)


def test_a_random_direction_is_a_worse_baseline_than_every_informed_one(bare):
    section = baselines.run(bare)
    random = value(section, "efficiency", "random")
    informed = [r["value"] for r in section["rows"] if r["metric"] == "efficiency" and r["motion"] == "smile" and r["group"] != "random"]
    assert len(informed) >= 10 and value(section, "efficiency", ORACLE) == pytest.approx(1, abs=1e-3)
    assert value(section, "efficiency", f"ours, {OURS}") == pytest.approx(1, abs=1e-2)
    assert random < 0.6 < value(section, "efficiency", "linear classifier")
    assert value(section, "share_of_oracle", f"ours, {OURS}") == pytest.approx(1, abs=1e-2)


def test_bad_anchors_hurt_the_mean_more_than_the_median(bare):
    section = ablations.run(bare)
    share = {r["group"]: r["value"] for r in section["rows"] if r["metric"] == "ablation_cosine" and r["motion"] == "smile"}
    assert share["bad anchors, video | 0% bad, ours"] == pytest.approx(1, abs=1e-3)
    assert share["bad anchors, video | 20% bad, ours"] > share["bad anchors, video | 20% bad, pca"]


def test_spoiled_anchors_are_others_faces_and_so_many(bare):
    part = bare.anchors(VIDEO, SMILE, 0)
    spoiled = ablations.spoil(bare, part, 0.25, 1)
    assert int((spoiled.codes != part.codes).flatten(1).any(1).sum()) == 2


def test_published_and_ours_stand_on_the_same_anchors(bare):
    section = published.run(bare)
    assert value(section, "cosine_oracle", "ours, video") == pytest.approx(1, abs=1e-3)
    assert value(section, "raw_slope", "published, video") < value(section, "raw_slope", "ours, video")


def test_all_as_published_stands_beside_ours(tmp_path, monkeypatch):
    world, told = toy(scorer=object()), []

    def optimized(generator, _scorer, _template, *, degrees, seeds, **options):
        told.append((*seeds, options))
        start = world.neutral(1, *seeds)
        codes = world.faces(moved(start.repeat(len(degrees), 1), SMILE, torch.linspace(0, 0.8, len(degrees)))).codes
        return Anchors(codes, degrees=torch.linspace(0, 1, len(degrees)), start=world.faces(start).codes, source="text")

    monkeypatch.setattr(anchors, "text_anchors", optimized)
    study = Study(world, Cache(tmp_path, "text"), (SMILE,))
    section = published.run(study)
    assert value(section, "cosine_oracle", "published throughout, text") > 0.98
    assert value(section, "anchor_seconds", "published throughout, text") >= 0
    assert all(anchors.options(how) in [o for _, o in told] for how in (anchors.OURS, anchors.PUBLISHED))
    assert 0 < study.all_anchor_seconds() < 60
    assert {seed for seed, _ in told} == {anchors.face_seed(world, i) for i in range(world.sizes.pool)}


def test_free_rows_differ_in_nothing_but_the_space():
    ours, free = (anchors.options(how) for how in (anchors.OURS, anchors.FREE))
    assert {k for k in ours | free if ours.get(k) != free.get(k)} == {"space"} and free["space"] == "w+"


def test_a_failed_gate_publishes_nothing_else(bare, tmp_path, monkeypatch):
    sections = {name: (lambda s, n=name: _stub(n)) for name in ("gate", "response")}
    monkeypatch.setattr(evaluate, "SECTIONS", sections)
    done = evaluate.run(bare, list(sections))
    assert list(done) == ["gate"]
    evaluate.write(bare, done, tmp_path / "docs", "command")
    page = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    assert "does not pass its gate" in page and "0.90 [" not in page


def _stub(name: str) -> dict:
    row = {"metric": "r2", "group": "renders", "motion": "smile", "value": 0.5, "low": None, "high": None}
    metric = {"key": "r2", "title": "R²", "decimals": 2, "target": 0.98}
    return {
        "title": name,
        "text": "",
        "metrics": [metric],
        "rows": [{**row, "sense": ">=", "target": 0.98, "met": False}],
        "passed": False,
        "styles": [],
    }


def test_a_style_without_a_passing_instrument_gets_no_verdict(study):
    study.styles = ["photo", "bronze"]
    section = domains.run(study)
    judged = {r["group"].split(",")[0] for r in section["rows"] if r["met"] is not None}
    assert judged == {"photo", "bronze"} and "stone, sketch, cartoon" in section["text"]


def test_shipped_motions_are_measured_in_units_of_the_factor(bare, tmp_path):
    turn = MOTIONS[3]
    shipped = Subspace(0.5 * true_direction(bare, turn), name="turn")
    study = Study(toy(motions=(shipped,)), Cache(tmp_path, "shipped"), (turn,))
    assert SHIPPED in study.ours
    assert torch.allclose(study.directions(SHIPPED, turn)[0], true_direction(bare, turn), atol=1e-5)


def test_sections_are_kept_and_made_anew_on_request(bare, monkeypatch):
    calls = []
    monkeypatch.setattr(evaluate, "SECTIONS", {"gate": lambda s: calls.append(1) or {"passed": True, "styles": ["photo"], "rows": []}})
    evaluate.run(bare, [])
    evaluate.run(bare, [])
    bare.cache.forget("gate")
    evaluate.run(bare, [])
    assert len(calls) == 2


def test_the_page_tells_each_miss_and_its_reason(study):
    sections = {"gate": {**_stub("Gate"), "passed": True, "seconds": 0.0}}
    sections["lowrank"] = {**lowrank.low_rank(study), "seconds": 1.0}
    for r in sections["lowrank"]["rows"]:
        if r["group"] == "video, inverted" and r["metric"] == "evr1":
            r.update(value=0.4, met=False)
    page = tables.appendix(json.loads(json.dumps(_document(sections))))
    assert "✗" in page and "so the inverter loses it" in page and "smile 0.40 against at least 0.85 or 0.9" not in page
    assert "smile 0.40, eyes 0.40 against at least 0.9" in page


def test_reasons_compare_directions_in_the_same_style_only(study):
    made = domains.run(study)
    for r in made["rows"]:
        if r["metric"] == "domain_share" and r["group"] == f"stone, own code | {OURS}":
            r.update(value=0.5, met=False)
    saying = next(line for line in misses.why(made) if "stone" in line)
    assert "taking the other motions out of it mends it (1.00 for smile, 1.00 for eyes)" in saying


def test_a_style_is_judged_by_its_share_of_the_oracles_success_where_the_oracle_succeeds():
    def row(group, value):
        return {"metric": "domain_success", "group": group, "motion": "smile", "value": value, "sense": ">=", "target": 0.9, "met": False}

    values = {f"stone, x | {OURS}": 0.57, f"stone, x | {ORACLE}": 0.6, f"bronze, x | {OURS}": 0.02, f"bronze, x | {ORACLE}": 0.05}
    plain = {"metrics": [{"key": "domain_success", "sense": ">=", "target": 0.9}], "rows": [row(g, v) for g, v in values.items()]}
    made = domains.relative(plain, ["stone", "bronze"])
    shares = [r for r in made["rows"] if r["metric"] == "domain_share"]
    assert [(r["group"], round(r["value"], 6), r["met"]) for r in shares] == [(f"stone, x | {OURS}", 0.95, True)]
    assert all(r["met"] is None for r in made["rows"] if r["metric"] == "domain_success")
    assert domains.relative(made, []) is made
    assert [r["met"] for r in domains.relative(plain, ["photo"])["rows"] if r["metric"] == "domain_share"] == [None]


def test_figures_are_kept_beside_new_ones_only_where_all_else_was_the_same(bare):
    new = {"gate": {"seconds": 1.0}, "lowrank": {"seconds": 2.0}}
    before = evaluate.document(bare, {"gate": {"seconds": 5.0}, "time": {"seconds": 7.0}}, "whole")
    made = evaluate.document(bare, new, "part", before)
    assert list(made["sections"]) == ["gate", "lowrank", "time"] and made["command"] == "whole" and made["seconds"] == 10.0
    assert evaluate.document(bare, new, "part")["command"] == "part"
    with pytest.raises(SystemExit, match="another seed"):
        evaluate.document(bare, new, "part", {**before, "seed": 1})


def test_a_gate_that_is_known_is_not_measured_again(bare, monkeypatch):
    monkeypatch.setattr(evaluate, "SECTIONS", {"gate": lambda s: pytest.fail("measured"), "x": lambda s: {"rows": []}})
    known = {"passed": True, "styles": ["photo"], "rows": [], "seconds": 0.0}
    assert evaluate.run(bare, ["x"], known)["gate"] is known and bare.styles == ["photo"]


def test_faces_as_drawn_succeed_where_they_have_headroom(tmp_path):
    world = toy()
    world.generator.architecture.z_dim = world.generator.width
    world.generator.map = lambda z, *_, **__: world.generator.codes(torch.sigmoid(z))
    study = Study(world, Cache(tmp_path, "drawn"), MOTIONS[:2])
    section = drawn.run(study)
    assert 0 < value(section, "drawn_room", ORACLE) < 1
    assert value(section, "drawn_gain", f"{drawn.EVERY} | {ORACLE}") == pytest.approx(1, abs=0.05)


def test_headroom_follows_the_side_of_the_motion():
    factors = torch.zeros(2, 2, 5)
    factors[:, 0, FACTORS.index("smile")] = torch.tensor([0.2, 0.9])
    factors[:, 0, FACTORS.index("eyes")] = torch.tensor([0.9, 0.2])
    still = measure.Readings(torch.tensor([0.0, 0.5]), factors, torch.ones(2, 2, 3), torch.zeros(2, 2))
    assert drawn.headroom(still, SMILE).tolist() == [True, False] == drawn.headroom(still, EYES).tolist()


def test_the_page_says_for_which_faces_its_headlines_hold_and_multiplies_the_published_directions_as_they_do():
    sections = json.loads((evaluate.DOCS / "results" / "results.json").read_text(encoding="utf-8"))["sections"]
    short = "\n".join(report.in_short(sections))
    assert "On unseen faces at rest" in short and "as they are drawn" in short
    found = {(r["group"], r["metric"]): r["value"] for r in sections["recognizer"]["rows"] if r["motion"] in ("age", "")}
    assert f"ready motion (cosine {found['shipped motion', 'recognizer_cosine']:.2f} to" in short  # age is the worst
    assert "100 % of faces at rest for the same person" in short and "100 to 100" not in short
    page = report.markdown({"sections": sections, "sizes": {}, "px": 64, "command": "", "seconds": 0, "anchor_seconds": 0})
    assert f"it finds {100 * found['unseen people', 'verification_found']:.0f} %" in page
    raw = [r["value"] for r in sections["published"]["rows"] if r["metric"] == "raw_slope" and r["group"] == "published, text"]
    assert report._multiplied(sections, "published, text").startswith(f"{5 * sum(raw) / len(raw):.2f} (x 5)")
    assert report._multiplied(sections, "ours, text").endswith("(x 1)")


def test_the_json_keeps_six_digits_and_every_key():
    made = {"a": [1 / 3, 200, None, True], "ü": {"seconds": 12345.678}}
    assert json.loads(evaluate.brief(made)) == {"a": [0.333333, 200, None, True], "ü": {"seconds": 12345.7}}


def test_only_the_longest_inversion_is_judged(study):
    judged = {r["group"] for r in inversion.run(study)["rows"] if r["metric"] == "psnr" and r["met"] is not None}
    assert judged == {"2 steps"}


def test_the_page_shows_what_each_remedy_does(study):
    sections = {"gate": {**_stub("Gate"), "passed": True, "seconds": 0.0}, "ablations": {**ablations.run(study), "seconds": 1.0}}
    page = report.markdown(json.loads(json.dumps(_document(sections))))
    tried = page.split("## What was tried")[1].split("## ")[0]
    assert "| pooling faces, clips (exact latents) | 1; 3; 5 |" in tried
    assert "| layer masks, clips (exact latents) | all; coarse |" in tried


def test_a_reader_learns_which_anchors_are_exact_latents():
    assert naming.said("stone, inverted | video, pooled") == "stone, inverted: clips (exact latents), pooled"
    assert naming.said("ours, video, inverted, pooled") == "ours, clips (inverted), pooled"
    groups = ("photo, inverted | video, inverted, pooled", "ours, video, pooled", "ours, shipped motion", "renders, photo")
    assert [naming.source_of(g) for g in groups] == ["video, inverted", "video", "shipped motion", ""]


def test_a_verdict_counts_each_source_for_itself(study):
    sections = {"gate": {**_stub("Gate"), "passed": True, "seconds": 0.0}, "response": {**response.responses(study), "seconds": 1.0}}
    for r in sections["response"]["rows"]:
        if r["metric"] == "spearman":
            r.update(met=r["group"] != OURS or r["motion"] != "eyes")
    line = next(x for x in report.markdown(_document(sections)).splitlines() if "Spearman" in x)
    assert "| 3 of 4 | 4 of 4 | 2 of 2 |" in line and line.endswith("| eyes 1 |")


def test_the_pages_are_written_again_from_the_figures_alone(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    kept = evaluate.DOCS / "results" / "results.json"
    copy = tmp_path / "results" / "results.json"
    copy.write_bytes(kept.read_bytes())
    if (evaluate.DOCS / "hypotheses.md").is_file():
        (tmp_path / "hypotheses.md").write_text("evidence", encoding="utf-8")
    monkeypatch.setattr(evaluate, "load_world", None)
    monkeypatch.setattr(evaluate.plots, "redraw", lambda *_: None)
    evaluate.main(["--from-json", "--docs", str(tmp_path)])
    for name in ("results.md", "results/rows.md"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (evaluate.DOCS / name).read_text(encoding="utf-8")
    assert copy.read_bytes() == kept.read_bytes()


def test_the_page_is_short_and_says_first_what_is_built_in():
    page = (evaluate.DOCS / "results.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 250
    first = page.split("\n\n")[1]
    assert all(word in first for word in ("by construction", "upper bounds", "not evidence", naming.EXACT))


def test_plots_are_drawn_from_figures_alone(study, tmp_path):
    evaluate.plots.redraw({"response": response.responses(study)}, tmp_path)
    assert sorted(p.name for p in tmp_path.glob("*.png")) == ["identity.png", "leakage.png", "response.png"]


def _document(sections: dict) -> dict:
    return {
        "command": "x",
        "generator": "g",
        "px": 64,
        "seed": 0,
        "sizes": {"identities": 3},
        "seconds": 60.0,
        "anchor_seconds": 60.0,
        "sections": sections,
    }


def test_signs_follow_the_motion():
    assert sign_of(SMILE) == 1 and sign_of(EYES) == -1 and FACTORS[factor_of(MOTIONS[3])] == "yaw"


def test_further_motions_are_read_with_all_that_else_can_move(tmp_path):
    """A wink that also opens the mouth leaks, though no factor of the five moves; a motion without a file has no line."""
    wink = next(m for m in FURTHER if m.name == "wink_left")
    tilt = next(m for m in FURTHER if m.name == "tilt")
    generator = toy().generator
    axes = {name: generator.turn[READ.index(name)].expand(generator.num_layers, -1) for name in READ}
    made = (
        Subspace(axes["wink_left"] + 0.4 * axes["mouth_open"], name=wink.name),
        Subspace(0.5 * axes["tilt"], name=tilt.name),
    )
    section = further.run(Study(toy(motions=made, reader=PerfectInstrument()), Cache(tmp_path, "further")))
    assert {r["motion"] for r in section["rows"]} == {"wink_left", "tilt"}
    assert value(section, "slope", SHIPPED, "wink_left") == pytest.approx(1, abs=1e-4)
    assert value(section, "slope", SHIPPED, "tilt") == pytest.approx(1, abs=1e-4)  # a unit of its file is half the range
    assert value(section, "leakage", SHIPPED, "wink_left") == pytest.approx(0.4 / 11**0.5, abs=1e-3)
    assert value(section, "leakage", SHIPPED, "tilt") == pytest.approx(0, abs=1e-3)
    assert value(section, "success", SHIPPED, "tilt") == 1
