"""The kernels' own source, run on the CPU behind a shim, against plain torch; the same questions to a real GPU where there is one."""

from __future__ import annotations

import itertools
import logging
import threading

import pytest
import torch
from micromotion.stylegan2 import Architecture, Generator
from micromotion.stylegan2.ops import backend, cuda, fir_kernel, nvrtc, status, upsample_add, use_backend
from micromotion.stylegan2.ops.activation import conv_act

from .test_activation import plain

DTYPES = list(cuda.STORAGE)


def operands(n, channels, size, noise, dtype=torch.float32, grad=False):
    g = torch.Generator().manual_seed(3)
    shapes = (n, channels, *size), (n, channels), (channels,), (noise or 1, 1, size[0] // 2 * 2, size[1] // 2 * 2)
    x, scale, bias, noise_ = (torch.randn(s, generator=g) for s in shapes)
    x, scale = x.to(dtype).contiguous(memory_format=torch.channels_last), scale.abs() + 0.5
    return [t.requires_grad_(grad) for t in (x, scale, bias, noise_)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n,noise", [(1, 1), (3, 1), (3, 3)])
@pytest.mark.parametrize("channels,clamp,up", list(itertools.product((1, 8, 12), (None, 0.8), (False, True))))
def test_conv_act(shim, dtype, channels, n, noise, clamp, up):
    size = (19, 7) if up else (10, 6)
    x, scale, bias, noise = operands(n, channels, size, noise, dtype)
    kernel = fir_kernel() if up else None
    actual = conv_act(x, scale, bias, noise, kernel=kernel, gain=0.7, clamp=clamp)
    expected = plain(x.float(), scale, bias, noise, kernel, clamp)
    assert actual.dtype == dtype and actual.is_contiguous(memory_format=torch.channels_last)
    assert (actual.float() - expected).abs().max() <= cuda.TOLERANCE[dtype] * expected.abs().max()
    wide = channels * x.element_size() % 16 == 0
    assert shim[dtype].launched == [("filter_act" if up else "conv_act") + ("_wide" if wide else "_one")]


@pytest.mark.parametrize("up", [False, True])
def test_a_filter_that_is_not_symmetric(shim, up):
    x, scale, bias, noise = operands(2, 4, (9, 11), 1)
    kernel = fir_kernel((1, 2, 5, 3))
    if up:
        actual, expected = conv_act(x, scale, bias, noise, kernel=kernel, gain=0.7), plain(x, scale, bias, noise, kernel, None)
    else:
        image, rgb = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 8, 10)
        actual = upsample_add(image, rgb, kernel)
        with use_backend("reference"):
            expected = upsample_add(image, rgb, kernel)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("picture", [False, True])
def test_upsample_add(shim, dtype, images, picture):
    image, rgb = torch.randn(images, 3, 4, 5), torch.randn(2, 3, 8, 10).to(dtype)
    actual = upsample_add(image, rgb, fir_kernel(), picture=picture)
    with use_backend("reference"):
        expected = upsample_add(image, rgb, fir_kernel(), picture=picture)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    assert shim[dtype].launched == ["upsample_add"] and actual.dtype == torch.float32
    assert not picture or (0 <= actual.min() and actual.max() <= 1)


@pytest.mark.parametrize("up,clamp,noise", list(itertools.product((False, True), (None, 0.8), (1, 2))))
def test_gradients(shim, up, clamp, noise):
    inputs = operands(2, 5, (9, 7) if up else (8, 6), noise, grad=True)
    kernel = fir_kernel() if up else None
    expected, actual = plain(*inputs, kernel, clamp), conv_act(*inputs, kernel=kernel, gain=0.7, clamp=clamp)
    g = torch.randn(expected.shape)
    for a, b in zip(torch.autograd.grad(actual, inputs, g), torch.autograd.grad(expected, inputs, g)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("images", [1, 2])
def test_upsample_add_gradients(shim, images):
    inputs = torch.randn(images, 3, 4, 5).requires_grad_(), torch.randn(2, 3, 8, 10).requires_grad_()
    actual = upsample_add(*inputs, fir_kernel((1, 2, 5, 3)))
    with use_backend("reference"):
        expected = upsample_add(*inputs, fir_kernel((1, 2, 5, 3)))
    g = torch.randn(expected.shape)
    for a, b in zip(torch.autograd.grad(actual, inputs, g), torch.autograd.grad(expected, inputs, g)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_torch_accepts_the_operations(shim):
    taps = cuda.taps_of(fir_kernel())
    for grad in (False, True):
        x, scale, bias, noise = operands(2, 4, (8, 6), 1, grad=grad)
        torch.library.opcheck(cuda._conv_act, (x, scale, bias, noise, None, 0.7, 0.8))
        torch.library.opcheck(cuda._conv_act, (x, None, bias, None, taps, 1.0, 1e9))
        torch.library.opcheck(cuda._upsample_add, (torch.randn(1, 3, 4, 3), x[:, :3], taps, False))
    torch.library.opcheck(cuda._filter_transposed, (x.detach(), taps))


def small_generator(resolution=16):
    torch.manual_seed(0)
    channels = {2**k: 8 for k in range(2, resolution.bit_length())}
    generator = Generator(Architecture(resolution, channels, w_dim=8, z_dim=8, mapping_layers=2)).eval()
    with torch.no_grad():
        for name, parameter in generator.synthesis.named_parameters():
            if parameter.ndim < 2:
                parameter.copy_(torch.randn(parameter.shape) * 0.3 + ("affine" in name))
    return generator


def test_a_generator_on_the_kernels_equals_the_reference_with_gradients(shim):
    generator = small_generator()
    codes = torch.randn(2, generator.num_layers, 8).requires_grad_()
    inputs = [codes, *(p for n, p in generator.synthesis.named_parameters())]
    actual = generator.synthesize(codes)
    names = {name: shim[torch.float32].launched.count(name) for name in shim[torch.float32].launched}
    assert names == {"conv_act_wide": 3, "filter_act_wide": 2, "upsample_add": 2}
    with use_backend("reference"):
        expected = generator.synthesize(codes)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    g = torch.randn(expected.shape)
    for a, b in zip(torch.autograd.grad(actual, inputs, g), torch.autograd.grad(expected, inputs, g)):
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()


@pytest.mark.parametrize("grad", [False, True])
def test_torch_compile_takes_a_whole_generator(shim, grad):
    generator = small_generator(8).requires_grad_(False)
    codes = torch.randn(2, generator.num_layers, 8).requires_grad_(grad)
    compiled = torch.compile(generator.synthesize, fullgraph=True, backend="aot_eager")
    actual, expected = compiled(codes), generator.synthesize(codes)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    if grad:
        actual, expected = (torch.autograd.grad(i.square().sum(), codes)[0] for i in (actual, expected))
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_torch_compile_traces_the_question_whether_the_kernels_run(shim, monkeypatch):
    monkeypatch.setattr(backend, "why_not_cuda", cuda.why_not)
    monkeypatch.setattr(cuda, "_reasons", {(torch.device("cpu"), torch.float32): ""})
    generator = small_generator(8).requires_grad_(False)
    codes = torch.randn(2, generator.num_layers, 8)
    compiled = torch.compile(generator.synthesize, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(codes), generator.synthesize(codes), rtol=1e-5, atol=1e-5)
    assert "upsample_add" in shim[torch.float32].launched


def test_gradients_of_half_precision_stay_with_its_kernels(shim, monkeypatch):
    monkeypatch.setattr(cuda, "_kernels", {k: v for k, v in cuda._kernels.items() if k[1] == torch.float16})
    x, scale, bias, noise = operands(2, 8, (9, 7), 1, torch.float16, grad=True)
    conv_act(x, scale, bias, noise, kernel=fir_kernel(), gain=0.7).float().sum().backward()
    assert x.grad.dtype == torch.float16 and shim[torch.float16].launched == ["filter_act_wide"] * 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_self_test_passes(shim, dtype):
    cuda.self_test(torch.device("cpu"), dtype)
    assert {"conv_act_one", "conv_act_wide", "filter_act_one", "filter_act_wide", "upsample_add"} == set(shim[dtype].launched)


@pytest.mark.parametrize(
    "good,bad", [("x * a.slope", "x * 0.3f"), ("taps[j] * widen", "taps[3 - j] * 0.9f * widen"), ("Y % 2 + 2 * j", "1 + 2 * j")]
)
def test_self_test_catches_a_wrong_kernel(shim, monkeypatch, tmp_path, good, bad, caplog):
    from .conftest import ShimKernels

    source = cuda.source()
    assert good in source
    wrong = ShimKernels(tmp_path, source.replace(good, bad), 32)
    monkeypatch.setattr(cuda, "Kernels", lambda *_: wrong)
    monkeypatch.setattr(cuda, "_reasons", {})
    device = torch.device("cpu")
    with caplog.at_level(logging.WARNING):
        assert "differs from plain torch" in cuda.why_not(device, torch.float32)
        assert "differs from plain torch" in cuda.why_not(device, torch.float32)
    assert len(caplog.records) == 1 and "plain torch runs instead" in caplog.text


def test_a_missing_library_is_a_reason_said_once(monkeypatch, caplog):
    monkeypatch.setattr(cuda, "_reasons", {})
    calls = []

    def missing(*_):
        calls.append(1)
        raise nvrtc.KernelError("NVRTC, the CUDA run-time compiler that torch ships, was not found.")

    monkeypatch.setattr(cuda, "Kernels", missing)
    monkeypatch.setattr(torch.version, "hip", None)
    device = torch.device("cuda", 0)
    with caplog.at_level(logging.WARNING):
        reasons = {backend.why_not_cuda(device, torch.float32) for _ in range(3)}
    assert reasons == {"NVRTC, the CUDA run-time compiler that torch ships, was not found."}
    assert len(calls) == len(caplog.records) == 1
    s = status(device)
    assert s.backend == "eager" and "was not found" in s.reason and len(calls) == 1


def test_float64_has_no_kernels():
    assert "float64" in cuda.why_not(torch.device("cuda", 0), torch.float64)


gpu = pytest.mark.gpu


@pytest.fixture
def device():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device("cuda", 0)


@gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_gpu_runs_the_kernels(device, dtype):
    assert backend.why_not_cuda(device, dtype) == ""
    assert status(device).backend == "cuda"


@gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels,up,clamp", list(itertools.product((3, 64), (False, True), (None, 0.8))))
def test_gpu_conv_act(device, dtype, channels, up, clamp):
    x, scale, bias, noise = (t.to(device) for t in operands(3, channels, (65, 33) if up else (64, 32), 1, dtype))
    kernel = fir_kernel().to(device) if up else None
    expected = plain(x.double(), scale, bias, noise, kernel if kernel is None else kernel.double(), clamp)
    with use_backend("cuda"):
        actual = conv_act(x, scale, bias, noise, kernel=kernel, gain=0.7, clamp=clamp)
    assert (actual.double() - expected).abs().max() <= cuda.TOLERANCE[dtype] * expected.abs().max()


@gpu
def test_gpu_generator_equals_the_reference_with_gradients(device, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    generator = small_generator(64).to(device)
    codes = torch.randn(2, generator.num_layers, 8, device=device).requires_grad_()
    with use_backend("cuda"):
        actual = generator.synthesize(codes)
        (gradient,) = torch.autograd.grad(actual.square().sum(), codes)
    generator, codes = generator.double(), codes.detach().double().requires_grad_()
    with use_backend("reference"):
        expected = generator.synthesize(codes)
    assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()
    (exact,) = torch.autograd.grad(expected.square().sum(), codes)
    assert (gradient - exact).norm() <= 1e-3 * exact.norm()


@gpu
def test_gpu_other_streams_and_devices(device):
    last = torch.device("cuda", torch.cuda.device_count() - 1)
    x, scale, bias, noise = (t.to(last) for t in operands(2, 16, (64, 64), 1))
    expected = plain(x, scale, bias, noise, None, None)
    stream = torch.cuda.Stream(last)
    stream.wait_stream(torch.cuda.current_stream(last))
    with torch.cuda.stream(stream):
        for _ in range(20):
            actual = conv_act(x, scale, bias, noise, gain=0.7)
    torch.cuda.current_stream(last).wait_stream(stream)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@gpu
def test_gpu_fresh_thread(device):
    x, scale, bias, noise = (t.to(device) for t in operands(2, 16, (64, 64), 1))
    expected, results = plain(x, scale, bias, noise, None, None), []
    assert backend.why_not_cuda(device, torch.float32) == ""
    worker = threading.Thread(target=lambda: results.append(conv_act(x, scale, bias, noise, gain=0.7)))
    worker.start()
    worker.join()
    torch.testing.assert_close(results[0], expected, rtol=1e-5, atol=1e-5)


@gpu
def test_gpu_compiled_code_equals_eager(device):
    generator = small_generator(32).to(device).requires_grad_(False)
    codes = torch.randn(2, generator.num_layers, 8, device=device)
    compiled = torch.compile(generator.synthesize, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(codes), generator.synthesize(codes), rtol=1e-3, atol=1e-3)


@gpu
@pytest.mark.parametrize("name", ["eager", "cuda"])
@pytest.mark.parametrize("half", [0, 3])
def test_gpu_a_captured_graph_draws_what_is_drawn_without(device, name, half):
    generator = small_generator(32).to(device).requires_grad_(False)
    codes, others = torch.randn(2, 1, generator.num_layers, 8, device=device)
    with use_backend(name), torch.no_grad():
        expected = generator.synthesize(others, half=half)
        held, stream, graph = codes.clone(), torch.cuda.Stream(device), torch.cuda.CUDAGraph()
        with torch.cuda.stream(stream):
            generator.synthesize(held, half=half)
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=stream):
            image = generator.synthesize(held, half=half)
    held.copy_(others)
    graph.replay()
    assert torch.equal(image, expected)
