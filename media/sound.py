"""The sound of a film, carried over into another one: encoded anew as AAC, which every player of our containers knows."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

from .clips import opened_film

log = logging.getLogger(__name__)
CODEC, SAMPLES = "aac", 1024  # that AAC takes at once
RATE = 48_000  # Hz, where AAC does not know the film's own
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


class Sound:
    """The first sound track of the film ``path``, written piece by piece as the pictures go on, and no longer than they.

    What of it cannot be decoded is left out, and said in the log: a picture without sound is better than none.
    """

    def __init__(self, path: Path):
        self.path, self.film = path, opened_film(path)
        source = self.film.__enter__()
        self.track = next(iter(source.streams.audio), None)
        self.frames = iter(()) if self.track is None else source.decode(self.track)
        self.stream: Any = None  # PyAV types a stream by its codec
        self.container: Any = None
        self.time = 0.0

    def join(self, container: Any) -> None:
        """Add a track to ``container``, before anything is written to it."""
        import av

        if self.track is None:
            return
        rate = self.track.rate if self.track.rate in RATES else RATE
        self.container = container
        self.stream = container.add_stream(CODEC, rate=rate, layout="mono" if self.track.channels == 1 else "stereo")
        self.resampler = av.AudioResampler("fltp", self.stream.layout, rate, frame_size=SAMPLES)
        self.samples = 0

    def write(self, until: float) -> None:
        """Write on until the time ``until``, in seconds."""
        from av.error import FFmpegError

        while self.stream is not None and self.time < until:
            try:
                frame = next(self.frames, None)
            except (FFmpegError, ValueError) as error:
                log.warning("The sound of %s breaks off (%s); the rest is silent.", self.path, error)
                frame = None
            if frame is None:
                return
            self._encode(frame)

    def _encode(self, frame: Any) -> None:
        for piece in self.resampler.resample(frame):
            piece.pts, piece.time_base = self.samples, Fraction(1, self.stream.rate)
            self.samples += piece.samples
            self.time = self.samples / self.stream.rate
            self.container.mux(self.stream.encode(piece))

    def finish(self) -> None:
        if self.stream is not None:
            self.container.mux(self.stream.encode(None))

    def close(self) -> None:
        self.film.__exit__(None, None, None)
