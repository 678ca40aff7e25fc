"""The few operations that StyleGAN2 is made of, each with a plain reference and fast forms beside it."""

from .backend import BackendError, Status, status, use_backend
from .bias_act import bias_act
from .modulated_conv2d import demodulation, modulated_conv2d, prepared, styled_conv2d
from .upfirdn2d import filter2d, fir_kernel, upsample2d, upsample_add

__all__ = [
    "BackendError",
    "Status",
    "bias_act",
    "demodulation",
    "filter2d",
    "fir_kernel",
    "modulated_conv2d",
    "prepared",
    "status",
    "styled_conv2d",
    "upsample2d",
    "upsample_add",
    "use_backend",
]
