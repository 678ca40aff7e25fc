"""The one error of this room."""

from ..files.errors import MicromotionError


class MediaError(MicromotionError):
    """A sentence for the user: which picture or video cannot be read or written, why, and what would be right."""
