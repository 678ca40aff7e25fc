"""micromotion: micromotion subspaces of StyleGAN2 for ComfyUI and the command line."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """ComfyUI's door: everything is imported here, so that importing the package costs nothing."""
    from .nodes import create_extension

    return await create_extension()
