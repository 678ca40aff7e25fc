"""Errors of this room."""

from ..files.errors import MicromotionError


class SubspaceError(MicromotionError):
    """Anchors, a scorer, a subspace or a sweep cannot be used as asked; the message is one sentence for the user."""


class LostMotionError(SubspaceError):
    """An inverter keeps so little of a motion that what it loses cannot be made up for."""


class NamedKindError(SubspaceError):
    """Directions of a kind that is known and cannot be used; the sentence says why."""
