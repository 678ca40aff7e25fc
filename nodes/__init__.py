"""The ComfyUI surface: the only room that knows ComfyUI."""

import logging

log = logging.getLogger("micromotion")


async def create_extension():
    """The pack's ComfyExtension; a failure is logged with its traceback, which ComfyUI would leave out."""
    try:
        from .extension import Micromotion

        return Micromotion()
    except Exception:
        log.exception("The micromotion nodes could not be loaded.")
        raise
