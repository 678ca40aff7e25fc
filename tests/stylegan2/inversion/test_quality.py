"""How well held-out renders are inverted by the shipped weights; docs/inversion.md has the whole table."""

from __future__ import annotations

from pathlib import Path

import micromotion
import pytest
import torch
from micromotion.avatars import renderer as rendering
from micromotion.avatars.regressor import load_regressor
from micromotion.lab import sampling
from micromotion.stylegan2 import load, load_inverter
from micromotion.stylegan2.inversion import optimize, reconstruction_report

WEIGHTS = Path(micromotion.__file__).parent / "avatars" / "weights"
SEED, FACES, STEPS = 950_000_000, 4, 100  # no training and no table uses this seed
PSNR, FACTOR_ERROR = 30.0, 0.05


@pytest.mark.slow
def test_optimization_reaches_the_targets_on_faces_that_nothing_was_trained_on():
    generator, inverter, regressor = (
        read(WEIGHTS / f"{name}.safetensors")
        for read, name in ((load, "generator"), (load_inverter, "inverter"), (load_regressor, "regressor"))
    )
    parameters = sampling.sample_parameters(FACES, SEED)
    images = rendering.render(parameters, generator.resolution).images
    codes = optimize(generator, images, inverter.invert(generator, images), steps=STEPS)
    with torch.no_grad():
        read = regressor.factors(generator.synthesize(codes))
    assert reconstruction_report(generator, codes, images).psnr.mean() >= PSNR
    assert (read - parameters[:, : read.shape[1]]).abs().mean() <= FACTOR_ERROR
