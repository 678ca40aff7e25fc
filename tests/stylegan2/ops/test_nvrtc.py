"""Every kernel compiles for every architecture; the cache keeps what it should and nothing else. No GPU is needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from micromotion.stylegan2.ops import cuda, nvrtc

SMALL = 'extern "C" __global__ void f(float* x) { x[threadIdx.x] += 1; }'


@pytest.fixture(scope="module")
def compiler():
    try:
        return nvrtc.compiler()
    except nvrtc.KernelError as error:
        pytest.skip(f"this torch came without NVRTC: {error}")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MICROMOTION_CACHE", str(tmp_path / "deep" / "cache"))
    return tmp_path / "deep" / "cache"


@pytest.mark.parametrize("capability", [75, 80, 86, 89, 90, 100, 120])
@pytest.mark.parametrize("storage", cuda.STORAGE.values())
def test_every_kernel_compiles(compiler, capability, storage):
    if capability not in compiler.architectures():
        pytest.skip(f"NVRTC {compiler.version} does not know sm_{capability}")
    code = compiler.compile(cuda.source(), capability, [f"STORAGE={storage}"])
    assert code[:4] == b"\x7fELF"
    for name in ("conv_act_one", "conv_act_wide", "filter_act_one", "filter_act_wide", "upsample_add"):
        assert name.encode() in code


def test_a_gpu_newer_than_the_compiler_gets_ptx(compiler):
    newest = compiler.architectures()[-1]
    code = compiler.compile(SMALL, newest + 7)
    assert f".target sm_{newest}".encode() in code and code.endswith(b"\0")


def test_a_gpu_older_than_the_compiler_is_refused(compiler):
    with pytest.raises(nvrtc.KernelError, match="compute capability 3.0"):
        compiler.compile(SMALL, 30)


def test_a_source_error_is_told_with_the_compilers_words(compiler):
    with pytest.raises(nvrtc.KernelError, match="rejected a kernel.*identifier"):
        compiler.compile(SMALL.replace("x[", "y["), 80)


def test_cache_compiles_once_and_repairs_itself(compiler, cache, monkeypatch):
    code = nvrtc.compiled(SMALL, 80)
    (entry,) = cache.iterdir()
    calls = []
    original = compiler.compile
    monkeypatch.setattr(compiler, "compile", lambda *a: calls.append(a) or original(*a))
    assert nvrtc.compiled(SMALL, 80) == code and not calls
    for damage in (lambda data: data[:-1], lambda data: b"\0" * len(data), lambda data: b"", lambda data: data[:40] + b"x" + data[41:]):
        entry.write_bytes(damage(entry.read_bytes()))
        assert nvrtc.compiled(SMALL, 80) == code
    assert len(calls) == 4 and nvrtc.compiled(SMALL, 80) == code
    nvrtc.compiled(SMALL, 86)
    nvrtc.compiled(SMALL, 80, ["A=1"])
    nvrtc.compiled(SMALL + " ", 80)
    monkeypatch.setattr(torch.version, "cuda", "99.9")
    nvrtc.compiled(SMALL, 80)
    assert len(calls) == 8 and len(list(cache.iterdir())) == 5


def test_a_filled_cache_needs_no_compiler(compiler, cache, monkeypatch):
    code = nvrtc.compiled(SMALL, 80)
    monkeypatch.setattr(nvrtc, "compiler", lambda: pytest.fail("the compiler was loaded"))
    assert nvrtc.compiled(SMALL, 80) == code


def test_a_cache_that_cannot_be_written_is_no_obstacle(compiler, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("MICROMOTION_CACHE", str(blocked))
    assert nvrtc.compiled(SMALL, 80)[:4] == b"\x7fELF"


def test_libraries_are_sought_by_this_systems_names(monkeypatch, tmp_path):
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    monkeypatch.setattr(torch, "__file__", str(tmp_path / "torch" / "__init__.py"))
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "toolkit"))
    for name in ("nvrtc64_120_0.dll", "nvrtc64_120_0.alt.dll", "nvrtc-builtins64_128.dll", "libnvrtc.so.12", "libnvrtc-builtins.so.12.8"):
        (tmp_path / "torch" / "lib" / name).write_text("")
    wheel = tmp_path / "nvidia" / "cuda_nvrtc" / "lib"
    wheel.mkdir(parents=True)
    (wheel / "libnvrtc.so.11.2").write_text("")
    monkeypatch.setattr(nvrtc, "WINDOWS", True)
    assert [os.path.basename(p) for p in nvrtc.library_candidates()] == ["nvrtc64_120_0.dll", "nvrtc64_120_0.dll"]
    monkeypatch.setattr(nvrtc, "WINDOWS", False)
    assert [os.path.basename(p) for p in nvrtc.library_candidates()] == [
        "libnvrtc.so.12",
        "libnvrtc.so.11.2",
        "libnvrtc.so.12",
        "libnvrtc.so",
    ]


def test_no_library_is_one_sentence():
    with pytest.raises(nvrtc.KernelError, match=r"^NVRTC was not found\.$"):
        nvrtc._load(["libmissing-for-this-test.so"], "NVRTC")


def test_import_neither_compiles_nor_loads_the_compiler():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    program = (
        "import importlib.util, sys\n"
        f"s = importlib.util.spec_from_file_location('micromotion', {root!r} + '/__init__.py', submodule_search_locations=[{root!r}])\n"
        "m = importlib.util.module_from_spec(s); sys.modules['micromotion'] = m; s.loader.exec_module(m)\n"
        "import micromotion.stylegan2\n"
        "print('micromotion.stylegan2.ops.cuda' in sys.modules, 'micromotion.stylegan2.ops.nvrtc' in sys.modules)\n"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
