from __future__ import annotations

import threading

import pytest
import torch
from micromotion.stylegan2 import MicromotionError
from micromotion.stylegan2.ops import backend, status, use_backend


def test_a_status_without_the_self_test_compiles_nothing(monkeypatch):
    monkeypatch.setattr(backend, "why_not_cuda", None)
    said = status("cuda", test=False)
    if not torch.version.hip:
        assert said.backend == "cuda" and "at the first picture" in str(said)


def test_a_cpu_runs_the_eager_form_and_says_why():
    s = status("cpu")
    assert (s.backend, s.requested, s.device) == ("eager", "auto", "cpu")
    assert str(s) == "StyleGAN2 operations on cpu: eager (the CUDA kernels cannot run here: the device is cpu)."


@pytest.mark.parametrize("requested", ["auto", "cuda"])
def test_a_gpu_runs_the_kernels_when_they_pass_their_test(requested, monkeypatch):
    monkeypatch.setattr(backend, "why_not_cuda", lambda device, dtype: "")
    with use_backend(requested):
        assert backend.select(torch.zeros(1)) == "cuda" and status("cuda").reason == "the kernels passed their self-test"


def test_a_gpu_on_which_the_kernels_fail_runs_the_eager_form(monkeypatch):
    monkeypatch.setattr(backend, "why_not_cuda", lambda device, dtype: "NVRTC was not found")
    assert backend.select(torch.zeros(1)) == "eager" and status("cuda").backend == "eager" and "NVRTC" in str(status("cuda"))
    with use_backend("cuda"), pytest.raises(MicromotionError, match="NVRTC was not found"):
        backend.select(torch.zeros(1))


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
