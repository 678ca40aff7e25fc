"""Write a small random checkpoint that ComfyUI takes for Stable Diffusion 1.5: ``python tiny_sd.py OUT`` in ComfyUI's folder.

One block of the denoiser, the text encoder's own size (its code is fixed), the tiny autoencoder. Its pictures are noise; the nodes run.
"""

from __future__ import annotations

import importlib
import sys


def main(out: str) -> None:
    sys.path.insert(0, ".")
    sys.argv = [sys.argv[0], "--cpu"]
    importlib.import_module("comfy.options").enable_args_parsing()
    torch, save = importlib.import_module("torch"), importlib.import_module("safetensors.torch").save_file
    parts = {
        "model.diffusion_model.": denoiser(),
        "cond_stage_model.": text_encoder(),
        "first_stage_model.": importlib.import_module("comfy.taesd.taesd").TAESD(),
    }
    torch.manual_seed(0)
    tensors = {}
    for prefix, module in parts.items():
        for name, value in module.state_dict().items():
            tensors[prefix + name] = random_like(torch, name, value)
    save(tensors, out)


def random_like(torch, name: str, value):
    if not value.is_floating_point():
        return value.clone()
    if value.ndim < 2:
        return torch.full(value.shape, 1.0 if name.endswith(("weight", "scale")) else 0.0, dtype=torch.float16)
    return (torch.randn(value.shape) / value[0].numel() ** 0.5).half()


def denoiser():
    unet = importlib.import_module("comfy.ldm.modules.diffusionmodules.openaimodel").UNetModel
    return unet(
        image_size=32,
        in_channels=4,
        out_channels=4,
        model_channels=320,
        num_res_blocks=[1],
        channel_mult=(1,),
        num_heads=8,
        use_spatial_transformer=True,
        transformer_depth=[1],
        transformer_depth_output=[1, 1],
        transformer_depth_middle=1,
        context_dim=768,
        use_linear_in_transformer=False,
        legacy=False,
        dtype=importlib.import_module("torch").float32,
        operations=importlib.import_module("comfy.ops").manual_cast,
    )


def text_encoder():
    """Parameters under the names that a checkpoint has: ``transformer.text_model...``."""
    model = importlib.import_module("comfy.sd1_clip").SD1ClipModel(device="cpu", dtype=importlib.import_module("torch").float32)
    return model.clip_l


if __name__ == "__main__":
    main(sys.argv[1])
