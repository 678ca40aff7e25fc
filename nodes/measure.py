"""Curves measured on the frames of a clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..avatars.instrument import AvatarInstrument
from ..avatars.renderer import MOVES
from ..faces import detect, faces_from_mediapipe, meter
from ..faces.measuring import QUANTITIES, REST, measure_found
from ..files.embedded import embedded_root
from . import host

CHUNK = 16
NOTHING, ALL = "nothing", "all"
OF_AVATARS = {f"{name} of avatars": name for name in ("smile", "eyes", "anger", "yaw", *MOVES)}
MEASURED = (*QUANTITIES, *OF_AVATARS)
BLENDSHAPES = 5  # as many as a plot can show: those that move most


def instrument(quantity: str, device: torch.device) -> tuple[Callable[[torch.Tensor], torch.Tensor], float]:
    """What reads one of ``MEASURED`` off images ``[n, 3, R, R]`` on a device, and its value in a face at rest."""
    if quantity not in OF_AVATARS:
        return meter(quantity, folders=host.landmark_folders()), REST[quantity]
    return AvatarInstrument(embedded_root() / "regressor.safetensors", device).meter(OF_AVATARS[quantity])


def geometry(images: torch.Tensor, quantity: str, landmarks) -> dict[str, list[float]]:
    """Curves of what the largest face does over the frames of an IMAGE: one of ``MEASURED``, or ALL of the geometry."""
    if quantity in OF_AVATARS:
        measure, _ = instrument(quantity, torch.device("cpu"))
        return {quantity: torch.cat([measure(host.from_image(chunk).cpu()) for chunk in images.split(CHUNK)]).tolist()}
    if landmarks is None:
        options = {"folders": host.landmark_folders(), "clip": True, "steady": True, "progress": host.progress()}
        found = detect(images.movedim(-1, 1), value_range=(0, 1), **options)
    else:
        found = faces_from_mediapipe(landmarks, (images.shape[2], images.shape[1]))
    read = measure_found(found)
    return {name: read[name].tolist() for name in (QUANTITIES if quantity == ALL else [quantity])}


def curves(images: torch.Tensor, text: str, scorer, identity, landmarks, quantity: str = NOTHING) -> dict[str, list[float]]:
    """Curve by name over the frames of an IMAGE, of whatever instruments are given; that of ``quantity`` comes first."""
    found = {} if quantity == NOTHING else geometry(images, quantity, landmarks)
    found["change of the picture"] = change(images)
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


def blendshape_track(landmarks: dict, names: Sequence[str]) -> torch.Tensor:
    """Mean ``[F]`` of the named blendshapes of each frame's first face; a frame without a face is not a number."""
    frames = [faces[0]["blendshapes"] if faces else {} for faces in landmarks["frames"]]
    known = sorted({name for frame in frames for name in frame})
    if not known:
        raise host.HostError("No face was found in any of these frames, so there is nothing to calibrate by; look at the pictures.")
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise host.HostError(f"There is no blendshape {', '.join(unknown) or '(none was named)'!r}; choose among {', '.join(known)}.")
    return torch.tensor([[float(frame.get(name, float("nan"))) for name in names] for frame in frames]).mean(1)


def likeness(images: torch.Tensor, identity, sweep: torch.Tensor) -> torch.Tensor:
    """Cosine ``[F]`` of each frame's person with that of the frame nearest to coefficient 0 in its own sweep."""
    device, track = next(identity.parameters()).device, sweep.flatten()
    if len(images) % len(track):
        raise host.HostError(f"There are {len(images)} frames and {len(track)} coefficients; connect the sweep that made these frames.")
    people = torch.cat([identity.embed(host.from_image(chunk).to(device)).cpu() for chunk in images.split(CHUNK)])
    faces = people.reshape(-1, len(track), people.shape[-1])
    return (faces @ faces[:, int(track.abs().argmin()), :, None]).flatten()


def _reach(track: Sequence[float]) -> float:
    known = [v for v in track if v == v]
    return max(known, default=0) - min(known, default=0)


def table(found: dict[str, list[float]], x: Sequence[float], x_name: str) -> str:
    """Comma-separated values, a line per frame."""
    lines = [",".join([x_name, *(f'"{name}"' for name in found)])]
    lines += [",".join([f"{at:g}", *(f"{curve[i]:.5f}" for curve in found.values())]) for i, at in enumerate(x)]
    return "\n".join(lines)
