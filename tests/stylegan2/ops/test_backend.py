from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch
from micromotion.stylegan2 import MicromotionError
from micromotion.stylegan2.ops import backend, status, use_backend


def test_a_status_without_the_self_test_compiles_nothing(monkeypatch):
    monkeypatch.setattr(backend, "why_not_cuda", None)
    with use_backend("cuda"):
        said = status("cuda", test=False)
    if not torch.version.hip:
        assert said.backend == "cuda" and "at the first picture" in str(said)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", "mps"])
def test_every_device_runs_the_eager_form_unless_it_is_told_otherwise(device, monkeypatch):
    monkeypatch.setattr(backend, "why_not_cuda", None)  # the kernels are not so much as looked for
    s = status(device)
    assert (s.backend, s.requested, s.device) == ("eager", "auto", device)
    assert backend.select(SimpleNamespace(device=torch.device(device), dtype=torch.float32)) == "eager"
    assert str(s) == f"StyleGAN2 operations on {device}: eager (plain torch; the CUDA kernels run only where they are asked for)."


def test_a_gpu_runs_the_kernels_when_they_are_asked_for_and_pass_their_test(monkeypatch):
    monkeypatch.setattr(backend, "why_not_cuda", lambda device, dtype: "")
    with use_backend("cuda"):
        assert backend.select(torch.zeros(1)) == "cuda" and status("cuda").reason == "the kernels passed their self-test"


def test_use_backend_nests_and_stays_in_its_thread():
    seen = []
    with use_backend("reference"):
        with use_backend("eager"):
            assert backend.select(torch.zeros(1)) == "eager"
        worker = threading.Thread(target=lambda: seen.append(backend.requested()))
        worker.start()
        worker.join()
        assert backend.select(torch.zeros(1)) == "reference" and status("cpu").reason == "it was asked for"
    assert seen == ["auto"] and backend.requested() == "auto"


def test_environment_variable(monkeypatch):
    monkeypatch.setenv("MICROMOTION_OPS", "reference")
    assert backend.select(torch.zeros(1)) == "reference"
    with use_backend("auto"):
        assert backend.select(torch.zeros(1)) == "eager"
    monkeypatch.setenv("MICROMOTION_OPS", "fast")
    with pytest.raises(MicromotionError, match="MICROMOTION_OPS.*'fast'.*auto, reference, eager, cuda"):
        backend.select(torch.zeros(1))


def test_forced_cuda_on_a_cpu_is_one_sentence():
    with use_backend("cuda"), pytest.raises(MicromotionError, match="the device is cpu.*'eager'"):
        backend.select(torch.zeros(1))
    with use_backend("cuda"):
        assert status("cpu").backend == "none"


def test_unknown_name():
    with pytest.raises(MicromotionError, match="'tpu'"), use_backend("tpu"):
        pass


def test_rocm_says_so(monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert "ROCm" in backend.why_not_cuda(torch.device("cuda"), torch.float32)
