"""Nodes that move codes along motions by sliders, and what the page must know to draw those sliders."""

from __future__ import annotations

import asyncio

import torch
from comfy_api.v0_0_2 import io

from ..files import limits
from ..files.errors import MicromotionError
from ..stylegan2.makers import fingerprint_of, made_by
from ..subspaces import neutralize as neutralize_codes
from ..subspaces.opening import open_motion
from . import host, live, measure, sockets, wording
from .subspaces import component_input

CATEGORY = "micromotion/animation"
SLIDERS = 8
CHEAPER = "The code's own coefficient is read at once."
AS_IT_IS, OWN = "no, as it is", "the code's own coefficient"
TRAVEL = (-1.25, 1.25)  # of a slider whose motion is not known, or was not measured
ROUTE = "/micromotion/motion"


class ApplySubspace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionApplySubspace",
            CATEGORY,
            hidden=live.HIDDEN,
            has_intermediate_output=True,
            inputs=[
                sockets.Codes.Input("codes"),
                sockets.Subspace.Input("motion"),
                slider_input("coefficient", 1.0),
                sockets.Sweep.Input("sweep", optional=True),
                component_input(),
                io.Combo.Input("neutralize", options=[AS_IT_IS, *measure.MEASURED, OWN], optional=True),
                sockets.Generator.Input("generator", optional=True),
            ],
            outputs=[sockets.Codes.Output("moved")],
        )

    @classmethod
    def validate_inputs(cls, coefficient=None):
        return within_reach({"coefficient": coefficient})

    @classmethod
    @live.remembered
    def execute(cls, codes, motion, coefficient, sweep=None, component=1, neutralize=AS_IT_IS, generator=None) -> io.NodeOutput:
        codes = codes if neutralize == AS_IT_IS else at_rest(codes, motion, component, neutralize, generator)
        steps = codes.new_ones(len(codes)) if sweep is None else sweep
        coefficients = in_component(steps * reachable(coefficient), component, motion.rank)
        warn_of_stranger(motion, codes)
        warn_beyond(motion, coefficients)
        return host.output(motion.apply(codes, coefficients), sliders=[["motion", *slider_of(motion, component)]])


def at_rest(codes: torch.Tensor, motion, component: int, quantity: str, generator) -> torch.Tensor:
    """The codes with what the motion moves brought to rest; what happened is remarked."""
    if generator is None:
        raise host.HostError("To bring a face to rest it must be drawn and measured: connect the generator of these codes to generator.")
    net = host.ready(generator)
    read = (None, 0.0) if quantity == OWN else measure.instrument(quantity, net.w_avg.device)
    rested = neutralize_codes(codes, motion, net, *read, component=component, progress=host.progress(CHEAPER))
    host.remark(rested.describe(motion.name, quantity))
    return made_by(rested.codes, net)


class FaceSliders(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return wording.schema(
            "MicromotionFaceSliders",
            CATEGORY,
            hidden=live.HIDDEN,
            has_intermediate_output=True,
            inputs=[
                sockets.Codes.Input("codes"),
                sockets.several("motions", sockets.Subspace.Input("motion"), SLIDERS),
                *(slider_input(f"coefficient_{i}", 0.0) for i in range(1, SLIDERS + 1)),
                sockets.Sweep.Input("sweep", optional=True),
            ],
            outputs=[sockets.Codes.Output("moved")],
        )

    @classmethod
    def validate_inputs(cls, **inputs):
        return within_reach({name: value for name, value in inputs.items() if name.startswith("coefficient")})

    @classmethod
    @live.remembered
    def execute(cls, codes, motions, sweep=None, **coefficients) -> io.NodeOutput:
        steps = codes.new_ones(len(codes)) if sweep is None else sweep
        for name, motion in motions.items():
            along = steps * reachable(coefficients[name.replace("motion", "coefficient")])
            warn_of_stranger(motion, codes)
            warn_beyond(motion, along)
            codes = motion.apply(codes, along)
        return host.output(codes, sliders=[[f"motions.{name}", *slider_of(motion)] for name, motion in motions.items()])


def within_reach(coefficients: dict) -> bool | str:
    """For ``validate_inputs``: what is typed or sent may go beyond a slider, as far as any door allows; a linked input is not known yet."""
    wrong = [name for name, value in coefficients.items() if value is not None and not limits.COEFFICIENT.holds(value)]
    return f"{wrong[0]} is {str(coefficients[wrong[0]])[:40]}; give {limits.COEFFICIENT}." if wrong else True


def reachable(coefficient: float) -> float:
    """The number itself, where any door allows it. Raises HostError."""
    return limits.COEFFICIENT.checked(coefficient, "The coefficient is", host.HostError)


def slider_input(name: str, default: float) -> io.Float.Input:
    """A slider over the usual range of a motion; ``within_reach`` lets typed numbers beyond it pass."""
    return io.Float.Input(name, default=default, min=TRAVEL[0], max=TRAVEL[1], step=0.01, display_mode=io.NumberDisplay.slider)


def warn_of_stranger(motion, codes: torch.Tensor) -> None:
    """Say so when the codes are of another generator than the motion, where both are known."""
    host.remark(motion.stranger(fingerprint_of(codes)))


def warn_beyond(motion, coefficients: torch.Tensor) -> None:
    """Say so when a sweep ``[F]`` or ``[F, K]`` leaves the range in which a motion was measured to hold."""
    columns = coefficients[:, None] if coefficients.ndim == 1 else coefficients
    for k, (safe, column) in enumerate(zip(motion.calibration.safe, columns.T)):
        if safe is not None and len(column) and not safe[0] - 1e-6 <= float(column.min()) <= float(column.max()) <= safe[1] + 1e-6:
            which = motion.name or "the motion" if motion.rank == 1 else f"component {k + 1} of {motion.name or 'the motion'}"
            host.remark(
                f"The coefficient goes from {float(column.min()):.2f} to {float(column.max()):.2f};"
                f" {which} was measured to hold from {safe[0]:.2f} to {safe[1]:.2f}."
            )


def in_component(sweep: torch.Tensor, component: int, rank: int) -> torch.Tensor:
    """A sweep ``[F]`` as coefficients of one component of ``rank``; one that has them for every component, ``[F, K]``, is left alone."""
    component = limits.COMPONENT.checked(component, "The component is", host.HostError)
    if sweep.ndim > 1 or component == 1:
        return sweep
    if component > rank:
        raise host.HostError(f"There is no component {component}; this motion has {rank}, counted from 1.")
    coefficients = sweep.new_zeros(len(sweep), rank)
    coefficients[:, component - 1] = sweep
    return coefficients


def slider_of(motion, component: int = 1) -> list:
    """The name of a motion and the two ends that its slider travels between: its measured range, which holds 0, or ``TRAVEL``."""
    known = component <= len(motion.calibration.safe)
    low, high = (motion.calibration.safe[component - 1] if known else None) or TRAVEL
    return [motion.name, min(low, 0.0), max(high, 0.0)]


def slider_of_file(choice: str) -> list | None:
    """The same of an entry of Load Micromotion; None for what cannot be opened by itself."""
    path = host.find("motion", choice)
    try:
        return None if path is None else slider_of(open_motion(path))
    except (MicromotionError, OSError) as error:
        host.log.debug("The slider of %s is not known: %s", choice, error)
        return None


def register(server) -> None:
    """Tell the page how far the slider of a motion goes before the first run."""
    from server import web

    @server.routes.get(ROUTE)
    async def motion(request):
        return web.json_response(await asyncio.to_thread(slider_of_file, request.query.get("file", "")))


NODES = [ApplySubspace, FaceSliders]
