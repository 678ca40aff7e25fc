import pytest
import torch
from micromotion.stylegan2 import Architecture, Generator
from micromotion.stylegan2.frames import synthesize_frames


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return Generator(Architecture(16, {4: 8, 8: 8, 16: 8}, w_dim=8, z_dim=8, mapping_layers=2)).eval()


@pytest.fixture
def codes(generator):
    return generator.map(torch.randn(7, 8, generator=torch.Generator().manual_seed(1))).detach()


def test_chunks_equal_one_batch(generator, codes):
    chunks = list(synthesize_frames(generator, codes, batch=3))
    assert [len(c) for c in chunks] == [3, 3, 1]
    assert not chunks[0].requires_grad
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(chunks), generator.synthesize(codes), rtol=1e-5, atol=1e-5)


def test_batch_is_halved_when_memory_runs_out(generator, codes, monkeypatch):
    synthesize, sizes = generator.synthesize, []

    def small(chunk, noise):
        sizes.append(len(chunk))
        if len(chunk) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return synthesize(chunk, noise)

    monkeypatch.setattr(generator, "synthesize", small)
    frames = torch.cat(list(synthesize_frames(generator, codes, batch=7)))
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1] and len(frames) == 7


def test_out_of_memory_at_one_frame_is_raised(generator, codes, monkeypatch):
    def fail(chunk, noise):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(generator, "synthesize", fail)
    with pytest.raises(RuntimeError, match="allocate"):
        list(synthesize_frames(generator, codes, batch=4))


def test_other_errors_are_not_retried(generator, codes):
    with pytest.raises(ValueError, match="noise mode"):
        list(synthesize_frames(generator, codes, batch=4, noise="loud"))


def test_progress_counts_and_cancels(generator, codes):
    seen = []

    def progress(done, total, preview):
        seen.append((done, total, tuple(preview.shape)))
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(synthesize_frames(generator, codes, batch=2, progress=progress))
    assert seen == [(2, 7, (2, 3, 16, 16)), (4, 7, (2, 3, 16, 16))]
