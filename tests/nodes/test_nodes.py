"""What each node does, executed as ComfyUI executes it: in inference mode, on tiny networks."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch


def test_sampled_faces_repeat_with_the_seed_and_meet_at_no_truncation(run, loaded, tiny):
    a, b, other = (run("SampleFaces", generator=loaded.generator, seed=s, count=2)[0] for s in (3, 3, 4))
    assert a.shape == (2, tiny.LAYERS, tiny.WIDTH) and torch.equal(a, b) and not torch.equal(a, other)
    mean = run("SampleFaces", generator=loaded.generator, truncation=0.0)[0]
    assert torch.allclose(mean[0], loaded.generator.value.w_avg.expand(tiny.LAYERS, -1), atol=1e-6)


def test_inversion_runs_where_comfyui_forbids_gradients(run, loaded, face, tiny):
    codes = run("InvertFace", generator=loaded.generator, inverter=loaded.inverter, image=face)[0]
    assert codes.shape == (1, tiny.LAYERS, tiny.WIDTH) and not codes.is_inference()
    better = run("InvertFace", generator=loaded.generator, inverter=loaded.inverter, image=face, steps=3)[0]
    assert _error(run, loaded, better, face) < _error(run, loaded, codes, face)


def _error(run, loaded, codes, face) -> float:
    made = run("Synthesize", generator=loaded.generator, codes=codes)[0]
    target = torch.nn.functional.interpolate(face.movedim(-1, 1), made.shape[1:3], mode="area").movedim(1, -1)
    return float((made - target).square().mean())


def test_a_picture_that_is_not_square_is_cut_in_the_middle(run, loaded, face):
    wide = torch.cat([torch.zeros(1, 48, 10, 3), face, torch.ones(1, 48, 10, 3)], 2)
    codes = [run("InvertFace", generator=loaded.generator, inverter=loaded.inverter, image=image)[0] for image in (wide, face)]
    assert torch.equal(*codes)


def test_a_stranger_stops_the_graph_and_anyway_goes_on(run, loaded, face, caplog, monkeypatch):
    monkeypatch.setattr(loaded.inverter.value, "card", replace(loaded.inverter.value.card, typical_psnr=60.0))
    given = {"generator": loaded.generator, "inverter": loaded.inverter, "image": face}
    with pytest.raises(ValueError, match="rendered avatars.*ffhq.*Fetch Model.*choose anyway"):
        run("InvertFace", **given)
    with caplog.at_level("INFO", "micromotion"):
        codes = run("InvertFace", **given, unknown="anyway")[0]
    assert len(codes) == 1 and "rendered avatars" in caplog.text


def test_refinement_improves_and_tuning_leaves_the_given_generator(run, loaded, face):
    codes = run("SampleFaces", generator=loaded.generator)[0]
    before = {k: v.clone() for k, v in loaded.generator.value.state_dict().items()}
    refined, same = run("RefineFace", generator=loaded.generator, image=face, codes=codes, steps=3)
    assert _error(run, loaded, refined, face) < _error(run, loaded, codes, face) and same is loaded.generator
    _, tuned = run("RefineFace", generator=loaded.generator, image=face, codes=codes, steps=0, tuning_steps=2)
    assert tuned is not loaded.generator
    after = loaded.generator.value.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_coefficient_zero_is_the_code_itself_and_one_is_one_unit(run, loaded):
    codes, motion = run("SampleFaces", generator=loaded.generator)[0], run("LoadSubspace")[0]
    assert torch.equal(run("ApplySubspace", codes=codes, motion=motion, coefficient=0.0)[0], codes)
    moved = run("ApplySubspace", codes=codes, motion=motion, coefficient=1.0)[0]
    assert torch.allclose(moved - codes, motion.direction[None], atol=1e-5)


def test_a_sweep_gives_one_frame_each_and_chains(run, loaded):
    codes = run("SampleFaces", generator=loaded.generator)[0]
    smile, age = (run("LoadSubspace", file=f"{name} (embedded)")[0] for name in ("smile", "age"))
    sweep = run("Sweep", frames=7, end=2.0, ping_pong=False)[0]
    both = run(
        "ApplySubspace", codes=run("ApplySubspace", codes=codes, motion=smile, sweep=sweep)[0], motion=age, coefficient=0.5, sweep=sweep
    )[0]
    assert both.shape[0] == 7 and torch.equal(both[0], codes[0])
    assert torch.allclose(both[-1] - codes[0], 2 * smile.direction + age.direction, atol=1e-4)


def test_a_curve_is_sampled_over_the_frames(run):
    curve = {"points": [[0, 0], [0.5, 1], [1, 0]], "interpolation": "linear"}
    sweep = run("Sweep", shape="curve", curve=curve, frames=5, low=-1.0, high=3.0)[0]
    assert sweep.tolist() == pytest.approx([-1, 1, 3, 1, -1], abs=1e-3)


def test_the_backend_is_a_choice_of_the_loader(run, loaded):
    assert loaded.generator.value.backend is None
    codes = run("SampleFaces", generator=loaded.generator)[0]
    plain = run("Synthesize", generator=loaded.generator, codes=codes)[0]
    slow = run("LoadGenerator", backend="reference")[0]
    assert slow.value.backend == "reference"
    assert torch.allclose(run("Synthesize", generator=slow, codes=codes)[0], plain, atol=1e-5)
    with pytest.raises(Exception, match="The CUDA kernels were asked for, but cannot run here"):
        run("Synthesize", generator=run("LoadGenerator", backend="cuda")[0], codes=codes)


def test_smaller_and_half_precise_pictures(run, loaded, tiny):
    codes = run("SampleFaces", generator=loaded.generator, count=3)[0][[0, 1, 0, 2]]
    full = run("Synthesize", generator=loaded.generator, codes=codes)[0]
    small = run("Synthesize", generator=loaded.generator, codes=codes, size=16)[0]
    assert small.shape == (4, 16, 16, 3) and torch.equal(full[0], full[2])
    half = run("Synthesize", generator=loaded.generator, codes=codes, half=2)[0]
    assert 0 < (half - full).abs().max() < 0.05


def test_a_sweep_too_long_for_the_memory_is_refused_before_it_begins(run, loaded, monkeypatch):
    codes = run("SampleFaces", generator=loaded.generator, count=3)[0]
    monkeypatch.setattr("micromotion.stylegan2.frames._free_memory", lambda: 20_000)
    with pytest.raises(Exception, match="3 frames of 32 x 32 px .* at most 1 frames .*Sweep to Video"):
        run("Synthesize", generator=loaded.generator, codes=codes)


def test_synthesis_gives_an_image_batch_in_range(run, loaded, tiny):
    codes = run("SampleFaces", generator=loaded.generator, count=9)[0]
    image = run("Synthesize", generator=loaded.generator, codes=codes)[0]
    assert image.shape == (9, tiny.RESOLUTION, tiny.RESOLUTION, 3) and image.dtype == torch.float32
    assert 0 <= image.min() and image.max() <= 1


def test_equal_codes_give_equal_pictures_where_they_belong(run, loaded):
    codes = run("SampleFaces", generator=loaded.generator, count=3)[0]
    order = [2, 0, 1, 0, 2, 2]
    one_by_one = torch.cat([run("Synthesize", generator=loaded.generator, codes=code[None])[0] for code in codes])
    together = run("Synthesize", generator=loaded.generator, codes=codes[order])[0]
    assert torch.allclose(together, one_by_one[order], atol=1e-4)
    assert torch.equal(together[0], together[4]) and torch.equal(together[1], together[3])


@pytest.mark.parametrize(("shape", "blend"), [("face", "automatic"), ("face", "difference"), ("square", "difference"), ("face", "fade")])
def test_zero_leaves_the_photo_bit_for_bit(run, loaded, shape, blend):
    torch.manual_seed(0)
    photo = torch.rand(1, 90, 120, 3)
    square, crop, *_ = run("AlignFace", path="by hand", image=photo, x=0.4, y=0.55, share=0.6, tilt=20.0, size=64)
    assert square.shape == (1, 64, 64, 3)
    codes, motion = run("SampleFaces", generator=loaded.generator)[0], run("LoadSubspace")[0]
    sweep = run("Sweep", frames=3, end=1.0, ping_pong=False)[0]
    faces = run("Synthesize", generator=loaded.generator, codes=run("ApplySubspace", codes=codes, motion=motion, sweep=sweep)[0])[0]
    still = run("Synthesize", generator=loaded.generator, codes=codes)[0]
    pasted, mask = run("PasteFace", photo=photo, faces=faces, crop=crop, unedited=still, shape=shape, blend=blend)
    assert torch.equal(pasted[0], photo[0]) and not torch.equal(pasted[2], photo[0])
    outside = mask[0] == 0
    assert outside.any() and torch.equal(pasted[2][outside], photo[0][outside])


@pytest.mark.parametrize(("far", "same_as"), [(0.02, ("face", "difference")), (1.0, ("square", "fade"))])
def test_automatic_fades_where_a_difference_would_show_two_faces(run, far, same_as):
    torch.manual_seed(0)
    photo, still, other = torch.rand(1, 90, 120, 3), torch.rand(1, 64, 64, 3), torch.rand(1, 64, 64, 3)
    _, crop, *_ = run("AlignFace", path="by hand", image=photo, x=0.4, y=0.55, share=0.6, size=64)
    given = {"photo": photo, "faces": still.lerp(other, far), "crop": crop, "unedited": still, "ghost_limit": 1.0}
    found = run("PasteFace", **given)
    expected = run("PasteFace", **given, shape=same_as[0], blend=same_as[1])
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_automatic_fades_where_a_whole_picture_was_reconstructed_poorly_and_says_so(run, caplog):
    torch.manual_seed(0)
    photo, still = torch.rand(1, 64, 64, 3), torch.rand(1, 64, 64, 3)
    _, crop, *_ = run("AlignFace", path="by hand", image=photo, size=64)
    given = {"photo": photo, "faces": still * 0.98, "crop": crop, "unedited": still}
    caplog.set_level("INFO", "micromotion")
    for limit, shape, blend in ((1.0, "face", "difference"), (0.06, "square", "fade")):
        found, expected = (run("PasteFace", ghost_limit=limit, **given, **more)[0] for more in ({}, {"shape": shape, "blend": blend}))
        assert torch.equal(found, expected) and ("own drawing takes the photo's place" in caplog.text) == (blend == "fade")


def test_a_square_picture_framed_by_default_is_taken_whole(run, face):
    square, crop, *_ = run("AlignFace", path="by hand", image=face, size=48)
    assert torch.allclose(square, face, atol=1 / 255) and crop[0].is_whole


def test_a_fitted_motion_comes_back_from_its_file(run, pack, loaded):
    from micromotion.subspaces import Anchors

    torch.manual_seed(0)
    direction, degrees = torch.randn(8, 32), torch.linspace(0, 1, 11)
    anchors = Anchors(torch.randn(1, 8, 32) + degrees[:, None, None] * direction, degrees=degrees)
    motion = run("FitSubspace", anchors=[anchors])[0]
    assert torch.allclose(motion.direction, direction, atol=1e-3)
    for _ in range(2):
        run("SaveSubspace", motion=motion, name="group/mine")
    saved = [c for c in pack.host.choices("motion") if "mine" in c]
    assert saved == ["group/mine_00001_.safetensors", "group/mine_00002_.safetensors"]
    assert torch.equal(run("LoadSubspace", file=saved[0])[0].direction, motion.direction)


def test_a_kept_face_comes_back(run, pack, loaded):
    codes = run("SampleFaces", generator=loaded.generator, count=2)[0]
    run("SaveFace", codes=codes, name="me")
    assert torch.equal(run("LoadFace", generator=loaded.generator, file="me_00001_.safetensors")[0], codes)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_tuned_generator_comes_back_on_its_base(run, pack, loaded, face, precision):
    codes = run("SampleFaces", generator=loaded.generator)[0]
    _, tuned = run("RefineFace", generator=loaded.generator, image=face, codes=codes, steps=0, tuning_steps=2)
    run("SaveFace", codes=codes, name=f"faces/{precision}", tuned=tuned, base=loaded.generator, precision=precision)
    file = os.path.join("faces", f"{precision}_00001_.safetensors")
    found, again = run("LoadFace", generator=loaded.generator, file=file)
    assert torch.equal(found, codes)
    pictures = [run("Synthesize", generator=g, codes=codes)[0] for g in (tuned, again, loaded.generator)]
    assert torch.allclose(pictures[0], pictures[1], atol=0 if precision == "float32" else 1e-3)
    assert not torch.equal(pictures[0], pictures[2])
    assert run("LoadFace", generator=loaded.generator, file=file, tuning="none")[1] is loaded.generator
    with pytest.raises(pack.host.MicromotionError, match="Load the generator it was made on"):
        run("LoadFace", generator=tuned, file=file)
    with pytest.raises(pack.host.MicromotionError, match="was not tuned"):
        run("SaveFace", codes=codes, tuned=loaded.generator, base=loaded.generator, name="same")
    with pytest.raises(pack.host.MicromotionError, match="connect both, or neither"):
        run("SaveFace", codes=codes, tuned=tuned, name="half")


def test_face_sliders_are_a_chain_of_motions(run, pack, loaded):
    codes = run("SampleFaces", generator=loaded.generator)[0]
    smile, age = (run("LoadSubspace", file=f"{name} (embedded)")[0] for name in ("smile", "age"))
    assert torch.equal(run("FaceSliders", codes=codes, motions=[smile, age], **at(0.0, 0.0))[0], codes)
    sweep = run("Sweep", frames=7)[0]
    chain = run("ApplySubspace", codes=codes, motion=smile, coefficient=0.4, sweep=sweep)[0]
    chain = run("ApplySubspace", codes=chain, motion=age, coefficient=-0.2, sweep=sweep)[0]
    assert torch.equal(run("FaceSliders", codes=codes, motions=[smile, age], sweep=sweep, **at(0.4, -0.2))[0], chain)
    node = pack.nodes["FaceSliders"]
    assert node.validate_inputs(codes=None, coefficient_1=9.5) is True
    assert "coefficient_2 is nan; give a number from -1000 to 1000" in node.validate_inputs(coefficient_1=None, coefficient_2=float("nan"))


def at(*coefficients: float) -> dict:
    return {f"coefficient_{i}": value for i, value in enumerate((*coefficients, *[0.0] * (8 - len(coefficients))), 1)}


@pytest.mark.parametrize("name", ["../escape", "/etc/x", "a/../../b"])
def test_a_name_cannot_leave_its_folder(run, pack, loaded, name):
    codes = run("SampleFaces", generator=loaded.generator)[0]
    with pytest.raises(pack.host.HostError, match="plain name"):
        run("SaveFace", codes=codes, name=name)


def test_a_converted_generator_draws_the_same(run, pack, loaded, weights):
    folder = pack.base / "models" / "stylegan2"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.safetensors").write_bytes((weights / "generator.safetensors").read_bytes())
    made = pack.nodes["ConvertCheckpoint"].execute("mine.safetensors", "float32", "copy")
    assert made.ui == {"text": ["Saved as models/stylegan2/copy_00001_.safetensors"]}
    other = run("LoadGenerator", file="copy_00001_.safetensors")[0]
    assert other.value.fingerprint == loaded.generator.value.fingerprint


def test_a_long_sweep_is_encoded_frame_by_frame(run, pack, loaded, monkeypatch):
    import av

    pack.fake.folders.get_temp_directory = lambda: str(pack.base / "temp")
    codes, motion = run("SampleFaces", generator=loaded.generator)[0], run("LoadSubspace")[0]
    sweep = run("Sweep", frames=70)[0]
    monkeypatch.setattr("micromotion.subspaces.playing.BLOCK", 32)
    path = run("SweepToVideo", generator=loaded.generator, codes=codes, motion=motion, sweep=sweep, fps=25.0)[0]
    with av.open(path) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
        assert clip.streams.video[0].average_rate == 25
    assert len(frames) == 70 and abs(frames[0].astype(float) - frames[35]).mean() > 1
    assert pack.fake.progress.seen[-1][:2] == (70, 70)


def test_a_video_pastes_as_it_is_told(run, pack, loaded, face, monkeypatch):
    """The frames that are encoded are those that Paste Face gives with the same blend."""
    pack.fake.folders.get_temp_directory = lambda: str(pack.base / "temp")
    crop = run("AlignFace", path="by hand", image=face, size=48)[1]
    codes, motion = run("SampleFaces", generator=loaded.generator)[0], run("LoadSubspace")[0]
    unedited, ends = run("Synthesize", generator=loaded.generator, codes=codes)[0], torch.tensor([0.0, 1.0])
    drawn = run("Synthesize", generator=loaded.generator, codes=run("ApplySubspace", codes=codes, motion=motion, sweep=ends)[0])[0]
    written = []
    sweep = sys.modules[pack.nodes["SweepToVideo"].__module__]
    to_bytes = sweep.to_bytes
    monkeypatch.setattr(sweep, "to_bytes", lambda images: written.append(images) or to_bytes(images))
    given = dict(generator=loaded.generator, codes=codes, motion=motion, sweep=ends, photo=face, crop=crop, unedited=unedited)
    for blend in ("automatic", "difference", "fade", "replace"):
        written.clear()
        run("SweepToVideo", **given, blend=blend)
        pasted = run("PasteFace", photo=face, faces=drawn, crop=crop, unedited=unedited, blend=blend)[0]
        torch.testing.assert_close(torch.cat(written).movedim(1, -1) * 0.5 + 0.5, pasted, atol=1e-5, rtol=0)


def test_a_video_settles_once_how_it_pastes_by_the_frame_that_moves_most(run, pack, loaded, face, monkeypatch):
    pack.fake.folders.get_temp_directory = lambda: str(pack.base / "temp")
    crop = run("AlignFace", path="by hand", image=face, size=48)[1]
    codes, motion = run("SampleFaces", generator=loaded.generator)[0], run("LoadSubspace")[0]
    unedited = run("Synthesize", generator=loaded.generator, codes=codes)[0]
    sweep, seen = sys.modules[pack.nodes["SweepToVideo"].__module__], []
    monkeypatch.setattr(sweep, "settled", lambda blend, shape, photo, squares, *_: seen.append(squares) or ("replace", shape))
    track = torch.cat([torch.linspace(0, 0.5, 69), torch.tensor([-0.9])])
    run("SweepToVideo", generator=loaded.generator, codes=codes, motion=motion, sweep=track, photo=face, crop=crop, unedited=unedited)
    farthest = run("ApplySubspace", codes=codes, motion=motion, sweep=track[-1:])[0]
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], run("Synthesize", generator=loaded.generator, codes=farthest)[0], atol=1e-5, rtol=0)


def test_a_photo_without_its_crop_is_refused(run, loaded, face):
    codes, motion = run("SampleFaces", generator=loaded.generator)[0], run("LoadSubspace")[0]
    with pytest.raises(ValueError, match="photo and crop belong together"):
        run("SweepToVideo", generator=loaded.generator, codes=codes, motion=motion, sweep=torch.ones(2), photo=face)


def test_a_canceled_video_leaves_no_file(run, pack, loaded):
    pack.fake.folders.get_temp_directory = lambda: str(pack.base / "temp")
    before = set((pack.base / "temp").glob("*"))
    codes, motion = run("SampleFaces", generator=loaded.generator)[0], run("LoadSubspace")[0]
    pack.fake.management.interrupt_after = 2
    with pytest.raises(BaseException) as caught:
        run("SweepToVideo", generator=loaded.generator, codes=codes, motion=motion, sweep=run("Sweep", frames=100)[0])
    assert type(caught.value).__name__ == "Interrupted"
    assert set((pack.base / "temp").glob("*")) == before


def test_text_becomes_a_motion_where_comfyui_forbids_gradients(run, loaded, tiny):
    sockets = {"generator": loaded.generator, "scorer": loaded.scorer}
    anchors = run("TextAnchors", **sockets, seeds=2, steps=3)[0]
    assert anchors.codes.shape == (22, tiny.LAYERS, tiny.WIDTH) and anchors.num_groups == 2
    assert run("FitSubspace", anchors=[anchors])[0].template == "a person with {degree} smile"
    own = run("TextAnchors", **sockets, steps=1, codes=anchors.start[:1])[0]
    pooled = run("FitSubspace", anchors=[anchors, own], layers="0-3")[0]
    assert pooled.parameters["groups"] == 3 and pooled.direction[4:].abs().max() == 0


def test_text_anchors_stop_within_one_step(run, pack, loaded):
    pack.fake.management.interrupt_after = 1
    with pytest.raises(BaseException) as caught:
        run("TextAnchors", generator=loaded.generator, scorer=loaded.scorer, seeds=1, steps=50)
    assert type(caught.value).__name__ == "Interrupted" and len(pack.fake.progress.seen) == 1


def test_a_template_without_its_slot_is_refused_with_an_example(run, loaded):
    with pytest.raises(ValueError, match="a person with {degree} smile"):
        run("TextAnchors", generator=loaded.generator, scorer=loaded.scorer, template="a smile")


def clip(run, loaded, motion, frames=9):
    codes = run("SampleFaces", generator=loaded.generator)[0]
    sweep = run("Sweep", frames=frames, easing="linear", ping_pong=False)[0]
    return run("ApplySubspace", codes=codes, motion=motion, sweep=sweep)[0], sweep


def test_a_clip_becomes_the_motion_that_it_shows(run, loaded):
    motion = run("LoadSubspace", file="turn (embedded)")[0]
    codes, _ = clip(run, loaded, motion, frames=24)
    found = run("FitSubspace", anchors=[run("VideoAnchors", generator=loaded.generator, codes=codes)[0]])[0]
    cosine = torch.cosine_similarity(found.direction.flatten(), motion.direction.flatten(), 0)
    assert found.source == "video" and cosine > 0.999


def test_a_clips_motion_drives_another_face(run, loaded):
    motion = run("LoadSubspace")[0]
    codes, sweep = clip(run, loaded, motion)
    read, plot = run("ReadCoefficients", codes=codes, motion=motion, smooth=0.0)
    assert torch.allclose(read, sweep, atol=1e-3) and plot.shape[-1] == 3
    other = run("SampleFaces", generator=loaded.generator, seed=9)[0]
    assert len(run("ApplySubspace", codes=other, motion=motion, sweep=read)[0]) == len(sweep)


@pytest.mark.parametrize(
    ("operation", "weight", "expected"),
    [("add", -0.5, lambda a, b: a - 0.5 * b), ("without", 1.0, lambda a, b: a - (a * b).sum() / (b * b).sum() * b)],
)
def test_two_motions_make_one(run, operation, weight, expected):
    a, b = (run("LoadSubspace", file=f"{name} (embedded)")[0] for name in ("smile", "age"))
    made = run("Combine", motions=[a, b], operation=operation, weight=weight)[0]
    assert torch.allclose(made.direction, expected(a.direction, b.direction), atol=1e-4)
    fine = run("Combine", motions=[a, b], operation=operation, weight=weight, layers="6-7")[0]
    assert fine.direction[:6].abs().max() == 0 and torch.equal(fine.direction[6:], made.direction[6:])


def test_a_motion_is_drawn_and_described(run, loaded):
    motion, other = (run("LoadSubspace", file=f"{name} (embedded)")[0] for name in ("smile", "age"))
    alone, text = run("Inspect", generator=loaded.generator, motion=motion)
    both, _ = run("Inspect", generator=loaded.generator, motion=motion, other=other)
    assert both.shape[1] > alone.shape[1] and alone.std() > 0.05
    assert "  smile\n" in text and "8 layers of 32" in text


def test_calibration_writes_the_range_and_draws_it(run, loaded):
    direction = response_direction(loaded)
    motion, plot = run("Calibrate", generator=loaded.generator, scorer=loaded.scorer, motion=direction, faces=2)
    low, high = motion.safe_range
    assert low <= 0 <= high and torch.equal(motion.direction, direction.direction) and plot.ndim == 4
    assert "a person with 100% smile" in motion.calibration.instrument


def response_direction(loaded):
    """A motion that surely moves the score: its gradient at a face."""
    from micromotion.subspaces import Subspace

    net, judge = loaded.generator.value, loaded.scorer.value
    code = net.map(torch.zeros(1, 32) + 0.3, 0.7).detach().requires_grad_(True)
    score = judge.score(net.synthesize(code), ["a person with 100% smile", "a person with no smile"])
    (score[0, 0] - score[0, 1]).backward()
    return Subspace(code.grad / code.grad.norm() * 0.5, name="climb")


def test_a_clip_is_measured_along_its_sweep(run, loaded):
    codes, sweep = clip(run, loaded, run("LoadSubspace")[0], frames=5)
    images = run("Synthesize", generator=loaded.generator, codes=codes)[0]
    shapes = [[{"blendshapes": {"jawOpen": i / 4, "still": 0.2}}] for i in range(5)]
    plot, table, measured = run("Measure", images=images, scorer=loaded.scorer, landmarks={"frames": shapes}, sweep=sweep)
    lines = table.splitlines()
    assert lines[0].startswith("coefficient,") and "jawOpen" in lines[0] and len(lines) == 6
    assert lines[1].split(",")[1] == "0.00000" and plot.shape[0] == 1 and measured.shape == (5,)
    with pytest.raises(ValueError, match="5 frames and 3 coefficients"):
        run("Measure", images=images, sweep=sweep[:3])


class Detected:
    """FACE_LANDMARKS of a face at (x, y) whose eyes are ``wide`` px apart, in MediaPipe's 478 points."""

    def __new__(cls, x: float, y: float, wide: float) -> dict:
        points = np.full((478, 2), (x, y), dtype=float)
        points[:, 0] += np.linspace(-0.4, 0.4, 478) * wide
        for index, (dx, dy) in {33: (-0.5, 0), 133: (-0.5, 0), 362: (0.5, 0), 263: (0.5, 0), 61: (-0.4, 1.1), 291: (0.4, 1.1)}.items():
            points[index] = (x + dx * wide, y + dy * wide)
        box = np.array([x - wide, y - wide, x + wide, y + 2 * wide])
        return {"landmarks_xy": points, "bbox_xyxy": box, "score": 0.9, "blendshapes": {}}


def landmarks(*frames) -> dict:
    return {"frames": [list(frame) for frame in frames], "image_size": (100, 200)}


def test_a_face_is_picked_by_its_number_and_aligned(run):
    photo = torch.rand(1, 100, 200, 3)
    found = landmarks([Detected(150, 40, 12), Detected(50, 40, 20)])
    big, numbered = run("PickFace", image=photo, order="largest", landmarks=found)
    right, _ = run("PickFace", image=photo, index=1, landmarks=found)
    assert big[0].center[0] < 100 < right[0].center[0] and numbered.shape == photo.shape
    square, crop, *_ = run("AlignFace", image=photo, face=right, size=64)
    assert square.shape == (1, 64, 64, 3) and abs(crop[0].center[0] - 150) < 10
    with pytest.raises(ValueError, match="Face 7 was asked for and image has 2"):
        run("PickFace", image=photo, index=7, landmarks=found)


def test_a_face_is_picked_by_a_place_or_a_box(run):
    photo = torch.rand(1, 100, 200, 3)
    found = landmarks([Detected(150, 40, 12), Detected(50, 40, 20)])
    for options, x in (
        ({"order": "nearest", "x": 0.7, "y": 0.1}, 150),
        ({"order": "nearest", "x": 0.1}, 50),
        ({"box": {"x": 140, "y": 30, "width": 20, "height": 30}}, 150),
        ({"box": [[{"x": 30, "y": 30, "width": 20, "height": 30, "label": "face"}], []], "order": "score"}, 50),
    ):
        face, _ = run("PickFace", image=photo, landmarks=found, **options)
        assert face[0].center[0] == pytest.approx(x)
    with pytest.raises(ValueError, match="box is empty"):
        run("PickFace", image=photo, landmarks=found, box=[[]])


def test_all_faces_of_a_photo_go_out_and_come_back_into_one_picture(run):
    torch.manual_seed(1)
    photo = torch.rand(1, 100, 200, 3)
    face, _ = run("PickFace", image=photo, order="all", landmarks=landmarks([Detected(150, 40, 12), Detected(50, 40, 12)]))
    square, crop, kept, count, report = run("AlignFace", image=photo, face=face, size=64)
    assert len(square) == len(crop) == count == 2 and kept is photo and report == "2 of 1 photo"
    edited = torch.zeros_like(square)
    together, mask = run("PasteFace", photo=photo, faces=edited, crop=crop, together=True)
    alone = [run("PasteFace", photo=photo, faces=edited[:1], crop=(one,)) for one in crop]
    assert together.shape == photo.shape and torch.equal(mask[0], torch.maximum(alone[0][1][0], alone[1][1][0]))
    assert torch.equal(together[:, :, :100], alone[0][0][:, :, :100]) and torch.equal(together[:, :, 100:], alone[1][0][:, :, 100:])
    assert len(run("PasteFace", photo=photo, faces=edited, crop=crop)[0]) == 2
    with pytest.raises(ValueError, match="together needs one square for each crop"):
        run("PasteFace", photo=photo, faces=edited[:1], crop=crop, together=True)
    with pytest.raises(ValueError, match="one photo, and image has 2 frames"):
        run("PickFace", image=photo.repeat(2, 1, 1, 1), order="all", landmarks=landmarks([Detected(50, 40, 12)], []))


def test_frames_without_a_face_are_treated_as_asked(run):
    clip = torch.rand(1, 100, 200, 3).repeat(4, 1, 1, 1)
    found = landmarks(*[[Detected(50 + i, 40, 20)] if i != 2 else [] for i in range(4)])
    square, crop, kept, count, report = run("AlignFace", image=clip, size=32, landmarks=found, missing="skip")
    assert len(square) == len(crop) == len(kept) == count == 3 and "3 of 4 frames kept" in report and "(2): skip" in report
    pasted, _ = run("PasteFace", photo=kept, faces=square, crop=crop)
    assert len(pasted) == 3
    assert len(run("AlignFace", image=clip, size=32, landmarks=found, missing="hold")[0]) == 4
    with pytest.raises(ValueError, match="No face was found in frame 2"):
        run("AlignFace", image=clip, size=32, landmarks=found, missing="error")


def test_a_clip_shows_the_numbers_of_every_shot(run):
    dark, bright = torch.zeros(3, 100, 200, 3), torch.ones(3, 100, 200, 3)
    faces = [[Detected(50, 40, 20)], [Detected(50, 40, 20), Detected(150, 40, 20)], [Detected(50, 40, 20)]]
    chosen, numbered = run("PickFace", image=torch.cat([dark, bright]), index=1, landmarks=landmarks(*faces, *faces))
    assert len(numbered) == 2 and numbered[0].mean() < 0.5 < numbered[1].mean()
    assert [None if face is None else round(face.center[0]) for face in chosen] == [None, 150, None] * 2


def test_replacing_needs_no_disconnecting_and_a_poor_base_is_said(run, caplog):
    torch.manual_seed(0)
    photo, square, base = torch.rand(1, 64, 96, 3), torch.rand(1, 32, 32, 3), torch.rand(1, 32, 32, 3)
    _, crop, *_ = run("AlignFace", path="by hand", image=photo, share=0.5, size=32)
    given = dict(photo=photo, faces=square, crop=crop, unedited=base, blend="difference")
    replaced, plain = (run("PasteFace", **options)[0] for options in (given | {"blend": "replace"}, given | {"unedited": None}))
    assert torch.equal(replaced, plain)
    with caplog.at_level("INFO", "micromotion"):
        mended = run("PasteFace", **given)[0]
    assert "% of the value range" in caplog.text and "frame 0" in caplog.text
    never = run("PasteFace", **given, ghost_limit=1.0)[0]
    assert not torch.equal(mended, never) and not torch.equal(mended, replaced)
    with pytest.raises(ValueError, match="faces is 32 px wide and unedited 16 px"):
        run("PasteFace", **given | {"unedited": base[:, :16, :16]})
    with pytest.raises(ValueError, match="faces has 3 frames and unedited 2"):
        run("PasteFace", **given | {"unedited": base.repeat(2, 1, 1, 1), "faces": square.repeat(3, 1, 1, 1)})


def test_pasting_can_be_canceled_between_frames(run, pack):
    photo = torch.rand(1, 64, 96, 3)
    _, crop, *_ = run("AlignFace", path="by hand", image=photo, share=0.5, size=32)
    pack.fake.management.interrupt_after = 2
    with pytest.raises(BaseException) as caught:
        run("PasteFace", photo=photo, faces=torch.rand(9, 32, 32, 3), crop=crop)
    assert type(caught.value).__name__ == "Interrupted" and [done for done, _, _ in pack.fake.progress.seen] == [1, 2]


def test_a_face_of_another_picture_is_refused(run):
    face, _ = run("PickFace", image=torch.rand(1, 100, 200, 3), landmarks=landmarks([Detected(50, 40, 20)]))
    with pytest.raises(ValueError, match="found in a 200 x 100 px picture and this one is 150 x 100 px"):
        run("AlignFace", image=torch.rand(1, 100, 150, 3), face=face, size=32)


def test_a_frame_without_a_face_takes_its_place_from_the_others(run, caplog):
    clip = torch.rand(1, 100, 200, 3).repeat(5, 1, 1, 1)
    frames = [[Detected(50 + 2 * i, 40, 20)] for i in range(5)]
    with caplog.at_level("INFO", "micromotion"):
        squares, crops, *_ = run("AlignFace", image=clip, size=32, path="each", landmarks=landmarks(*frames[:2], [], *frames[3:]))
    assert len(squares) == len(crops) == 5 and "no face in 1 frame (2)" in caplog.text
    centers = [crop.center[0] for crop in crops]
    assert centers[2] == pytest.approx((centers[1] + centers[3]) / 2, abs=0.5) and centers[0] < centers[4]


def test_no_face_is_one_sentence(run):
    with pytest.raises(ValueError, match="No face was found in image"):
        run("AlignFace", image=torch.rand(1, 100, 200, 3), landmarks=landmarks([]))


def test_without_the_tools_square_pictures_go_in_whole_where_that_is_wanted(run, pack, monkeypatch, caplog):
    module = sys.modules[pack.nodes["AlignFace"].__module__]

    def no_tools(*args, **kwargs):
        raise module.MissingToolError("Finding faces needs dlib, which is not installed: run `pip`.")

    monkeypatch.setattr(module, "detect", no_tools)
    square, wide = torch.rand(1, 64, 64, 3), torch.rand(1, 64, 90, 3)
    with caplog.at_level("INFO", "micromotion"):
        whole, crop, *_ = run("AlignFace", image=square, size=64, no_face="whole picture")
    assert (
        torch.allclose(whole, square, atol=1 / 255)
        and crop[0].is_whole
        and "Nobody looked for faces. Finding faces needs dlib" in caplog.text
    )
    for given in ({"image": square}, {"image": wide, "no_face": "whole picture"}):
        with pytest.raises(ValueError, match="needs dlib.*Fetch Model"):
            run("AlignFace", **given)


def test_a_model_is_fetched_only_once_its_license_is_accepted(run, pack, monkeypatch, tmp_path):
    fetched = []
    monkeypatch.setattr(pack.host.catalog, "download", lambda name, folder, progress: fetched.append((name, folder, progress(1, 0, None))))
    terms = run("FetchModel", what="everything for photos")[0]
    assert fetched == [] and "research and evaluation only" in terms and "drive.google.com" in terms and "Nothing was fetched" in terms
    report = run("FetchModel", what="photos of people / generator / ffhq", accept=True)[0]
    assert report == "models/stylegan2/ffhq.pkl" and [(name, folder.name) for name, folder, _ in fetched] == [("ffhq", "stylegan2")]
    assert len(run("FetchModel", what="everything for photos", accept=True)[0].splitlines()) == 11
    assert {folder.name for _, folder, _ in fetched} == {"stylegan2", "stylegan2_inverters", "micromotion_scorers", "dlib", "micromotion"}


def test_a_fetch_runs_again_when_its_file_is_gone(pack):
    node, what = pack.nodes["FetchModel"], "photos of people / generator / ffhq"
    before = node.fingerprint_inputs(what=what, accept=True)
    path = pack.host.fetched(pack.host.catalog.find("ffhq"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert node.fingerprint_inputs(what=what, accept=True) != before
    path.unlink()
