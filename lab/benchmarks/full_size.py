"""A photo's way at full size: the README's command lines and the photo template, on stand-ins for the 1024 px files.

``python lab/benchmarks/full_size.py [--folder KEEP] [--write]`` writes files of the official layouts and sizes (tests/stand_ins.py), runs
every command in a process of its own and the template in a real ComfyUI, and prints seconds, peak memory and what was said. ``--write``
renews docs/performance.md and its picture. Linux only: peaks come from the kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measuring import ROOT, helper, machine, publish, table
from PIL import Image

PICTURE = ROOT / "docs" / "full_size.png"
TEMPLATE = ROOT / "workflows" / "02 Animate the face in your photo.json"
FILES = ("ffhq-rosinality", "ffhq", "e4e", "restyle-psp", "arcface", "clip-vit-b-32-openai", "direction-smile", "direction-heads-turn")
GENERATOR = "--generator models/stylegan2/stylegan2-ffhq-config-f.pt"
E4E = f"{GENERATOR} --inverter models/stylegan2_inverters/e4e_ffhq_encode.pt"
RESTYLE = f"{GENERATOR} --inverter models/stylegan2_inverters/restyle_psp_ffhq_encode.pt"
SMILE = "--motion models/micromotion/smile.pt"
SCORER = "--scorer models/micromotion_scorers/ViT-B-32.pt"
COMMANDS = (
    f"animate me.jpg {E4E} {SMILE} --frames FRAMES --out output/me.mp4",
    "inspect models/stylegan2/ffhq.pkl",
    "inspect models/stylegan2_inverters/e4e_ffhq_encode.pt",
    "convert models/stylegan2/ffhq.pkl models/stylegan2/ffhq.safetensors",
    f"animate me.jpg {RESTYLE} --motion models/micromotion/headsTurn.pt --frames FRAMES --out output/turn.mp4",
    f"animate me.jpg {E4E} {SMILE} --drive clip.mp4 --out output/driven.mp4",
    f"fit clip.mp4 output/nod.safetensors {E4E}",
    f'fit "a person with {{degree}} smile" output/text.safetensors {GENERATOR} {SCORER} --seeds 1 LENGTH'
    " --identity models/stylegan2_identity/model_ir_se50.pth",
    f"combine without output/text.safetensors output/nod.safetensors --out output/pure.safetensors {GENERATOR}",
)
WHOLE, BRIEF = "", '--degrees "no, 50%, 100%" --steps 3'  # how long the text anchors are

HEADING = ["what", "seconds", "seconds of CPU", "peak memory, GB"]


class Walked(NamedTuple):
    what: str
    clock: float  # seconds
    cpu: float  # seconds of all threads
    peak: float  # GB of resident memory
    said: str


stand_ins, hosted = helper("stand_ins.py"), helper("nodes/hosted.py")


def prepare(folder: Path, files: tuple[str, ...] = FILES) -> None:
    """Model files, a photo, and a clip of it that moves a little, with sound."""
    from skimage.data import astronaut

    stand_ins.write(folder / "models", *files)
    photo = astronaut()
    Image.fromarray(photo).save(folder / "me.jpg", quality=95)
    write_clip(folder / "clip.mp4", [np.roll(photo, (i, 2 * i), (0, 1)) for i in range(8)])
    (folder / "output").mkdir(exist_ok=True)


def write_clip(path: Path, frames: list[np.ndarray], fps: int = 12) -> None:
    """An MP4 with a tone under it."""
    import av

    with av.open(str(path), "w") as out:
        video, sound = out.add_stream("libx264", fps), out.add_stream("aac", 44100)
        video.width, video.height, video.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        for pixels in frames:
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        tone = np.sin(np.arange(44100 * len(frames) // fps) * 2 * np.pi * 440 / 44100).astype(np.float32)[None] / 4
        part = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        part.sample_rate = 44100
        for packet in (*sound.encode(part), *sound.encode(None), *video.encode(None)):
            out.mux(packet)


def walk(folder: Path, commands: tuple[str, ...], frames: int, length: str = WHOLE) -> Iterator[Walked]:
    """Run command lines in ``folder``, each in a process of its own."""
    import shlex

    env = {**os.environ, "PYTHONPATH": str(ROOT.parent), "PYTHONIOENCODING": "utf-8"}
    for command in (filled(command, frames, length) for command in commands):
        words = [sys.executable, "-m", "micromotion", *shlex.split(command)]
        with open(folder / "said.txt", "w+", encoding="utf-8") as said:
            start = time.perf_counter()
            process = subprocess.Popen(words, cwd=folder, env=env, stdout=said, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - start
            said.seek(0)
            text = said.read()
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}:\n{text[-3000:]}")
        yield Walked(f"`micromotion {command}`", seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6, text)


def filled(command: str, frames: int, length: str = WHOLE) -> str:
    return command.replace("FRAMES", str(frames)).replace(" LENGTH", f" {length}" if length else "")


def named(command: str, frames: int) -> str:
    return f"`micromotion {filled(command, frames)}`"


def named_template(frames: int) -> str:
    return f"the template *{TEMPLATE.stem[3:]}*, {frames} frames, in ComfyUI"


def steps(folder: Path, frames: int, done: dict[str, list[str]]) -> Iterator[Walked]:
    """All of it, but for what is ``done``: the photo by command and by template, then the other commands."""
    yield from walk(folder, tuple(c for c in COMMANDS[:1] if named(c, frames) not in done), frames)
    if named_template(frames) not in done:
        yield walk_template(folder, frames)[0]
    yield from walk(folder, tuple(c for c in COMMANDS[1:] if named(c, frames) not in done), frames)


def walk_template(folder: Path, frames: int) -> tuple[Walked, Path]:
    """Run the photo template in a real ComfyUI on the files of ``folder``; what it took, and the video."""
    with tempfile.TemporaryDirectory() as base:
        (Path(base) / "input").mkdir()
        (Path(base) / "models").symlink_to(folder / "models", target_is_directory=True)
        (Path(base) / "input" / "me.jpg").write_bytes((folder / "me.jpg").read_bytes())
        with hosted.Server(Path(base)) as server:
            prompt = hosted.to_prompt(json.loads(TEMPLATE.read_text("utf-8")), server.get("/object_info"))
            for node in prompt.values():
                if node["class_type"] == "LoadImage":
                    node["inputs"]["image"] = "me.jpg"
                if node["class_type"] == "MicromotionSweep":
                    node["inputs"]["frames"] = frames
            start, before = time.perf_counter(), cpu_seconds(server.process.pid)
            entry = server.run(prompt, seconds=3600, every=0.5)
            took = time.perf_counter() - start, cpu_seconds(server.process.pid) - before
            peak = int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())[0]) / 1e6
            said = " ".join(text for out in entry["outputs"].values() for text in out.get("text", ()))
            made = next(one for out in entry["outputs"].values() for one in out.get("images", ()) if one["filename"].endswith(".mp4"))
            kept = folder / "output" / "template.mp4"
            kept.write_bytes((Path(base) / made["type"] / made["subfolder"] / made["filename"]).read_bytes())
    return Walked(named_template(frames), *took, peak, said), kept


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def frames_of(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as clip:
        return [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]


def row(one: Walked) -> list[str]:
    return [one.what, f"{one.clock:.0f}", f"{one.cpu:.0f}", f"{one.peak:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the files are written and kept (4 GB), and what was measured: the next run goes on; else a temporary one",
    )
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--write", action="store_true", help="renew docs/performance.md and docs/full_size.png")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        prepare(folder)
        kept = folder / "walked.json"
        walked = json.loads(kept.read_text("utf-8")) if kept.is_file() else {}
        for one in steps(folder, args.frames, walked):
            walked[one.what] = row(one)
            kept.write_text(json.dumps(walked, indent=1), encoding="utf-8")
            print(*row(one), one.said, sep="\n", flush=True)
            names = [named(c, args.frames) for c in COMMANDS]
            rows = [walked.get(name, [name, *["not measured yet"] * 3]) for name in (*names, named_template(args.frames))]
            publish("full size", f"{machine()}, shared with other work\n\n{table(HEADING, rows)}", args.write)
        if args.write:
            shutil.copy(folder / "output" / "me_sheet.png", PICTURE)


if __name__ == "__main__":
    main()
