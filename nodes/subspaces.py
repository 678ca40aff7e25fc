"""Nodes that make, load, save and look at motions."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..subspaces import Subspace, fit
from ..subspaces.anchors import text_anchors
from . import host, sockets

CATEGORY = "micromotion/motions"
ESTIMATORS = ("auto", "theil_sen", "rpca", "pca", "secant", "published")


class TextAnchors(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionTextAnchors",
            display_name="Make Anchors from Text",
            category=CATEGORY,
            description="Find faces that show a motion in rising degrees, by optimising codes until they fit a sentence."
            " Fit Micromotion turns them into a motion. Costs steps x seeds x 11 optimisation steps; cancel stops it within one.",
            search_aliases=["clip", "prompt", "text to motion", "styleclip", "make motion", "new motion"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 whose codes are optimised."),
                sockets.Scorer.Input("scorer", tooltip="The network that says how well a picture fits the sentence."),
                io.String.Input(
                    "template",
                    default="a person with {degree} smile",
                    tooltip="A sentence with {degree}, which becomes no, 10%, 20% ... 100%. Other braces stay as they are.",
                ),
                io.Int.Input(
                    "seeds",
                    default=3,
                    min=1,
                    max=20,
                    tooltip="From how many random faces, 1..20: more cost time in proportion and give a cleaner motion.",
                ),
                io.Int.Input("steps", default=40, min=1, max=1000, tooltip="Optimisation steps per degree, 1..1000; 40 as published."),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFF, advanced=True, tooltip="Which random faces, 0..4294967295."),
            ],
            outputs=[sockets.Anchors.Output("anchors", tooltip="Codes that show the degrees 0..1 of the motion, for each seed.")],
        )

    @classmethod
    def execute(cls, generator, scorer, template, seeds, steps, seed) -> io.NodeOutput:
        net, judge = host.ready(generator, scorer)
        with host.gradients():
            anchors = text_anchors(net, judge, template, seeds=range(seed, seed + seeds), steps=steps, progress=host.progress())
        return io.NodeOutput(anchors)


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
                io.Combo.Input(
                    "estimator",
                    options=list(ESTIMATORS),
                    default="auto",
                    advanced=True,
                    tooltip="How the motion is decoded. auto: theil_sen where degrees are known (text), rpca where not (clips)."
                    " pca and secant are baselines, published is the original code.",
                ),
            ],
            outputs=[sockets.Subspace.Output("motion", tooltip="The motion: a direction for one calibrated unit, a basis, and what it was made from.")],
        )

    @classmethod
    def execute(cls, anchors, estimator) -> io.NodeOutput:
        return io.NodeOutput(fit(anchors, estimator=None if estimator == "auto" else estimator))


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


NODES = [TextAnchors, FitSubspace, LoadSubspace, SaveSubspace]
