"""The errors of this room."""

from ..files.errors import MicromotionError


class FaceError(MicromotionError):
    """A sentence for the user: what is wrong, in which frame of which input, and what would be right."""


class MissingToolError(FaceError):
    """dlib or its landmark file is not there; the doors add the ways out that they offer."""
