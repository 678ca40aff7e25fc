"""Nodes that make, load, save and look at motions."""

from __future__ import annotations

from dataclasses import replace

import torch
from comfy_api.v0_0_2 import io

from ..files import limits
from ..stylegan2.frames import synthesize_frames
from ..stylegan2.sampling import seeds_from
from ..subspaces import ESTIMATORS, Subspace, calibrate, calibrate_track, combine, cosine_table, cosines, fit, pool, restrict, scale
from ..subspaces.anchors import contrast, draw_faces
from ..subspaces.describing import describe_motion
from ..subspaces.directions import IMPORTED, STRENGTH
from ..subspaces.opening import open_motion
from ..subspaces.preview import default_coefficients
from . import host, measure, sockets, wording
from . import plots as pictures
from .anchors import layers_input
from .codes import class_input, remark_class
from .loaders import LoadFile, file_input

CATEGORY = "micromotion/motions"
AUTO = "auto"
POOLED = 8  # sets of anchors for one motion
COMBINED = 8  # motions that make one
OPERATIONS = ("add", "without", "merge", "subtract")


def component_input() -> io.Int.Input:
    return sockets.number("component", limits.COMPONENT, 1, optional=True, advanced=True)


class FitSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionFitSubspace",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                sockets.several("anchors", sockets.Anchors.Input("anchors"), POOLED),
                io.Combo.Input("estimator", options=[AUTO, *ESTIMATORS], default=AUTO, advanced=True),
                sockets.number("rank", limits.RANK, 1, advanced=True),
                layers_input(),
                io.Boolean.Input("joint", default=False, optional=True, advanced=True),
                io.Boolean.Input("reverse", default=False, optional=True, advanced=True),
                sockets.number("sparsity", limits.SPARSITY, 0.0, unset=0, step=0.01, round=0.001, optional=True, advanced=True),
                io.String.Input("name", default="", optional=True, advanced=True),
                io.String.Input("license", default="", optional=True, advanced=True),
            ],
            outputs=[sockets.Subspace.Output("motion")],
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
        host.remark(*motion.notes)
        return host.output(motion)


class LoadSubspace(LoadFile):
    KIND = "motion"

    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionLoadSubspace",
            "micromotion/loaders",
            has_intermediate_output=True,
            inputs=[
                file_input("motion"),
                sockets.Generator.Input("generator", optional=True),
                sockets.number("strength", limits.STRENGTH, STRENGTH, unset=0, step=0.5, optional=True, advanced=True),
                io.String.Input("which", default="", optional=True, advanced=True),
            ],
            outputs=[sockets.Subspace.Output("motion")],
        )

    @classmethod
    def execute(cls, file, generator=None, strength=STRENGTH, which="") -> io.NodeOutput:
        path, net = host.resolve("motion", file), None if generator is None else generator.value
        motion = open_motion(path, net, which=which, strength=strength or None)
        host.log.info("%s:\n%s", file, describe_motion(motion))
        host.remark(*(motion.notes if motion.estimator == IMPORTED else ()), motion.stranger(net.fingerprint) if net else "")
        return host.output(motion)


class SaveSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionSaveSubspace",
            CATEGORY,
            inputs=[sockets.Subspace.Input("motion"), io.String.Input("name", default="my_motion")],
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
        return wording.schema(
            "MicromotionCalibrate",
            CATEGORY,
            has_intermediate_output=True,
            inputs=[
                sockets.Subspace.Input("motion"),
                io.DynamicCombo.Input(
                    "instrument",
                    options=[
                        io.DynamicCombo.Option("text", text_instrument_inputs()),
                        io.DynamicCombo.Option("blendshapes", blendshape_inputs()),
                        io.DynamicCombo.Option("face", face_inputs()),
                    ],
                ),
                sockets.number("change", limits.CHANGE, 0.0, unset=0, step=0.01),
                sockets.Identity.Input("identity", optional=True),
                component_input(),
            ],
            outputs=[sockets.Subspace.Output("calibrated"), io.Image.Output("plot")],
        )

    @classmethod
    def execute(cls, motion, instrument, change, identity=None, component=1) -> io.NodeOutput:
        options = {name: value for name, value in instrument.items() if name != "instrument"}
        result = INSTRUMENTS[instrument["instrument"]](motion, change, identity, component, **options)
        return host.output(result, pictures.to_image(response_plot(result, component)))


def text_instrument_inputs() -> list:
    return [
        sockets.Generator.Input("generator"),
        sockets.Scorer.Input("scorer"),
        io.String.Input("full", default="a person with 100% smile"),
        io.String.Input("none", default="a person with no smile"),
        *faces_inputs(),
    ]


def faces_inputs() -> list:
    """On which faces, and how far."""
    return [
        sockets.number("faces", limits.FACES, 8),
        sockets.Codes.Input("codes", optional=True),
        sockets.number("reach", limits.REACH, 1.5, step=0.1, optional=True, advanced=True),
        class_input(),
    ]


def face_inputs() -> list:
    return [sockets.Generator.Input("generator"), io.Combo.Input("quantity", options=list(measure.MEASURED)), *faces_inputs()]


def blendshape_inputs() -> list:
    return [
        sockets.Sweep.Input("sweep"),
        sockets.Landmarks.Input("landmarks"),
        io.String.Input("blendshapes", default="mouthSmileLeft, mouthSmileRight"),
        io.Image.Input("images", optional=True),
    ]


def calibrate_by_text(motion, change, identity, component, generator, scorer, full, none, **where) -> Subspace:
    net, judge, likeness = host.ready(generator, scorer, identity)
    return calibrate_on_faces(motion, *contrast(judge, full, none), change, likeness, component, net, **where)


def calibrate_by_face(motion, change, identity, component, generator, quantity, **where) -> Subspace:
    net, likeness = host.ready(generator, identity)
    score, _ = measure.instrument(quantity, net.w_avg.device)
    return calibrate_on_faces(motion, score, quantity, change, likeness, component, net, **where)


def calibrate_on_faces(
    motion, score, instrument: str, change, likeness, component, net, faces, codes=None, reach=1.5, class_of=""
) -> Subspace:
    if codes is None:
        remark_class(net, class_of)
        codes = draw_faces(net, seeds_from(0, faces), category=class_of)
    return calibrate(
        motion,
        score,
        net,
        codes,
        reach=reach,
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


INSTRUMENTS = {"text": calibrate_by_text, "blendshapes": calibrate_by_blendshapes, "face": calibrate_by_face}


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
        return wording.schema(
            "MicromotionCombine",
            CATEGORY,
            inputs=[
                sockets.several("motions", sockets.Subspace.Input("motion"), COMBINED),
                io.Combo.Input("operation", options=list(OPERATIONS)),
                sockets.number("weight", limits.FACTOR, 1.0, step=0.05),
                sockets.number("factor", limits.FACTOR, 1.0, step=0.05, advanced=True),
                layers_input(),
                io.String.Input("name", default="", advanced=True),
                io.Boolean.Input("per_layer", default=False, advanced=True),
            ],
            outputs=[sockets.Subspace.Output("motion")],
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
        return wording.schema(
            "MicromotionInspect",
            CATEGORY,
            inputs=[
                sockets.Generator.Input("generator"),
                sockets.Subspace.Input("motion"),
                sockets.Codes.Input("codes", optional=True),
                sockets.Subspace.Input("other", optional=True),
                sockets.Subspace.Input("third", optional=True),
                sockets.Subspace.Input("fourth", optional=True),
                sockets.Subspace.Input("fifth", optional=True),
            ],
            outputs=[io.Image.Output("picture"), io.String.Output("text")],
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


NODES = [FitSubspace, LoadSubspace, SaveSubspace, CalibrateSubspace, CombineSubspaces, InspectSubspace]
