"""Files of other tools through the nodes: codes, one of many directions, another pack's folder, seeds and classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors
import torch


@pytest.fixture
def put(pack):
    """Put a file into a models folder; returns the name that the combo lists for it."""

    def write(kind, name, value):
        folder = pack.base / "models" / pack.host.FOLDERS[kind].name
        folder.mkdir(parents=True, exist_ok=True)
        if name.endswith(".npz"):
            np.savez(folder / name, **value)
        elif name.endswith(".npy"):
            np.save(folder / name, value)
        else:
            torch.save(value, folder / name)
        assert name in pack.host.choices(kind)
        return name

    return write


def test_codes_of_other_tools(run, put, loaded):
    (codes,) = run("SampleFaces", generator=loaded.generator, count=2)
    assert torch.equal(run("LoadFace", generator=loaded.generator, file=put("codes", "projected_w.npz", {"w": codes.numpy()}))[0], codes)
    assert torch.equal(run("LoadFace", generator=loaded.generator, file=put("codes", "latents.pt", {"latents": codes}))[0], codes)
    row = put("codes", "w.npy", codes[:1, 0].numpy())
    assert torch.equal(run("LoadFace", generator=loaded.generator, file=row)[0], codes[:1])


def test_saved_codes_know_their_generator(run, pack, loaded):
    for codes in (run("SampleFaces", generator=loaded.generator)[0], run("SampleFaces", generator=loaded.generator)[0].clone()):
        run("SaveFace", codes=codes, name="known")
    first, second = sorted((pack.base / "models" / "stylegan2_codes").glob("known*"))[-2:]
    with safetensors.safe_open(first, "pt") as known, safetensors.safe_open(second, "pt") as unknown:
        assert json.loads(known.metadata()["micromotion"])["fingerprint"] == loaded.generator.value.fingerprint
        assert json.loads(unknown.metadata()["micromotion"])["fingerprint"] == ""


def test_one_of_many_directions(run, put, loaded):
    width, layers = loaded.generator.value.width, loaded.generator.value.num_layers
    rows = torch.randn(2, 1, width, generator=torch.Generator().manual_seed(0))  # some rows resemble codes
    name = put("motion", "boundaries.pth", {"smile": rows[0], "age": rows[1]})
    (motion,) = run("LoadSubspace", file=name, generator=loaded.generator, which="age", strength=0)
    assert torch.equal(motion.direction, rows[1].repeat(layers, 1)) and motion.name == "age"
    with pytest.raises(ValueError, match="smile, age. Choose one"):
        run("LoadSubspace", file=name, generator=loaded.generator)


def test_seeds_of_nvidia(run, loaded):
    net = loaded.generator.value
    codes = run("SampleFaces", generator=loaded.generator, seed=85, count=2, truncation=0.7, seed_source="nvidia")[0]
    z = np.concatenate([np.random.RandomState(seed).randn(1, net.architecture.z_dim) for seed in (85, 86)])
    assert torch.allclose(codes, net.map(torch.from_numpy(z).float(), 0.7))


def test_classes(run, pack, put, loaded, make):
    name = put("generator", "classes.pt", make(c_dim=3).state_dict())
    (generator,) = run("LoadGenerator", file=name)
    one, other = (run("SampleFaces", generator=generator, class_of=c)[0] for c in ("0", "2"))
    assert not torch.equal(one, other)
    with pytest.raises(ValueError, match="no class '3'"):
        run("SampleFaces", generator=generator, class_of="3")
    with pytest.raises(ValueError, match="has no classes"):
        run("SampleFaces", generator=loaded.generator, class_of="1")


def test_another_packs_models_are_offered(pack):
    folder = pack.base / "models" / "stylegan"
    folder.mkdir(exist_ok=True)
    (folder / "ffhq.pkl").write_bytes(b"x")
    assert "ffhq.pkl" in pack.host.choices("generator")
    (folder / "ffhq.pkl").unlink()


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_pictures_and_alpha(run, put, make, channels, loaded):
    (generator,) = run("LoadGenerator", file=put("generator", f"channels{channels}.pt", make(img_channels=channels).state_dict()))
    (codes,) = run("SampleFaces", generator=generator)
    images, mask = run("Synthesize", generator=generator, codes=codes)
    assert images.shape == (1, 16, 16, 3) and mask.shape == (1, 16, 16)
    own = (generator.value.synthesize(codes) * 0.5 + 0.5).clamp(0, 1)
    if channels == 1:
        assert torch.allclose(images, own.movedim(1, -1).expand(-1, -1, -1, 3), atol=1e-6) and not mask.any()
    else:
        assert torch.allclose(mask, 1 - own[:, 3], atol=1e-6)
    refined = run("RefineFace", generator=generator, image=images, codes=codes, steps=2)[0]
    assert refined.shape == codes.shape
    first = run("SampleFaces", generator=loaded.generator)[0]
    assert not run("Synthesize", generator=loaded.generator, codes=first)[1].any()


def test_oblong_pictures(run, put, make, loaded):
    """A picture of other proportions is refined from the mean without an inverter; Invert Face says why it cannot."""
    (generator,) = run("LoadGenerator", file=put("generator", "oblong.pt", make(base=(4, 2)).state_dict()))
    photo = torch.rand(1, 30, 40, 3)
    (codes, tuned) = run("RefineFace", generator=generator, image=photo, steps=2, tuning_steps=1)
    images = run("Synthesize", generator=tuned, codes=codes)[0]
    assert images.shape == (1, 16, 8, 3)
    with pytest.raises(ValueError, match="Refine Face without codes"):
        run("InvertFace", generator=generator, inverter=loaded.inverter, image=photo)


def test_refine_begins_at_the_mean_without_codes(run, loaded, face):
    mean = loaded.generator.value.w_avg.expand(1, loaded.generator.value.num_layers, -1)
    assert torch.equal(run("RefineFace", generator=loaded.generator, image=face, steps=0)[0], mean)
    with_codes = run("RefineFace", generator=loaded.generator, image=face, codes=mean, steps=3)[0]
    assert torch.equal(run("RefineFace", generator=loaded.generator, image=face, steps=3)[0], with_codes)


def test_moved_codes_still_know_their_generator(run, pack, loaded):
    (codes,) = run("SampleFaces", generator=loaded.generator, count=2)
    (motion,) = run("LoadSubspace")
    (moved,) = run("ApplySubspace", codes=codes, motion=motion, coefficient=0.5)
    (both,) = run("FaceSliders", codes=moved, motions=[motion], coefficient_1=0.25)
    run("SaveFace", codes=both, name="moved")
    (path,) = (pack.base / "models" / "stylegan2_codes").glob("moved*")
    with safetensors.safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["micromotion"])["fingerprint"] == loaded.generator.value.fingerprint
    again = run("LoadFace", generator=loaded.generator, file=path.name)[0]
    run("SaveFace", codes=again, name="twice")
    assert next((pack.base / "models" / "stylegan2_codes").glob("twice*")).read_bytes() == path.read_bytes()
