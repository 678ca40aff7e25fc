"""Nodes that make, load, save and look at motions."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..stylegan2.frames import synthesize_frames
from ..subspaces import ESTIMATORS, Subspace, add, calibrate, cosines, files, fit, load_direction, merge, orthogonalise, pool, restrict
from ..subspaces.anchors import draw_faces
from ..subspaces.preview import default_coefficients
from . import host, pictures, sockets
from .anchors import layers_input

CATEGORY = "micromotion/motions"
AUTO = "auto"
OPERATIONS = {
    "add": lambda first, second, weight: add(first, second, weight),
    "without": lambda first, second, weight: orthogonalise(first, second),
    "merge": lambda first, second, weight: merge([first, second]),
}


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
            description="Load a motion: one of the five that come with the avatars, or a file from models/micromotion. Plain directions"
            " (.pt, .npy), such as the paper's own, are read too.",
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
        path = host.resolve("motion", file)
        with torch.inference_mode(False):
            return io.NodeOutput(Subspace.load(path) if files.is_ours(path) else load_direction(path))


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


class CalibrateSubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionCalibrate",
            display_name="Calibrate Micromotion",
            category=CATEGORY,
            description="Measure with the text scorer what the coefficient does, on several faces, and up to where it holds."
            " The range is written into the motion; on request its unit is set too.",
            search_aliases=["strength", "normalise motion", "safe range", "unit", "measure motion"],
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that the motion belongs to."),
                sockets.Scorer.Input("scorer", tooltip="The instrument: how well a picture fits the sentences below."),
                sockets.Subspace.Input("motion", tooltip="The motion to measure."),
                io.String.Input("full", default="a person with 100% smile", tooltip="A sentence for the whole motion."),
                io.String.Input("none", default="a person with no smile", tooltip="A sentence for its absence."),
                io.Int.Input(
                    "faces", default=8, min=1, max=64, tooltip="On how many random faces, 1..64; ignored when codes are connected."
                ),
                io.Float.Input(
                    "change",
                    default=0.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    tooltip="What one unit shall change: the score of full minus that of none, 0..2. 0 keeps the unit and measures only.",
                ),
                sockets.Codes.Input("codes", optional=True, tooltip="Faces to measure on, instead of random ones."),
                sockets.Identity.Input(
                    "identity", optional=True, tooltip="Ends the range where the likeness is lost, of Load Identity Network."
                ),
            ],
            outputs=[
                sockets.Subspace.Output("calibrated", display_name="motion", tooltip="The motion with its measured range and unit."),
                io.Image.Output("plot", tooltip="The measured response over the coefficient."),
            ],
        )

    @classmethod
    def execute(cls, generator, scorer, motion, full, none, faces, change, codes=None, identity=None) -> io.NodeOutput:
        net, judge, likeness = host.ready_with(generator, scorer, identity)
        result = calibrate(
            motion,
            lambda images: (judge.score(images, [full, none]) @ images.new_tensor([1.0, -1.0])) / (change or 1.0),
            net,
            draw_faces(net, range(faces)) if codes is None else codes,
            rescale=change > 0,
            instrument=f"the score of {full!r} minus {none!r}",
            identity=None if likeness is None else likeness.embed,
            progress=host.progress(),
        )
        return io.NodeOutput(result, pictures.to_image(response_plot(result)))


def response_plot(motion: Subspace):
    """The measured response of a calibrated motion."""
    curve = motion.calibration.curve
    lines = {name: curve[name] for name in ("response", "identity") if name in curve}
    low, high = motion.safe_range
    return pictures.plot(lines, curve["coefficients"], f"{motion.name or 'motion'}: holds from {low:.2f} to {high:.2f}", "coefficient")


class CombineSubspaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MicromotionCombine",
            display_name="Combine Micromotions",
            category=CATEGORY,
            description="Make one motion of two of the same generator: their sum, one without what leaks into the other, or the middle of"
            " two versions of the same.",
            search_aliases=["add motions", "mix motions", "orthogonalise", "disentangle", "merge", "layers"],
            inputs=[
                sockets.Subspace.Input("first", tooltip="The motion to begin with."),
                sockets.Subspace.Input("second", tooltip="The other motion, of the same generator."),
                io.Combo.Input(
                    "operation",
                    options=list(OPERATIONS),
                    tooltip="add: first + weight x second. without: first at right angles to second, so that it no longer moves it."
                    " merge: the median of two versions of one motion.",
                ),
                io.Float.Input(
                    "weight", default=1.0, min=-5.0, max=5.0, step=0.05, tooltip="How much of the second is added, -5..5; for add only."
                ),
                layers_input(),
            ],
            outputs=[sockets.Subspace.Output("motion", tooltip="The new motion.")],
        )

    @classmethod
    def execute(cls, first, second, operation, weight, layers) -> io.NodeOutput:
        motion = OPERATIONS[operation](first, second, weight)
        return io.NodeOutput(motion if layers.strip() in ("", "all") else restrict(motion, layers))


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
            ],
            outputs=[
                io.Image.Output("picture", tooltip="Contact sheet, spectrum, layers and cosines, one below the other."),
                io.String.Output("text", tooltip="The same in words: where it comes from, rank, range, unit."),
            ],
        )

    @classmethod
    def execute(cls, generator, motion, codes=None, other=None) -> io.NodeOutput:
        net = host.ready(generator)
        motion.check(net)
        code = net.w_avg.expand(1, net.num_layers, -1) if codes is None else codes[:1]
        sheets = [sweep_sheet(net, motion, code.cpu()), spectrum_plot(motion), layer_plot(motion)]
        if other is not None:
            sheets.append(pictures.table([["cosine", f"{float(cosines([motion, other])[0, 1]):+.3f}"]], "Resemblance", size=(720, 110)))
        return io.NodeOutput(pictures.to_image(pictures.stack([s for s in sheets if s is not None])), describe(motion))


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


def describe(motion: Subspace) -> str:
    """What a motion is, a line for each fact that is known."""
    safe = motion.safe_range
    facts = {
        "name": motion.name,
        "from": motion.template or motion.source,
        "estimator": motion.estimator,
        "size": f"{motion.num_layers} layers of {motion.width}, rank {motion.rank}",
        "variance in the first component": f"{float(motion.explained[0]):.3f}" if motion.explained.numel() else "",
        "effective rank": f"{motion.effective_rank:.2f}" if motion.effective_rank else "",
        "one unit": motion.calibration.unit,
        "holds": f"{safe[0]:.2f} to {safe[1]:.2f}" if safe else "",
        "licence": motion.licence,
        "notes": " ".join(motion.notes),
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items() if value)


NODES = [FitSubspace, LoadSubspace, SaveSubspace, CalibrateSubspace, CombineSubspaces, InspectSubspace]
