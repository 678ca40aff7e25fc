"""The nodes around motions: anchors and their options, pooling, calibration by blendshapes, algebra, sweeps, tracks of higher rank."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

DEGREES = torch.linspace(0, 1, 11)
REACHED = (0.0, 0.5)  # the coefficients at which reading_gain looks


def anchors(seed: int = 0, direction: torch.Tensor | None = None):
    from micromotion.subspaces import Anchors

    rng = torch.Generator().manual_seed(seed)
    direction = torch.ones(8, 32) if direction is None else direction
    return Anchors(torch.randn(1, 8, 32, generator=rng) + DEGREES[:, None, None] * direction, degrees=DEGREES)


def motion(seed: int = 0, rank: int = 1, **fields):
    from micromotion.subspaces import Subspace

    return Subspace(torch.randn(rank, 8, 32, generator=torch.Generator().manual_seed(seed)), **fields)


def test_text_anchors_take_their_degrees_as_they_are_written(run, loaded):
    options = {"generator": loaded.generator, "scorer": loaded.scorer, "seeds": 1, "steps": 2}
    found = run("TextAnchors", **options, degrees="no, half, 100%", negative="a person with {degree} frown", neutral="a person")[0]
    assert found.labels == ("no", "half", "100%", "-half", "-100%")
    assert found.degrees.tolist() == [0, 0.5, 1, -0.5, -1]
    assert found.parameters["neutral"] == "a person"
    with pytest.raises(ValueError, match="has no {degree}"):
        run("TextAnchors", **options, template="a smile")
    with pytest.raises(ValueError, match="outside 0 to 100"):
        run("TextAnchors", **options, degrees="no, 200%")


def test_a_canceled_search_goes_on_with_what_is_missing(run, pack, loaded):
    options = {"generator": loaded.generator, "scorer": loaded.scorer, "seeds": 4, "steps": 4, "degrees": "no, 25%, 50%, 75%, 100%"}
    pack.fake.management.interrupt_after = 6
    with pytest.raises(BaseException) as caught:
        run("TextAnchors", **options)
    assert type(caught.value).__name__ == "Interrupted"
    pack.fake.management.interrupt_after = None
    pack.fake.progress.seen.clear()
    found = run("TextAnchors", **options)[0]
    assert pack.fake.progress.seen[0][0] > 64, "the first sixteen anchors of four steps each were kept"
    assert len(found) == 20 and (found.codes != found.start[found.group]).any(2).any(1).all()


def test_a_clip_may_bring_degrees_and_how_it_was_cut(run, loaded):
    codes = anchors().codes
    found = run("VideoAnchors", generator=loaded.generator, codes=codes, degrees=DEGREES, crop=(1, 1, 1), description="a nod")[0]
    assert torch.equal(found.degrees, DEGREES) and found.parameters["crop_policy"] == "fixed" and found.parameters["clip"] == "a nod"
    moving = run("VideoAnchors", generator=loaded.generator, codes=codes, crop=(1, 2, 3))[0]
    assert moving.parameters["crop_policy"] == "follows the face" and moving.degrees is None


def test_anchors_of_several_faces_are_pooled(run):
    pooled = run("FitSubspace", anchors=[anchors(0), anchors(1), anchors(2)])[0]
    assert (pooled.parameters["groups"], pooled.parameters["anchors"]) == (3, 33)
    assert torch.allclose(pooled.direction, torch.ones(8, 32), atol=1e-3)


def test_fitting_takes_every_option_of_the_library(run):
    from micromotion.subspaces import fit

    given = replace(anchors(), degrees=None)
    made = run("FitSubspace", anchors=[given], estimator="rpca", joint=True, reverse=True, sparsity=0.3, name=" nod ", license="CC0")[0]
    expected = fit(given, estimator="rpca", joint=True, reverse=True, sparsity=0.3)
    assert torch.equal(made.direction, expected.direction) and (made.name, made.license) == ("nod", "CC0")
    assert made.parameters["joint"] is True and made.parameters["sparsity"] == 0.3


def test_plain_directions_are_brought_to_the_strength_that_is_asked_for(run, pack, loaded):
    import numpy as np

    folder = pack.base / "models" / "micromotion"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "boundary.npy", np.random.default_rng(0).standard_normal((1, 32)))
    with pytest.raises(ValueError, match="give the generator"):
        run("LoadSubspace", file="boundary.npy")
    filled = run("LoadSubspace", file="boundary.npy", generator=loaded.generator, strength=4.0)[0]
    assert filled.direction.norm() == pytest.approx(4.0) and torch.equal(filled.direction[0], filled.direction[7])
    own = run("LoadSubspace", file="boundary.npy", generator=loaded.generator, strength=0.0)[0]
    assert own.direction.norm() == pytest.approx(own.parameters["norm"], rel=1e-5)


def faces_of(sweep: torch.Tensor, lost: int) -> dict:
    frames = [[{"blendshapes": {"mouthSmileLeft": 0.1 + 0.4 * c, "mouthSmileRight": 0.3 + 0.2 * c}}] for c in sweep.tolist()]
    frames[lost] = []
    return {"frames": frames}


def test_blendshapes_set_the_unit(run):
    sweep = run("Sweep", frames=20, end=1.0, easing="linear")[0]
    found = faces_of(sweep, 3)
    smile, plot = run("Calibrate", instrument="blendshapes", motion=motion(), sweep=sweep, landmarks=found, change=0.6)
    assert smile.calibration.scale[0] == pytest.approx(0.6 / 0.3, rel=1e-3) and plot.ndim == 4
    assert smile.calibration.unit == "a change of 0.6 in mouthSmileLeft, mouthSmileRight"
    assert smile.safe_range == pytest.approx((0, 0.5), abs=1e-3)
    measured, _ = run("Calibrate", instrument="blendshapes", motion=motion(), sweep=sweep, landmarks=found, blendshapes="mouthSmileLeft")
    assert torch.equal(measured.direction, motion().direction) and measured.safe_range == pytest.approx((0, 1))
    with pytest.raises(ValueError, match="no blendshape 'jawOpen'; choose among mouthSmileLeft"):
        run("Calibrate", instrument="blendshapes", motion=motion(), sweep=sweep, landmarks=found, blendshapes="jawOpen")
    with pytest.raises(ValueError, match="No face was found"):
        run("Calibrate", instrument="blendshapes", motion=motion(), sweep=sweep, landmarks={"frames": [[]] * 20})


def test_motions_are_combined_subtracted_merged_and_turned(run):
    a, b, c = (motion(k, name=f"m{k}") for k in range(3))
    assert torch.allclose(run("Combine", motions=[a, b], operation="subtract", weight=0.5)[0].direction, a.direction - b.direction / 2)
    assert torch.allclose(run("Combine", motions=[a, b, c], operation="add")[0].direction, a.direction + b.direction + c.direction)
    free = run("Combine", motions=[a, b, c], operation="without", per_layer=True)[0]
    assert (free.direction * c.direction).sum(1).abs().max() < 1e-4
    versions = [replace(a, basis=a.basis + 0.01 * m.basis) for m in (b, c)]
    middle = run("Combine", motions=[a, *versions], operation="merge")[0]
    assert torch.cosine_similarity(middle.direction.flatten(), a.direction.flatten(), 0) > 0.999
    turned = run("Combine", motions=[a], factor=-2.0, layers="coarse", name="frown")[0]
    assert torch.allclose(turned.direction[:4], -2 * a.direction[:4]) and not turned.direction[4:].any() and turned.name == "frown"


def test_the_cosine_table_holds_all_motions(run, loaded):
    given = {name: motion(k, name=f"m{k}") for k, name in enumerate(("motion", "other", "third", "fourth"))}
    picture, text = run("Inspect", generator=loaded.generator, **given)
    assert text.splitlines()[-4].split()[:2] == ["m0", "1.00"] and text.splitlines()[-1].split()[0] == "m3"
    assert picture.shape[1] > run("Inspect", generator=loaded.generator, motion=given["motion"])[0].shape[1]


def test_sweeps_hold_repeat_and_follow_keyframes(run):
    held = run("Sweep", frames=24, ping_pong=True, hold_start=2, hold_end=2, cycles=2)[0]
    assert torch.equal(held[:12], held[12:]) and (held[:12] == 1).sum() == 3
    keyed = run("Sweep", shape="keyframes", keyframes="0: 0\n12: 1", frames=24, loop=True)[0]
    assert keyed[0] == 0 and keyed[12] == 1 and 0 < keyed[23] < 0.05
    with pytest.raises(ValueError, match="is not a keyframe"):
        run("Sweep", shape="keyframes", keyframes="now: 1")


def test_what_the_inverter_loses_is_made_up_for(run, loaded, monkeypatch):
    one, code = motion(), run("SampleFaces", generator=loaded.generator)[0]
    clip = run("ApplySubspace", codes=code, motion=one, sweep=torch.linspace(0, 1, 7))[0]
    inverter = loaded.inverter.value
    monkeypatch.setattr(
        type(inverter), "invert", lambda self, net, images, **_: code + 0.4 * torch.tensor(REACHED)[:, None, None] * one.direction
    )
    options = {"codes": code + 0.4 * (clip - code), "motion": one, "smooth": 0.0}
    short, made_up = (
        run("ReadCoefficients", **options)[0],
        run("ReadCoefficients", **options, generator=loaded.generator, inverter=loaded.inverter)[0],
    )
    assert short[-1] == pytest.approx(0.4, abs=1e-3) and made_up[-1] == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ValueError, match="connect both, or none"):
        run("ReadCoefficients", **options, inverter=loaded.inverter)


def test_an_inverter_that_loses_a_motion_is_remarked_and_stops_nothing(run, loaded, monkeypatch, caplog):
    one, code = motion(), run("SampleFaces", generator=loaded.generator)[0]
    monkeypatch.setattr(type(loaded.inverter.value), "invert", lambda self, net, images, **_: code.repeat(len(images), 1, 1))
    options = {"codes": run("ApplySubspace", codes=code, motion=one, sweep=torch.linspace(0, 1, 7))[0], "motion": one, "smooth": 0.0}
    with caplog.at_level("INFO"):
        read, _ = run("ReadCoefficients", **options, generator=loaded.generator, inverter=loaded.inverter)
    assert torch.equal(read, run("ReadCoefficients", **options)[0]) and "keeps too little of this motion" in caplog.text


def test_a_coefficient_beyond_the_measured_range_is_remarked(run, caplog):
    from micromotion.subspaces import Calibration

    held = motion(name="grin", calibration=Calibration(safe=((-0.5, 0.8),)))
    for coefficient, beyond in ((0.8, False), (-0.5, False), (0.9, True), (-1.0, True)):
        caplog.clear()
        with caplog.at_level("INFO", "micromotion"):
            run("ApplySubspace", codes=torch.zeros(1, 8, 32), motion=held, coefficient=coefficient)
        assert ("grin was measured to hold from -0.50 to 0.80" in caplog.text) == beyond


@pytest.mark.parametrize("own", [True, False])
def test_a_motion_of_another_generator_is_remarked_under_the_node_that_uses_it(run, pack, loaded, caplog, own):
    net = loaded.generator.value
    one = motion(name="grin", fingerprint=net.fingerprint if own else "0123456789abcdef")
    code = run("SampleFaces", generator=loaded.generator)[0]
    file = pack.base / "models" / "micromotion" / f"grin_{own}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    one.save(file)
    played = {"generator": loaded.generator, "codes": code, "motion": one, "sweep": torch.zeros(2)}
    for node, inputs in (
        ("ApplySubspace", {"codes": code, "motion": one}),
        ("FaceSliders", {"codes": code, "motions": [motion(), one], **{f"coefficient_{i}": 0.1 for i in range(1, 9)}}),
        ("SweepToVideo", played),
        ("LoadSubspace", {"file": file.name, "generator": loaded.generator}),
    ):
        caplog.clear()
        with caplog.at_level("INFO", "micromotion"):
            run(node, **inputs)
        said = [record for record in caplog.records if "grin was made with another generator" in record.getMessage()]
        assert sum(record.levelname == "INFO" for record in said) == (not own), node
    caplog.clear()
    run("ApplySubspace", codes=torch.zeros(1, 8, 32), motion=one)
    assert "another generator" not in caplog.text, "whose codes they are is not known"


def test_the_page_learns_names_and_ranges_of_sliders(run, pack):
    from micromotion.nodes import sliders
    from micromotion.subspaces import Calibration

    held, plain = motion(name="grin", calibration=Calibration(safe=((0.1, 0.8),))), motion(name="")
    assert sliders.slider_of(held) == ["grin", 0.0, 0.8] and sliders.slider_of(plain) == ["", *sliders.TRAVEL]
    node = pack.nodes["FaceSliders"]
    said = node.execute(codes=torch.zeros(1, 8, 32), motions={"motion_2": held, "motion_3": plain}, coefficient_2=0.1, coefficient_3=0.0).ui
    assert said["sliders"] == [["motions.motion_2", "grin", 0.0, 0.8], ["motions.motion_3", "", *sliders.TRAVEL]]
    assert sliders.slider_of_file("turn (embedded)") == ["turn", -1.25, 1.25]
    assert sliders.slider_of_file("../secret") is None and sliders.slider_of_file("") is None


def test_every_component_moves_and_is_read(run):
    two, code, sweep = motion(rank=2), torch.zeros(1, 8, 32), run("Sweep", frames=10)[0]
    first = run("ApplySubspace", codes=code, motion=two, sweep=sweep)[0]
    both = run("ApplySubspace", codes=first, motion=two, sweep=sweep, coefficient=-1.0, component=2)[0]
    track, _ = run("ReadCoefficients", codes=both, motion=two, smooth=0.0, neutral=code)
    assert torch.allclose(track, torch.stack([sweep, -sweep], 1), atol=1e-4)
    assert torch.allclose(run("ApplySubspace", codes=code, motion=two, sweep=track)[0], both, atol=1e-4)
    looped, _ = run("ReadCoefficients", codes=both, motion=two, robust=False, loop=3)
    assert looped.shape == (7, 2)
    with pytest.raises(ValueError, match="no component 3; this motion has 2"):
        run("ApplySubspace", codes=code, motion=two, component=3)
    with pytest.raises(ValueError, match=r"\[frames, 2\]"):
        run("ApplySubspace", codes=code, motion=two, sweep=torch.zeros(10, 3))


@pytest.fixture
def brightness(pack, monkeypatch):
    """An instrument that reads the mean of a picture, whatever quantity is asked for; and the quantities."""
    measure, asked = sys.modules["micromotion.nodes.measure"], []

    def instrument(quantity, device):
        asked.append(quantity)
        return (lambda images: images.mean((1, 2, 3))), 0.0

    monkeypatch.setattr(measure, "instrument", instrument)
    return asked


def brighter(loaded, codes):
    """A motion along which the pictures of these codes become brighter."""
    from micromotion.subspaces import Subspace

    net = loaded.generator.value
    code = codes[:1].clone().requires_grad_()
    with torch.inference_mode(False), torch.enable_grad():
        (slope,) = torch.autograd.grad(net.synthesize(code).mean(), code)
    return Subspace(slope[0] / slope.square().sum() * 0.02, fingerprint=net.fingerprint, name="bright")


def test_a_face_is_brought_to_rest_before_it_acts(run, loaded, brightness, caplog):
    caplog.set_level("INFO", logger="micromotion")
    codes = run("SampleFaces", generator=loaded.generator, count=1)[0].clone()
    motion, mean = brighter(loaded, codes), float(loaded.generator.value.synthesize(codes).mean())
    steps = torch.linspace(-1.5, 1.5, 5)
    reach = [float(loaded.generator.value.synthesize(motion.apply(codes, c[None])).mean()) for c in steps]
    options = {"codes": codes, "motion": motion, "generator": loaded.generator, "neutralize": "corner lift"}
    rested = run("ApplySubspace", **options, coefficient=0.0)
    after = float(loaded.generator.value.synthesize(rested[0]).mean())
    assert brightness == ["corner lift"] and abs(after) < abs(mean)
    assert after == pytest.approx(min(reach, key=abs), abs=0.25 * (max(reach) - min(reach)))
    assert "Brought to rest: bright by" in caplog.text
    acted = run("ApplySubspace", **options, coefficient=0.5)[0]
    assert torch.equal(acted, motion.apply(rested[0], torch.tensor([0.5])))
    with pytest.raises(ValueError, match="connect the generator"):
        run("ApplySubspace", codes=codes, motion=motion, coefficient=0.0, neutralize="corner lift")


def test_motions_are_calibrated_by_what_the_face_does(run, loaded, brightness):
    from micromotion.subspaces import calibrate

    codes = run("SampleFaces", generator=loaded.generator, count=2)[0].clone()
    motion, net = brighter(loaded, codes), loaded.generator.value
    face = {"instrument": "face", "generator": loaded.generator, "quantity": "yaw", "faces": 1, "codes": codes, "reach": 1.0}
    made = run("Calibrate", motion=motion, change=0.01, **face)[0]
    steps = torch.linspace(-1, 1, 13)
    expected = calibrate(motion, lambda x: x.mean((1, 2, 3)), net, codes, coefficients=steps, change=0.01, instrument="yaw")
    assert brightness == ["yaw"] and made.calibration == expected.calibration and made.calibration.instrument == "yaw"


def test_what_a_face_does_is_drawn_and_drives_another(run, pack, monkeypatch):
    import numpy as np

    measure, seen = sys.modules["micromotion.nodes.measure"], {}
    points = np.random.default_rng(3).normal(0, 50, (68, 2)) + np.linspace(0, 90, 68)[:, None]

    def detect(images, **options):
        seen.update(options, shape=tuple(images.shape))
        faces = [points + np.eye(68)[30][:, None] * [step, 0] for step in (0, 5, 10)]
        return [[measure_module.Face(face, (0, 0, 9, 9))] if i != 1 else [] for i, face in enumerate(faces)]

    measure_module = sys.modules["micromotion.faces"]
    monkeypatch.setattr(measure, "detect", detect)
    frames = torch.rand(3, 16, 16, 3)
    plot, table, sweep = run("Measure", images=frames, quantity="yaw")
    assert seen["shape"] == (3, 3, 16, 16) and seen["steady"] and seen["value_range"] == (0, 1)
    assert table.splitlines()[0] == 'frame,"yaw","change of the picture"' and "nan" in table.splitlines()[2]
    assert sweep.tolist() == pytest.approx([0, 0.5, 1])
    raw = [float(line.split(",")[1]) for line in (table.splitlines()[1], table.splitlines()[3])]
    halved = run("Measure", images=frames, quantity="yaw", unit=2 * (raw[1] - raw[0]))[2]
    assert halved.tolist() == pytest.approx([0, 0.25, 0.5], abs=1e-3)
    assert run("Measure", images=frames, quantity="all")[1].count('"') == 2 * 8
    assert run("Measure", images=frames)[2].abs().max() == 1


def test_avatars_are_measured_by_their_own_instrument(run, pack, monkeypatch):
    from micromotion.avatars.regressor import WEIGHTS

    measure = sys.modules["micromotion.nodes.measure"]
    monkeypatch.setattr(measure, "embedded_root", lambda: WEIGHTS.parent)
    read, rest = measure.instrument("eyes of avatars", torch.device("cpu"))
    assert rest == 1.0 and read(torch.zeros(2, 3, 64, 64)).shape == (2,)
    assert measure.instrument("nod of avatars", torch.device("cpu"))[1] == 0.5
    assert run("Measure", images=torch.rand(2, 64, 64, 3), quantity="smile of avatars")[1].startswith('frame,"smile of avatars"')
