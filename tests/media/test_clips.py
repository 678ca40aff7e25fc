"""Clips as people bring them: turned, fast, uneven, animated, with sound; and such that would open something else."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from micromotion import media
from micromotion.files.errors import MicromotionError
from micromotion.media.video import open_writer
from PIL import Image

SHADES = range(20, 180, 20)


def pictures(shades=SHADES, size=(64, 64)):
    return np.stack([np.full((*size[::-1], 3), shade, np.uint8) for shade in shades])


def shades(path):
    return [round(float(frame.float().mean())) for frame in media.read_clip(path)]


def film(path, frames, fps=24, times=None, sound=None):
    """A film as another program writes it; ``times``: of each frame, in hundredths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        if times:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        track = container.add_stream("libopus", rate=48_000) if sound else None
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[i], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track:
            wave = np.sin(np.arange(int(48_000 * sound)) * 0.06).astype(np.float32)[None]
            piece = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            piece.rate, piece.pts = 48_000, 0
            container.mux(track.encode(piece))
            container.mux(track.encode())
    return path


@pytest.mark.parametrize("ending", ["webp", "gif", "png"])
def test_animated_pictures(ending, tmp_path):
    first, *rest = [Image.fromarray(p) for p in pictures()]
    options = {"lossless": True} if ending == "webp" else {}
    first.save(tmp_path / f"a.{ending}", save_all=True, append_images=rest, duration=40, **options)
    assert media.open_clip(tmp_path / f"a.{ending}").fps == 25
    assert shades(tmp_path / f"a.{ending}") == list(SHADES)


def test_pictures_of_an_animation_that_show_for_unequal_times(tmp_path):
    first, *rest = [Image.fromarray(p) for p in pictures([10, 90, 200])]
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=[50, 150, 50])
    assert shades(tmp_path / "a.gif") == [10, 90, 90, 90, 200]


def test_a_film_keeps_its_rate_and_length(tmp_path):
    clip = media.open_clip(film(tmp_path / "a.mp4", pictures(range(0, 240, 5)), fps=60))
    assert clip.fps == 60 and not clip.has_sound
    assert len(list(clip.frames())) == 48, "0.8 seconds"


def test_gaps_in_the_time_stamps_are_held(tmp_path):
    path = film(tmp_path / "a.mkv", pictures([10, 90, 200]), fps=10, times=[0, 10, 50])
    frames = list(media.clips._steady(media.clips._timed(path), 10.0))
    found = [round(float(frame.float().mean()), -1) for frame in frames]
    assert found == [10, 90, 90, 90, 90, 200]


def test_a_jump_of_the_clock_is_no_hour_of_stills():
    frame = torch.zeros(3, 1, 1)
    timed = iter([(0.0, frame), (0.1, frame), (1e9, frame), (1e9 + 0.1, frame), (-1e9, frame)])
    assert len(list(media.clips._steady(timed, 10.0))) == 5


def test_a_film_that_is_marked_as_turned_comes_upright(tmp_path):
    frames = pictures(size=(96, 64))
    frames[:, :20, :20] = 255  # top left
    data = bytearray(film(tmp_path / "a.mp4", frames).read_bytes())
    at = data.find(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # a quarter turn to the right
    (tmp_path / "turned.mp4").write_bytes(data)
    turned = next(media.read_clip(tmp_path / "turned.mp4"))
    assert turned.shape == (3, 96, 64) and turned[:, :18, -18:].min() > 240


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_sound_goes_along_and_lasts_as_long_as_the_frames(ending, tmp_path):
    source = film(tmp_path / "a.mkv", pictures(range(0, 240, 10)), sound=3.0)
    assert media.open_clip(source).has_sound
    with open_writer(tmp_path / f"b{ending}", 24, sound=source) as writer:
        writer.write(pictures(range(0, 240, 10)))
    assert media.open_clip(tmp_path / f"b{ending}").has_sound
    with av.open(str(tmp_path / f"b{ending}")) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert abs(samples / 48_000 - 1) < 0.05


def test_colors_are_tagged_and_come_back(tmp_path):
    frames = pictures([0] * 5)
    frames[:, :, :32], frames[:, :, 32:] = (255, 0, 0), (0, 200, 80)
    with open_writer(tmp_path / "a.mp4", 24) as writer:
        writer.write(frames)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
    frame = list(media.read_clip(tmp_path / "a.mp4"))[2].int()
    assert (frame[:, 10, 10] - torch.tensor([255, 0, 0])).abs().max() < 6
    assert (frame[:, 10, 50] - torch.tensor([0, 200, 80])).abs().max() < 6


def test_a_clip_opens_no_other_file(tmp_path):
    """Playlists and lists of parts name other files, or addresses; by whatever ending they come, they are no clips."""
    inner = film(tmp_path / "inner.mp4", pictures())
    texts = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{inner}\n#EXT-X-ENDLIST\n",
        "list.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{inner}\n#EXT-X-ENDLIST\n",
        "parts.mp4": f"ffconcat version 1.0\nfile {inner}\n",
        "parts.txt": f"ffconcat version 1.0\nfile {inner}\n",
        "address.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(media.MediaError, match="not a video that can be read"):
            list(media.read_clip(tmp_path / name))
    with pytest.raises(media.MediaError, match="no file or folder"):
        media.open_clip(f"concat:{inner}|{inner}")


@pytest.mark.parametrize("ending", ["png", "webp", "gif", "jpg"])
def test_a_picture_that_is_a_program_of_another_kind_is_refused(ending, tmp_path):
    """Pillow hands PostScript to an interpreter."""
    (tmp_path / f"a.{ending}").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    for read in (media.read_image, lambda path: list(media.read_clip(path))):
        with pytest.raises(MicromotionError, match="none of PNG|not a video"):
            read(tmp_path / f"a.{ending}")


def test_huge_pictures_are_refused_before_they_are_unpacked(tmp_path):
    Image.new("1", (20_000, 12_000)).save(tmp_path / "a.png")
    with pytest.raises(MicromotionError, match="120 megapixels"):
        media.read_image(tmp_path / "a.png")


@pytest.mark.parametrize("hot", [1.0, 1.02, 6.0])
def test_a_float_picture_with_a_highlight_is_not_black(hot, tmp_path):
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    ramp[0, 0] = hot
    Image.fromarray(ramp).save(tmp_path / "a.tiff")
    assert abs(float(media.read_image(tmp_path / "a.tiff").mean())) < 0.05


def test_a_float_picture_of_eight_bits(tmp_path):
    Image.fromarray(np.tile(np.linspace(0, 255, 64, dtype=np.float32), (64, 1))).save(tmp_path / "a.tiff")
    assert abs(float(media.read_image(tmp_path / "a.tiff").mean())) < 0.05


def test_a_picture_that_memory_cannot_hold_is_refused_by_name(tmp_path, monkeypatch):
    """What PyTorch raises then is a RuntimeError; damaged files declare any size."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def refuse(array):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 821882880 bytes")

    monkeypatch.setattr(torch, "from_numpy", refuse)
    with pytest.raises(MicromotionError, match=r"a\.png asks for more memory"):
        media.read_image(tmp_path / "a.png")


def test_a_comment_that_is_not_utf8_costs_nothing(tmp_path):
    path = tmp_path / "old.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["comment"] = "COMMENT?"
        stream = container.add_stream("libx264", rate=24)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for pixels in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    written = path.read_bytes()
    assert b"COMMENT?" in written
    path.write_bytes(written.replace(b"COMMENT?", b"COMMENT\xe9"))
    assert len(shades(path)) == len(SHADES)


def test_a_pyav_without_that_option_is_not_given_it(tmp_path, monkeypatch):
    film(tmp_path / "a.mp4", pictures())
    known = av.open

    def newer(file, mode=None, format=None, options=None):
        return known(file, mode=mode, format=format, options=options)

    monkeypatch.setattr(av, "open", newer)
    monkeypatch.setattr(av, "__version__", "19.0.2")
    assert len(shades(tmp_path / "a.mp4")) == len(SHADES)
