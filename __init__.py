"""micromotion: micromotion subspaces of StyleGAN2 for ComfyUI, for scripts and for the command line.

In a script: ``import micromotion``, then ``micromotion.stylegan2`` (one image <-> one code), ``micromotion.subspaces`` (many codes -> a
motion -> many codes), ``micromotion.faces`` (a photo <-> a square) and ``micromotion.media`` (pictures and videos as files).
"""

__version__ = "0.1.0"
WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """ComfyUI's door: everything is imported here, so that importing the package costs nothing."""
    from .nodes import create_extension

    return await create_extension()


def __getattr__(name: str):
    """The library's rooms, each imported when it is first asked for."""
    if name not in ("faces", "media", "stylegan2", "subspaces"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), "faces", "media", "stylegan2", "subspaces"})
