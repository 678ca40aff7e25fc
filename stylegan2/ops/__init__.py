"""The few operations that StyleGAN2 is made of."""

from .bias_act import bias_act
from .modulated_conv2d import demodulation, modulated_conv2d
from .upfirdn2d import filter2d, fir_kernel, upsample2d

__all__ = ["bias_act", "demodulation", "filter2d", "fir_kernel", "modulated_conv2d", "upsample2d"]
