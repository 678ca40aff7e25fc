"""Every CUDA kernel once, on small planes of awkward sizes: something for NVIDIA's checkers to watch.

``PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool memcheck python lab/benchmarks/every_kernel.py``; racecheck, initcheck and
synccheck likewise.
"""

from __future__ import annotations

import measuring  # noqa: F401  gives the checkout its package name
import torch
from micromotion.stylegan2.ops import cuda, fir_kernel

PLANES = ((3, (17, 9)), (16, (33, 21)), (64, (16, 16)), (12, (5, 300)))


def run(device: torch.device, dtype: torch.dtype) -> None:
    kernel = fir_kernel().to(device)
    for channels, (height, width) in PLANES:
        x = torch.randn(2, channels, height, width, device=device).to(dtype)
        scale, bias = torch.rand(2, channels, device=device), torch.randn(channels, device=device)
        noise, shared = torch.randn(2, 1, height, width, device=device), torch.randn(1, 1, height - 1, width - 1, device=device)
        cuda.conv_act(x, scale, bias, noise, None, 0.7, 0.8)
        cuda.conv_act(x, None, bias, None, None, 0.7, None)
        cuda.conv_act(x, scale, bias, shared, kernel, 0.7, None)
        cuda._filter_transposed(x.contiguous(memory_format=torch.channels_last), cuda.taps_of(kernel))
    for channels in (1, 3, 4):
        image, rgb = torch.randn(1, channels, 5, 7, device=device), torch.randn(2, channels, 10, 14, device=device).to(dtype)
        cuda.upsample_add(image, rgb, kernel, True)


def main() -> None:
    device = torch.device("cuda", 0)
    for dtype in cuda.STORAGE:
        reason = cuda.why_not(device, dtype)
        if reason:
            raise SystemExit(f"{dtype}: {reason}")
        run(device, dtype)
        torch.cuda.synchronize()
        print(f"{dtype}: every kernel ran, and the self-test passed")


if __name__ == "__main__":
    main()
