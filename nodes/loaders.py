"""Nodes that load networks: a file in, a value on a socket out."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.v0_0_2 import io

from ..files import catalog
from ..stylegan2 import convert, load, load_inverter
from ..stylegan2.inversion import load_identity
from ..stylegan2.ops.backend import BACKENDS
from ..subspaces.anchors import load_scorer
from . import host, sockets, wording

CATEGORY = "micromotion/loaders"
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def file_input(kind: str) -> io.Combo.Input:
    """The combo that lists a kind's files, embedded ones first."""
    return io.Combo.Input("file", options=host.choices(kind))


class LoadFile(io.ComfyNode):
    """What these nodes share: the file is checked before the run and re-read when it changes."""

    KIND = ""

    @classmethod
    def validate_inputs(cls, file=None):
        return host.check_file(cls.KIND, file)

    @classmethod
    def fingerprint_inputs(cls, file, **_):
        return host.file_fingerprint(cls.KIND, file)


def remarked(value, notes) -> io.NodeOutput:
    """A loaded value, with what its file leaves open said under the node."""
    host.remark(*notes)
    return host.output(value)


class _LoadNetwork(LoadFile):
    """A file of a kind in, its network on a socket out; ``REMARKS``: whether its card says what the file leaves open."""

    SOCKET: Any = None
    READ: Any = None
    REMARKS = False

    @classmethod
    def define_schema(cls):
        return wording.schema(
            f"MicromotionLoad{cls.KIND.title()}",
            CATEGORY,
            has_intermediate_output=cls.REMARKS,
            inputs=[file_input(cls.KIND)],
            outputs=[cls.SOCKET.Output(cls.KIND)],
        )

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        with torch.inference_mode(False):
            network = cls.READ(host.resolve(cls.KIND, file))
        return remarked(host.manage(network), network.card.notes if cls.REMARKS else ())


class LoadInverter(_LoadNetwork):
    KIND, SOCKET, READ, REMARKS = "inverter", sockets.Inverter, staticmethod(load_inverter), True


class LoadScorer(_LoadNetwork):
    KIND, SOCKET, READ = "scorer", sockets.Scorer, staticmethod(load_scorer)


class LoadIdentity(_LoadNetwork):
    KIND, SOCKET, READ = "identity", sockets.Identity, staticmethod(load_identity)


class LoadGenerator(LoadFile):
    KIND = "generator"

    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionLoadGenerator",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                file_input("generator"),
                io.Combo.Input("backend", options=list(BACKENDS), default="auto", optional=True, advanced=True),
            ],
            outputs=[sockets.Generator.Output("generator")],
        )

    @classmethod
    def execute(cls, file, backend="auto") -> io.NodeOutput:
        with torch.inference_mode(False):
            generator = load(host.resolve("generator", file))
        generator.backend = None if backend == "auto" else backend
        return remarked(host.manage(generator), generator.provenance.notes)


class ConvertCheckpoint(LoadFile):
    KIND = "generator"

    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionConvertCheckpoint",
            CATEGORY,
            inputs=[
                file_input("generator"),
                io.Combo.Input("precision", options=list(PRECISIONS)),
                io.String.Input("name", default="converted"),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, file, precision, name) -> io.NodeOutput:
        path = host.save_path("generator", name)
        convert(host.resolve("generator", file), path, PRECISIONS[precision])
        return host.output(said=host.shown("generator", path))


class FetchModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionFetchModel",
            CATEGORY,
            inputs=[io.Combo.Input("what", options=catalog.choices()), io.Boolean.Input("accept", default=False)],
            outputs=[io.String.Output("report")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, what, accept):
        return f"{accept} {[(host.fetched(entry)).is_file() for entry in catalog.wanted(what)]}"

    @classmethod
    def execute(cls, what, accept) -> io.NodeOutput:
        entries = catalog.wanted(what)
        if not accept:
            said = f"Nothing was fetched. To fetch this, turn on 'I accept the license' and run again:\n{catalog.terms(entries)}"
            return host.output(said, said=said)
        for entry in entries:
            catalog.download(entry.name, host.fetched(entry).parent, host.progress())
        said = "\n".join(f"models/{entry.target}" for entry in entries)
        return host.output(said, said=f"Fetched:\n{said}")


NODES = [LoadGenerator, LoadInverter, LoadScorer, LoadIdentity, FetchModel, ConvertCheckpoint]
