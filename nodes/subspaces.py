"""Nodes that make, load, save and look at motions."""

from __future__ import annotations

from dataclasses import replace

import torch
from comfy_api.v0_0_2 import io

from ..stylegan2.frames import synthesize_frames
from ..subspaces import (
    ESTIMATORS,
    Subspace,
    calibrate,
    calibrate_track,
    combine,
    cosine_table,
    cosines,
    fit,
    pool,
    restrict,
    scale,
)
from ..subspaces.anchors import contrast, draw_faces
from ..subspaces.describing import describe_motion
from ..subspaces.directions import IMPORTED, STRENGTH
from ..subspaces.opening import open_motion
from ..subspaces.preview import default_coefficients
from . import host, measure, sockets
from . import plots as pictures
from .anchors import layers_input

CATEGORY = "micromotion/motions"
AUTO = "auto"
COMBINING_WORDS = ["add motions", "mix motions", "orthogonalize", "disentangle", "merge", "negate motion", "reverse motion"]
COMBINING_WORDS += ["scale motion", "rename motion", "invert direction", "layer mask"]
POOLED = 8  # sets of anchors for one motion
COMBINED = 8  # motions that make one
OPERATIONS = ("add", "without", "merge", "subtract")


def component_input() -> io.Int.Input:
    return io.Int.Input(
        "component",
        default=1,
        min=1,
        max=8,
        optional=True,
        advanced=True,
        tooltip="Which component of a motion of higher rank, 1..8; 1 is the motion itself.",
    )


def reach_input() -> io.Float.Input:
    return io.Float.Input(
        "reach",
        default=1.5,
        min=0.01,
        max=10.0,
        step=0.1,
        optional=True,
        advanced=True,
        tooltip="How far to both sides to look, 0.01..10 of the motion's present units.",
    )


class FitSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionFitSubspace",
            display_name="Fit Micromotion",
            category=CATEGORY,
            description="Decode the motion that anchors have in common: a low-rank subspace of the generator's codes. Anchors of the same"
            " motion from several faces, seeds or clips are pooled: what tells the faces apart never counts as motion.",
            has_intermediate_output=True,
            search_aliases=["robust pca", "theil-sen", "direction", "subspace", "learn motion", "train", "pool anchors", "several clips"],
            inputs=[
                io.Autogrow.Input(
                    "anchors",
                    template=io.Autogrow.TemplateNames(
                        sockets.Anchors.Input("anchors", tooltip="Anchors from text or from a clip."),
                        names=[f"anchors_{i}" for i in range(1, POOLED + 1)],
                        min=1,
                    ),
                    tooltip="Anchors from text or from a clip; up to eight sets of the same motion and generator are pooled.",
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
                io.Boolean.Input(
                    "joint",
                    default=False,
                    optional=True,
                    advanced=True,
                    tooltip="Decompose all layers as one matrix instead of each for itself; for rpca, pca and little data.",
                ),
                io.Boolean.Input(
                    "reverse",
                    default=False,
                    optional=True,
                    advanced=True,
                    tooltip="Without degrees: take the beginning of the clip's motion as its positive end instead of the far end.",
                ),
                io.Float.Input(
                    "sparsity",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    round=0.001,
                    optional=True,
                    advanced=True,
                    tooltip="Weight of robust PCA's sparse part, 0..10: lower takes more for outliers; 0 goes by the number of anchors.",
                ),
                io.String.Input("name", default="", optional=True, advanced=True, tooltip="A name for the motion, kept in its file."),
                io.String.Input(
                    "license", default="", optional=True, advanced=True, tooltip="On what terms others may use it, kept in its file."
                ),
            ],
            outputs=[
                sockets.Subspace.Output(
                    "motion", tooltip="The motion: a direction for one calibrated unit, a basis, and what it was made from."
                )
            ],
        )

    @classmethod
    def execute(cls, anchors, estimator, rank, layers, joint=False, reverse=False, sparsity=0.0, name="", license="") -> io.NodeOutput:
        sets = list(anchors.values())
        motion = fit(
            sets[0] if len(sets) == 1 else pool(sets),
            estimator=None if estimator == AUTO else estimator,
            rank=rank,
            layers=layers,
            joint=joint,
            reverse=reverse,
            sparsity=sparsity or None,
            name=name.strip(),
            license=license.strip(),
        )
        for note in motion.notes:
            host.remark(note)
        return host.output(motion)


class LoadSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionLoadSubspace",
            display_name="Load Micromotion",
            category="micromotion/loaders",
            description="Load a motion: one of the five that come with the avatars, or a file from models/micromotion. Plain directions"
            " (.pt, .pth, .pkl, .npy, .npz) are read too: the paper's own, boundaries, GANSpace's and SeFa's components.",
            has_intermediate_output=True,
            search_aliases=["smile", "anger", "close eyes", "head turn", "age", "expression", "motion", "subspace", "direction"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=host.choices("motion"),
                    display_name="motion",
                    tooltip="Which motion. The embedded ones belong to the avatar generator; others are listed from models/micromotion.",
                ),
                sockets.Generator.Input(
                    "generator",
                    optional=True,
                    tooltip="For plain directions: says how many layers a single row fills, and is checked. Motions do not need it.",
                ),
                io.Float.Input(
                    "strength",
                    default=STRENGTH,
                    min=0.0,
                    max=1000.0,
                    step=0.5,
                    optional=True,
                    advanced=True,
                    tooltip="Length in code space of one unit of a plain direction, 0..1000, as files differ eighty-fold. 0 keeps its own.",
                ),
                io.String.Input(
                    "which",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="Which direction of a file that holds several (boundaries, components), by its name or its number from 1."
                    " Empty for files of one.",
                ),
            ],
            outputs=[sockets.Subspace.Output("motion", tooltip="A motion for Apply Micromotion.")],
        )

    @classmethod
    def validate_inputs(cls, file=None):
        return host.check_file("motion", file)

    @classmethod
    def fingerprint_inputs(cls, file, **_):
        return host.file_fingerprint("motion", file)

    @classmethod
    def execute(cls, file, generator=None, strength=STRENGTH, which="") -> io.NodeOutput:
        path, net = host.resolve("motion", file), None if generator is None else generator.value
        motion = open_motion(path, net, which=which, strength=strength or None)
        host.log.info("%s:\n%s", file, describe_motion(motion))
        for sentence in motion.notes if motion.estimator == IMPORTED else ():
            host.remark(sentence)
        return host.output(motion)


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
        return host.output(said=host.shown("motion", path))


class CalibrateSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionCalibrate",
            display_name="Calibrate Micromotion",
            category=CATEGORY,
            description="Measure what the coefficient does and up to where it holds: with the text scorer on several faces, or by what a"
            " face tracker reads from frames. The range is written into the motion; on request its unit is set too.",
            search_aliases=["strength", "normalize motion", "safe range", "unit", "measure motion", "arkit", "mediapipe", "blendshapes"],
            inputs=[
                sockets.Subspace.Input("motion", tooltip="The motion to measure."),
                io.DynamicCombo.Input(
                    "instrument",
                    options=[
                        io.DynamicCombo.Option("text", text_instrument_inputs()),
                        io.DynamicCombo.Option("blendshapes", blendshape_inputs()),
                    ],
                    tooltip="What measures: text, how well pictures fit two sentences; blendshapes, such as mouthSmileLeft, of core's face"
                    " landmarks: sweep through 0, synthesize, detect the landmarks, and connect them here.",
                ),
                io.Float.Input(
                    "change",
                    default=0.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    tooltip="What one unit should change: the score of full minus that of none, or the blendshapes, 0..2. 0 keeps the unit"
                    " and measures only.",
                ),
                sockets.Identity.Input(
                    "identity", optional=True, tooltip="Ends the range where the likeness is lost, from Load Identity Network."
                ),
                component_input(),
            ],
            outputs=[
                sockets.Subspace.Output("calibrated", display_name="motion", tooltip="The motion with its measured range and unit."),
                io.Image.Output("plot", tooltip="The measured response over the coefficient."),
            ],
        )

    @classmethod
    def execute(cls, motion, instrument, change, identity=None, component=1) -> io.NodeOutput:
        options = {name: value for name, value in instrument.items() if name != "instrument"}
        result = INSTRUMENTS[instrument["instrument"]](motion, change, identity, component, **options)
        return io.NodeOutput(result, pictures.to_image(response_plot(result, component)))


def text_instrument_inputs() -> list:
    return [
        sockets.Generator.Input("generator", tooltip="The StyleGAN2 that the motion belongs to."),
        sockets.Scorer.Input("scorer", tooltip="The instrument: how well a picture fits the sentences below."),
        io.String.Input("full", default="a person with 100% smile", tooltip="A sentence for the whole motion."),
        io.String.Input("none", default="a person with no smile", tooltip="A sentence for its absence."),
        io.Int.Input("faces", default=8, min=1, max=64, tooltip="On how many random faces, 1..64; ignored when codes are connected."),
        sockets.Codes.Input("codes", optional=True, tooltip="Faces to measure on, instead of random ones."),
        reach_input(),
    ]


def blendshape_inputs() -> list:
    return [
        sockets.Sweep.Input("sweep", tooltip="The coefficients of the frames; they must pass through 0."),
        sockets.Landmarks.Input("landmarks", tooltip="Of core's Detect Face Landmarks, of these frames; of several faces in turn."),
        io.String.Input(
            "blendshapes",
            default="mouthSmileLeft, mouthSmileRight",
            tooltip="Which blendshapes, with commas; their mean, 0..1, is what is measured.",
        ),
        io.Image.Input("images", optional=True, tooltip="The frames, for the likeness; needs an identity network."),
    ]


def calibrate_by_text(motion, change, identity, component, generator, scorer, full, none, faces, codes=None, reach=1.5) -> Subspace:
    net, judge, likeness = host.ready_with(generator, scorer, identity)
    score, instrument = contrast(judge, full, none)
    return calibrate(
        motion,
        score,
        net,
        draw_faces(net, range(faces)) if codes is None else codes,
        coefficients=torch.linspace(-reach, reach, 13),
        component=component,
        rescale=change > 0,
        change=change or None,
        instrument=instrument,
        identity=None if likeness is None else likeness.embed,
        progress=host.progress(),
    )


def calibrate_by_blendshapes(motion, change, identity, component, sweep, landmarks, blendshapes, images=None) -> Subspace:
    names = [name.strip() for name in blendshapes.split(",") if name.strip()]
    likeness = None if images is None or identity is None else measure.likeness(images, host.ready(identity), sweep)
    return calibrate_track(
        motion,
        sweep,
        measure.blendshape_track(landmarks, names),
        identity=likeness,
        component=component,
        instrument=blendshapes.strip(),
        rescale=change > 0,
        change=change or None,
    )


INSTRUMENTS = {"text": calibrate_by_text, "blendshapes": calibrate_by_blendshapes}


def response_plot(motion: Subspace, component: int = 1):
    """The measured response of a calibrated motion."""
    curve = motion.calibration.curve
    lines = {name: curve[name] for name in ("response", "identity") if name in curve}
    holds = motion.calibration.safe[component - 1]
    range_ = "" if holds is None else f": holds from {holds[0]:.2f} to {holds[1]:.2f}"
    return pictures.plot(lines, curve["coefficients"], f"{motion.name or 'motion'}{range_}", "coefficient")


class CombineSubspaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionCombine",
            display_name="Combine Micromotions",
            category=CATEGORY,
            description="Make one motion of several of the same generator: their sum or difference, one without what leaks into the others,"
            " or the middle of several versions. Or change a single one: its unit, its direction, its layers, its name.",
            search_aliases=COMBINING_WORDS,
            inputs=[
                io.Autogrow.Input(
                    "motions",
                    template=io.Autogrow.TemplateNames(
                        sockets.Subspace.Input("motion", tooltip="A motion of the same generator."),
                        names=[f"motion_{i}" for i in range(1, COMBINED + 1)],
                        min=1,
                    ),
                    tooltip="The motion to begin with, and up to seven others of the same generator.",
                ),
                io.Combo.Input(
                    "operation",
                    options=list(OPERATIONS),
                    tooltip="add: the first + weight x the others. subtract: the first - weight x the others. without: the first at right"
                    " angles to the others, so that it no longer moves them. merge: the median of several versions of one motion.",
                ),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=-5.0,
                    max=5.0,
                    step=0.05,
                    tooltip="How much of the others is added or subtracted, -5..5; for these two only.",
                ),
                io.Float.Input(
                    "factor",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.05,
                    advanced=True,
                    tooltip="How many of today's units the new one is, -100..100 and not 0; -1 turns the motion round. The measured range"
                    " is carried over.",
                ),
                layers_input(),
                io.String.Input("name", default="", advanced=True, tooltip="A name for the result, or empty for the one it has."),
                io.Boolean.Input(
                    "per_layer",
                    default=False,
                    advanced=True,
                    tooltip="For without: take the others out of every layer for itself, which takes out more.",
                ),
            ],
            outputs=[sockets.Subspace.Output("motion", tooltip="The new motion.")],
        )

    @classmethod
    def execute(cls, motions, operation, weight, factor, layers, name, per_layer) -> io.NodeOutput:
        given = list(motions.values())
        made = combine(operation, given, weight=weight, per_layer=per_layer) if len(given) > 1 else given[0]
        made = in_layers(made if factor == 1 else scale(made, factor), layers)
        return io.NodeOutput(replace(made, name=name.strip() or made.name))


def in_layers(motion: Subspace, layers: str) -> Subspace:
    """The motion in the named layers; as it is where all are meant."""
    return motion if layers.strip() in ("", "all") else restrict(motion, layers)


class InspectSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionInspect",
            display_name="Inspect Micromotion",
            category=CATEGORY,
            description="Draw what a motion is: a row of pictures along the coefficient, the spectrum of its anchors, the layers that it"
            " moves, and how much it resembles a second motion.",
            search_aliases=["spectrum", "contact sheet", "plot motion", "compare motions", "cosine", "layers"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that the motion belongs to."),
                sockets.Subspace.Input("motion", tooltip="The motion to look at."),
                sockets.Codes.Input("codes", optional=True, tooltip="The face to show it on; without it the mean face."),
                sockets.Subspace.Input("other", optional=True, tooltip="A second motion to compare with."),
                sockets.Subspace.Input("third", optional=True, tooltip="A third motion for the table of cosines."),
                sockets.Subspace.Input("fourth", optional=True, tooltip="A fourth motion for the table of cosines."),
                sockets.Subspace.Input("fifth", optional=True, tooltip="A fifth motion for the table of cosines."),
            ],
            outputs=[
                io.Image.Output("picture", tooltip="Contact sheet, spectrum, layers and cosines, one below the other."),
                io.String.Output("text", tooltip="The same in words: where it comes from, rank, range, unit."),
            ],
        )

    @classmethod
    def execute(cls, generator, motion, codes=None, other=None, third=None, fourth=None, fifth=None) -> io.NodeOutput:
        net = host.ready(generator)
        motion.check(net)
        code = net.w_avg.expand(1, net.num_layers, -1) if codes is None else codes[:1]
        sheets = [sweep_sheet(net, motion, code.cpu()), spectrum_plot(motion), layer_plot(motion)]
        compared = [motion, *(m for m in (other, third, fourth, fifth) if m is not None)]
        text = describe_motion(motion)
        if len(compared) > 1:
            sheets.append(resemblance(compared))
            text += f"\n\n{cosine_table(compared)}"
        return io.NodeOutput(pictures.to_image(pictures.stack([s for s in sheets if s is not None])), text)


def resemblance(motions: list[Subspace]):
    """The table of cosines between motions."""
    names = [m.name or m.template or f"motion {i + 1}" for i, m in enumerate(motions)]
    rows = [["", *names], *([name, *(f"{c:+.3f}" for c in row)] for name, row in zip(names, cosines(motions).tolist()))]
    return pictures.table(rows, "Resemblance (cosine)", size=(720, 86 + 24 * len(rows)))


def sweep_sheet(net, motion: Subspace, code: torch.Tensor):
    """Pictures along the coefficient, over the measured range where there is one."""
    coefficients = default_coefficients(motion)
    images = torch.cat(list(synthesize_frames(net, motion.apply(code, coefficients), progress=host.progress())))
    return pictures.contact_sheet(host.to_image(images), [f"{c:+.2f}" for c in coefficients.tolist()], motion.name or "motion")


def spectrum_plot(motion: Subspace):
    """Share of the anchors' variance in each component, or None where the file does not say."""
    energy = motion.spectrum.double().square()
    if not energy.sum() > 0:
        return None
    return pictures.bars((energy / energy.sum())[:12].tolist(), "Share of the anchors' variance", "component")


def layer_plot(motion: Subspace):
    """How far one unit moves each layer."""
    return pictures.bars(motion.direction.norm(dim=1).tolist(), "Length of one unit in each layer", "layer")


NODES = [
    FitSubspace,
    LoadSubspace,
    SaveSubspace,
    CalibrateSubspace,
    CombineSubspaces,
    InspectSubspace,
]
