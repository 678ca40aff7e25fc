"""Damage sound small files by chance, over and over, and read them: a reader either reads one or says why not; nothing else happens.

``python -m micromotion.lab.fuzz --files 100000`` prints a table of what became of them by reader; ``--write`` puts it into SECURITY.md.
Whatever a reader raises that is not of our family of errors, and whatever the process does beside reading (a program started, a file
written, a connection opened), counts as wrong, is kept in ``--keep``, and makes the command end with 1. A memory limit of 1 GB on top
of what is loaded holds where the system has one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import pickle
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..faces.detection import load_predictor
from ..files.errors import MicromotionError
from ..files.pictures import read_picture
from ..files.reading import read_file
from ..media import open_writer, read_clip
from ..pairs.work import records
from ..stylegan2 import Architecture, Generator, load, load_codes, load_inverter, save, save_codes
from ..stylegan2.inversion import EncoderInverter, load_identity, load_tuning, save_inverter, save_tuning
from ..stylegan2.inversion.backbones import BodySpec
from ..stylegan2.inversion.compact import CompactEncoder
from ..stylegan2.inversion.identity import Identity
from ..subspaces import Subspace, load_direction
from ..subspaces.anchors.scorer import import_open_clip
from ..subspaces.anchors.scorer_files import build_model, load_scorer, save_scorer
from ..subspaces.describing import describe_foreign
from ..subspaces.opening import open_motion

ROOT = Path(__file__).resolve().parent.parent
WRITERS = ROOT / "tests" / "stylegan2" / "formats" / "writers.py"
PAGE = ROOT / "SECURITY.md"
START, END = "<!-- fuzz: python -m micromotion.lab.fuzz --files 100000 --write -->", "<!-- end of fuzz -->"
HEAD = ("reader", "files", "read", "refused by name", "ended otherwise", "slowest, seconds of CPU")
MEMORY = 1 << 30
FORBIDDEN = ("os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.startfile", "subprocess.", "socket.", "pickle.find_class")
INTERESTING = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x7f\xff\xff\xff",
    b"\xff" * 8,
    b"9" * 12,
    b"-",
    b"[",
    b"{",
)
ENDS = 3000  # bytes at both ends of a file, where its structure is
SHOWN = 5
TINY = "micromotion-fuzz"  # an architecture that open_clip is told of, for its own kind of files


@dataclass(frozen=True)
class Reader:
    """A reader, and sound files that it reads."""

    name: str
    read: Callable[[Path], Any]
    files: tuple[Path, ...]


@dataclass
class Tally:
    """What became of the files of one reader: by the class of the error, or "read"; what went wrong; the slowest in seconds."""

    ends: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0


def damaged(content: bytes, rng: random.Random) -> bytes:
    """One to four edits: bytes flipped, set, cut, copied, inserted or deleted, digits changed; half of them where the structure is."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, other = _place(len(data), rng), _place(len(data), rng)
        rng.choice(EDITS)(data, at, other, rng)
    return bytes(data)


def _place(size: int, rng: random.Random) -> int:
    if rng.random() < 0.5:
        return rng.randrange(size + 1)
    near = rng.randrange(min(size, ENDS) + 1)
    return near if rng.random() < 0.6 else size - near


def _flip(data: bytearray, at: int, other: int, rng: random.Random) -> None:
    for i in range(at, min(at + rng.randint(1, 4), len(data))):
        data[i] ^= 1 << rng.randrange(8)


def _set(data: bytearray, at: int, other: int, rng: random.Random) -> None:
    value = rng.choice(INTERESTING)
    data[at : at + len(value)] = value


def _cut(data: bytearray, at: int, other: int, rng: random.Random) -> None:
    if rng.random() < 0.3:
        del data[at:]


def _copy(data: bytearray, at: int, other: int, rng: random.Random) -> None:
    length = rng.randint(1, 64)
    data[at : at + length] = data[other : other + length]


def _insert(data: bytearray, at: int, other: int, rng: random.Random) -> None:
    data[at:at] = rng.randbytes(rng.randint(1, 8))


def _delete(data: bytearray, at: int, other: int, rng: random.Random) -> None:
    del data[at : at + rng.randint(1, 16)]


def _digit(data: bytearray, at: int, other: int, rng: random.Random) -> None:
    digits = [i for i in range(at, min(at + 400, len(data))) if 0x30 <= data[i] <= 0x39]
    if digits:
        data[rng.choice(digits)] = 0x30 + rng.randrange(10)


EDITS = (_flip, _flip, _set, _set, _cut, _copy, _insert, _delete, _digit)


class Watch:
    """Notes what Python does beside reading, once switched on: programs, connections, unpicklers, files opened to be written."""

    def __init__(self):
        self.seen: list[str] = []
        self.is_on = False
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple) -> None:
        if not self.is_on or len(self.seen) > 20:
            return
        written = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
        if written or event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {str(args)[:80]}")


def damage_and_read(reader: Reader, count: int, seed: int, watch: Watch, folder: Path, keep: Path | None = None) -> Tally:
    """Damage and read ``count`` files; the same seed makes the same files."""
    tally, sound = Tally(), [(path, path.read_bytes()) for path in reader.files]
    for path in reader.files:
        reader.read(path)  # sound, and whatever it imports is imported
    for i in range(count):
        rng = random.Random(f"{reader.name} {seed} {i}")
        path, content = sound[i % len(sound)]
        made = folder / f"{reader.name}{path.suffix}"
        made.write_bytes(damaged(content, rng))
        _try(reader, made, tally, watch, f"{reader.name} {seed} {i}", keep)
    return tally


def _try(reader: Reader, path: Path, tally: Tally, watch: Watch, label: str, keep: Path | None) -> None:
    watch.seen.clear()
    start, wrong = time.process_time(), ""
    watch.is_on = True
    try:
        reader.read(path)
        end = "read"
    except MicromotionError as error:
        end = type(error).__name__
    except Exception as error:
        end, wrong = type(error).__name__, f"{label}: {type(error).__name__}: {str(error)[:120]}"
    watch.is_on = False
    tally.slowest = max(tally.slowest, time.process_time() - start)
    tally.ends[end] += 1
    if watch.seen:
        wrong = f"{label}: {watch.seen[0]}"
    if wrong:
        tally.wrong.append(wrong)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{label.replace(' ', '_')}{path.suffix}").write_bytes(path.read_bytes())


def readers(folder: Path) -> Iterator[Reader]:
    """Every reader of the pack with small sound files, made in ``folder``."""
    torch.manual_seed(0)
    generator = _generator()
    yield from _of_networks(folder, generator)
    yield from _of_motions(folder, generator)
    yield from _of_scorers(folder)
    yield from _of_pictures(folder)
    (folder / "points.dat").write_bytes(predictor_bytes())
    yield Reader("landmarks", load_predictor, (folder / "points.dat",))
    row = dict.fromkeys(("name", "key", "instruction", "caption", "sha256"), "0") | {"face": 0, "split": "train"}
    row |= {"coefficients": {"smile": 0.5}, "measures": {"change": 0.25}}
    motion = {"name": "smile", "unit": "", "license": "MIT"}
    (folder / "000000.json").write_text(json.dumps({"rows": [row] * 3, "left": [{**row, "reason": "change"}], "motion": motion}))
    yield Reader("pairs", lambda path: records(path.read_bytes(), path.name), (folder / "000000.json",))


def _generator() -> Generator:
    generator = Generator(Architecture(8, {4: 4, 8: 2}, w_dim=8, z_dim=6, mapping_layers=2))
    return generator.eval().requires_grad_(False)


def _of_networks(folder: Path, generator: Generator) -> Iterator[Reader]:
    files = _generators(folder, generator)
    yield Reader("generator", load, files)
    np.savez(folder / "arrays.npz", w=np.zeros((2, 6, 8), np.float32))
    np.save(folder / "arrays.npy", np.zeros((2, 6, 8), np.float32))
    yield Reader("values", read_file, (*files, folder / "arrays.npz", folder / "arrays.npy"))
    config = {"input_size": 32, "channels_in": 3, "widths": [4, 4], "hidden": 8, "num_layers": 4, "width": 8}
    inverter = EncoderInverter(CompactEncoder(config), start=torch.zeros(8))
    save_inverter(inverter, folder / "inverter.safetensors")
    yield Reader("inverter", load_inverter, (folder / "inverter.safetensors",))
    identity = Identity(BodySpec("irse", 3, 4, (4, 6, 8, 10)), 32, 8)
    torch.save(identity.state_dict(), folder / "identity.pth")
    yield Reader("identity", load_identity, (folder / "identity.pth",))
    tuned = _generator()
    tuned.load_state_dict({k: v + 0.01 if k.endswith("conv1.weight") else v for k, v in generator.state_dict().items()})
    for half in (False, True):
        save_tuning(tuned, generator, folder / f"tuning{half:d}.safetensors", half=half)
    tunings = tuple(folder / f"tuning{half:d}.safetensors" for half in (False, True))
    yield Reader("tuning", lambda path: load_tuning(path, generator), tunings)


def _generators(folder: Path, generator: Generator) -> tuple[Path, ...]:
    """The generator in our format, in rosinality's old and new containers, and as the tests write it for NVIDIA's and genforce's code."""
    files = [save(generator, folder / "generator.safetensors")]
    for name, zipped in {"generator.pt": True, "old.pt": False}.items():
        torch.save({"g_ema": generator.state_dict(), "step": 7}, folder / name, _use_new_zipfile_serialization=zipped)
        files.append(folder / name)
    spec = importlib.util.spec_from_file_location("writers", WRITERS)
    assert spec is not None and spec.loader is not None
    writers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writers)
    for write, name in ((writers.nvidia_pickle, "ada.pkl"), (writers.tf_pickle, "tf.pkl"), (writers.genforce, "genforce.pth")):
        write(folder / name, generator)
        files.append(folder / name)
    return tuple(files)


def _of_motions(folder: Path, generator: Generator) -> Iterator[Reader]:
    direction, codes = torch.randn(4, 8), torch.randn(2, 4, 8)
    preview = b"\x89PNG\r\n\x1a\n" + bytes(40)
    Subspace(direction, spectrum=torch.tensor([2.0, 1.0]), name="smile", degrees=(0.0, 1.0), preview=preview).save(folder / "m.safetensors")
    yield Reader("subspace", Subspace.load, (folder / "m.safetensors",))
    torch.save({"smile": direction, "age": direction * 2}, folder / "direction.pt")
    torch.save(direction[None], folder / "old_direction.pt", _use_new_zipfile_serialization=False)
    np.save(folder / "direction.npy", direction.numpy())
    np.savez_compressed(folder / "direction.npz", smile=direction.numpy())
    found = tuple(folder / name for name in ("direction.pt", "old_direction.pt", "direction.npy", "direction.npz"))
    yield Reader("direction", lambda path: load_direction(path, 1 if path.stem.endswith("direction") else None, num_layers=4), found)
    yield Reader("motion", lambda path: open_motion(path, generator, which=1), (folder / "m.safetensors", *found))
    save_codes(folder / "codes.safetensors", codes, generator)
    torch.save({"latent": codes}, folder / "codes.pt")
    np.savez(folder / "codes.npz", w=codes.numpy())
    with (folder / "codes.pkl").open("wb") as file:
        pickle.dump({"a.png": codes[0].numpy(), "b.png": codes[1].tolist()}, file)
    yield Reader("codes", load_codes, tuple(folder / f"codes.{e}" for e in ("safetensors", "pt", "npz", "pkl")))
    described = tuple(folder / name for name in ("codes.pt", "codes.npz", "codes.pkl", "direction.pt", "direction.npy"))
    yield Reader("described", lambda path: describe_foreign(path, generator), described)


def _of_scorers(folder: Path) -> Iterator[Reader]:
    with suppress(ImportError, MicromotionError):  # open_clip is optional
        config = {
            "embed_dim": 8,
            "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 16, "layers": 1, "head_width": 8},
            "text_cfg": {"context_length": 8, "width": 16, "heads": 2, "layers": 1},
            "merges": 10,
            "normalize": False,
        }
        model = build_model(config)
        save_scorer(model, config, folder / "scorer.safetensors")
        torch.save(model.state_dict(), folder / "scorer.pt")
        theirs = {k: config[k] for k in ("embed_dim", "vision_cfg")} | {"text_cfg": {**config["text_cfg"], "vocab_size": 524}}
        (folder / f"{TINY}.json").write_text(json.dumps(theirs))
        import_open_clip().add_model_config(folder / f"{TINY}.json")
        yield Reader(
            "scorer",
            lambda path: load_scorer(path, TINY if path.suffix == ".pt" else None),
            (folder / "scorer.safetensors", folder / "scorer.pt"),
        )


def _of_pictures(folder: Path) -> Iterator[Reader]:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8)
    first, *rest = [Image.fromarray(p) for p in pixels]
    endings = ("png", "jpg", "webp", "tiff", "bmp", "gif")
    for ending in endings:
        first.save(folder / f"picture.{ending}")
    yield Reader("picture", read_picture, tuple(folder / f"picture.{e}" for e in endings))
    films = [folder / f"film.{e}" for e in ("mp4", "mkv", "gif", "webp", "png")]
    for path in films[:2]:
        with open_writer(path, 24) as writer:
            writer.write(pixels)
    for path in films[2:]:
        first.save(path, save_all=True, append_images=rest, duration=40)
    yield Reader("clip", lambda path: sum(1 for _ in read_clip(path)), tuple(films))


def predictor_bytes() -> bytes:
    """A landmark file of one tree with one split, in dlib's serialization."""
    out = bytearray()

    def number(value: int) -> None:
        size = max(1, (abs(value).bit_length() + 7) // 8)
        out.append(size | (0x80 if value < 0 else 0))
        out.extend(abs(value).to_bytes(size, "little"))

    def real(value: int) -> None:
        number(value)
        number(0)

    def column() -> None:
        number(-136)
        number(-1)
        for i in range(136):
            real(i)

    number(1)
    column()
    for count in (1, 1, 1):  # cascades, trees of the first, splits of its first
        number(count)
    number(0)
    number(1)
    real(3)
    number(2)
    column()
    column()
    for count in (1, 2, 5, 9, 1, 2):  # four pixels of the first cascade: near which points
        number(count)
    for _ in range(4):
        real(0)
    return bytes(out)


def limit_memory() -> None:
    """So much and no more, where the system can say so."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="damaged files in all, shared out to the readers (default 2000)")
    parser.add_argument("--each", type=int, help="damaged files for each reader, instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="these readers alone")
    parser.add_argument("--keep", type=Path, help="folder for files that were not taken as they should be")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    parser.add_argument("--resume", type=Path, help="a file that keeps the tally of each finished reader, which is then not read again")
    parser.add_argument("--write", action="store_true", help="put the table into SECURITY.md")
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    found: list[tuple[str, int, Tally]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = [reader for reader in readers(folder) if args.only is None or reader.name in args.only]
        (made := folder / "damaged").mkdir()
        watch = Watch()
        limit_memory()
        each = args.each or -(-args.files // len(chosen))
        known = _kept(args.resume, each, args.seed)
        for reader in chosen:
            tally = known.get(reader.name) or damage_and_read(reader, each, args.seed, watch, made, args.keep)
            found.append((reader.name, each, tally))
            line = json.dumps({"reader": reader.name, "files": each, "seed": args.seed, **vars(tally)})
            if args.resume is not None and reader.name not in known:
                args.resume.open("a", encoding="utf-8").write(line + "\n")
            if args.json:
                print(line, flush=True)
            else:
                ends = ", ".join(f"{n} {end}" for end, n in tally.ends.most_common())
                print(f"{reader.name}: {ends}; wrong: {len(tally.wrong)}", *tally.wrong[:SHOWN], sep="\n  ", file=sys.stderr, flush=True)
    if not args.json:
        print(text := table(found))
    if args.write and not args.json:
        head, rest = PAGE.read_text("utf-8").split(START)
        PAGE.write_text(f"{head}{START}\n{text}\n{END}{rest.split(END)[1]}", "utf-8")
    return 1 if any(tally.wrong for _, _, tally in found) else 0


def _kept(path: Path | None, count: int, seed: int) -> dict[str, Tally]:
    """The tallies that an earlier run of as many files and this seed kept, by reader."""
    lines = path.read_text("utf-8").splitlines() if path is not None and path.is_file() else []
    kept = [json.loads(line) for line in lines]
    return {k["reader"]: Tally(Counter(k["ends"]), k["wrong"], k["slowest"]) for k in kept if (k["files"], k["seed"]) == (count, seed)}


def table(found: list[tuple[str, int, Tally]]) -> str:
    """What became of the files of each reader, in Markdown."""
    rows: list[tuple[str, tuple[int, ...], str]] = []
    for name, count, tally in found:
        read, wrong = tally.ends["read"], len(tally.wrong)
        rows.append((name, (count, read, count - read - wrong, wrong), f"{tally.slowest:.2f}"))
    rows.append(("together", tuple(sum(numbers[i] for _, numbers, _ in rows) for i in range(4)), ""))
    lines = [HEAD, ("---", *("---:",) * 5), *((name, *(f"{n:,}" for n in numbers), slowest) for name, numbers, slowest in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
