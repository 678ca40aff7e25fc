"""Nodes that load networks: a file in, a value on a socket out."""

from __future__ import annotations

import torch
from comfy_api.v0_0_2 import io

from ..files import catalog
from ..stylegan2 import convert, load, load_inverter
from ..stylegan2.inversion import load_identity
from ..stylegan2.ops.backend import BACKENDS
from ..subspaces.anchors import load_scorer
from . import host, sockets

CATEGORY = "micromotion/loaders"
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def file_input(kind: str, tooltip: str) -> io.Combo.Input:
    """The combo that lists a kind's files, embedded ones first."""
    return io.Combo.Input("file", options=host.choices(kind), display_name=kind, tooltip=tooltip)


class _LoadFile(io.ComfyNode):
    """What the three loaders share: the file is checked before the run and re-read when it changes."""

    KIND = ""

    @classmethod
    def validate_inputs(cls, file=None):
        return host.check_file(cls.KIND, file)

    @classmethod
    def fingerprint_inputs(cls, file):
        return host.file_fingerprint(cls.KIND, file)


def remarked(value, notes) -> io.NodeOutput:
    """A loaded value, with what its file leaves open said under the node."""
    for sentence in notes:
        host.remark(sentence)
    return host.output(value)


class LoadGenerator(_LoadFile):
    KIND = "generator"

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionLoadGenerator",
            display_name="Load StyleGAN2 Generator",
            category=CATEGORY,
            description="Load a StyleGAN2 generator: NVIDIA .pkl, rosinality .pt, a pSp or ReStyle file, or .safetensors."
            " Nothing in the file is executed. The embedded one draws avatars; load FFHQ weights for photos of people.",
            has_intermediate_output=True,
            search_aliases=["stylegan", "stylegan2", "ffhq", "gan", "load model", "checkpoint", "face generator", "avatar"],
            inputs=[
                file_input(
                    "generator",
                    "Which generator. The embedded avatar one needs no download; others are listed from models/stylegan2"
                    " (.pkl, .pt, .pth, .safetensors).",
                ),
                io.Combo.Input(
                    "backend",
                    options=list(BACKENDS),
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip="How it computes. auto and eager: plain torch; cuda: our own kernels, not yet tried on a card, or an error;"
                    " reference: the slow textbook form, to compare with.",
                ),
            ],
            outputs=[sockets.Generator.Output("generator", tooltip="StyleGAN2: turns codes [N, L, D] into pictures of its own size.")],
        )

    @classmethod
    def fingerprint_inputs(cls, file, backend="auto"):
        return host.file_fingerprint(cls.KIND, file)

    @classmethod
    def execute(cls, file, backend="auto") -> io.NodeOutput:
        with torch.inference_mode(False):
            generator = load(host.resolve("generator", file))
        generator.backend = None if backend == "auto" else backend
        return remarked(host.manage(generator), generator.provenance.notes)


class LoadInverter(_LoadFile):
    KIND = "inverter"

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionLoadInverter",
            display_name="Load Inverter",
            category=CATEGORY,
            description="Load the network that finds the code of a face: a pSp, e4e or ReStyle file, or .safetensors."
            " It must belong to the generator; the embedded one belongs to the embedded avatar generator.",
            has_intermediate_output=True,
            search_aliases=["psp", "e4e", "restyle", "encoder", "projector", "gan inversion", "embed face"],
            inputs=[
                file_input(
                    "inverter",
                    "Which inverter. It must be made for the loaded generator; others are listed from models/stylegan2_inverters"
                    " (.pt, .pth, .safetensors).",
                )
            ],
            outputs=[sockets.Inverter.Output("inverter", tooltip="Turns a face picture into the code that makes the generator draw it.")],
        )

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        with torch.inference_mode(False):
            inverter = load_inverter(host.resolve("inverter", file))
        return remarked(host.manage(inverter), inverter.card.notes)


class LoadScorer(_LoadFile):
    KIND = "scorer"

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionLoadScorer",
            display_name="Load Text Scorer",
            category=CATEGORY,
            description="Load the network that says how well a picture fits a sentence (CLIP). Text anchors are found with it.",
            search_aliases=["clip", "open_clip", "text", "score", "vit-b-32"],
            inputs=[
                file_input(
                    "scorer",
                    "Which scorer. The embedded one has seen avatars only; for photos"
                    " put an open_clip file into models/micromotion_scorers.",
                )
            ],
            outputs=[sockets.Scorer.Output("scorer", tooltip="Cosine between pictures and sentences, -1..1.")],
        )

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        with torch.inference_mode(False):
            return io.NodeOutput(host.manage(load_scorer(host.resolve("scorer", file))))


class LoadIdentity(_LoadFile):
    KIND = "identity"

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionLoadIdentity",
            display_name="Load Identity Network",
            category=CATEGORY,
            description="Load a face recognizer (ArcFace) that keeps the likeness of photos while codes are searched, and measures it."
            " Optional everywhere; none is embedded.",
            search_aliases=["arcface", "face recognition", "likeness", "identity"],
            inputs=[file_input("identity", "Which file of models/stylegan2_identity: model_ir_se50.pth or facexlib's copy of it.")],
            outputs=[sockets.Identity.Output("identity", tooltip="Turns an aligned face into a vector that says who it is.")],
        )

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        with torch.inference_mode(False):
            return io.NodeOutput(host.manage(load_identity(host.resolve("identity", file))))


class ConvertCheckpoint(_LoadFile):
    KIND = "generator"

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionConvertCheckpoint",
            display_name="Convert StyleGAN2 Checkpoint",
            category=CATEGORY,
            description="Write a generator of any supported format as .safetensors into models/stylegan2: safe to share, loads faster."
            " Nothing is overwritten. The license of the weights stays what it was.",
            search_aliases=["pkl to safetensors", "export generator", "convert pickle", "half precision"],
            inputs=[
                file_input("generator", "Which generator to convert, from models/stylegan2."),
                io.Combo.Input(
                    "precision",
                    options=list(PRECISIONS),
                    tooltip="float32 keeps every bit; float16 and bfloat16 halve the file, float16 being the more exact of the two.",
                ),
                io.String.Input("name", default="converted", tooltip="File name without extension; a subfolder is allowed."),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, file, precision, name):
        return host.file_fingerprint(cls.KIND, file)

    @classmethod
    def execute(cls, file, precision, name) -> io.NodeOutput:
        path = host.save_path("generator", name)
        convert(host.resolve("generator", file), path, PRECISIONS[precision])
        return host.output(said=host.shown("generator", path))


class FetchModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionFetchModel",
            display_name="Fetch Model",
            category=CATEGORY,
            description="Fetch public files that photos, paintings or animals need into the models folder. Without your consent it only"
            " says what would be fetched, from where and under which license.",
            search_aliases=["download", "install model", "ffhq", "get weights", "e4e", "pretrained", "missing model"],
            inputs=[
                io.Combo.Input(
                    "what",
                    options=catalog.choices(),
                    tooltip="Everything that photos of people need, or one file: subject / kind / name.",
                ),
                io.Boolean.Input(
                    "accept",
                    default=False,
                    display_name="I accept the license",
                    tooltip="Off: only say what would be fetched and under which terms. On: fetch it. A fetch that was cancelled goes on"
                    " where it stopped.",
                ),
            ],
            outputs=[io.String.Output("report", tooltip="The terms, or the files as they lie in the models folder now.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, what, accept):
        return f"{accept} {[(host.fetched(entry)).is_file() for entry in catalog.wanted(what)]}"

    @classmethod
    def execute(cls, what, accept) -> io.NodeOutput:
        entries = catalog.wanted(what)
        if not accept:
            said = f"{catalog.terms(entries)}\nNothing was fetched. Turn on 'I accept the license' and run again."
            return host.output(said, said=said)
        for entry in entries:
            catalog.download(entry.name, host.fetched(entry).parent, host.progress())
        said = "\n".join(f"models/{entry.target}" for entry in entries)
        return host.output(said, said=f"Fetched:\n{said}")


NODES = [LoadGenerator, LoadInverter, LoadScorer, LoadIdentity, FetchModel, ConvertCheckpoint]
