"""The extension: its node list, its model folders, its examples."""

from __future__ import annotations

from comfy_api.v0_0_2 import ComfyExtension, io

from . import anchors, codes, examples, faces, host, loaders, subspaces, sweep


def groups() -> tuple[list[type[io.ComfyNode]], ...]:
    """The nodes of every verb group."""
    return loaders.NODES, faces.NODES, codes.NODES, anchors.NODES, subspaces.NODES, sweep.NODES


class Micromotion(ComfyExtension):
    """All nodes of the pack."""

    async def on_load(self) -> None:
        from server import PromptServer

        host.register_folders()
        host.log.info(host.describe())
        if getattr(PromptServer, "instance", None) is not None:
            examples.register(PromptServer.instance)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [node for group in groups() for node in group]
