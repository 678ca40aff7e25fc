"""The extension: its node list and its model folders."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import codes, examples, faces, host, loaders, subspaces, sweep


class Micromotion(ComfyExtension):
    """All nodes of the pack."""

    async def on_load(self) -> None:
        from server import PromptServer

        host.register_folders()
        if getattr(PromptServer, "instance", None) is not None:
            examples.register(PromptServer.instance)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [*loaders.NODES, *faces.NODES, *codes.NODES, *subspaces.NODES, *sweep.NODES]
