"""Nodes between pictures and codes: sample, invert, refine, keep, synthesize."""

from __future__ import annotations

import torch
from comfy_api.v0_0_2 import io

from ..stylegan2.codes import read_codes, save_codes
from ..stylegan2.colors import split_alpha
from ..stylegan2.frames import frame_bytes, render
from ..stylegan2.generator import NOISE_MODES
from ..stylegan2.inversion import StrangerError, invert_known, load_tuning, optimize, save_tuning, tune
from ..stylegan2.inversion.optimization import SPACES
from ..stylegan2.makers import made_by, maker
from ..stylegan2.sampling import SEEDS_OF, unchosen
from ..subspaces.anchors import draw_faces
from . import host, sockets

CATEGORY = "micromotion/faces"
CHEAPER = "Fewer steps take less."
STOP, ANYWAY = "stop", "anyway"
STRANGERS = 'Fetch Model fetches them ("everything for photos"); to see the nearest face that this inverter knows, choose anyway.'
KEPT, NONE = "kept with the face", "none"


class SampleFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionSampleFaces",
            display_name="Sample Faces",
            category=CATEGORY,
            description="Draw new faces that nobody has: codes from random numbers. Synthesize shows them.",
            has_intermediate_output=True,
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
                io.Combo.Input(
                    "seed_source",
                    options=list(SEEDS_OF),
                    optional=True,
                    advanced=True,
                    tooltip="Whose random numbers a seed names: ours, or those of NVIDIA's own scripts, so that seed 85 is their face 85.",
                ),
                io.String.Input(
                    "class_of",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="For generators with classes: which one, by its number from 0 or its name. Face generators have none.",
                ),
            ],
            outputs=[sockets.Codes.Output("codes", tooltip="One code per face, [count, L, D].")],
        )

    @classmethod
    def execute(cls, generator, seed, count, truncation, seed_source=SEEDS_OF[0], class_of="") -> io.NodeOutput:
        net = host.ready(generator)
        if sentence := unchosen(net, class_of):
            host.remark(sentence)
        seeds = [(seed + i) % 2**32 for i in range(count)]
        return host.output(made_by(draw_faces(net, seeds, truncation, seeds_of=seed_source, category=class_of), net))


class InvertFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionInvertFace",
            display_name="Invert Face",
            category=CATEGORY,
            description="Find the code that makes the generator draw this face. Photos need Align Face first; pictures that are not"
            " square lose their longer sides. Synthesize shows what the code remembers of the face.",
            has_intermediate_output=True,
            search_aliases=["gan inversion", "encode face", "projector", "psp", "e4e", "restyle", "embed", "latent"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that will draw the face."),
                sockets.Inverter.Input("inverter", tooltip="The network that finds the code; made for this generator."),
                io.Image.Input("image", tooltip="One or more face pictures, aligned as the inverter knows them."),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="How much work, 0..1000: 0 is the inverter's own number (5 passes for ReStyle, 1 for others);"
                    " more go on by optimization and cost time.",
                ),
                io.Combo.Input(
                    "unknown",
                    options=[STOP, ANYWAY],
                    display_name="if the face is unknown",
                    optional=True,
                    tooltip="For a picture that this inverter was not made for, such as a photo with the avatars: stop with a"
                    " sentence on what to load instead, or go on anyway and see the nearest face that it knows.",
                ),
            ],
            outputs=[sockets.Codes.Output("codes", tooltip="One code per picture, [N, L, D].")],
        )

    @classmethod
    def execute(cls, generator, inverter, image, steps, unknown=STOP) -> io.NodeOutput:
        net, finder = host.ready(generator, inverter, memory=host.gradient_memory(generator) if steps else 0)
        with host.gradients():
            images = host.plain(host.square(host.from_image(image)))
            options = {"steps": steps or None, "progress": host.progress(), "anyway": unknown == ANYWAY}
            try:
                codes, stranger = invert_known(finder, net, images, **options)
            except StrangerError as error:
                raise StrangerError(f"{error} {STRANGERS}") from error
        if stranger:
            host.remark(stranger)
        return host.output(made_by(codes.cpu(), net))


def half_input() -> io.Int.Input:
    """How much is computed in half precision."""
    return io.Int.Input(
        "half",
        default=0,
        min=0,
        max=8,
        optional=True,
        advanced=True,
        tooltip="How many of the highest resolutions are computed in 16 bits, 0..8: faster on most graphics cards, a little less exact."
        " 0 computes everything in 32 bits.",
    )


class RefineFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionRefineFace",
            display_name="Refine Face",
            category=CATEGORY,
            description="Make the code draw the face more exactly: optimize it, and if wanted tune the generator to this one face"
            " (pivotal tuning). Slow, and worth it for photos.",
            has_intermediate_output=True,
            search_aliases=["optimize", "pivotal tuning", "pti", "projector", "fine-tune", "likeness", "improve inversion"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that will draw the face."),
                io.Image.Input("image", tooltip="The same square that was inverted."),
                sockets.Codes.Input("codes", tooltip="Where to begin: the codes of Invert Face, one per picture."),
                io.Int.Input(
                    "steps", default=200, min=0, max=5000, tooltip="Steps of optimization, 0..5000; 0 leaves the codes as they are."
                ),
                io.Int.Input(
                    "tuning_steps",
                    default=0,
                    min=0,
                    max=5000,
                    tooltip="Steps of tuning the generator itself, 0..5000; 0 leaves it. A tuned generator draws this face best"
                    " and still knows the motions.",
                ),
                io.Combo.Input(
                    "space",
                    options=list(SPACES),
                    default="w+",
                    advanced=True,
                    tooltip="w+ moves every layer by itself and comes closer; w keeps one row for all and edits more naturally.",
                ),
                sockets.Identity.Input(
                    "identity", optional=True, tooltip="A face recognizer that keeps the likeness, from Load Identity Network."
                ),
            ],
            outputs=[
                sockets.Codes.Output("refined", display_name="codes", tooltip="The refined codes, [N, L, D]."),
                sockets.Generator.Output(
                    "tuned", display_name="generator", tooltip="The tuned generator, or the given one without tuning."
                ),
            ],
        )

    @classmethod
    def execute(cls, generator, image, codes, steps, tuning_steps, space, identity=None) -> io.NodeOutput:
        net, judge = host.ready_with(generator, identity, memory=host.gradient_memory(generator))
        with host.gradients():
            images, found = host.plain(host.square(host.from_image(image))), host.plain(codes)
            if steps:
                found = optimize(net, images, found, space=space, steps=steps, identity=judge, progress=host.progress(CHEAPER)).detach()
            if tuning_steps:
                tuned = tune(net, images, found, steps=tuning_steps, identity=judge, progress=host.progress(CHEAPER))
                return io.NodeOutput(made_by(found.cpu(), net), host.manage(tuned.cpu()))
        return io.NodeOutput(made_by(found.cpu(), net), generator)


class SaveFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionSaveFace",
            display_name="Save Face",
            category=CATEGORY,
            description="Keep a face as a small file in models/stylegan2_codes, so that it need not be inverted again; with a tuned"
            " generator and its base, keep the tuning too. A counter is added to the name; nothing is overwritten.",
            search_aliases=["save latent", "keep face", "export code", "save codes", "save pivotal tuning", "pti", "save tuned generator"],
            inputs=[
                sockets.Codes.Input("codes", tooltip="The codes to keep, [N, L, D]."),
                io.String.Input("name", default="face", tooltip="File name without extension; a subfolder is allowed."),
                sockets.Generator.Input(
                    "tuned", optional=True, tooltip="The generator that Refine Face tuned to this face, to keep its tuning too; needs base."
                ),
                sockets.Generator.Input(
                    "base", optional=True, tooltip="The generator that went into Refine Face; only the difference to it is kept."
                ),
                io.Combo.Input(
                    "precision",
                    options=["float16", "float32"],
                    advanced=True,
                    tooltip="Of the tuning: float16 halves the file and changes no picture visibly; float32 keeps every bit.",
                ),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, codes, name, precision, tuned=None, base=None) -> io.NodeOutput:
        if (tuned is None) != (base is None):
            raise host.HostError("A tuning is kept as the difference between tuned and base; connect both, or neither.")
        path = host.save_path("codes", name)
        if tuned is not None and base is not None:
            beside = host.tuning_of(path)
            beside.parent.mkdir(parents=True, exist_ok=True)
            save_tuning(tuned.value, base.value, beside, half=precision == "float16")
            host.remark(host.shown("tuning", beside))
        save_codes(path, codes, maker(codes))
        return host.output(said=host.shown("codes", path))


class LoadFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionLoadFace",
            display_name="Load Face",
            category="micromotion/loaders",
            description="Load a face that Save Face kept, or the codes of another tool (.npz, .npy, .pt, .pkl): its codes, and the"
            " generator tuned to it where a tuning was kept with it.",
            has_intermediate_output=True,
            search_aliases=["load latent", "saved face", "import code", "load codes", "load pivotal tuning", "tuned generator"],
            inputs=[
                sockets.Generator.Input(
                    "generator", tooltip="The generator that the face was made with, untuned: it is checked, and not changed."
                ),
                io.Combo.Input(
                    "file",
                    options=host.choices("codes"),
                    display_name="face",
                    tooltip="Which file of models/stylegan2_codes: of Save Face, or projected_w.npz, latents.pt, 0.pt and the like.",
                ),
                io.Combo.Input(
                    "tuning",
                    options=[KEPT, NONE, *host.present("tuning")],
                    advanced=True,
                    tooltip="Which tuning of the generator, from models/stylegan2_tunings: the one kept with this face, none, or another.",
                ),
            ],
            outputs=[
                sockets.Codes.Output("codes", tooltip="The codes, [N, L, D]."),
                sockets.Generator.Output("tuned", display_name="generator", tooltip="The generator tuned to this face, or the given one."),
            ],
        )

    @classmethod
    def validate_inputs(cls, file=None, tuning=None):
        found = host.check_file("codes", file)
        return host.check_file("tuning", None if tuning in (KEPT, NONE) else tuning) if found is True else found

    @classmethod
    def fingerprint_inputs(cls, file, tuning, generator=None):
        return host.file_fingerprint("codes", file), host.file_fingerprint("tuning", file if tuning == KEPT else tuning)

    @classmethod
    def execute(cls, generator, file, tuning) -> io.NodeOutput:
        found = read_codes(host.resolve("codes", file), generator.value)
        for sentence in found.notes:
            host.remark(sentence)
        beside = host.find("tuning", file) if tuning == KEPT else None if tuning == NONE else host.resolve("tuning", tuning)
        return host.output(found.codes, generator if beside is None else tuned_by(generator, beside))


def tuned_by(generator, path):
    """The generator with a tuning of its own on top."""
    with torch.inference_mode(False):
        return host.manage(load_tuning(path, generator.value).cpu())


class Synthesize(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionSynthesize",
            display_name="Synthesize Faces",
            category=CATEGORY,
            description="Turn codes into pictures, one per code; equal codes are drawn once."
            " The batch is chosen from the free memory and halved when it runs out.",
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
                io.Int.Input(
                    "size",
                    default=0,
                    min=0,
                    max=4096,
                    step=2,
                    optional=True,
                    advanced=True,
                    tooltip="Side of the pictures in pixels, 0..4096: they are shrunk while they are made, which saves memory."
                    " 0 is the generator's own size.",
                ),
                half_input(),
            ],
            outputs=[
                io.Image.Output(
                    "image", display_name="images", tooltip="One picture per code, in the generator's own size unless another is asked for."
                ),
                io.Mask.Output(
                    "mask", tooltip="Where the pictures are transparent, 1 fully; for generators with an alpha channel, else 0 everywhere."
                ),
            ],
        )

    @classmethod
    def execute(cls, generator, codes, noise, size=0, half=0) -> io.NodeOutput:
        net = host.ready(generator, memory=frame_bytes(generator.value))
        pictures = render(net, codes, size=size or None, noise=noise, half=half, progress=host.progress())
        colors, alpha = split_alpha(pictures)
        opaque = torch.zeros(1, 1, 1).expand(pictures.shape[:-1])
        return io.NodeOutput(host.to_host(colors), host.to_host(opaque if alpha is None else 1 - alpha))


NODES = [SampleFaces, InvertFace, RefineFace, SaveFace, LoadFace, Synthesize]
