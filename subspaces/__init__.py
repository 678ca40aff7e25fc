"""Subspaces: many codes -> a motion -> many codes."""

from .algebra import add, combine, cosine_table, cosines, merge, negate, orthogonalize, restrict, scale, subtract
from .anchors import Anchors, Scorer, Settings, Weights, draw_faces, load_scorer, pool, text_anchors, video_anchors
from .calibration import calibrate, calibrate_track
from .decomposition import robust_pca
from .describing import describe_motion
from .directions import load_direction, read_directions
from .errors import LostMotionError, SubspaceError
from .estimators import ESTIMATORS
from .fitting import fit
from .layers import BANDS, parse_layers
from .neutral import Neutral, neutralize
from .opening import open_motion
from .playing import play
from .preview import preview_strip, with_preview
from .reading import read_coefficients, reading_gain, smooth_track
from .subspace import Calibration, Subspace, apply_motions
from .sweeps import EASINGS, close_loop, from_measured, from_samples, keyframes, sweep

__all__ = [
    "BANDS",
    "EASINGS",
    "ESTIMATORS",
    "Anchors",
    "Calibration",
    "Neutral",
    "Scorer",
    "Settings",
    "Subspace",
    "LostMotionError",
    "SubspaceError",
    "Weights",
    "add",
    "apply_motions",
    "calibrate",
    "calibrate_track",
    "close_loop",
    "combine",
    "cosine_table",
    "cosines",
    "describe_motion",
    "draw_faces",
    "fit",
    "from_measured",
    "from_samples",
    "keyframes",
    "load_direction",
    "load_scorer",
    "merge",
    "negate",
    "neutralize",
    "open_motion",
    "orthogonalize",
    "parse_layers",
    "play",
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
    "text_anchors",
    "video_anchors",
    "with_preview",
]
