"""Subspaces: many codes -> a motion -> many codes."""

from .errors import SubspaceError
from .robust_pca import robust_pca

__all__ = ["SubspaceError", "robust_pca"]
