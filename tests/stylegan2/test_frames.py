"""Many frames: chunks equal one batch, nothing is computed twice, memory is asked for before it is taken."""

from __future__ import annotations

import contextlib

import pytest
import torch
from micromotion.stylegan2 import Architecture, Generator, MicromotionError, frames
from micromotion.stylegan2.frames import check_memory, render, synthesize_frames


@pytest.fixture
def generator():
    torch.manual_seed(0)
    generator = Generator(Architecture(16, {4: 8, 8: 8, 16: 8}, w_dim=8, z_dim=8, mapping_layers=2)).eval()
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if "noise_strength" in name:
                parameter.fill_(0.3)
    return generator


@pytest.fixture
def codes(generator):
    return generator.map(torch.randn(7, 8, generator=torch.Generator().manual_seed(1))).detach()


@pytest.fixture
def asked(generator, monkeypatch):
    """How many codes each call synthesized."""
    sizes, synthesize = [], generator.synthesize
    monkeypatch.setattr(generator, "synthesize", lambda c, *a, **k: sizes.append(len(c)) or synthesize(c, *a, **k))
    return sizes


def exact(generator, codes, noise="const"):
    with torch.no_grad():
        return generator.synthesize(codes, noise)


def test_chunks_equal_one_batch(generator, codes):
    chunks = list(synthesize_frames(generator, codes, batch=3))
    assert [len(c) for c in chunks] == [3, 3, 1]
    assert not chunks[0].requires_grad
    torch.testing.assert_close(torch.cat(chunks), exact(generator, codes), rtol=1e-5, atol=1e-5)


def test_batch_is_halved_when_memory_runs_out(generator, codes, monkeypatch):
    synthesize, sizes = generator.synthesize, []

    def small(chunk, *args, **options):
        sizes.append(len(chunk))
        if len(chunk) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return synthesize(chunk, *args, **options)

    monkeypatch.setattr(generator, "synthesize", small)
    images = torch.cat(list(synthesize_frames(generator, codes, batch=7)))
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1] and len(images) == 7


def test_render_goes_on_with_smaller_chunks_when_memory_runs_out(generator, codes, monkeypatch):
    synthesize, sizes = generator.synthesize, []

    def sometimes(chunk, *args, **options):
        sizes.append(len(chunk))
        if len(sizes) in (2, 3):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return synthesize(chunk, *args, **options)

    expected = render(generator, codes)
    monkeypatch.setattr(generator, "synthesize", sometimes)
    torch.testing.assert_close(render(generator, codes, batch=4), expected, rtol=1e-5, atol=1e-5)
    assert sizes == [4, 3, 2, 1, 1, 1]


def test_out_of_memory_at_one_frame_is_raised(generator, codes, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(generator, "synthesize", fail)
    with pytest.raises(RuntimeError, match="allocate"):
        list(synthesize_frames(generator, codes, batch=4))


def test_other_errors_are_not_retried(generator, codes, asked):
    with pytest.raises(ValueError, match="noise mode"):
        list(synthesize_frames(generator, codes, batch=4, noise="loud"))
    assert asked == [4]


def test_no_codes_give_no_frames(generator, codes):
    assert list(synthesize_frames(generator, codes[:0])) == []
    assert render(generator, codes[:0]).shape == (0, 16, 16, 3)


@pytest.mark.parametrize("run", [synthesize_frames, lambda *a, **k: [render(*a, **k)]], ids=["synthesize_frames", "render"])
def test_progress_counts_and_cancels(run, generator, codes):
    seen = []

    def progress(done, total, preview):
        seen.append((done, total, tuple(preview.shape)))
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run(generator, codes, batch=2, progress=progress))
    assert seen == [(2, 7, (2, 3, 16, 16)), (4, 7, (2, 3, 16, 16))]


def test_a_held_code_is_synthesized_once(generator, codes, asked):
    held = codes[[0, 0, 0, 1, 2, 2, 2, 2, 2, 0]]
    seen = []
    chunks = list(synthesize_frames(generator, held, batch=2, progress=lambda done, *_: seen.append(done)))
    assert asked == [2, 1] and max(map(len, chunks)) == 2 and seen[-1] == 10
    torch.testing.assert_close(torch.cat(chunks), exact(generator, held), rtol=1e-5, atol=1e-5)


def test_a_ping_pong_synthesizes_each_code_once(generator, codes, asked):
    there_and_back = codes[[0, 1, 2, 3, 4, 3, 2, 1] * 3]
    images = torch.cat(list(synthesize_frames(generator, there_and_back, batch=2)))
    assert sum(asked) == 5
    assert torch.equal(images[1], images[7]) and torch.equal(images[:8], images[8:16])
    torch.testing.assert_close(images, exact(generator, there_and_back), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("room", "made"), [(0, 8), (1, 7), (2, 6), (3, 5)])
def test_memory_bounds_what_is_kept_for_later(room, made, generator, codes, asked, monkeypatch):
    monkeypatch.setattr(frames, "REUSE_BYTES", room * 4 * 3 * 16 * 16)
    there_and_back = codes[[0, 1, 2, 3, 4, 3, 2, 1]]
    images = torch.cat(list(synthesize_frames(generator, there_and_back, batch=3)))
    assert sum(asked) == made
    torch.testing.assert_close(images, exact(generator, there_and_back), rtol=1e-5, atol=1e-5)


def test_random_noise_is_fresh_for_every_frame(generator, codes, asked):
    images = torch.cat(list(synthesize_frames(generator, codes[[0, 0, 0]], noise="random", batch=2)))
    assert asked == [2, 1] and not torch.equal(images[0], images[1])


@pytest.mark.parametrize("rows", [1, 3, 5, 6])
@pytest.mark.parametrize("noise", ["const", "none"])
def test_shared_rows_are_run_once(rows, noise, generator, codes, monkeypatch):
    codes[:, :rows] = codes[:1, :rows]
    sizes, forward = [], type(generator.synthesis.b4.conv1).forward

    def count(layer, x, style, *args, **kwargs):
        y = forward(layer, x, style, *args, **kwargs)
        sizes.append((y.shape[-1], layer.up, len(y)))
        return y

    monkeypatch.setattr(type(generator.synthesis.b4.conv1), "forward", count)
    images = torch.cat(list(synthesize_frames(generator, codes, batch=4, noise=noise)))
    layers = [(4, False), (8, True), (8, False), (16, True), (16, False)]
    distinct = 1 if rows == 6 else 7
    for row, layer in enumerate(layers):
        assert sum(n for *which, n in sizes if tuple(which) == layer) == (1 if row < rows else distinct)
    torch.testing.assert_close(images, exact(generator, codes, noise), rtol=1e-5, atol=1e-5)


def test_render_is_the_clamped_picture_in_the_hosts_layout(generator, codes):
    pictures = render(generator, codes, batch=3)
    assert pictures.shape == (7, 16, 16, 3) and pictures.is_contiguous() and pictures.dtype == torch.float32
    expected = (exact(generator, codes) * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert (expected == 0).any() and (expected == 1).any()
    torch.testing.assert_close(pictures, expected, rtol=1e-5, atol=1e-5)


def test_render_synthesizes_equal_codes_once_wherever_they_are(generator, codes, asked):
    there_and_back = codes[[0, 1, 2, 3, 2, 1, 0, 1, 4, 0]]
    seen = []
    pictures = render(generator, there_and_back, batch=2, progress=lambda done, total, _: seen.append((done, total)))
    assert asked == [2, 2, 1] and seen == [(2, 10), (8, 10), (10, 10)]
    for i, j in ((0, 6), (0, 9), (1, 5), (1, 7), (2, 4)):
        assert torch.equal(pictures[i], pictures[j])
    torch.testing.assert_close(pictures, render(generator, there_and_back, noise="const", batch=10), rtol=1e-5, atol=1e-5)


def test_render_shrinks_by_area_before_it_clamps(generator, codes, monkeypatch):
    monkeypatch.setattr(frames.limits, "SIZE", frames.limits.Limit(8, 16, whole=True))
    small = torch.nn.functional.avg_pool2d(exact(generator, codes), 2)
    expected = (small * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(render(generator, codes, size=8), expected, rtol=1e-5, atol=1e-5)


def test_too_long_a_sweep_is_refused_with_numbers_and_ways_out(generator, codes, asked, monkeypatch):
    monkeypatch.setattr(frames, "_free_memory", lambda: 10_000)
    with pytest.raises(MicromotionError) as error:
        render(generator, codes)
    assert not asked
    for part in ("7 frames of 16 x 16 px", "at most 2 frames", "8 px takes a quarter", "Sweep to Video"):
        assert part in str(error.value)
    assert render(generator, codes[:2]).shape == (2, 16, 16, 3)
    monkeypatch.setattr(frames, "_free_memory", lambda: None)
    check_memory(10**9, (1024, 1024), 3)


def test_free_memory_is_known_with_and_without_psutil(tmp_path):
    free = frames._free_memory()
    assert free is None or 2**20 < free < 2**50
    (tmp_path / "meminfo").write_text("MemTotal:  16000000 kB\nMemAvailable:    8000 kB\n")
    assert frames._linux_free_memory(tmp_path / "meminfo") == 8000 * 1024
    assert frames._linux_free_memory(tmp_path / "missing") is None


@pytest.fixture
def device():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device("cuda", 0)


@pytest.fixture
def full_precision(monkeypatch):
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.backends.cudnn.flags(allow_tf32=False))
        yield


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 3])
def test_gpu_render_equals_the_cpu(device, full_precision, generator, codes, batch):
    long = codes[[0, 1, 2, 3, 4, 5, 6, 5, 4, 0]]
    expected = render(generator, long)
    torch.testing.assert_close(render(generator.to(device), long, batch=batch), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
def test_gpu_batch_is_halved_when_memory_runs_out(device):
    wide = Generator(Architecture(256, {2**k: 64 for k in range(2, 9)}, w_dim=8, z_dim=8, mapping_layers=2)).eval().to(device)
    codes = wide.map(torch.randn(16, 8, device=device)).detach()
    used = torch.cuda.memory_reserved(device)
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((used + 300e6) / total, device)
    try:
        chunks = [len(c) for c in synthesize_frames(wide, codes, batch=16)]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert sum(chunks) == 16 and max(chunks) < 16


@pytest.mark.parametrize("shape", [(24,), (6, 24), (1, 5, 24), (1, 1, 6, 24)])
def test_codes_of_another_shape_are_named_before_anything_is_taken_apart(make, shape):
    with pytest.raises(MicromotionError, match="Codes have shape"):
        render(make(), torch.zeros(shape))
