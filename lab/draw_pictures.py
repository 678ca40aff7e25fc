"""Draw a training set of faces to disk once: pictures only, so that what trains on them cannot see a label.

``python -m micromotion.lab.draw_pictures --out ~/train/pictures_64 --count 60000``. Resumes where it stopped; picture k is the same
however often the drawing was interrupted. Training may start while it draws.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..avatars import renderer as rendering
from . import sampling

CHUNK = 16  # pictures per draw: what fits the cache; part of what picture k is
TRAINING_SEED, HELD_OUT_SEED = 500_000_000, 900_000_000
PHOTO_SHARE, ACTIVE = 0.7, 0.4


def draw(chunk: int, size: int, seed: int) -> torch.Tensor:
    """Chunk number ``chunk`` of the set of this seed: images ``[16, 3, size, size]`` in -1..1, four styles, all moves."""
    at = seed + 4 * chunk
    parameters, styles = sampling.sample_parameters(CHUNK, at), sampling.sample_styles(CHUNK, at + 1, PHOTO_SHARE)
    return rendering.render(parameters, size, styles, sampling.sample_moves(CHUNK, at + 2, ACTIVE)).images


def to_bytes(images: torch.Tensor) -> np.ndarray:
    """Images ``[N, 3, S, S]`` in -1..1 -> bytes ``[N, S, S, 3]``."""
    return ((images + 1) * 127.5 + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


class PictureSet:
    """Pictures on disk, ``pictures.u8``: bytes ``[N, S, S, 3]``, of which the first ``drawn`` are there."""

    def __init__(self, folder: Path, size: int | None = None, count: int | None = None):
        self.folder = Path(folder)
        if size is not None and not self._facts.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write({"size": size, "count": count, "drawn": 0})
        facts = json.loads(self._facts.read_text())
        self.size, self.count = facts["size"], facts["count"]
        if (size, count) not in ((None, None), (self.size, self.count)):
            raise SystemExit(f"{folder} holds {self.count} pictures of {self.size} px; choose these numbers or another folder.")
        data = self.folder / "pictures.u8"
        mode = "r" if size is None else "r+" if data.exists() else "w+"
        self.data = np.memmap(data, np.uint8, mode, shape=(self.count, self.size, self.size, 3))

    @property
    def _facts(self) -> Path:
        return self.folder / "pictures.json"

    def _write(self, facts: dict) -> None:
        temporary = self._facts.with_suffix(".partial")
        temporary.write_text(json.dumps(facts))
        os.replace(temporary, self._facts)

    @property
    def drawn(self) -> int:
        return json.loads(self._facts.read_text())["drawn"]

    def add(self, at: int, images: torch.Tensor) -> None:
        """Write images ``[N, 3, S, S]`` from number ``at`` on and say so only then."""
        self.data[at : at + len(images)] = to_bytes(images)[: self.count - at]
        self._write({"size": self.size, "count": self.count, "drawn": min(at + len(images), self.count)})

    def batch(self, numbers: torch.Tensor, flips: torch.Tensor | None = None) -> torch.Tensor:
        """Images ``[N, 3, S, S]`` in -1..1 of these numbers, mirrored where ``flips [N]`` says so."""
        images = torch.from_numpy(self.data[numbers.numpy()]).permute(0, 3, 1, 2).float() / 127.5 - 1
        return images if flips is None else torch.where(flips[:, None, None, None], images.flip(3), images)


def write_clips(folder: Path, size: int, faces: int = 5, frames: int = 24) -> None:
    """Clips of every factor and move from end to end, folders ``<name>-<k>`` of numbered pictures, each of another face at rest."""
    from PIL import Image

    people = sampling.sample_parameters(faces, HELD_OUT_SEED + 1)
    people[:, : len(rendering.FACTORS)] = torch.tensor([0.15, 0.85, 0.15, 0.5, 0.2])
    run = torch.linspace(0, 1, frames)
    for name in (*rendering.FACTORS, *rendering.MOVES):
        for k in range(faces):
            parameters, moves = people[k].repeat(frames, 1), rendering.rest_moves(frames)
            if name in rendering.FACTORS:
                parameters[:, rendering.FACTORS.index(name)] = 1 - run if name == "eyes" else run
            else:
                moves[:, list(rendering.MOVES).index(name)] = run
            target = folder / f"{'turn' if name == 'yaw' else name}-{k + 1}"
            target.mkdir(parents=True, exist_ok=True)
            for i, pixels in enumerate(to_bytes(rendering.render(parameters, size, "photo", moves).images)):
                Image.fromarray(pixels).save(target / f"{i:03d}.png")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the set; resumes from it")
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--held-out", action="store_true", help="draw from the seeds that no training set uses")
    parser.add_argument("--clips", action="store_true", help="draw clips of every factor and move instead, for lab.evaluate --real")
    args = parser.parse_args(arguments)
    if args.clips:
        return write_clips(args.out, args.size)
    pictures = PictureSet(args.out, args.size, args.count)
    seed = HELD_OUT_SEED if args.held_out else TRAINING_SEED
    for at in tqdm(range(pictures.drawn // CHUNK * CHUNK, args.count, CHUNK), unit_scale=CHUNK, unit="img"):
        pictures.add(at, draw(at // CHUNK, args.size, seed))


if __name__ == "__main__":
    main()
