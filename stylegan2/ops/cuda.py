"""The CUDA kernels as torch operations: when they can run, how they are launched, their gradients, and their self-test."""

from __future__ import annotations

import ctypes
import logging
import math
import threading
from pathlib import Path

import torch

from .nvrtc import Kernels
from .plain import act_, act_backward, filter2d, fir_kernel, reference_upsample2d
from .preparing import prepared

log = logging.getLogger(__name__)
FILES = ("types.cu", "bias_act.cu", "upfirdn2d.cu")
STORAGE = {torch.float32: 32, torch.float16: 16, torch.bfloat16: 8}
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
THREADS, ROWS, SLOPE = 256, 8, 0.2
_lock = threading.Lock()
_kernels: dict[tuple[torch.device, torch.dtype], Kernels] = {}
_reasons: dict[tuple[torch.device, torch.dtype], str] = {}


def source() -> str:
    """The whole program: storage types, K1, K2 and K3."""
    return "\n".join((Path(__file__).parent / name).read_text("utf-8") for name in FILES)


def why_not(device: torch.device, dtype: torch.dtype) -> str:
    """Why the kernels cannot run on this device and type, or an empty string. Compiles and tests them once; says a failure once."""
    if dtype not in STORAGE:
        return f"there are no kernels for {dtype}"
    key = (_indexed(device), dtype)
    if key not in _reasons:  # what torch.compile traces, and every later call, never meets the lock
        with _lock:
            if key not in _reasons:
                _reasons[key] = _first_use(*key)
    return _reasons[key]


def _first_use(device: torch.device, dtype: torch.dtype) -> str:
    try:
        _kernels[device, dtype] = Kernels(source(), [f"STORAGE={STORAGE[dtype]}"], device)
        with torch.inference_mode(False), torch.no_grad():
            self_test(device, dtype)
        return ""
    except Exception as error:  # whatever is wrong with this GPU or its driver, plain torch still works
        reason = str(error).strip().splitlines()[0]
        log.warning("The CUDA kernels are off for %s on %s, plain torch runs instead: %s", dtype, device, reason)
        return reason


def supports(x: torch.Tensor, kernel: torch.Tensor | None) -> bool:
    """Whether the kernels cover this case: a filter of four taps (or none), and planes that 32-bit indices reach."""
    return (kernel is None or len(kernel) == 4) and x[0].numel() < 2**31 and len(x) < 2**16


def conv_act(x, scale, bias, noise, kernel, gain, clamp):
    """K1, or with ``kernel`` K2: the same contract as `bias_act.conv_act`."""
    x = x.contiguous(memory_format=torch.channels_last)
    scale, noise = (None if t is None else t.to(torch.float32).contiguous() for t in (scale, noise))
    bias = bias.to(torch.float32).contiguous()
    taps = None if kernel is None else taps_of(kernel)
    run = _conv_act if _recorded(x, scale, bias, noise) else _launch_conv_act
    return run(x, scale, bias, noise, taps, gain, math.inf if clamp is None else clamp)


def upsample_add(image: torch.Tensor, rgb: torch.Tensor, kernel: torch.Tensor, picture: bool = False) -> torch.Tensor:
    """K3: the same contract as `upfirdn2d.upsample_add`."""
    image, rgb = (t.contiguous(memory_format=torch.channels_last) for t in (image.to(torch.float32), rgb))
    run = _upsample_add if _recorded(image, rgb) else _launch_upsample_add
    return run(image, rgb, taps_of(kernel), picture)


def _recorded(*tensors: torch.Tensor | None) -> bool:
    """Whether gradients or torch.compile ask for an operation that torch knows; it costs several times the launch itself."""
    return torch.compiler.is_compiling() or (torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors))


def taps_of(kernel: torch.Tensor) -> torch.Tensor:
    """The four taps of a separable ``kernel [4, 4]`` in the order of a correlation, with gain 2."""
    return prepared([kernel], "taps", lambda k: k.sum(0).flip(0).to(torch.float32) * 2)


def _launch_conv_act(
    x: torch.Tensor,
    scale: torch.Tensor | None,
    bias: torch.Tensor,
    noise: torch.Tensor | None,
    taps: torch.Tensor | None,
    gain: float,
    clamp: float,
) -> torch.Tensor:
    if taps is not None:
        return _launch_filter(x, [s - 1 for s in x.shape[2:]], 1, taps, (scale, bias, noise, gain, SLOPE, clamp))
    y, (n, c, h, w), (width, ending) = torch.empty_like(x), x.shape, _pack(x)
    args = [*_pointers(x, y), *_act(c, scale, bias, noise, gain, SLOPE, clamp), ctypes.c_uint(h * w)]
    _launch(x, "conv_act" + ending, (_blocks(h * w * c // width), n, 1), args)
    return y


_conv_act = torch.library.custom_op("micromotion::conv_act", _launch_conv_act, mutates_args=())


@torch.library.custom_op("micromotion::filter_transposed", mutates_args=())
def _filter_transposed(g: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """The gradient of K2's filter: ``[N, C, 2h, 2w]`` -> ``[N, C, 2h + 1, 2w + 1]``."""
    return _launch_filter(g, [s + 1 for s in g.shape[2:]], 2, taps.flip(0), (None, None, None, 1.0, 1.0, math.inf))


def _launch_upsample_add(image: torch.Tensor, rgb: torch.Tensor, taps: torch.Tensor, picture: bool) -> torch.Tensor:
    n, c, h, w = rgb.shape
    y = torch.empty_like(rgb, dtype=torch.float32)
    sizes = [0 if len(image) == 1 else image[0].numel(), h, w, c]
    args = [*_pointers(image, rgb, y, taps), *map(ctypes.c_uint, sizes), ctypes.c_int(picture)]
    _launch(rgb, "upsample_add", (_blocks(h * w), n, 1), args)
    return y


_upsample_add = torch.library.custom_op("micromotion::upsample_add", _launch_upsample_add, mutates_args=())


def _launch_filter(x, size, pad, taps, act):
    (n, c, h, w), (width, ending) = x.shape, _pack(x)
    y = torch.empty(n, c, *size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    geometry = [*map(ctypes.c_uint, (h, w, *size)), ctypes.c_int(pad), *_pointers(taps)]
    args = [*_pointers(x, y), *_act(c, *act), *geometry]
    _launch(x, "filter_act" + ending, (_blocks(size[1] * c // width), -(-size[0] // ROWS), n), args)
    return y


def _act(channels, scale, bias, noise, gain, slope, clamp):
    """The arguments of ``struct Act``: three pointers (null for None), then sizes and numbers in their exact C types."""
    step = 0 if noise is None or len(noise) == 1 else noise[0].numel()
    return [*_pointers(scale, bias, noise), ctypes.c_uint(step), ctypes.c_uint(channels), *map(ctypes.c_float, (gain, slope, clamp))]


def _pointers(*tensors):
    return [ctypes.c_void_p(None if t is None else t.data_ptr()) for t in tensors]


def _pack(x: torch.Tensor) -> tuple[int, str]:
    """Channels per thread, and the kernel's name ending: 16 bytes of them where width and address allow it."""
    width = 16 // x.element_size()
    return (width, "_wide") if x.shape[1] % width == 0 and x.data_ptr() % 16 == 0 else (1, "_one")


def _blocks(items: int) -> int:
    return -(-items // THREADS)


def _launch(x, name, grid, args):
    _kernels[_indexed(x.device), x.dtype].launch(name, grid, THREADS, args)


def _indexed(device: torch.device) -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" and device.index is None else device


@_conv_act.register_fake
def _(x, scale, bias, noise, taps, gain, clamp):
    size = x.shape if taps is None else (*x.shape[:2], x.shape[2] - 1, x.shape[3] - 1)
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


@_filter_transposed.register_fake
def _(g, taps):
    n, c, h, w = g.shape
    return torch.empty(n, c, h + 1, w + 1, dtype=g.dtype, device=g.device, memory_format=torch.channels_last)


@_upsample_add.register_fake
def _(image, rgb, taps, picture):
    return torch.empty_like(rgb, dtype=torch.float32)


def _keep_output(ctx, inputs, output):
    _, scale, bias, noise, taps, ctx.gain, clamp = inputs
    ctx.save_for_backward(output, scale, bias, noise, taps)
    ctx.clamp = None if clamp == math.inf else clamp


def _conv_act_backward(ctx, g):
    y, scale, bias, noise, taps = ctx.saved_tensors
    wide = None if scale is None else scale[:, :, None, None]
    gx, *rest = act_backward(g, y, wide, bias[:, None, None], noise, ctx.gain, ctx.clamp, ctx.needs_input_grad[1:4])
    gx = gx.to(y.dtype)
    if taps is not None:
        gx = _filter_transposed(gx.contiguous(memory_format=torch.channels_last), taps)
    return gx, *rest, None, None, None


def _upsample_add_backward(ctx, g):
    (taps,) = ctx.saved_tensors
    if ctx.picture:
        raise RuntimeError("A clamped picture has no gradient; synthesize images.")
    weight = torch.outer(taps, taps)[None, None].flip(2, 3).expand(g.shape[1], 1, -1, -1)
    gimage = torch.nn.functional.conv2d(g, weight, stride=2, padding=1, groups=g.shape[1])
    return gimage.sum_to_size(ctx.image_shape), g.to(ctx.dtype), None, None


def _keep_taps(ctx, inputs, output):
    image, rgb, taps, ctx.picture = inputs
    ctx.image_shape, ctx.dtype = image.shape, rgb.dtype
    ctx.save_for_backward(taps)


_conv_act.register_autograd(_conv_act_backward, setup_context=_keep_output)
_upsample_add.register_autograd(_upsample_add_backward, setup_context=_keep_taps)


def self_test(device: torch.device, dtype: torch.dtype) -> None:
    """Compare K1, K2 and K3 with plain torch on small planes. Raises `RuntimeError` when one differs."""
    for channels in (3, 16):
        random, kernel = torch.Generator().manual_seed(0), fir_kernel()
        shapes = (2, channels, 9, 7), (2, channels), (channels,), (2, 1, 8, 6), (2, channels, 4, 3)
        x, scale, bias, noise, image = (torch.randn(shape, generator=random) for shape in shapes)
        x = x.to(dtype)
        plain = scale[:, :, None, None], bias[:, None, None], noise, 0.7, 1.5
        cropped = x[:, :, :8, :6]
        expected = act_(cropped.double(), *plain), act_(filter2d(x.double(), kernel * 4, (1, 1)), *plain)  # on the CPU, which has no tf32
        added = reference_upsample2d(image.double(), kernel) + cropped
        x, cropped, scale, bias, noise, image, kernel = (t.to(device) for t in (x, cropped, scale, bias, noise, image, kernel))
        _compare("conv_act", conv_act(cropped, scale, bias, noise, None, 0.7, 1.5), expected[0], dtype)
        _compare("filter_act", conv_act(x, scale, bias, noise, kernel, 0.7, 1.5), expected[1], dtype)
        _compare("upsample_add", upsample_add(image, cropped, kernel), added, torch.float32)


def _compare(name: str, actual: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> None:
    error = (actual.double().cpu() - expected).abs().max().item() / expected.abs().max().item()
    if not error <= TOLERANCE[dtype]:
        raise RuntimeError(f"the self-test of {name} differs from plain torch by {error:.1e}")
