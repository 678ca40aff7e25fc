"""Errors that a user can act on."""


class MicromotionError(ValueError):
    """A sentence for the user: what is wrong, with which input, and what would be right."""
