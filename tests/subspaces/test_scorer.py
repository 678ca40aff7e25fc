"""Text scorers: the native file, the cut vocabulary, the area resampling."""

from __future__ import annotations

import json

import pytest
import torch
from micromotion.files.errors import MicromotionError
from micromotion.stylegan2.resample import area_matrix, resized
from micromotion.subspaces.anchors import Settings, load_scorer
from micromotion.subspaces.anchors import scorer_files as room
from micromotion.subspaces.anchors.scorer import CLIP_MEAN, CLIP_STD
from micromotion.subspaces.errors import SubspaceError
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 16, "width": 32, "heads": 2, "layers": 1},
    "merges": 300,
    "normalize": False,
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("scorer") / "tiny.safetensors"
    room.save_scorer(room.build_model(TINY), TINY, path)
    return path


def test_the_whole_vocabulary_is_open_clips_own():
    import open_clip

    texts = ["a person with 40% smile", "gray hair & <i>glasses</i>", "Ünïcode ☃"]
    assert torch.equal(room.tokenizer(48894, 77)(texts), open_clip.get_tokenizer("ViT-B-32")(texts))


def test_a_cut_vocabulary_keeps_start_and_end_last_and_encodes_anything():
    tokenize = room.tokenizer(300, 16)
    ids = tokenize(["a person ☃", "a person with a really very extraordinarily large smile indeed"])
    assert ids.shape == (2, 16)
    assert tokenize.vocab_size == 814
    assert ids[:, 0].tolist() == [812, 812]
    assert ids.max(1).values.tolist() == [813, 813]
    assert tokenize.decode(tokenize.encode("a person ☃")).strip() == "a person ☃"


def test_a_saved_scorer_scores_as_the_model_does(file):
    torch.manual_seed(0)
    model, images = room.build_model(TINY).eval(), torch.randn(2, 3, 16, 16)
    expected = (
        F.normalize(model.encode_image(images), dim=-1) @ F.normalize(model.encode_text(room.tokenizer(300, 16)(["a", "b"])), dim=-1).T
    )
    assert torch.allclose(load_scorer(file).score(images, ["a", "b"]), expected, atol=5e-3)


def test_scores_have_gradients_in_the_pictures_and_none_in_the_weights(file):
    scorer, images = load_scorer(file), torch.randn(1, 3, 24, 24, requires_grad=True)
    scorer.score(images, ["a smile"]).sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in scorer.parameters())


def test_a_scorer_loaded_in_inference_mode_still_has_gradients(file):
    with torch.inference_mode():
        scorer = load_scorer(file)
        with torch.inference_mode(False), torch.enable_grad():
            images = torch.randn(1, 3, 24, 24, requires_grad=True)
            scorer.score(images, ["a smile"]).sum().backward()
    assert images.grad.abs().sum() > 0


def test_normalize_shifts_pictures_by_clips_mean_and_deviation(file):
    scorer = load_scorer(file)
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    expected = scorer.encode_images((images / 2 + 0.5 - torch.tensor(CLIP_MEAN)[:, None, None]) / torch.tensor(CLIP_STD)[:, None, None])
    scorer.normalize = True
    assert torch.allclose(scorer.encode_images(images), expected, atol=1e-5)


@pytest.mark.parametrize("size", [32, 256, 1024])
def test_area_resampling_equals_the_published_upsampling_and_pooling(size):
    images = torch.randn(1, 3, size, size) if size <= 256 else torch.randn(1, 1, size, size)
    up = images.repeat_interleave(7, 2).repeat_interleave(7, 3)
    assert torch.allclose(resized(images, 224), F.avg_pool2d(up, size // 32), atol=2e-5)


@pytest.mark.parametrize(("n_in", "n_out"), [(128, 64), (100, 64), (24, 64), (7, 3)])
def test_area_rows_are_averages_that_keep_the_mean(n_in, n_out):
    matrix = area_matrix(n_in, n_out)
    assert torch.allclose(matrix.sum(1), torch.ones(n_out), atol=1e-6)
    assert torch.allclose(matrix.sum(0), torch.full((n_in,), n_out / n_in), atol=1e-6)


def rewritten(file, tmp_path, **changes):
    header = {"kind": "scorer", "version": 1, "config": TINY, **changes}
    path = tmp_path / "changed.safetensors"
    save_file(load_file(file), str(path), metadata={"micromotion": json.dumps(header)})
    return path


def test_bad_files_get_one_sentence(file, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:1000])
    cases = {
        rewritten(file, tmp_path, version=9): "Update micromotion",
        cut: "damaged",
        tmp_path / "absent.safetensors": "absent",
    }
    for path, words in cases.items():
        with pytest.raises(MicromotionError, match=words):
            load_scorer(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "generator"}, "a generator"),
        ({"config": {**TINY, "merges": 10}}, "do not fit"),
        ({"config": {"merges": 10}}, "not that of a scorer"),
        ({"config": {**TINY, "text_cfg": {**TINY["text_cfg"], "hf_model_name": "somebody/model"}}}, "not that of a scorer"),
        ({"config": {**TINY, "vision_cfg": {**TINY["vision_cfg"], "timm_model_name": "resnet50"}}}, "not that of a scorer"),
        ({"config": {**TINY, "text_cfg": {**TINY["text_cfg"], "layers": 10**9}}}, "not that of a scorer"),
        ({"config": {**TINY, "vision_cfg": {**TINY["vision_cfg"], "width": 40_000}}}, "do not fit"),
    ],
)
def test_another_kind_of_file_or_a_wrong_configuration_gets_one_sentence(file, tmp_path, changes, words):
    with pytest.raises(MicromotionError, match=words):
        load_scorer(rewritten(file, tmp_path, **changes))


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A tiny model under a name of its own in open_clip's list, with a quick-gelu twin, and its weights in a file."""
    import open_clip

    folder = tmp_path_factory.mktemp("open_clip")
    config = {k: v for k, v in TINY.items() if k not in ("merges", "normalize")}
    config["text_cfg"] = {**config["text_cfg"], "vocab_size": 49408, "context_length": 77}
    for name, quick in {"tiny-test": False, "tiny-test-quickgelu": True}.items():
        (folder / f"{name}.json").write_text(json.dumps({**config, "quick_gelu": quick}))
        open_clip.add_model_config(folder / f"{name}.json")
    torch.manual_seed(0)
    model = open_clip.CLIP(**config).eval()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, str(folder / "weights.safetensors"))
    return folder, model


@pytest.mark.parametrize("name", ["tiny-test.safetensors", "somebody-laion.safetensors", "tiny-test.pt"])
def test_an_open_clip_model_is_recognized_by_its_tensors(registered, tmp_path, name):
    folder, model = registered
    path = tmp_path / name
    if name.endswith(".pt"):
        torch.save({"state_dict": model.state_dict()}, path)
    else:
        path.write_bytes((folder / "weights.safetensors").read_bytes())
    scorer, images = load_scorer(path), torch.rand(2, 3, 16, 16) * 2 - 1
    assert scorer.name == "tiny-test"
    assert torch.allclose(scorer.encode_images(images), model.encode_image(images, normalize=True), atol=1e-6)
    assert scorer.encode_texts(["a smile"]).shape == (1, 16)


def test_the_activation_follows_the_name_or_the_argument(registered, tmp_path):
    folder, model = registered
    (tmp_path / "openai.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
    assert load_scorer(tmp_path / "openai.safetensors").name == "tiny-test-quickgelu"
    assert load_scorer(folder / "weights.safetensors", "tiny-test-quickgelu").name == "tiny-test-quickgelu"
    with pytest.raises(SubspaceError, match="tiny-test or tiny-test-quickgelu"):
        load_scorer(folder / "weights.safetensors")


def test_a_name_finds_what_is_downloaded_and_nothing_else(registered, monkeypatch, tmp_path):
    import open_clip

    folder, _ = registered
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda model: ["openai", "other"])
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda m, t: {"url": f"https://nowhere/{'0' * 64}/weights.safetensors"})
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SubspaceError, match="nothing is downloaded without being asked for"):
        load_scorer("tiny-test/openai")
    cache = tmp_path / ".cache" / "clip"
    cache.mkdir(parents=True)
    (cache / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
    assert load_scorer("tiny-test").name == "tiny-test"
    address = f"https://nowhere/{'0' * 64}/weights.safetensors"
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda m, t: {"url": address, "quick_gelu": t == "openai"})
    assert load_scorer("tiny-test/openai").name == "tiny-test-quickgelu", "the activation that the weights were trained with"
    assert load_scorer("tiny-test/other").name == "tiny-test"
    with pytest.raises(SubspaceError, match="choose one of openai, other"):
        load_scorer("tiny-test/mine")


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_a_script_is_read_and_not_run(registered, monkeypatch, tmp_path):
    """OpenAI's form of CLIP: half precision, its sizes among the weights, and a program that nobody needs."""
    import hashlib

    import open_clip

    class Holder(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.visual = torch.nn.Module()
            for name, value in model.state_dict().items():
                *folders, last = name.split(".")
                place = self
                for folder in folders:
                    if not hasattr(place, folder):
                        place.add_module(folder, torch.nn.Module())
                    place = getattr(place, folder)
                place.register_buffer(last, value.half())
            self.register_buffer("input_resolution", torch.tensor(16))

    path = tmp_path / "ViT-tiny.pt"
    torch.jit.save(torch.jit.script(Holder(registered[1])), str(path))
    monkeypatch.setattr(torch.jit, "load", lambda *args, **kwargs: pytest.fail("the program was loaded"))
    scorer, images = load_scorer(path), torch.rand(2, 3, 16, 16) * 2 - 1
    assert scorer.name == "tiny-test-quickgelu"
    exact = load_scorer(registered[0] / "weights.safetensors", "tiny-test-quickgelu")
    torch.testing.assert_close(scorer.encode_images(images), exact.encode_images(images), atol=1e-2, rtol=1e-2)
    with pytest.raises(SubspaceError, match="does not hold the weights of ViT-B-32"):
        load_scorer(path, "ViT-B-32")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(open_clip, "list_pretrained_models_by_tag", lambda tag: ["tiny-test-quickgelu", "tiny-test"])
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda m, t: {"url": f"https://nowhere/{digest}/ViT-tiny.pt"})
    assert load_scorer(path).name == "tiny-test-quickgelu"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-such-model", "no file and no open_clip model"),
        ("ViT-B-16-SigLIP/webli", "not on this machine"),
    ],
)
def test_unknown_names_get_one_sentence(name, words):
    with pytest.raises(MicromotionError, match=words):
        load_scorer(name)


def test_foreign_weights_get_one_sentence(tmp_path, registered):
    strange = tmp_path / "strange.safetensors"
    save_file({"a": torch.zeros(3)}, str(strange))
    with pytest.raises(SubspaceError, match="fit no open_clip model"):
        load_scorer(strange)
    with pytest.raises(SubspaceError, match="does not hold the weights of tiny-test"):
        load_scorer(strange, "tiny-test")
    with pytest.raises(SubspaceError, match="no model 'mystery'"):
        load_scorer(strange, "mystery")
    with pytest.raises(SubspaceError, match="HF_HUB_OFFLINE"):
        load_scorer(strange, "ViT-B-16-SigLIP")
    import pickle

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(print))
    with pytest.raises(SubspaceError, match="without executing"):
        load_scorer(tmp_path / "evil.pt")


def test_a_scorer_file_says_what_suits_it(file, tmp_path):
    told = Settings(l2=0.5, prior=0.25, space="w", views=3, degrees=("no", "full"))
    room.save_scorer(room.build_model(TINY), TINY, tmp_path / "told.safetensors", settings=told)
    assert load_scorer(tmp_path / "told.safetensors").settings == told
    assert load_scorer(file).settings == Settings() == Settings(0.008, 0.0, "w+", 0, None), "else the published values"


@pytest.mark.parametrize(
    "settings", [[], {"l2": "much"}, {"l2": -1}, {"prior": 1e9}, {"space": "z"}, {"views": 17}, {"views": 1.5}, {"degrees": "no"}]
)
def test_settings_that_are_not_what_they_should_be_are_damage(file, tmp_path, settings):
    header = {"kind": "scorer", "version": 1, "config": TINY, "settings": settings}
    save_file(load_file(file), tmp_path / "odd.safetensors", {"micromotion": json.dumps(header)})
    with pytest.raises(MicromotionError, match="odd.safetensors is damaged: its"):
        load_scorer(tmp_path / "odd.safetensors")


def test_the_embedded_scorer_says_what_its_training_writes():
    from micromotion.files.embedded import PACK
    from micromotion.lab.train_scorer import SETTINGS

    assert load_scorer(PACK / "avatars" / "weights" / "scorer.safetensors").settings == SETTINGS
