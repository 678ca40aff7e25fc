"""Images -> codes: encoders, optimization in W and W+, pivotal tuning."""

from .errors import InversionError, StrangerError
from .feedforward import EncoderInverter
from .files import load_inverter, save_inverter
from .identity import Identity, load_identity
from .inverter import Inverter, InverterCard
from .optimization import OptimizingInverter, Weights, optimize
from .perceptual import load_perceptual
from .reconstruction import ReconstructionReport, invert_known, kept_outlines, out_of_domain, reconstruction_report
from .tuning import load_tuning, save_tuning, tune

__all__ = [
    "EncoderInverter",
    "Identity",
    "InversionError",
    "Inverter",
    "OptimizingInverter",
    "InverterCard",
    "ReconstructionReport",
    "StrangerError",
    "Weights",
    "load_identity",
    "load_inverter",
    "load_perceptual",
    "load_tuning",
    "optimize",
    "invert_known",
    "kept_outlines",
    "out_of_domain",
    "reconstruction_report",
    "save_inverter",
    "save_tuning",
    "tune",
]
