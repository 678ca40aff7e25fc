"""How well renders are read into codes, and whether such codes can still be edited."""

from __future__ import annotations

import torch

from . import metrics
from .counterfactual import EDITED, error_of
from .instrument import PSNR
from .rows import Metric, Row, section, spread
from .study import ORACLE, Study
from .world import FACTORS, Faces, World

FACTOR_ERROR = Metric("factor_error", "Factor error after inversion", "<=", 0.05, 3)


def run(study: Study) -> dict:
    """PSNR and factor error on unseen renders over the number of steps, and whether an inverted face can still be edited."""
    world, rows, curve = study.world, [], []
    if world.inverter is None:
        return section("Inversion", [], [], "There is no inverter.")
    parameters = world.tests(study.sizes.inverted).parameters
    images = world.draw(parameters)
    default = world.invert(images)
    rows += inversion_rows(world, "the inverter's own passes", images, parameters, default, judged=False)
    for steps in study.sizes.inversion_steps:
        last = steps == max(study.sizes.inversion_steps)
        group = f"{steps} step" if steps == 1 else f"{steps} steps"
        found = inversion_rows(world, group, images, parameters, world.invert(images, steps), judged=last)
        rows += found
        curve.append({"steps": steps, "psnr": found[0].value, "factor_error": found[1].value})
    rows += _editability(study, Faces(parameters, default))
    text = (
        "Renders of faces at rest, inverted. Steps beyond the inverter's own passes are spent on optimizing the code; the most steps are"
        " judged. Editability is M6 after inversion, with the oracle's and the pooled directions."
    )
    return section("Inversion", [PSNR, FACTOR_ERROR, EDITED], rows, text, curve=curve)


def inversion_rows(
    world: World, group: str, images: torch.Tensor, parameters: torch.Tensor, codes: torch.Tensor, judged: bool = True
) -> list[Row]:
    made = world.show(codes)
    error = (world.factors(made) - parameters[:, : len(FACTORS)]).abs().mean(1)
    return [
        spread(PSNR, group, "", metrics.psnr(made, images), metrics.mean, judged=judged),
        spread(FACTOR_ERROR, group, "", error, metrics.mean, judged=judged),
    ]


def _editability(study: Study, faces: Faces) -> list[Row]:
    groups = [ORACLE, *study.ours]
    return [
        spread(EDITED, f"edited after inversion | {g}", m.name, error_of(study.world, m, faces, study.directions(g, m)))
        for g in groups
        for m in study.motions
    ]
