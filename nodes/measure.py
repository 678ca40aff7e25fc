"""Curves measured on the frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from . import host

CHUNK = 16
BLENDSHAPES = 5  # as many as a plot can show: those that move most


def curves(images: torch.Tensor, text: str, scorer, identity, landmarks) -> dict[str, list[float]]:
    """Curve by name over the frames of an IMAGE, of whatever instruments are given."""
    found = {"change of the picture": change(images)}
    report, chunks = host.progress(), images.split(CHUNK)
    fits, people = [], []
    for i, chunk in enumerate(chunks):
        frames = host.from_image(chunk)
        if scorer is not None:
            fits.append(scorer.score(frames.to(scorer.device), [text])[:, 0].cpu())
        if identity is not None:
            people.append(identity.embed(frames.to(next(identity.parameters()).device)).cpu())
        report(i + 1, len(chunks), frames)
    if fits:
        found[f"fits {text!r}"] = torch.cat(fits).tolist()
    if people:
        found["same person"] = (torch.cat(people) @ people[0][0]).tolist()
    return found | (blendshapes(landmarks, len(images)) if landmarks is not None else {})


def change(images: torch.Tensor) -> list[float]:
    """Mean absolute difference of each frame to the first, 0..1."""
    return [float((frame - images[0]).float().abs().mean()) for frame in images]


def blendshapes(landmarks: dict, count: int) -> dict[str, list[float]]:
    """The blendshapes of the first face that move most; frames without a face are not a number."""
    frames = [faces[0]["blendshapes"] if faces else {} for faces in landmarks["frames"]]
    if len(frames) != count:
        raise host.HostError(f"The landmarks are of {len(frames)} frames and there are {count} images; detect them in these images.")
    names = {name for frame in frames for name in frame}
    tracks = {name: [float(frame.get(name, float("nan"))) for frame in frames] for name in names}
    return dict(sorted(tracks.items(), key=lambda item: -_reach(item[1]))[:BLENDSHAPES])


def _reach(track: Sequence[float]) -> float:
    known = [v for v in track if v == v]
    return max(known, default=0) - min(known, default=0)


def table(found: dict[str, list[float]], x: Sequence[float], x_name: str) -> str:
    """Comma-separated values, a line per frame."""
    lines = [",".join([x_name, *(f'"{name}"' for name in found)])]
    lines += [",".join([f"{at:g}", *(f"{curve[i]:.5f}" for curve in found.values())]) for i, at in enumerate(x)]
    return "\n".join(lines)
