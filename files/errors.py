"""The one family of errors: a door asks for `MicromotionError` alone. Under it, what can be wrong with a file, one class each."""

from collections.abc import Iterator
from contextlib import contextmanager


class MicromotionError(ValueError):
    """A sentence for the user: what is wrong, with which input, and what would be right."""


class CheckpointError(MicromotionError):
    """A file that cannot be used; the message says what was found and what is supported."""


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the file's name before every CheckpointError that does not say it."""
    try:
        yield
    except CheckpointError as e:
        if name in str(e):
            raise
        raise type(e)(f"{name}: {e}") from e


class MissingFileError(CheckpointError):
    """There is no such file."""


class DamagedFileError(CheckpointError):
    """The file is truncated, altered, or declares sizes that it does not hold."""


class UnsafeFileError(CheckpointError):
    """The file asks for something other than plain data. Nothing of it was executed."""


class UnsupportedFileError(CheckpointError):
    """A sound file of another kind, such as StyleGAN3, a discriminator or a diffusion model."""


class UnwritableError(CheckpointError):
    """A file that cannot be written where it should go; the message says why, and what to do. What was there before is still there."""


@contextmanager
def advising(supported: str) -> Iterator[None]:
    """Say behind the refusal of a file's kind which kinds would be right."""
    try:
        yield
    except (UnsafeFileError, UnsupportedFileError) as e:
        if not supported:
            raise
        raise type(e)(f"{e} {supported}") from e
