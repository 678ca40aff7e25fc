"""The motions under study: which anchors, which directions, made once and kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch

from ...avatars import renderer as rendering
from ...avatars.motions import MOTIONS, Motion
from ...subspaces import Anchors, Subspace, fit, pool
from ...subspaces.algebra import orthogonalize
from . import anchors
from .cache import Cache
from .measure import calibrated
from .world import LABELS, Faces, World, factor_of, sign_of

VIDEO, INVERTED, TEXT = "video", "video, inverted", "text"
TEXTS = {TEXT: anchors.OURS, **{f"{TEXT} {how}": how for how in (anchors.FREE, anchors.PUBLISHED)}}
ONE, POOLED, CLEANED = "one face", "pooled", "pooled and orthogonalized"
ORACLE, SHIPPED = "labels (oracle)", "shipped motion"
FLOOR = "the generator's own latent"
RIDGE = 1e-3


class Study:
    """A world with its anchors and calibrated directions; groups are named by source and number of faces."""

    def __init__(self, world: World, cache: Cache, motions: tuple[Motion, ...] = MOTIONS, made: Cache | None = None):
        """``made`` keeps the text anchors, which depend on less than the rest; None: with the rest."""
        self.world, self.cache, self.motions, self.made = world, cache, motions, made or cache
        self.sizes = world.sizes
        self.styles: list[str] = list(rendering.STYLES)
        self.recognizer: Path | None = None

    @property
    def sources(self) -> list[str]:
        """The sources whose networks are there."""
        found = {VIDEO: True, INVERTED: self.world.inverter is not None, TEXT: self.world.scorer is not None}
        return [name for name, there in found.items() if there]

    @property
    def groups(self) -> list[str]:
        return [f"{source}, {how}" for source in self.sources for how in (ONE, POOLED, CLEANED)] + self._shipped + [ORACLE]

    @property
    def ours(self) -> list[str]:
        """The directions of several faces: what a user would make and keep."""
        return [g for g in self.groups if g.endswith((POOLED, CLEANED, SHIPPED))]

    @property
    def _shipped(self) -> list[str]:
        return [SHIPPED] if {m.name for m in self.motions} <= {s.name for s in self.world.motions} else []

    def tests(self, group: str) -> Faces:
        """The unseen faces that a group is measured on: all of them for the shipped and the plainly pooled motions."""
        whole = {SHIPPED, f"{VIDEO}, {POOLED}", f"{TEXT}, {POOLED}"}
        return self.world.tests(None if group in whole else self.sizes.compared)

    def anchors(self, source: str, motion: Motion, which: int, count: int | None = None) -> Anchors:
        """Anchors of one identity; ``source`` is one of ``sources`` or, where text is, of ``TEXTS``."""
        if source in TEXTS:
            return anchors.text(self.world, self.made, motion, which, count, TEXTS[source])
        if source == VIDEO:
            return anchors.video(self.world, motion, which, count)
        name = f"inverted-{motion.name}-{which}-{count or self.sizes.frames}"
        made = self.cache.tensors(name, lambda: {"codes": anchors.video(self.world, motion, which, count, inverted=True).codes})
        return Anchors(made["codes"], source="video", fingerprint=self.world.generator.fingerprint)

    def anchor_seconds(self, source: str, motion: Motion, members: range) -> float:
        """What the text anchors of these identities took; codes of clips are counted as given."""
        if source not in TEXTS:
            return 0.0
        return sum(anchors.text_seconds(self.world, self.made, motion, i, TEXTS[source]) for i in members)

    def all_anchor_seconds(self) -> float:
        """What all text anchors of this study took, whichever section asked for them first."""
        return sum(float(made["seconds"]) for prefix in ("text-", "prompt-") for made in self.made.kept(prefix))

    def fit(self, source: str, motion: Motion, members: range, **options) -> Subspace:
        """Our estimator on the anchors of these identities."""
        return fit(pool([self.anchors(source, motion, i) for i in members]), **options)

    def singles(self, source: str, motion: Motion, count: int) -> torch.Tensor:
        """One uncalibrated direction for each of the first anchor identities, ``[S, L, D]``."""
        return torch.stack([self.fit(source, motion, range(i, i + 1)).direction for i in range(count)])

    def pools(self, source: str, motion: Motion) -> torch.Tensor:
        """Uncalibrated directions of the two disjoint pools, ``[2, L, D]``."""
        n = self.sizes.pool
        return torch.stack([self.fit(source, motion, range(0, n)).direction, self.fit(source, motion, range(n, 2 * n)).direction])

    def directions(self, group: str, motion: Motion) -> torch.Tensor:
        """Calibrated directions ``[S, L, D]`` of a group: one unit is one unit of the factor."""
        if group == SHIPPED:
            return self.shipped(motion)[None]
        return self.calibrated(group, motion, lambda: self._raw(group, motion))

    def shipped(self, motion: Motion) -> torch.Tensor:
        """The ready motion ``[L, D]`` as its file scales it, from degrees to units of the factor; nothing is calibrated here."""
        found = next(s for s in self.world.motions if s.name == motion.name)
        return found.direction / abs(motion.high - motion.low)

    def calibrated(self, name: str, motion: Motion, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Calibrate what ``make`` gives, once for a name."""
        name = "direction-" + re.sub(r"[^a-z0-9]+", "-", f"{name} {motion.name}".lower())
        return self.cache.tensors(name, lambda: {"d": calibrated(self.world, make(), motion)})["d"]

    def _raw(self, group: str, motion: Motion) -> torch.Tensor:
        if group == ORACLE:
            return self.oracle(motion)[None]
        source, _, how = group.rpartition(", ")
        if how == ONE:
            return self.singles(source, motion, self.sizes.pool)
        if how == POOLED:
            return self.fit(source, motion, range(self.sizes.pool)).direction[None]
        return self.cleaned(source, motion)[None]

    def cleaned(self, source: str, motion: Motion) -> torch.Tensor:
        """The pooled direction ``[L, D]`` at right angles to those of the other motions."""
        mine, *others = (Subspace(self.directions(f"{source}, {POOLED}", m)[0], name=m.name) for m in self._first(motion))
        return orthogonalize(mine, others).direction

    def _first(self, motion: Motion) -> list[Motion]:
        return [motion, *(m for m in self.motions if m != motion)]

    def labeled(self, count: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes ``[N, D]`` in W of random photos with all their parameters ``[N, P]``: what only a renderer can know."""
        g = torch.Generator().manual_seed(10_000 * (self.world.seed + 1) + LABELS)
        parameters = torch.rand(count or self.sizes.labels, len(rendering.PARAMETERS), generator=g)
        faces = self.world.faces(parameters)
        return faces.codes[:, 0], faces.parameters

    def oracle(self, motion: Motion) -> torch.Tensor:
        """The displacement ``[L, D]`` per unit of the factor, by ridge regression of codes on every label."""
        codes, labels = self.labeled()
        x, y = (labels - labels.mean(0)).double(), (codes - codes.mean(0)).double()
        gram = x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
        weights = torch.linalg.solve(gram, x.T @ y)  # [P, D]
        direction = sign_of(motion) * weights[factor_of(motion)].float()
        return direction.expand(self.world.generator.num_layers, -1).clone()
