"""Nodes between pictures and codes: sample, invert, refine, keep, synthesize."""

from __future__ import annotations

import torch
from comfy_api.v0_0_2 import io

from ..files import limits
from ..stylegan2.codes import read_codes, save_codes
from ..stylegan2.colors import split_alpha
from ..stylegan2.frames import frame_bytes, render
from ..stylegan2.generator import NOISE_MODES
from ..stylegan2.inversion import StrangerError, invert_known, load_tuning, optimize, save_tuning, tune
from ..stylegan2.inversion.checks import starting_codes
from ..stylegan2.inversion.optimization import SPACES
from ..stylegan2.makers import made_by
from ..stylegan2.resample import centered
from ..stylegan2.sampling import SEEDS_OF, seeds_from, unchosen
from ..subspaces.anchors import draw_faces
from . import host, live, sockets, wording

CATEGORY = "micromotion/faces"
CHEAPER = "Fewer steps take less."
STOP, ANYWAY = "stop", "anyway"
STRANGERS = 'Fetch Model fetches them ("everything for photos"); to see the nearest face that this inverter knows, choose anyway.'
KEPT, NONE = "kept with the face", "none"


def class_input() -> io.String.Input:
    """Of which class random faces are."""
    return io.String.Input("class_of", default="", optional=True, advanced=True)


def remark_class(net, class_of: str) -> None:
    """Say so where random faces could be of a class and none was chosen."""
    if sentence := unchosen(net, class_of):
        host.remark(sentence)


class SampleFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionSampleFaces",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                sockets.Generator.Input("generator"),
                sockets.number("seed", limits.SEED, 0, control_after_generate=True),
                sockets.number("count", limits.FACES, 1),
                sockets.number("truncation", limits.TRUNCATION, 0.7, step=0.05),
                io.Combo.Input("seed_source", options=list(SEEDS_OF), optional=True, advanced=True),
                class_input(),
            ],
            outputs=[sockets.Codes.Output("codes")],
        )

    @classmethod
    def execute(cls, generator, seed, count, truncation, seed_source=SEEDS_OF[0], class_of="") -> io.NodeOutput:
        net = host.ready(generator)
        remark_class(net, class_of)
        return host.output(draw_faces(net, seeds_from(seed, count), truncation, seeds_of=seed_source, category=class_of))


class InvertFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionInvertFace",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                sockets.Generator.Input("generator"),
                sockets.Inverter.Input("inverter"),
                io.Image.Input("image"),
                sockets.number("steps", limits.STEPS, 0, unset=0),
                io.Combo.Input("unknown", options=[STOP, ANYWAY], optional=True),
            ],
            outputs=[sockets.Codes.Output("codes")],
        )

    @classmethod
    def execute(cls, generator, inverter, image, steps, unknown=STOP) -> io.NodeOutput:
        net, finder = host.ready(generator, inverter, memory=host.gradient_memory(generator) if steps else 0)
        with host.gradients():
            images = host.plain(centered(host.from_image(image), net.size))
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
    return sockets.number("half", limits.HALF, 0, optional=True, advanced=True)


class RefineFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionRefineFace",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                sockets.Generator.Input("generator"),
                io.Image.Input("image"),
                sockets.Codes.Input("codes", optional=True),
                sockets.number("steps", limits.STEPS, 200, unset=0),
                sockets.number("tuning_steps", limits.STEPS, 0, unset=0),
                io.Combo.Input("space", options=list(SPACES), default="w+", advanced=True),
                sockets.Identity.Input("identity", optional=True),
            ],
            outputs=[sockets.Codes.Output("refined"), sockets.Generator.Output("tuned")],
        )

    @classmethod
    def execute(cls, generator, image, steps, tuning_steps, space, codes=None, identity=None) -> io.NodeOutput:
        net, judge = host.ready(generator, identity, memory=host.gradient_memory(generator))
        with host.gradients():
            images = host.plain(centered(host.from_image(image), net.size))
            found = starting_codes(net, None if codes is None else host.plain(codes), len(images))
            if steps:
                found = optimize(net, images, found, space=space, steps=steps, identity=judge, progress=host.progress(CHEAPER)).detach()
            if tuning_steps:
                tuned = tune(net, images, found, steps=tuning_steps, identity=judge, progress=host.progress(CHEAPER))
                return io.NodeOutput(made_by(found.cpu(), net), host.manage(tuned.cpu()))
        return io.NodeOutput(made_by(found.cpu(), net), generator)


class SaveFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionSaveFace",
            CATEGORY,
            inputs=[
                sockets.Codes.Input("codes"),
                io.String.Input("name", default="face"),
                sockets.Generator.Input("tuned", optional=True),
                sockets.Generator.Input("base", optional=True),
                io.Combo.Input("precision", options=["float16", "float32"], advanced=True),
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
        save_codes(path, codes)
        return host.output(said=host.shown("codes", path))


class LoadFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionLoadFace",
            "micromotion/loaders",
            has_intermediate_output=True,
            inputs=[
                sockets.Generator.Input("generator"),
                io.Combo.Input("file", options=host.choices("codes")),
                io.Combo.Input("tuning", options=[KEPT, NONE, *host.present("tuning")], advanced=True),
            ],
            outputs=[sockets.Codes.Output("codes"), sockets.Generator.Output("tuned")],
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
        host.remark(*found.notes)
        beside = host.find("tuning", file) if tuning == KEPT else None if tuning == NONE else host.resolve("tuning", tuning)
        if beside is not None:
            with torch.inference_mode(False):
                generator = host.manage(load_tuning(beside, generator.value).cpu())
        return host.output(found.codes, generator)


class Synthesize(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionSynthesize",
            CATEGORY,
            hidden=live.HIDDEN,
            inputs=[
                sockets.Generator.Input("generator"),
                sockets.Codes.Input("codes"),
                io.Combo.Input("noise", options=list(NOISE_MODES), default="const", advanced=True),
                sockets.number("size", limits.SIZE, 0, unset=0, step=2, optional=True, advanced=True),
                half_input(),
            ],
            outputs=[io.Image.Output("image"), io.Mask.Output("mask")],
        )

    @classmethod
    @live.remembered
    def execute(cls, generator, codes, noise, size=0, half=0) -> io.NodeOutput:
        net = host.ready(generator, memory=frame_bytes(generator.value))
        pictures = render(net, codes, size=size or None, noise=noise, half=half, progress=host.progress())
        colors, alpha = split_alpha(pictures)
        opaque = torch.zeros(1, 1, 1).expand(pictures.shape[:-1])
        return io.NodeOutput(host.to_host(colors), host.to_host(opaque if alpha is None else 1 - alpha))


NODES = [SampleFaces, InvertFace, RefineFace, SaveFace, LoadFace, Synthesize]
