"""The few operations that StyleGAN2 is made of, each with a plain reference and fast forms beside it."""

from .activation import bias_act
from .backend import BackendError, Status, status, use_backend
from .modulation import demodulation, modulated_conv2d, styled_conv2d
from .plain import filter2d, fir_kernel
from .preparing import prepared
from .upfirdn2d import upsample2d, upsample_add

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
