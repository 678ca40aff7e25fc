"""Nodes that make, load, save and look at motions."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..subspaces import ESTIMATORS, Subspace, fit, pool
from . import host, sockets
from .anchors import layers_input

CATEGORY = "micromotion/motions"
AUTO = "auto"


class FitSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionFitSubspace",
            display_name="Fit Micromotion",
            category=CATEGORY,
            description="Decode the motion that anchors have in common: a low-rank subspace of the generator's codes.",
            search_aliases=["robust pca", "theil-sen", "direction", "subspace", "learn motion", "train"],
            inputs=[
                sockets.Anchors.Input("anchors", tooltip="Anchors from text or from a clip."),
                sockets.Anchors.Input(
                    "more", optional=True, tooltip="Anchors of the same motion from another face or clip, pooled with the first."
                ),
                io.Combo.Input(
                    "estimator",
                    options=[AUTO, *ESTIMATORS],
                    default=AUTO,
                    advanced=True,
                    tooltip="How the motion is decoded. auto: theil_sen where degrees are known (text), rpca where not (clips)."
                    " pca and secant are baselines, published is the original code.",
                ),
                io.Int.Input(
                    "rank", default=1, min=1, max=8, advanced=True, tooltip="How many components, 1..8; sweeps move along the first."
                ),
                layers_input(),
            ],
            outputs=[
                sockets.Subspace.Output(
                    "motion", tooltip="The motion: a direction for one calibrated unit, a basis, and what it was made from."
                )
            ],
        )

    @classmethod
    def execute(cls, anchors, estimator, rank, layers, more=None) -> io.NodeOutput:
        given = anchors if more is None else pool([anchors, more])
        return io.NodeOutput(fit(given, estimator=None if estimator == AUTO else estimator, rank=rank, layers=layers))


class LoadSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionLoadSubspace",
            display_name="Load Micromotion",
            category="micromotion/loaders",
            description="Load a motion: one of the five that come with the avatars, or a file from models/micromotion.",
            search_aliases=["smile", "anger", "close eyes", "head turn", "age", "expression", "motion", "subspace", "direction"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=host.choices("motion"),
                    display_name="motion",
                    tooltip="Which motion. The embedded ones belong to the avatar generator; others are listed from models/micromotion.",
                )
            ],
            outputs=[sockets.Subspace.Output("motion", tooltip="A motion for Apply Micromotion.")],
        )

    @classmethod
    def validate_inputs(cls, file=None):
        return host.check_file("motion", file)

    @classmethod
    def fingerprint_inputs(cls, file):
        return host.file_fingerprint("motion", file)

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        with torch.inference_mode(False):
            return io.NodeOutput(Subspace.load(host.resolve("motion", file)))


class SaveSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionSaveSubspace",
            display_name="Save Micromotion",
            category=CATEGORY,
            description="Save a motion as a small .safetensors file in models/micromotion, to use again or to share."
            " A counter is added to the name; nothing is overwritten.",
            search_aliases=["export motion", "share motion", "write subspace"],
            inputs=[
                sockets.Subspace.Input("motion", tooltip="The motion to save."),
                io.String.Input("name", default="my_motion", tooltip="File name without extension; a subfolder is allowed."),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion, name) -> io.NodeOutput:
        path = host.save_path("motion", name)
        motion.save(path)
        return io.NodeOutput(ui=ui.PreviewText(f"models/micromotion/{path.name}"))


NODES = [FitSubspace, LoadSubspace, SaveSubspace]
