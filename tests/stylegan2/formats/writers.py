"""Write generators in the layouts of other repositories, by those repositories' rules and none of the loader's code.

Every writer takes canonical tensors (NVIDIA names) by ``state_dict()``; classes of the same names stand in for the originals.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

HOOKS = ("_backward_hooks", "_forward_hooks", "_forward_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks")


@contextlib.contextmanager
def modules(**contents):
    """Importable stand-ins for modules of other repositories: ``a__b={"name": value}`` is ``a.b``."""
    names = []
    for dotted, values in contents.items():
        parts = dotted.replace("__", ".").split(".")
        for i in range(1, len(parts) + 1):
            name = ".".join(parts[:i])
            if name not in sys.modules:
                sys.modules[name] = types.ModuleType(name)
                names.append(name)
        for key, value in values.items():
            value.__module__, value.__qualname__, value.__name__ = ".".join(parts), key, key
            setattr(sys.modules[".".join(parts)], key, value)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def _reconstruct_persistent_obj(meta):
    raise AssertionError("the loader must not call this")


class EasyDict(dict):
    pass


def nvidia_modules():
    return modules(
        torch_utils__persistence={"_reconstruct_persistent_obj": _reconstruct_persistent_obj}, dnnlib__util={"EasyDict": EasyDict}
    )


class Persistent:
    """What NVIDIA's decorated modules reduce to."""

    def __init__(self, class_name, state):
        self.meta = dict(type="class", version=6, module_src="raise RuntimeError('never run')\n" * 20, class_name=class_name, state=state)

    def __reduce__(self):
        return (sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (EasyDict(self.meta),))


def module(class_name, tensors, submodules, buffers=(), **attributes):
    return Persistent(
        class_name,
        {
            "training": False,
            "_parameters": OrderedDict((k, nn.Parameter(v)) for k, v in tensors.items() if k not in buffers),
            "_buffers": OrderedDict((k, v) for k, v in tensors.items() if k in buffers),
            "_non_persistent_buffers_set": set(),
            **{hook: OrderedDict() for hook in HOOKS},
            "_modules": OrderedDict(submodules),
            **attributes,
        },
    )


BUFFERS = ("resample_filter", "noise_const", "w_avg")
CLASSES = {"mapping": "MappingNetwork", "synthesis": "SynthesisNetwork", "torgb": "ToRGBLayer", "skip": "Conv2dLayer"}


def class_of(name):
    kind = "SynthesisBlock" if name[:1] == "b" and name[1:].isdigit() else "SynthesisLayer" if name.startswith("conv") else None
    return kind or CLASSES.get(name, "FullyConnectedLayer")


def nested(state, class_name, attributes, prefix=""):
    """A tree of Persistent modules from dotted names; ``attributes(prefix)`` gives each module's own."""
    own = {k: v for k, v in state.items() if "." not in k}
    children = dict.fromkeys(k.partition(".")[0] for k in state if "." in k)
    parts = {}
    for child in children:
        below = {k.partition(".")[2]: v for k, v in state.items() if k.startswith(f"{child}.")}
        parts[child] = nested(below, class_of(child), attributes, f"{prefix}{child}.")
    return module(class_name, own, parts, BUFFERS, **attributes(prefix))


def nvidia_network(generator, kwargs=None, old=False):
    """The object that NVIDIA's code pickles; ``old`` leaves out what versions differ in and keeps the constructor arguments only."""
    arch = generator.architecture
    kwargs = ada_kwargs(arch) if kwargs is None else kwargs

    def attributes(prefix):
        name = prefix.rstrip(".").rpartition(".")[2]
        if not prefix:
            return {"z_dim": arch.z_dim, "_init_args": (), "_init_kwargs": EasyDict(kwargs)}
        if old:
            return {}
        if name.startswith("conv"):
            return {
                "conv_clamp": arch.conv_clamp,
                "activation": arch.activation,
                "use_noise": arch.use_noise,
                "act_gain": np.float64(2**0.5),
                "padding": 1,
            }
        if name.startswith("fc"):
            return {"activation": arch.activation, "bias_gain": arch.lr_multiplier, "weight_gain": np.float32(0.01)}
        if name[:1] == "b" and name[1:].isdigit():
            return {"architecture": arch.architecture, "_init_kwargs": {"resample_filter": list(arch.resample_filter)}}
        return {}

    state = {k: v.clone() for k, v in generator.state_dict().items()}
    return nested(state, "Generator", attributes)


def ada_kwargs(arch):
    synthesis = {"channel_base": 32768, "channel_max": 512, "num_fp16_res": 4, "conv_clamp": arch.conv_clamp, **_extras(arch)}
    mapping = {"num_layers": arch.mapping_layers, "lr_multiplier": arch.lr_multiplier}
    sizes = {"z_dim": arch.z_dim, "c_dim": arch.c_dim, "w_dim": arch.w_dim, "img_resolution": arch.resolution, "img_channels": 3}
    return {**sizes, "mapping_kwargs": EasyDict(mapping), "synthesis_kwargs": EasyDict(synthesis)}


def sg3_kwargs(arch):
    nested_kwargs = ada_kwargs(arch)
    return {**nested_kwargs, **nested_kwargs.pop("synthesis_kwargs"), "fused_modconv_default": "inference_only"}


def _extras(arch):
    return {
        "architecture": arch.architecture,
        "resample_filter": list(arch.resample_filter),
        "activation": arch.activation,
        "use_noise": arch.use_noise,
    }


def discriminator():
    weights = {"b4.conv.weight": torch.randn(4, 5, 3, 3), "b4.out.weight": torch.randn(1, 4), "b8.fromrgb.weight": torch.randn(4, 3, 1, 1)}
    return nested(weights, "Discriminator", lambda prefix: {})


def nvidia_pickle(path, generator, protocol=4, layout="ada", old=False):
    """The snapshot dict of stylegan2-ada-pytorch, or of the stylegan3 repository."""
    with nvidia_modules():
        network = nvidia_network(generator, sg3_kwargs(generator.architecture) if layout == "sg3" else None, old)
        if layout == "ada":
            content = {
                "training_set_kwargs": EasyDict(path="x.zip"),
                "G": network,
                "D": discriminator(),
                "G_ema": network,
                "augment_pipe": None,
            }
        elif layout == "sg3":
            content = {"G": network, "D": discriminator(), "G_ema": network, "augment_pipe": network, "training_set_kwargs": None}
        else:
            content = {"G_ema": network}
        path.write_bytes(pickle.dumps(content, protocol))
    return path


def nvidia_module_file(path, generator, zipped=True):
    """``torch.save(G)``, as pivotal tuning repositories write it."""
    with nvidia_modules():
        torch.save(nvidia_network(generator), path, _use_new_zipfile_serialization=zipped)
    return path


class Network:
    def __init__(self, **state):
        self._state = state

    def __getstate__(self):
        return self._state


TF_TAILS = {
    "weight": "weight",
    "bias": "bias",
    "affine.weight": "mod_weight",
    "affine.bias": "mod_bias",
    "noise_strength": "noise_strength",
}


def tf_variables(generator):
    """TensorFlow names and conventions: HWIO kernels, flipped for up-sampling, style biases without their 1."""
    own, mapping, synthesis = {}, {}, {}
    for key, tensor in generator.state_dict().items():
        value, part = tensor.numpy(), key.split(".")
        if key == "mapping.w_avg":
            own["dlatent_avg"] = value
        elif part[0] == "mapping":
            name = part[1].replace("fc", "Dense").replace("embed", "LabelEmbed")
            mapping[f"{name}/{part[2]}"] = value.T if value.ndim == 2 else value
        elif part[-1] == "const":
            synthesis["4x4/Const/const"] = value[None]
        elif part[-1] == "noise_const":
            synthesis[f"noise{tf_noise_index(part)}"] = value[None, None]
        elif part[-1] != "resample_filter":
            synthesis[tf_layer(part)] = tf_value(part, value)
    return own, mapping, synthesis


def tf_noise_index(part):
    log2 = int(part[1][1:]).bit_length() - 1
    return 2 * log2 - (5 if part[2] == "conv0" else 4)


def tf_layer(part):
    side = part[1][1:]
    layer = {"conv0": "Conv0_up", "conv1": "Conv" if side == "4" else "Conv1", "torgb": "ToRGB", "skip": "Skip"}[part[2]]
    return f"{side}x{side}/{layer}/{TF_TAILS['.'.join(part[3:])]}"


def tf_value(part, value):
    if value.ndim == 4:
        value = value.transpose(2, 3, 1, 0)
        return value[::-1, ::-1] if part[2] in ("conv0", "skip") else value
    if part[-2:] == ["affine", "bias"]:
        return value - np.float32(1)
    return value.T if value.ndim == 2 else value


def tf_pickle(path, generator, protocol=3, old_numpy=True):
    """(G, D, Gs) of StyleGAN2 and StyleGAN2-ADA for TensorFlow; scalars are numpy scalars, as TensorFlow gives them."""
    arch = generator.architecture
    with modules(dnnlib__tflib__network={"Network": Network}, dnnlib__util={"EasyDict": EasyDict}):
        own, mapping, synthesis = tf_variables(generator)
        listed = [[(k, np.float32(v) if np.ndim(v) == 0 else v) for k, v in part.items()] for part in (own, mapping, synthesis)]
        common = {"version": 4, "build_module_src": "raise RuntimeError", "build_func_name": "G_main"}
        components = EasyDict(
            mapping=Network(name="mapping", variables=listed[1], static_kwargs={}, components={}, **common),
            synthesis=Network(name="synthesis", variables=listed[2], static_kwargs={}, components={}, **common),
        )
        kwargs = EasyDict(architecture=arch.architecture, resample_kernel=list(arch.resample_filter), conv_clamp=arch.conv_clamp)
        lod = [("lod", np.float32(0))]
        gs = Network(name="Gs", variables=lod + listed[0], static_kwargs=kwargs, components=components, **common)
        d = Network(name="D", variables=[("4x4/Conv/weight", np.ones((3, 3, 4, 4), np.float32))], static_kwargs={}, components={}, **common)
        data = pickle.dumps((gs, d, gs), protocol)
    if old_numpy and protocol < 4:
        data = data.replace(b"numpy._core.", b"numpy.core.")
    path.write_bytes(data)
    return path


def rosinality_state(generator, noises=True, buffers=True):
    """The state dict of rosinality's Generator."""
    out = OrderedDict()
    for key, tensor in generator.state_dict().items():
        part = key.split(".")
        if part[0] == "mapping":
            if part[1] != "w_avg":
                out[f"style.{int(part[1][2:]) + 1}.{part[2]}"] = tensor.clone()
            continue
        log2 = int(part[1][1:]).bit_length() - 1
        if part[2] == "const":
            out["input.input"] = tensor[None].clone()
        elif part[2] == "resample_filter":
            if buffers and log2 > 2:
                out[f"to_rgbs.{log2 - 3}.upsample.kernel"] = tensor * 4
        elif part[-1] == "resample_filter":
            if buffers and part[2] == "conv0":
                out[f"convs.{2 * (log2 - 3)}.conv.blur.kernel"] = tensor * 4
        elif part[-1] == "noise_const":
            if noises:
                out[f"noises.noise_{tf_noise_index(part)}"] = tensor[None, None].clone()
        else:
            out.update(rosinality_layer(part, log2, tensor))
    return out


def rosinality_layer(part, log2, tensor):
    if part[2] == "torgb":
        base, rgb = ("to_rgb1" if log2 == 2 else f"to_rgbs.{log2 - 3}"), True
    else:
        base, rgb = ("conv1" if log2 == 2 else f"convs.{2 * (log2 - 3) + (part[2] == 'conv1')}"), False
    tail = ".".join(part[3:])
    if tail == "weight":
        return {f"{base}.conv.weight": tensor[None].clone()}
    if tail == "bias":
        return {f"{base}.bias": tensor.reshape(1, -1, 1, 1).clone()} if rgb else {f"{base}.activate.bias": tensor.clone()}
    if tail == "noise_strength":
        return {f"{base}.noise.weight": tensor.reshape(1).clone()}
    return {f"{base}.conv.modulation.{part[-1]}": tensor.clone()}


def rosinality_training(path, generator, zipped=True):
    """What rosinality's train.py saves: optimizers, an argparse.Namespace, no mean code."""
    state = rosinality_state(generator)
    parameters = [nn.Parameter(torch.randn(3))]
    optimizer = torch.optim.Adam(parameters)
    parameters[0].grad = torch.ones(3)
    optimizer.step()
    args = argparse.Namespace(size=generator.resolution, lr=0.002, path="/data", channel_multiplier=2, r1=10.0, ckpt=None)
    content = {"g": {k: v + 1 for k, v in state.items()}, "d": {"convs.0.0.weight": torch.ones(3)}, "g_ema": state}
    content |= {"g_optim": optimizer.state_dict(), "d_optim": optimizer.state_dict(), "args": args, "ada_aug_p": 0.0}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def psp(path, generator, repeated=True, mean=True, **more):
    """pSp, e4e and ReStyle: one state dict with encoder.* and decoder.*, options, and the mean code (maybe repeated)."""
    state = {f"decoder.{k}": v for k, v in rosinality_state(generator).items()}
    state["encoder.input_layer.0.weight"] = torch.randn(4, 6, 3, 3)
    state["encoder.styles.0.linear.weight"] = torch.randn(4, 4)
    w = generator.w_avg.clone()
    content = {"state_dict": state, "opts": {"encoder_type": "GradualStyleEncoder", "best": np.float64(0.5), "device": "cuda:0"}}
    content |= {"latent_avg": w.repeat(generator.num_layers, 1) if repeated else w} if mean else {}
    torch.save({**content, **more}, path)
    return path


def genforce_state(generator):
    """genforce: TensorFlow's conventions under its own names."""
    out = {"truncation.w_avg": generator.w_avg.clone(), "lod": torch.zeros([])}
    for key, tensor in generator.state_dict().items():
        part, tensor = key.split("."), tensor.clone()
        if part[0] == "mapping":
            if part[1] != "w_avg":
                out[f"mapping.{part[1].replace('fc', 'dense').replace('embed', 'LabelEmbed')}.{part[2]}"] = tensor
            continue
        log2 = int(part[1][1:]).bit_length() - 1
        if part[2] == "const":
            out["synthesis.early_layer.const"] = tensor[None]
            continue
        if part[-1] == "resample_filter":
            continue
        j = 2 * log2 - (5 if part[2] == "conv0" else 4)
        base = f"synthesis.output{log2 - 2}" if part[2] == "torgb" else f"synthesis.layer{j}"
        tail = ".".join(part[3:]).replace("affine", "style").replace("noise_const", "noise")
        if tail == "style.bias":
            tensor = tensor - 1
        if tail == "noise":
            tensor = tensor[None, None]
        if part[2] == "conv0" and tail == "weight":
            tensor = tensor.flip(2, 3)
        out[f"{base}.{tail}"] = tensor
    return out


def genforce(path, generator):
    state = genforce_state(generator)
    other = {k: v + 1 for k, v in state.items()}
    torch.save({"generator": other, "discriminator": {"layer0.weight": torch.ones(2)}, "generator_smooth": state}, path)
    return path


def module_tree(state, root_class, fc_class, layer_class):
    """An nn.Module tree with these class names that holds ``state``."""
    classes = {name: type(name, (nn.Module,), {}) for name in (root_class, fc_class, layer_class)}
    root = classes[root_class]()
    for key, tensor in state.items():
        *path, name = key.split(".")
        node, inner = root, classes[fc_class if path[:1] in (["style"], ["mapping"]) else layer_class]
        for step in path:
            if step not in node._modules:
                node.add_module(step, {"style": nn.Sequential, "convs": nn.ModuleList}.get(step, inner)())
            node = node._modules[step]
        if path[:1] == ["noises"] or name in ("kernel", "noise", "w_avg", "lod"):
            node.register_buffer(name, tensor)
        else:
            node.register_parameter(name, nn.Parameter(tensor))
    return root, classes


def rosinality_module_file(path, generator, zipped=True):
    """``torch.save(g_ema)``: a whole module of rosinality's."""
    root, classes = module_tree(rosinality_state(generator), "Generator", "EqualLinear", "StyledConv")
    with modules(model=classes):
        torch.save(root, path, _use_new_zipfile_serialization=zipped)
    return path


def genforce_module_file(path, generator, zipped=True):
    """``torch.save(generator)``: a whole module of genforce's."""
    root, classes = module_tree(genforce_state(generator), "StyleGAN2Generator", "DenseBlock", "ModulateConvBlock")
    with modules(models__stylegan2_generator=classes):
        torch.save(root, path, _use_new_zipfile_serialization=zipped)
    return path


def mmgen_state(generator):
    """mmgeneration's StyleGANv2Generator: equalized weights under ``weight_orig``."""
    out = OrderedDict()
    for key, tensor in rosinality_state(generator).items():
        part = key.split(".")
        if part[0] == "style":
            key = f"style_mapping.{part[1]}." + ("linear.weight_orig" if part[2] == "weight" else "bias")
        elif part[0] == "input":
            key = "constant_input.input"
        elif part[0] == "noises":
            key = part[1].replace("noise_", "injected_noise_")
        elif "modulation" in part:
            key = ".".join(part[:-2]) + ".style_modulation." + ("linear.weight_orig" if part[-1] == "weight" else "bias")
        elif part[-2:] == ["noise", "weight"]:
            key = ".".join(part[:-2]) + ".noise_injector.weight"
        elif part[-2:] == ["conv", "weight"]:
            key += "_orig"
        out[key] = tensor
    return out


def mmgen(path, generator, prefix="generator_ema."):
    state, meta = mmgen_state(generator), {"mmgen_version": "0.7.3", "CLASSES": None}
    raw = {f"generator.{k}": v + 1 for k, v in state.items()}
    torch.save({"meta": meta, "state_dict": {**raw, **{prefix + k: v for k, v in state.items()}}}, path)
    return path


def basicsr_state(generator):
    """BasicSR's StyleGAN2Generator, of GFPGAN's priors: its filters are no buffers, the noise strength is the layer's ``weight``."""
    out = OrderedDict()
    for key, tensor in rosinality_state(generator, buffers=False).items():
        part = key.split(".")
        if part[0] == "style":
            part[0] = "style_mlp"
        elif part[0] == "input":
            part = ["constant_input", "weight"]
        elif part[0] == "noises":
            part[1] = part[1].replace("_", "")
        elif part[0] in ("conv1", "convs"):
            part[0] = f"style_{part[0]}"
        if part[-2:] == ["noise", "weight"]:
            del part[-2]
        out[".".join("modulated_conv" if p == "conv" else p for p in part)] = tensor
    return out


def basicsr(path, generator):
    state = basicsr_state(generator)
    torch.save({"params": {k: v + 1 for k, v in state.items()}, "params_ema": state}, path)
    return path


def paddle(path, generator):
    """PaddleGAN: numpy arrays under rosinality's names, linear weights as [in, out]."""
    arrays = {k: v.numpy() for k, v in rosinality_state(generator).items()}
    linear = {k for k in arrays if arrays[k].ndim == 2 and (k.startswith("style.") or k.endswith("modulation.weight"))}
    arrays = {k: np.ascontiguousarray(v.T) if k in linear else v for k, v in arrays.items()}
    path.write_bytes(pickle.dumps({**arrays, "StructuredToParameterName@@": {k: f"param_{i}" for i, k in enumerate(arrays)}}, 2))
    return path


def sahlman(path, generator, **kwargs):
    """adriansahlman/stylegan2_pytorch: nested models; bias, noise and convolution wrap one another."""
    state = generator.state_dict()
    mapping, synthesis = OrderedDict(), OrderedDict(const=state["synthesis.b4.const"])
    for key, tensor in state.items():
        part = key.split(".")
        if part[0] == "mapping" and part[1] != "w_avg":
            mapping[f"main.{part[1][2:]}.{'layer.' * (part[2] == 'weight')}{part[2]}"] = tensor
        if part[0] == "mapping" or part[2] in ("const", "resample_filter") or part[-1] == "resample_filter":
            continue
        block, tail = int(part[1][1:]).bit_length() - 3, ".".join(part[3:])
        rgb = part[2] == "torgb"
        base = f"to_data_layers.{block}." if rgb else f"conv_blocks.{block}.conv_block.{0 if block == 0 else int(part[2][-1])}."
        inner = "" if rgb else "layer."
        name = {
            "bias": "bias",
            "noise_strength": "layer.weight",
            "noise_const": "layer.noise_storage",
            "weight": f"{inner}layer.weight",
            "affine.weight": f"{inner}layer.dense.layer.weight",
            "affine.bias": f"{inner}layer.dense.bias",
        }[tail]
        synthesis[base + name] = tensor[None, None] if tail == "noise_const" else tensor.reshape(1) if tail == "noise_strength" else tensor
    model = {"name": "Generator", "kwargs": {"dlatent_avg_beta": 0.995}, "state_dict": OrderedDict(dlatent_avg=generator.w_avg)}
    model["G_mapping"] = {"name": "GeneratorMapping", "kwargs": {"latent_size": generator.width}, "state_dict": mapping}
    arguments = {"noise": True, "conv_filter": [1, 3, 3, 1], **kwargs}
    model["G_synthesis"] = {"name": "GeneratorSynthesis", "kwargs": arguments, "state_dict": synthesis}
    torch.save(model, path)
    return path
