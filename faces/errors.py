"""The one error of this room."""

from ..files.errors import MicromotionError


class FaceError(MicromotionError):
    """A sentence for the user: what is wrong, in which frame of which input, and what would be right."""
