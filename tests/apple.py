"""A stand-in for a device without float64, such as Apple's: tensors that say they lie on ``meta`` and compute on the CPU."""

from __future__ import annotations

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

DEVICE = torch.device("meta")


class OnDevice(torch.Tensor):
    """A tensor of the device; ``inner`` holds its numbers."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        if inner.dtype in (torch.float64, torch.complex128):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")
        out = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype, device=DEVICE
        )
        out.inner = inner
        return out

    def __repr__(self) -> str:
        return f"OnDevice({self.inner!r})"

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


def dispatched(func, args, kwargs):
    """Run on the CPU; what comes out lies where it would have."""
    wrappers = {}
    here = False

    def unwrap(x):
        nonlocal here
        if isinstance(x, OnDevice):
            here = True
            wrappers[id(x.inner)] = x
            return x.inner
        return x

    args, inner = tree_map(unwrap, args), tree_map(unwrap, kwargs)
    target = inner.get("device")
    if target is not None:
        here = torch.device(target).type == DEVICE.type
        inner = {**inner, "device": torch.device("cpu")}

    def wrap(x):
        if not isinstance(x, torch.Tensor) or not here:
            return x
        return wrappers.get(id(x)) if id(x) in wrappers else OnDevice(x)

    out = func(*args, **inner)
    if func is torch.ops.aten.copy_.default:
        return wrappers.get(id(args[0]), out)
    return tree_map(wrap, out)


class NoFloat64(TorchDispatchMode):
    """Inside, tensors made on ``meta`` are stand-ins too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})

    def __enter__(self):
        self.filled = Filled()
        self.filled.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.filled.__exit__(*error)


class Filled(TorchFunctionMode):
    """Python's numbers become tensors on the CPU before they move: torch leaves those that it makes on ``meta`` empty."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]), *args[2:])
        if func is torch.Tensor.new_tensor and isinstance(args[0], OnDevice):
            return torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(kwargs.get("device", DEVICE))
        target = kwargs.get("device")
        if func in (torch.tensor, torch.as_tensor) and target is not None and torch.device(target).type == DEVICE.type:
            return func(*args, **kwargs | {"device": "cpu"}).to(target)
        return func(*args, **kwargs)


def moved(module: nn.Module) -> nn.Module:
    """The module with its parameters and buffers on the device."""
    for owner in module.modules():
        for name, value in owner._parameters.items():
            if value is not None:
                owner._parameters[name] = nn.Parameter(OnDevice(value.detach()), requires_grad=False)
        for name, value in owner._buffers.items():
            if value is not None:
                owner._buffers[name] = OnDevice(value)
    return module
