"""Anchors: from rendered clips whose factor moves, with exact or inverted codes, and from text, with the scorer.

Text anchors start, as published, from random faces of the network at the usual truncation; clips show faces at rest.
"""

from __future__ import annotations

import time

import torch

from ...avatars.motions import Motion
from ...subspaces import Anchors
from ...subspaces.anchors import Settings, Weights, text_anchors
from ...subspaces.anchors.degrees import DEGREES
from .cache import Cache
from .world import World, factor_of

ENDS = (0.05, 0.95)
PUBLISHED_VALUES = {"weights": Weights(Settings.l2, prior=Settings.prior), "space": Settings.space, "views": Settings.views}
WAYS = OURS, FREE, PUBLISHED = "ours", "rows free", "as published"


def clip(parameters: torch.Tensor, motion: Motion, frames: int) -> torch.Tensor:
    """Parameters ``[F, P]`` of one face whose factor moves evenly through its range, and nothing else does."""
    parameters = parameters.repeat(frames, 1)
    parameters[:, factor_of(motion)] = torch.tensor([motion.value(float(t)) for t in torch.linspace(*ENDS, frames)])
    return parameters


def video(world: World, motion: Motion, which: int, frames: int | None = None, inverted: bool = False) -> Anchors:
    """Anchors of a clip of anchor identity ``which``: the codes that draw its frames, or what the inverter reads from the renders."""
    parameters = clip(world.anchor_parameters()[which : which + 1], motion, frames or world.sizes.frames)
    codes = world.invert(world.draw(parameters)) if inverted else world.faces(parameters).codes
    return Anchors(codes, source="video", fingerprint=world.generator.fingerprint)


def text(world: World, cache: Cache, motion: Motion, which: int, count: int | None = None, how: str = OURS) -> Anchors:
    """Anchors optimized against the scorer from random face ``which``; ``how`` is one of ``WAYS``."""
    made = _made(world, cache, motion, which, count or world.sizes.degrees, how)
    return Anchors(
        made["codes"],
        degrees=made["degrees"],
        start=made["start"],
        template=motion.template,
        source="text",
        fingerprint=world.generator.fingerprint,
    )


def text_seconds(world: World, cache: Cache, motion: Motion, which: int, how: str = OURS) -> float:
    """How long the text anchors of one identity took when they were made."""
    return float(_made(world, cache, motion, which, world.sizes.degrees, how)["seconds"])


def _made(world: World, cache: Cache, motion: Motion, which: int, count: int, how: str) -> dict[str, torch.Tensor]:
    name = f"text-{motion.name}-face-{which}-{count}" + ("" if how == OURS else f"-{how.replace(' ', '-')}")
    return cache.tensors(name, lambda: _optimize(world, motion, which, words(count), how))


def words(count: int) -> list[str]:
    """``count`` degrees from "no" to "100%"."""
    return ["no", *(f"{round(100 * d)}%" for d in torch.linspace(0, 1, count).tolist()[1:])]


def options(how: str) -> dict:
    """What `text_anchors` is told: our own settings, those with every row free, or the published ones."""
    return {OURS: {}, FREE: {"space": "w+"}, PUBLISHED: PUBLISHED_VALUES}[how]


def _optimize(world: World, motion: Motion, which: int, degrees: list[str], how: str = OURS) -> dict[str, torch.Tensor]:
    steps = {} if world.sizes.steps is None else {"steps": world.sizes.steps}
    begun = time.perf_counter()
    told = {**options(how), **steps, "seeds": [face_seed(world, which)]}
    anchors = text_anchors(world.generator, world.scorer, motion.template, degrees=degrees, **told)
    seconds = torch.tensor(time.perf_counter() - begun)
    assert anchors.degrees is not None and anchors.start is not None  # text anchors know both
    return {"codes": anchors.codes.cpu(), "degrees": anchors.degrees, "start": anchors.start.cpu(), "seconds": seconds}


def face_seed(world: World, which: int) -> int:
    """The seed of random face ``which``."""
    return 100 * (world.seed + 1) + which


def prompt_only(world: World, cache: Cache, motion: Motion, which: int) -> tuple[torch.Tensor, float]:
    """The displacement ``[L, D]`` of a single optimization toward the template at 100 % (as StyleCLIP's optimizer), and its seconds."""
    full = DEGREES[-1]
    made = cache.tensors(f"prompt-{motion.name}-face-{which}", lambda: _optimize(world, motion, which, [full]))
    return made["codes"][-1] - made["start"][0], float(made["seconds"])
