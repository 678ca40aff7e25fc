"""Nodes between pictures and codes: sample, invert, synthesize."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..stylegan2.frames import frame_bytes, synthesize_frames
from ..stylegan2.generator import NOISE_MODES
from . import host, sockets

CATEGORY = "micromotion/faces"


class SampleFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionSampleFaces",
            display_name="Sample Faces",
            category=CATEGORY,
            description="Draw new faces that nobody has: codes from random numbers. Synthesize shows them.",
            search_aliases=["random face", "seed", "new face", "generate face", "latent", "this person does not exist"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 whose faces are drawn."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Which faces, 0..4294967295: the same seed draws the same faces on every machine.",
                ),
                io.Int.Input("count", default=1, min=1, max=256, tooltip="How many faces, 1..256."),
                io.Float.Input(
                    "truncation",
                    default=0.7,
                    min=0.0,
                    max=1.5,
                    step=0.05,
                    tooltip="How far from the mean face, 0..1.5: 0 is the mean face, 0.7 typical faces, 1 the full variety.",
                ),
            ],
            outputs=[sockets.Codes.Output("codes", tooltip="One code per face, [count, L, D].")],
        )

    @classmethod
    def execute(cls, generator, seed, count, truncation) -> io.NodeOutput:
        net = host.ready(generator)
        z = torch.randn(count, net.architecture.z_dim, generator=torch.Generator().manual_seed(seed))
        codes = net.map(z.to(net.w_avg.device), truncation=truncation)
        return io.NodeOutput(codes.cpu())


class InvertFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionInvertFace",
            display_name="Invert Face",
            category=CATEGORY,
            description="Find the code that makes the generator draw this face. Photos need Align Face first; pictures that are not"
            " square lose their longer sides. Synthesize shows what the code remembers of the face.",
            search_aliases=["gan inversion", "encode face", "projector", "psp", "e4e", "restyle", "embed", "latent"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that shall draw the face."),
                sockets.Inverter.Input("inverter", tooltip="The network that finds the code; made for this generator."),
                io.Image.Input("image", tooltip="One or more face pictures, aligned as the inverter knows them."),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="How much work, 0..1000: 0 is the inverter's own number (5 passes for ReStyle, 1 for others);"
                    " more go on by optimisation and cost time.",
                ),
            ],
            outputs=[sockets.Codes.Output("codes", tooltip="One code per picture, [N, L, D].")],
        )

    @classmethod
    def execute(cls, generator, inverter, image, steps) -> io.NodeOutput:
        net, finder = host.ready(generator, inverter)
        with host.gradients():
            images = host.plain(host.square(host.from_image(image)))
            codes = finder.invert(net, images, steps=steps or None, progress=host.progress())
        return io.NodeOutput(codes.detach().cpu())


class Synthesize(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionSynthesize",
            display_name="Synthesize Faces",
            category=CATEGORY,
            description="Turn codes into pictures, one per code. The batch is chosen from the free memory and halved when it runs out.",
            search_aliases=["decode", "render", "generate images", "stylegan", "frames", "latent to image"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that draws; the one that the codes were made with."),
                sockets.Codes.Input("codes", tooltip="Codes [N, L, D] of Invert Face, Sample Faces or Apply Micromotion."),
                io.Combo.Input(
                    "noise",
                    options=list(NOISE_MODES),
                    default="const",
                    advanced=True,
                    tooltip="Fine detail such as single hairs: const keeps it still between frames, random flickers, none leaves it out.",
                ),
            ],
            outputs=[io.Image.Output("image", display_name="images", tooltip="One picture per code, in the generator's own size.")],
        )

    @classmethod
    def execute(cls, generator, codes, noise) -> io.NodeOutput:
        net = host.ready(generator, memory=frame_bytes(generator.value))
        chunks = synthesize_frames(net, codes, noise=noise, progress=host.progress())
        return io.NodeOutput(torch.cat([host.to_image(images) for images in chunks]))


NODES = [SampleFaces, InvertFace, Synthesize]
