from __future__ import annotations

import numpy as np
import pytest
import torch
from micromotion.stylegan2.ops import filter2d, fir_kernel, upsample2d, upsample_add, use_backend
from scipy import signal


def test_kernel_sums_to_one():
    kernel = fir_kernel((1, 3, 3, 1))
    assert kernel.shape == (4, 4) and kernel.sum() == 1 and kernel[0, 0] == 1 / 64


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("pad,rows", [((1, 1), None), ((2, 1), None), ((1, 1), (0, 2))])
def test_filter_is_a_convolution_in_scipys_sense(memory_format, pad, rows):
    x, kernel = torch.randn(2, 3, 6, 7, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), rows or pad, pad))
    expected = [[signal.convolve2d(c, kernel.numpy(), "valid") for c in n] for n in padded]
    actual = filter2d(x.contiguous(memory_format=memory_format), kernel, pad, rows)
    np.testing.assert_allclose(actual.numpy(), np.array(expected), atol=1e-12)


@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 1), (1, 2, 4, 1), (1, 2, 1), (1, 5, 10, 10, 5, 1)])
def test_upsampling_equals_zero_insertion_and_filter(taps):
    x, kernel = torch.randn(2, 3, 5, 4, dtype=torch.float64), fir_kernel(taps).double()
    with use_backend("reference"):
        expected = upsample2d(x, kernel)
    assert expected.shape == (2, 3, 10, 8)
    torch.testing.assert_close(upsample2d(x, kernel), expected)


def test_upsampling_by_its_polyphase_form():
    x = torch.randn(1, 1, 4, 4)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    rows = torch.stack([0.75 * padded[:, :, 1:-1] + 0.25 * padded[:, :, :-2], 0.75 * padded[:, :, 1:-1] + 0.25 * padded[:, :, 2:]], 3)
    rows = rows.flatten(2, 3)
    expected = torch.stack([0.75 * rows[..., 1:-1] + 0.25 * rows[..., :-2], 0.75 * rows[..., 1:-1] + 0.25 * rows[..., 2:]], 4).flatten(3)
    torch.testing.assert_close(upsample2d(x, fir_kernel()), expected)


def test_upsample_add_widens_half_precision():
    image, rgb = torch.randn(1, 3, 4, 4), torch.randn(2, 3, 8, 8)
    out = upsample_add(image, rgb.half(), fir_kernel())
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, upsample2d(image, fir_kernel()) + rgb.half().float())
    assert torch.equal(upsample_add(None, rgb, fir_kernel()), rgb)
