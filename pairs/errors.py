"""The one error of this room."""

from ..files.errors import MicromotionError


class PairsError(MicromotionError):
    """A sentence for the user: which part of a set of pairs cannot be planned, made or written, and what would be right."""
