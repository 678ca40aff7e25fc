"""What a file without a StyleGAN2 generator is instead, in words."""

from __future__ import annotations

import re
from typing import Any

from ...files.containers import Contents
from ...files.errors import UnsupportedFileError
from ...files.values import Instance, TensorRef
from .candidates import state_dicts

SUPPORTED = (
    "Supported are StyleGAN2 generators: NVIDIA .pkl (stylegan2-ada-pytorch, the stylegan3 repository's StyleGAN2, TensorFlow StyleGAN2),"
    " rosinality .pt, pSp / e4e / ReStyle .pt, genforce, mmgeneration and BasicSR .pth, PaddleGAN .pdparams, and micromotion .safetensors."
)
MAX_KEYS = 5000
_KINDS = (
    (r"(^|\.)synthesis\.(input\.(freqs|weight|transform)|L\d+_\d+_\d+\.)", "a StyleGAN3 generator"),
    (r"(^|\.)(progression|to_rgb)\.\d+\.(conv|weight)|(^|\.)g_mapping\.|epilogue|StyleMod|style_mod\.", "a StyleGAN1 generator"),
    (r"^(GAN\.)?(S|SE|GE?)\.(net|blocks|initial_conv)|^(S|G|GE|SE|D)\.(net|blocks)\.", "a lucidrains stylegan2-pytorch model"),
    (r"lora_(up|down|A|B)|\.lora\.|hada_w1", "a LoRA for a diffusion model"),
    (
        r"model\.diffusion_model\.|(^|\.)double_blocks\.|joint_blocks\.|down_blocks\.\d+\.(resnets|attentions)|transformer_blocks\.\d+\.attn",
        "a diffusion model",
    ),
    (
        r"(^|\.)b\d+\.fromrgb\.|(^|\.)final_conv\.0\.|(^|\.)final_linear\.0\.|(^|\.)b4\.(mbstd|out)\.",
        "a discriminator without its generator",
    ),
    (r"(^|\.)latlayer1\.|(^|\.)styles\.\d+\.(convs|linear)", "a face inverter without its decoder: load it as an inverter"),
    (r"(^|\.)input_layer\.0\.weight", "a face recognition network or an inverter's backbone"),
    (r"(^|\.)hypernet\.", "HyperStyle's hypernetwork, which changes a generator's weights for each photo"),
    (r"(^|\.)stylegan_decoder\.", "a GFPGAN restorer, whose decoder is led by the photo"),
    (r"(^|\.)quantize\.embedding", "a VQ network, such as CodeFormer"),
    (r"(^|\.)backbone\.synthesis\.|fg_nerf\.", "a 3D generator, such as EG3D"),
    (r"dense_motion|spade_generator|kp_extractor|kp_detector", "a face animation network, such as LivePortrait"),
    (r"visual\.(conv1|transformer|trunk)|transformer\.resblocks|text_model\.encoder", "a CLIP model"),
    (r"first_stage_model|decoder\.up\.\d+\.block|(^|\.)quant_conv", "a VAE"),
)


def refusal(contents: Contents, name: str) -> UnsupportedFileError:
    """The error that names what ``contents`` is."""
    what = "a TorchScript program" if contents.container == "TorchScript" else _what(contents.tree)
    return UnsupportedFileError(f"{name} holds {what}. {SUPPORTED}")


def _what(tree: Any) -> str:
    if isinstance(tree, dict) and {"GAN", "version"} <= set(tree):
        return "a lucidrains stylegan2-pytorch model, which is a different architecture"
    if isinstance(tree, TensorRef):
        return f"a single tensor of shape {list(tree.shape)} (a code or a direction?), not a generator"
    keys = [k[:200] for found in state_dicts(tree) for k in found.tensors][:MAX_KEYS]
    for pattern, kind in _KINDS:
        if any(re.search(pattern, k) for k in keys):
            return kind
    return f"no StyleGAN2 generator; its first names are {', '.join(_names(tree, keys)[:4]) or 'none'}"


def _names(tree: Any, keys: list[str]) -> list[str]:
    if isinstance(tree, Instance):
        return [tree.name[:60]]
    own = [str(k) for k in tree] if isinstance(tree, dict) else []
    return [ascii(k)[1:-1][:60] for k in dict.fromkeys([*own[:3], *keys])]
