"""Subspaces: many codes -> a motion -> many codes."""

from .algebra import add, cosine_table, cosines, merge, negate, orthogonalise, restrict, scale, subtract
from .anchors import Anchors, pool
from .calibration import calibrate, calibrate_track
from .decomposition import robust_pca
from .directions import load_direction, read_directions
from .errors import SubspaceError
from .estimators import ESTIMATORS
from .fitting import fit
from .layers import BANDS, parse_layers
from .preview import preview_strip, with_preview
from .reading import read_coefficients, reading_gain, smooth_track
from .subspace import Calibration, Subspace, apply_motions
from .sweeps import EASINGS, close_loop, from_samples, keyframes, sweep, unique_coefficients

__all__ = [
    "BANDS",
    "EASINGS",
    "ESTIMATORS",
    "Anchors",
    "Calibration",
    "Subspace",
    "SubspaceError",
    "add",
    "apply_motions",
    "calibrate",
    "calibrate_track",
    "close_loop",
    "cosine_table",
    "cosines",
    "fit",
    "from_samples",
    "keyframes",
    "load_direction",
    "merge",
    "negate",
    "orthogonalise",
    "parse_layers",
    "pool",
    "preview_strip",
    "read_coefficients",
    "read_directions",
    "reading_gain",
    "restrict",
    "robust_pca",
    "scale",
    "smooth_track",
    "subtract",
    "sweep",
    "unique_coefficients",
    "with_preview",
]
