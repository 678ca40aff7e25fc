"""``micromotion animate``: a face and its motions -> a video and a contact sheet."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, replace
from os.path import realpath

import numpy as np
import torch
from PIL import Image

from ..files.embedded import PAPER
from ..files.writing import whole_file
from ..media.pictures import contact_sheet, enlarge, to_bytes
from ..media.video import FILMS, GIF_BYTES, GifWriter, VideoWriter, open_writer
from ..stylegan2 import Generator
from ..stylegan2.codes import SUFFIXES
from ..stylegan2.colors import as_rgb
from ..subspaces import LostMotionError, Subspace, apply_motions, fit, keyframes, play, read_coefficients, reading_gain, sweep
from .clips import ClipCodes, codes_of_clip
from .fit import anchors_of_text
from .measuring import brought_to_rest, track_of_clip
from .models import Models, check_files, check_output, embedded, embedded_motions, find_motion, open_named, split_choice
from .portrait import Framing, Portrait, avatar, kept, portrait_of
from .terminal import Clock, UsageError, note, progress_bar, say

COLUMNS, CELL = 7, 160
USUAL_FPS = 24
MOST_DRIVEN = 600  # frames of a driving clip
PIECE = 2**22  # pixels that are composed at once
REACH = 0.7  # of a unit: every ready motion is plain to see there
TWO_SIDED = ("turn", "headsTurn", "brows", "gaze", "nod", "tilt")  # motions whose rest is in the middle


@dataclass(frozen=True)
class Take:
    """One part of the video: a code, how it is moved, and the coefficient that is told of each frame."""

    name: str
    code: torch.Tensor  # [1, L, D]
    moves: list[tuple[Subspace, torch.Tensor]]  # each with coefficients [F] or [F, K]
    coefficients: torch.Tensor  # [F]

    def __len__(self) -> int:
        return len(self.coefficients)

    def farthest(self) -> torch.Tensor:
        """The code ``[1, L, D]`` that is moved most."""
        at = int(self.coefficients.abs().argmax())
        return apply_motions(self.code, [(motion, c[at : at + 1]) for motion, c in self.moves])

    def columns(self) -> list[int]:
        """Frames for the contact sheet: evenly spaced coefficients, each the first frame that comes nearest."""
        wanted = torch.linspace(float(self.coefficients.min()), float(self.coefficients.max()), COLUMNS)
        return [int((self.coefficients - c).abs().argmin()) for c in wanted]


def run(args: Namespace, clock: Clock) -> None:
    """Make the video and the sheet that ``args`` ask for, and say where they are."""
    video = check_output(args.out, FILMS)
    sheet = check_output(video.with_name(f"{video.stem}_sheet.png"), (".png",))
    if args.image is not None and realpath(args.image) in (realpath(video), realpath(sheet)):
        raise UsageError(f"The output would replace the picture {args.image} itself; choose another place with --out.")
    if args.image is not None and args.code is None and args.image.suffix.lower() in SUFFIXES:
        args.image, args.code = None, args.image
    if args.image is not None and args.code is not None:
        raise UsageError("A picture and --code each say which face is moved; give one of them.")
    if args.category is not None and (args.image is not None or args.code is not None):
        raise UsageError("--class says which face is drawn, and a picture or --code gives one already; leave it out.")
    check_files(args.image, args.code, args.generator, args.inverter, args.predictor)
    _check_sweep(args)
    names = _names(args)
    labels = [find_motion(name).stem for name in names]
    models = Models(args.generator, args.inverter, args.scorer, args.device)
    with clock.stage("load the models"):
        generator = models.generator
        motions = [(_label(name, label), open_named(name, generator)) for name, label in zip(names, labels)]
    with clock.stage("find the face"):
        portrait = _portrait(args, models)
    portrait = replace(portrait, codes=brought_to_rest(portrait.codes, args.neutralize, models, clock))
    for text in args.text:
        with clock.stage("decode motions from text"):
            motions.append((text, fit(anchors_of_text(text, models, {"start": portrait.codes}, args.steps, quality=args.quality))))
    if args.by is not None:
        track, rate, clip_sound = track_of_clip(args.drive, args, MOST_DRIVEN, clock)
        takes = [Take(" + ".join(n for n, _ in motions), portrait.codes, [(m, track[:, 0]) for _, m in motions], track[:, 0])]
        fps, sound = (rate or USUAL_FPS, clip_sound) if args.fps is None else (args.fps, None)
    elif args.drive is not None:
        clip = codes_of_clip(args.drive, models, Framing(args.align, args.predictor, anyway=args.anyway), MOST_DRIVEN, clock)
        takes = [driven(portrait.codes, motions, clip, args.smooth, models)]
        fps, sound = (clip.fps or USUAL_FPS, clip.sound) if args.fps is None else (args.fps, None)
    else:
        fps, sound = args.fps or USUAL_FPS, None
        groups = [motions] if args.together else [[motion] for motion in motions]
        takes = [take(portrait.codes, group, args) for group in groups]
    with whole_file(video) as video_part:
        rows = film(open_writer(video_part, fps, sound), takes, portrait, generator, args, clock)
        with clock.stage("draw the contact sheet"), whole_file(sheet) as sheet_part:
            contact_sheet(rows, CELL).save(sheet_part)
    frames = sum(map(len, takes))
    say(f"{video}  ({frames} frames, {frames / fps:.1f} s)")
    say(f"{sheet}  (contact sheet: {', '.join(t.name for t in takes)})")


def _label(name: str, stem: str) -> str:
    which = split_choice(name)[1]
    return f"{stem} {which}" if which else stem


def _check_sweep(args: Namespace) -> None:
    if sum((args.once, args.keyframes is not None, args.drive is not None)) > 1:
        raise UsageError("--once, --keyframes and --drive each say how the coefficient moves; give one of them.")
    if args.keyframes is not None:
        keyframes(args.keyframes, args.frames, loop=True)
    if args.out.suffix.lower() == ".gif" and args.drive is None and args.frames * args.size**2 > GIF_BYTES:
        raise UsageError(f"{args.frames} frames of {args.size} px are too many for a GIF; choose .mp4, fewer --frames or a smaller --size.")
    if (args.by is not None and args.drive is None) or (args.unit is not None and args.by is None):
        raise UsageError("--by reads a clip that --drive names, and --unit says what --by counts in; give them too.")
    if args.drive is not None and not args.drive.exists():
        raise UsageError(f"There is no file or folder {args.drive}.")


def _names(args: Namespace) -> list[str]:
    if args.motion or args.text:
        return args.motion
    if args.generator is not None:
        raise UsageError(
            'The ready motions belong to the embedded avatars; with --generator give --motion FILE or --text "... {degree} ...".'
        )
    embedded("generator")
    return [name for name in embedded_motions() if name in PAPER]


def _portrait(args: Namespace, models: Models) -> Portrait:
    if args.code is not None:
        return kept(args.code, args.face, models.generator)
    if args.image is None:
        return avatar(args.seed, args.truncation, models.generator, seeds_of=args.seeds_of, category=args.category)
    return portrait_of(args.image, models, Framing(args.align, args.predictor, anyway=args.anyway), args.invert_steps)


def take(codes: torch.Tensor, motions: list[tuple[str, Subspace]], args: Namespace) -> Take:
    """Move one code ``[1, L, D]`` along all of ``motions`` at once: there and back, once, or as the keyframes say."""
    coefficients = _sweep(args, args.range or default_span(motions))
    return Take(" + ".join(name for name, _ in motions), codes, [(motion, coefficients) for _, motion in motions], coefficients)


def _sweep(args: Namespace, span: tuple[float, float]) -> torch.Tensor:
    """Coefficients ``[F]`` as asked for."""
    if args.keyframes is not None:
        return keyframes(args.keyframes, args.frames, easing=args.easing, loop=True)
    return sweep(args.frames, *span, easing=args.easing) if args.once else there_and_back(span, args.frames, args.easing)


def driven(codes: torch.Tensor, motions: list[tuple[str, Subspace]], clip: ClipCodes, smooth: float, models: Models) -> Take:
    """Move one code ``[1, L, D]`` as a clip moves along ``motions``; read together, so that none counts what is another's.

    What the inverter loses of the motions is measured on the clip's own first face, and made up for.
    """
    together = Subspace(torch.stack([motion.direction for _, motion in motions]))
    try:
        gain = reading_gain(together, models.generator, lambda images: models.inverter.invert(models.generator, images), clip.codes[0])
    except LostMotionError as error:
        note(str(error))
        gain = None
    track = read_coefficients(together, clip.codes, reference="first", smooth=smooth, gain=gain).reshape(len(clip.codes), -1)
    track = clip.over_time(track)  # [F, K]
    strongest = track[:, int(track.abs().amax(0).argmax())]
    return Take(" + ".join(name for name, _ in motions), codes, [(together, track)], strongest)


def default_span(motions: list[tuple[str, Subspace]]) -> tuple[float, float]:
    """One unit; of calibrated motions ``REACH``, or as far as was measured to be safe where that is more. Two-sided ones go both ways."""
    high = min(min(1.0, max(m.safe_range[1], REACH)) if m.safe_range else 1.0 for _, m in motions)
    return (-high if all(name in TWO_SIDED for name, _ in motions) else 0.0), high


def there_and_back(span: tuple[float, float], frames: int, easing: str) -> torch.Tensor:
    """Coefficients ``[F]`` that begin at the end of the span nearest to 0 and return to it; a span around 0 is walked from 0 both ways."""
    low, high = sorted(span)
    if low < 0 < high:
        parts = ((frames + 1) // 2, high), (frames // 2, low)
        return torch.cat([_excursion(n, 0.0, end, easing) for n, end in parts if n])
    near, far = sorted(span, key=abs)
    return _excursion(frames, near, far, easing)


def _excursion(frames: int, start: float, end: float, easing: str) -> torch.Tensor:
    """To ``end`` and back, resting there for an eighth of the time."""
    return sweep(frames, start, end, easing=easing, ping_pong=True, hold_end=frames // 8)


def film(out: VideoWriter | GifWriter, takes: list[Take], portrait: Portrait, generator: Generator, args: Namespace, clock: Clock) -> list:
    """Synthesize all takes into one video, chunk by chunk; returns the rows of the contact sheet."""
    sheet, total = Sheet(takes), sum(map(len, takes))
    with out as writer, progress_bar("Synthesize", "frame") as progress:
        for t in takes:
            with torch.no_grad():
                shown = portrait.facing(as_rgb(generator.synthesize(t.farthest().to(generator.w_avg.device))))
            for images in clock.each("synthesize", play(generator, t.code, t.moves)):
                for part in images.split(max(1, PIECE // max(args.size, images.shape[-1]) ** 2)):
                    with clock.stage("compose the frames"):
                        frames = to_bytes(enlarge(shown.compose(part), args.size))
                    with clock.stage("encode the video"):
                        writer.write(frames)
                        sheet.keep(frames)
                progress(sheet.seen, total)
    return sheet.rows()


class Sheet:
    """Collects the frames that the contact sheet shows while the video passes by."""

    def __init__(self, takes: list[Take]):
        self.takes = takes
        self.starts = np.cumsum([0, *map(len, takes)]).tolist()
        self.wanted = {start + column for start, t in zip(self.starts, takes) for column in t.columns()}
        self.kept: dict[int, Image.Image] = {}
        self.seen = 0

    def keep(self, frames: np.ndarray) -> None:
        """Look at the next frames of the video, uint8 ``[n, H, W, 3]``."""
        for i in self.wanted.intersection(range(self.seen, self.seen + len(frames))):
            picture = Image.fromarray(frames[i - self.seen])
            picture.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
            self.kept[i] = picture
        self.seen += len(frames)

    def rows(self) -> list[tuple[str, list[tuple[str, Image.Image]]]]:
        """Label of each take, and its pictures with their coefficients."""
        return [
            (t.name, [(f"{float(t.coefficients[c]):+.2f}", self.kept[start + c]) for c in t.columns()])
            for start, t in zip(self.starts, self.takes)
        ]
