"""Pictures while a slider moves: what follows the slider is drawn again beside ComfyUI's queue, from what its nodes were given before.

A run through the queue costs the page and the server several times what our nodes take for one face. So nodes that can stand between a
slider and a Preview Image are ``remembered``: what they were given, by weak references, so that nothing is kept that ComfyUI has let go.
The page asks by ``ROUTE``; whatever cannot be answered so is declined, and the page runs the graph as usual.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import count
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.v0_0_2 import io
from comfy_execution.utils import get_executing_context

from ..files.errors import MicromotionError
from ..pairs.cluster import with_threads
from . import host, plots

ROUTE = "/micromotion/live"
SHOWS = "PreviewImage"
SLIDER = "coefficient"  # how the inputs begin that may differ from what was given before
KEPT, FILES = 64, 16  # nodes, and pictures on the disk
QUALITY = 90  # of a JPEG
FREE_SECONDS, LOOK_SECONDS = 0.5, 0.005  # a run that has just ended leaves the queue a moment later

HIDDEN = [io.Hidden.prompt]  # of the schema of a node that is remembered


class DeclinedError(Exception):
    """Not to be drawn beside the queue."""


@dataclass(frozen=True)
class Memory:
    """How a node ran: its ``execute``, what it was given, and the graph in which it was."""

    execute: Callable
    given: dict[str, Any]
    prompt: dict


_files: deque[Path] = deque()  # the newest pictures
_numbers = count()
_memories: dict[str, Memory] = {}  # by execution id, the latest last; never changed but replaced, for it is read while a run goes on


def remembered(execute: Callable) -> Callable:
    """Decorates the ``execute`` of a node that may be run again while a slider moves; its schema has ``HIDDEN``."""

    @functools.wraps(execute)
    def remembering(cls, **given):
        running, prompt = get_executing_context(), cls.hidden and cls.hidden.prompt
        if running is not None and prompt:
            _remember(running.node_id, Memory(functools.partial(execute, cls), _held(given), prompt))
        return execute(cls, **given)

    return remembering


def _remember(name: str, memory: Memory) -> None:
    global _memories
    others = [one for one in _memories.items() if one[0] != name]
    _memories = dict([*others, (name, memory)][-KEPT:])


def _held(value: Any) -> Any:
    """A value by weak references, where it can be referred to so; lists are kept as tuples."""
    if isinstance(value, dict):
        return {name: _held(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_held(one) for one in value)
    try:
        return weakref.ref(value)
    except TypeError:  # numbers and words
        return value


def _found(held: Any) -> Any:
    """What ``_held`` refers to. Raises DeclinedError where it is gone."""
    if isinstance(held, dict):
        return {name: _found(one) for name, one in held.items()}
    if isinstance(held, tuple):
        return tuple(_found(one) for one in held)
    if not isinstance(held, weakref.ref):
        return held
    if (value := held()) is None:
        raise DeclinedError("what a node was given is gone")
    return value


def pictures(prompt: Any) -> dict[str, dict[str, str]]:
    """The pictures of the Preview Image nodes that follow moved sliders, by execution id.

    Raises DeclinedError where anything but our sliders differs from when the nodes ran, or a node of others would have to run too, and the
    errors of our nodes.
    """
    origins = _origins(prompt)
    memories = _memories
    made: dict[str, tuple] = {}
    shown: dict[str, dict[str, str]] = {}
    for name in _following(origins, _moved(prompt, memories)):
        node = prompt[name]
        fresh = {put: _made(made, link) for put, link in node["inputs"].items() if _is_link(link) and link[0] in made}
        if node["class_type"] == SHOWS and "images" in fresh:
            shown[name] = _written(fresh["images"])
        else:
            memory = _memory(prompt, origins, name, memories, made.keys())
            made[name] = memory.execute(**_given(memory, fresh, _sliders(node))).args
    if not shown:
        raise DeclinedError("nothing is shown")
    return shown


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


def _origins(prompt: Any) -> dict[str, set[str]]:
    """The nodes that each node's links come from. Raises DeclinedError for what is not a graph."""
    nodes = prompt.values() if isinstance(prompt, dict) else [None]
    if not all(isinstance(node, dict) and isinstance(node.get("inputs"), dict) and "class_type" in node for node in nodes):
        raise DeclinedError("not a graph")
    return {name: {link[0] for link in node["inputs"].values() if _is_link(link)} for name, node in prompt.items()}


def _sliders(node: dict) -> dict[str, float]:
    """What the sliders of a node stand at."""
    return {put: float(value) for put, value in node["inputs"].items() if put.startswith(SLIDER) and type(value) in (int, float)}


def _moved(prompt: dict, memories: dict[str, Memory]) -> set[str]:
    """The remembered nodes whose sliders have moved; all that have sliders, where none has moved."""
    with_sliders = {name for name in memories.keys() & prompt.keys() if _sliders(prompt[name])}
    return {name for name in with_sliders if prompt[name] != memories[name].prompt[name]} or with_sliders


def _following(origins: dict[str, set[str]], moved: set[str]) -> list[str]:
    """The moved nodes and all that follow them, in the order of execution."""
    following: list[str] = []
    try:
        for name in TopologicalSorter(origins).static_order():
            if name in moved or not origins.get(name, set()).isdisjoint(following):
                following.append(name)
    except CycleError as error:
        raise DeclinedError("the graph is a circle") from error
    return following


def _made(made: dict[str, tuple], link: list) -> Any:
    if not 0 <= link[1] < len(made[link[0]]):
        raise DeclinedError("a link leads nowhere")
    return made[link[0]][link[1]]


def _memory(prompt: dict, origins: dict[str, set[str]], name: str, memories: dict[str, Memory], made: Iterable[str]) -> Memory:
    """How a node ran, if all that leads to it is as it was, but for what is ``made`` anew and its own sliders. Raises DeclinedError."""
    memory = memories.get(name)
    if memory is None:
        raise DeclinedError("a node that follows a slider is not ours, or did not run")
    leading, seen = [name], set(made)
    while leading:
        one = leading.pop()
        if one in seen:
            continue
        seen.add(one)
        if one not in prompt or _apart_from_sliders(prompt[one], one == name) != _apart_from_sliders(memory.prompt.get(one), one == name):
            raise DeclinedError("more than a slider has moved")
        leading += origins[one]
    return memory


def _apart_from_sliders(node: dict | None, apart: bool) -> tuple | None:
    """What makes a node: its class and inputs, ``apart`` from its sliders."""
    own = _sliders(node) if node and apart else {}
    return (node["class_type"], {put: value for put, value in node["inputs"].items() if put not in own}) if node else None


def _given(memory: Memory, fresh: dict[str, Any], sliders: dict[str, float]) -> dict[str, Any]:
    """What a node is given now: as before, but for fresh links and sliders."""
    given = _found(memory.given)
    if not (fresh.keys() | sliders.keys()) <= given.keys():
        raise DeclinedError("an input is new")
    if any(isinstance(value, torch.Tensor) and len(value) > 1 for value in (given.get("codes"), given.get("sweep"))):
        raise DeclinedError("more than one picture")
    return given | fresh | sliders


def _written(images: torch.Tensor) -> dict[str, str]:
    """The only picture of an IMAGE as a JPEG in the temp folder, as the page names it; older ones go. Raises DeclinedError for several."""
    if len(images) != 1:
        raise DeclinedError("more than one picture")
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"micromotion_live_{next(_numbers):06}.jpg"
    plots.from_image(images).save(path, quality=QUALITY)
    _files.append(path)
    if len(_files) > FILES:
        _files.popleft().unlink(missing_ok=True)
    return {"filename": path.name, "subfolder": "", "type": "temp"}


def _draw(prompt: Any) -> dict[str, dict[str, str]]:
    half = max(1, torch.get_num_threads() // 2)  # the page draws meanwhile
    with host.quiet(), torch.inference_mode(), with_threads(half):
        return pictures(prompt)


async def _is_free(queue) -> bool:
    """Whether ComfyUI runs nothing, now or in a moment."""
    for _ in range(int(FREE_SECONDS / LOOK_SECONDS)):
        if not queue.get_tasks_remaining():
            return True
        await asyncio.sleep(LOOK_SECONDS)
    return False


def register(server) -> None:
    """Answer the page, which sends its prompt: the ``pictures``, or why it has to run the graph."""
    from server import web

    one_at_a_time = asyncio.Lock()

    @server.routes.post(ROUTE)
    async def live(request):
        async with one_at_a_time:
            try:
                prompt = await request.json()
                if not await _is_free(server.prompt_queue):
                    raise DeclinedError("ComfyUI is at work")
                return web.json_response({"pictures": await asyncio.to_thread(_draw, prompt)})
            except (DeclinedError, MicromotionError, OSError, ValueError, RecursionError) as error:
                host.log.debug("Not drawn while the slider moves: %s", error)
                return web.json_response({"declined": str(error)})
