"""The one error of this room."""


class FaceError(ValueError):
    """A sentence for the user: what is wrong, in which frame of which input, and what would be right."""
