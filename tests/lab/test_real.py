"""Open instruments on anyone's generator, in a linear world whose answers are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from micromotion.faces import FaceError
from micromotion.faces.measuring import QUANTITIES
from micromotion.files.errors import MicromotionError
from micromotion.lab import draw_pictures, evaluate
from micromotion.lab.evaluation import open_instruments, real, real_page
from micromotion.lab.evaluation.cache import Cache
from micromotion.subspaces import Anchors, fit
from PIL import Image
from toy import LinearGenerator

SIZES = real.Sizes(seeds=12, calibrated=6, pool=2, frames=5, steps=2, held=2)
SMILE = QUANTITIES.index("corner lift")


class Toy(LinearGenerator):
    def __init__(self):
        super().__init__()
        self.architecture.z_dim, self.architecture.c_dim = self.width, 0

    def map(self, z, truncation=1.0, **_):
        return truncation * z[:, None].repeat(1, self.num_layers, 1)


class Geometry:
    """Reads the first numbers of a toy picture as quantities; sees no face where the last number asks for none."""

    names, lost = QUANTITIES, ()

    def boxes(self, images):
        self.seen = getattr(self, "seen", -1) + len(images)
        return [None if self.seen - len(images) + 1 + i in self.lost else (0, 0, 1, 1) for i in range(len(images))]

    def read(self, images, boxes):
        assert len(images) == len(boxes)
        return images.flatten(1)[:, : len(QUANTITIES)]


def axis(generator: Toy, column: int) -> torch.Tensor:
    parameters = torch.zeros(1, generator.width)
    parameters[0, column] = 1.0
    return generator.codes(parameters)[0]


@pytest.fixture
def study(tmp_path, monkeypatch) -> real.RealStudy:
    monkeypatch.setattr(real, "fit", lambda part, **options: fit(part, estimator="pca", **options))  # exact lines: nothing to be robust to
    monkeypatch.setattr(real, "video_anchors", lambda codes, **_: Anchors(codes, source="video"))
    generator = Toy()
    run, clips = torch.linspace(0, 1, 5)[:, None, None], {}
    for name, column in (("smile", SMILE), ("nod", QUANTITIES.index("pitch")), ("age", len(QUANTITIES))):
        clips[name] = [torch.randn(1, 1, generator.width) + run * axis(generator, column) for _ in range(2)]
    return real.RealStudy(generator, Geometry(), Cache(tmp_path, "real"), clips=clips, sizes=SIZES)


def value(section: dict, metric, group: str, motion: str = "smile") -> float:
    return next(r["value"] for r in section["rows"] if (r["metric"], r["group"], r["motion"]) == (metric.key, group, motion))


def test_what_is_there_is_found_and_nulls_stand_beside_it(study):
    sections = real.measure_all(study, None)
    assert value(sections["lowrank"], real.FIRST, real.CLIPS) > 0.99
    assert value(sections["alignment"], real.WITHIN, real.CLIPS) > 0.99
    assert value(sections["alignment"], real.WITHIN, f"{real.CLIPS}, {real.RANDOM}") < 0.8
    assert value(sections["response"], real.SHARE, f"{real.CLIPS}, pooled") == pytest.approx(1, abs=0.05)
    assert value(sections["response"], real.REACHED, f"{real.CLIPS}, pooled") == 1
    assert value(sections["response"], real.LEAKAGE, f"{real.CLIPS}, pooled") < 0.01
    assert value(sections["response"], real.LEAKAGE, f"{real.CLIPS}, {real.RANDOM}") > 0.3
    assert value(sections["time"], real.ZERO, f"{real.CLIPS}, pooled") == 1
    assert not any(r["motion"] == "age" for r in sections["response"]["rows"] if r["metric"] != real.DRIFT.key)
    assert not any(r["met"] is not None for s in sections.values() for r in s["rows"] if "null" in r["group"])


def test_the_page_says_what_was_found_and_of_how_many_faces(study):
    study.geometry.lost = (9,)  # whichever six are calibrated on come first, or none do
    made = json.loads(json.dumps(real.document(study, real.measure_all(study, None), {"generator": "g.pt"})))
    text = real_page.page(made)
    assert "12 drawn faces, in 11 of which a face was found" in text and "`g.pt`" in text
    assert "Above their own nulls: smile, nod" in text and f"{real.CLIPS}, {real.LOT}" in text
    assert "Targets met" in text


def test_a_recognizer_judges_by_what_strangers_pass(study):
    study.recognizer = lambda images, boxes: torch.nn.functional.normalize(images.flatten(1)[:, 10:20] + 1e-3, dim=1)
    section = real.identity(study)
    assert value(section, real.KEPT, f"{real.CLIPS}, pooled") == 1 and value(section, real.SAME, f"{real.CLIPS}, pooled") > 0.999
    study.recognizer = lambda images, boxes: torch.nn.functional.normalize(torch.randn(len(images), 40), dim=1)
    for name in ("people", "threshold"):
        vars(study).pop(name, None)
    assert value(real.identity(study), real.KEPT, f"{real.CLIPS}, pooled") < 0.5


def test_a_turn_is_measured_to_whichever_side_it_goes(study):
    yaw = axis(study.generator, QUANTITIES.index("yaw"))
    run = torch.linspace(0, 1, 5)[:, None, None]
    study.clips = {"turn": [torch.randn(1, 1, study.generator.width) - run * yaw for _ in range(2)]}
    assert value(real.responses(study), real.SHARE, f"{real.CLIPS}, pooled", "turn") == pytest.approx(1, abs=0.05)


def test_frames_are_written_for_a_tracker_and_its_blendshapes_are_read(study, tmp_path):
    del study.clips["nod"]
    study.sizes = replace(SIZES, seeds=3)
    per = study.sizes.seeds * len(real.COEFFICIENTS)
    assert real.write_frames(study, tmp_path / "frames") == 2 * per == len(list((tmp_path / "frames").glob("*.png")))
    order = [m for g, m, _ in study.groups() if "null" not in g]
    rise = [float(c) for c in real.COEFFICIENTS]
    faces = [[{"blendshapes": {"mouthSmileLeft": c, "mouthSmileRight": c}}] for _ in order for _ in range(3) for c in rise]
    faces[0] = []  # the tracker lost one face
    path = tmp_path / "faces.json"
    path.write_text(json.dumps({"frames": faces}))
    section = real.blendshapes(study, path)
    assert value(section, real.BLEND_ORDER, f"{real.CLIPS}, pooled") == pytest.approx(1)
    assert value(section, real.BLEND_CHANGE, f"{real.CLIPS}, pooled") == pytest.approx(1)
    assert {r["count"] for r in section["rows"]} == {2} and {r["motion"] for r in section["rows"]} == {"smile"}
    path.write_text(json.dumps({"frames": faces[1:]}))
    with pytest.raises(FaceError, match="were written"):
        real.blendshapes(study, path)
    path.write_text("{}")
    with pytest.raises(FaceError, match=r"faces\.json"):
        real.blendshapes(study, path)


def test_a_generator_without_faces_is_named(study):
    study.geometry.lost = range(100)
    with pytest.raises(MicromotionError, match="No face was found"):
        study.faces  # noqa: B018


def test_clips_are_named_by_their_motion(tmp_path):
    class Inverter:
        def invert(self, generator, images):
            return images.flatten(1)[:, None, : generator.width].repeat(1, generator.num_layers, 1)

    for k in (1, 2):
        (tmp_path / f"smile-{k}").mkdir()
        for i in range(4):
            Image.fromarray(np.full((16, 16, 3), 60 * i, np.uint8)).save(tmp_path / f"smile-{k}" / f"{i}.png")
    found = real.read_clips(tmp_path, Toy(), Inverter(), 3, Cache(tmp_path / "cache", ""))
    assert {name: [len(c) for c in codes] for name, codes in found.items()} == {"smile": [2, 2]}
    (tmp_path / "none").mkdir()
    with pytest.raises(MicromotionError, match="name them by their motion"):
        real.read_clips(tmp_path / "none", Toy(), Inverter(), 3, Cache(tmp_path / "cache", ""))


def test_the_renderer_draws_clips_that_move_one_thing(tmp_path):
    draw_pictures.write_clips(tmp_path, 16, faces=1, frames=2)
    names = {*draw_pictures.rendering.FACTORS, *draw_pictures.rendering.MOVES, "turn"} - {"yaw"}
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}-1" for name in names}
    for folder in tmp_path.iterdir():
        first, last = (np.asarray(Image.open(folder / f"00{i}.png")) for i in (0, 1))
        assert first.shape == (16, 16, 3) and (first != last).any()


def test_text_or_clips_are_needed(tmp_path):
    for extra in ([], ["--clips", str(tmp_path)], ["--inverter", "i.pt", "--scorer", "s"]):
        with pytest.raises(SystemExit, match="or --clips with --inverter"):
            evaluate.main(["--real", str(tmp_path / "g.pt"), *extra])


def test_small_pictures_are_enlarged_before_landmarks_are_read():
    assert open_instruments.pixels(torch.zeros(2, 3, 64, 64)).shape == (2, 256, 256, 3)
    assert open_instruments.pixels(torch.ones(1, 3, 300, 300)).max() == 255


def test_a_motion_without_blendshapes_has_none_and_a_lost_face_is_no_number():
    assert open_instruments.blendshape([{}], "age") is None
    read = open_instruments.blendshape([{"jawOpen": 0.5}, {}], "mouth_open")
    assert read is not None and read[0] == 0.5 and read[1].isnan()
