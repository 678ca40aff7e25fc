"""Errors of the inversion room."""

from ...files.errors import MicromotionError


class InversionError(MicromotionError):
    """A sentence for the user about an inverter file, an image, or codes that do not fit."""


class StrangerError(InversionError):
    """The picture is not of the kind that the inverter was made for; the doors add how to see the result all the same."""
