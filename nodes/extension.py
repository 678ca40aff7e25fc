"""The extension: its node list, its model folders, its examples."""

from __future__ import annotations

from pathlib import Path

from comfy_api.v0_0_2 import ComfyExtension, io

from . import anchors, codes, examples, faces, host, live, loaders, pairs, replaced, sliders, subspaces, sweep


def groups() -> tuple[list[type[io.ComfyNode]], ...]:
    """The nodes of every verb group."""
    return loaders.NODES, faces.NODES, codes.NODES, anchors.NODES, subspaces.NODES, sliders.NODES, sweep.NODES, pairs.NODES


class Micromotion(ComfyExtension):
    """All nodes of the pack; none where another copy of it is loaded already."""

    is_second = False

    async def on_load(self) -> None:
        from server import PromptServer

        server = getattr(PromptServer, "instance", None)
        other = examples.already_there(server) if server is not None else None
        if other is not None:
            self.is_second = True
            own = Path(__file__).resolve().parent.parent
            host.log.error("micromotion is installed twice: %s is loaded, so %s is left out. Remove one of the two folders.", other, own)
            return
        host.register_folders()
        host.speak_plainly()
        host.log.info(host.describe())
        if server is not None:
            examples.register(server)
            sliders.register(server)
            live.register(server)
            await replaced.register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [] if self.is_second else [node for group in groups() for node in group]
