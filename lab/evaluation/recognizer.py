"""M5 once more, by a face recognizer that never saw the renderer's numbers: does the edited picture still show the same person?"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ...avatars import renderer as rendering
from ...files.errors import MicromotionError
from ...stylegan2.inversion.compact import Residual
from .. import sampling
from ..train_regressor import TEST_SEED
from . import metrics
from .measure import edited
from .rows import Metric, Row, row, section, spread
from .study import INVERTED, ORACLE, POOLED, SHIPPED, VIDEO, Study
from .world import BATCH, Faces, World, moved

SIZE, WIDTH = 64, 64
AROUND = ("background_a", "background_b", "clothes_a", "clothes_b", "light")  # of the picture, not of the person
PHOTO_SHARE, MOVING = 0.8, 0.3
ALARM = 0.01  # share of pairs of different people that the threshold lets through
AREA = Metric("verification_area", "Area under the curve of verification", "", None, 3)
FOUND = Metric("verification_found", "Same person found, where 1 % of others are taken for them")
SAME = Metric("recognizer_cosine", "Cosine with the unmoved face at one sigma", "", None, 3)
KEPT = Metric("recognizer_kept", "Still the same person at one sigma, share of faces")
RENDERED = "the renderer itself"
MEASURED = (f"{VIDEO}, {POOLED}", f"{INVERTED}, {POOLED}", SHIPPED, ORACLE)


class Recognizer(nn.Module):
    """Pictures ``[N, 3, H, W]`` in -1..1, H = W >= 64 -> unit vectors ``[N, 64]``, near for pictures of one person."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 160)):
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Residual(a, b) for a, b in zip((widths[0], *widths), widths))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 16, 192), nn.BatchNorm1d(192), nn.ReLU(), nn.Linear(192, WIDTH))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images if images.shape[-1] == SIZE else F.adaptive_avg_pool2d(images, SIZE))
        for i, block in enumerate(self.blocks):
            x = block(x if i == 0 else F.max_pool2d(x, 2))
        return F.normalize(self.head(x), dim=1)


def save_recognizer(network: Recognizer, path: Path) -> None:
    """Write it in 16 bit."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() if v.is_floating_point() else v for k, v in network.state_dict().items()}, path)


def load_recognizer(path: Path | None) -> Recognizer:
    """What `lab.train_recognizer` wrote."""
    from safetensors.torch import load_file

    if path is None or not Path(path).is_file():
        raise MicromotionError(f"There is no recognizer {path or ''}; make it with python -m micromotion.lab.train_recognizer --save FILE.")
    network = Recognizer()
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()})
    return network.eval().requires_grad_(False)


def pictures_of_people(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures ``[count, 3, 64, 64]`` each of ``count`` people: everything but the person is drawn anew."""
    person = sampling.sample_parameters(count, seed)
    changing = [rendering.PARAMETERS.index(name) for name in (*rendering.FACTORS, *AROUND)]
    parts = []
    for k in (1, 2):
        parameters = person.clone()
        parameters[:, changing] = sampling.sample_parameters(count, seed + k)[:, changing]
        styles, moves = sampling.sample_styles(count, seed + k, PHOTO_SHARE), sampling.sample_moves(count, seed + k, MOVING)
        parts.append(rendering.render(parameters, SIZE, styles, moves).images)
    return parts[0], parts[1]


def verification(first: torch.Tensor, second: torch.Tensor) -> dict[str, float]:
    """How well cosines of unit vectors ``[N, D]`` tell partners from strangers: area under the curve, the threshold that ``ALARM`` of
    the strangers pass, and the share of partners that pass it."""
    cosines = first.double() @ second.double().T
    partners, strangers = cosines.diagonal(), cosines[~torch.eye(len(cosines), dtype=torch.bool)]
    strangers = strangers.sort().values
    threshold = float(strangers.quantile(1 - ALARM))
    below = torch.searchsorted(strangers, partners).double() / len(strangers)
    return {"area": float(below.mean()), "threshold": threshold, "found": float((partners > threshold).double().mean())}


def quality(network: Recognizer, people: int = 512) -> dict[str, float]:
    """Verification of people that training never drew."""
    first, second = pictures_of_people(people, TEST_SEED + 13)
    return verification(embed(network, first), embed(network, second))


@torch.no_grad()
def embed(network: Recognizer, images: torch.Tensor) -> torch.Tensor:
    """Unit vectors ``[N, D]`` of pictures, clamped as a file would hold them."""
    return torch.cat([network(part.clamp(-1, 1)) for part in images.split(BATCH)])


def run(study: Study) -> dict:
    """The recognizer's own test, then every direction that a user would keep at one sigma, and renders of the same change."""
    network = load_recognizer(study.recognizer)
    test = quality(network)
    rows = [row(AREA, "unseen people", "", test["area"]), row(FOUND, "unseen people", "", test["found"])]
    faces = study.world.tests(study.sizes.compared)
    own = embed(network, study.world.show(faces.codes))
    for motion in study.motions:
        rows += _rows(RENDERED, motion.name, *_drawn(study.world, network, faces, motion), test["threshold"])
        for group in [g for g in study.groups if g in MEASURED or g.startswith("null")]:
            moved_codes = edited(faces.codes, study.directions(group, motion), metrics.SIGMA)
            rows += _rows(group, motion.name, own, embed(network, study.world.show(moved_codes)), test["threshold"])
    text = (
        "A recognizer that was told only which pictures show the same person, on renders whose motions, moves, background, clothes, light"
        " and style change from picture to picture. A face counts as still the same person where its cosine is above the threshold that"
        f" {ALARM:.0%} of pairs of different people pass. The renderer itself: renders of the same faces with the same change, which are"
        " the same person by definition; what is missing there is the recognizer's."
    )
    return section("M5. Identity by a recognizer", [AREA, FOUND, SAME, KEPT], rows, text)


def _drawn(world: World, network: Recognizer, faces: Faces, motion) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = (faces.parameters, moved(faces.parameters, motion, metrics.SIGMA))
    before, after = (embed(network, rendering.render(p.clamp(0, 1), SIZE).images) for p in pairs)
    return before, after


def _rows(group: str, motion: str, before: torch.Tensor, after: torch.Tensor, threshold: float) -> list[Row]:
    cosines = (before * after).sum(1)
    return [spread(SAME, group, motion, cosines), spread(KEPT, group, motion, (cosines > threshold).double(), metrics.mean)]
