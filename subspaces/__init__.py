"""Subspaces: many codes -> a motion -> many codes."""

from .anchors import Anchors, pool
from .errors import SubspaceError
from .estimators import ESTIMATORS
from .fitting import fit
from .robust_pca import robust_pca
from .subspace import Calibration, Subspace, apply_motions
from .sweep import EASINGS, from_samples, keyframes, sweep, unique_coefficients

__all__ = [
    "EASINGS",
    "ESTIMATORS",
    "Anchors",
    "Calibration",
    "Subspace",
    "SubspaceError",
    "apply_motions",
    "fit",
    "from_samples",
    "keyframes",
    "pool",
    "robust_pca",
    "sweep",
    "unique_coefficients",
]
