"""What training pairs cost: rate, peak memory, equal bytes whatever made them, and a plan for more workers.

``python lab/benchmarks/pairs.py --faces 2000`` makes the same set of avatars in one process, and over Ray with two workers of which one is
killed in the middle; and a tenth of it in one process and with one and two workers. It compares the hashes of all files and prints the
tables. With ``--out FOLDER`` sets and figures stay there, and a run that was interrupted goes on. ``--write`` renews
docs/pairs.md. The first table is measured; the second is arithmetic on what the first measured, or on ``--cost``, the seconds that one
pair takes on your machine. ``--spread`` prints how much landmarks vary among the portraits of MICROMOTION_PORTRAITS.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import ROOT, in_fresh_process, machine, peak_memory, publish, table
from micromotion import faces, media
from micromotion.avatars.instrument import AvatarInstrument
from micromotion.files.embedded import embedded_root
from micromotion.pairs import Gate, Job, MotionPlan, Plan, make
from micromotion.pairs.cluster import connected

STRENGTHS = (-0.4, -0.2, 0.25, 0.5, 0.75)
WAYS = (  # and the share of the faces
    ("one process", 1.0),
    ("Ray, 2 workers, one killed", 1.0),
    ("one process", 0.1),
    ("Ray, 1 worker", 0.1),
    ("Ray, 2 workers", 0.1),
)
WORKERS = (1, 8, 64)
FACES_A_SHARD = 20
PER_SHARD = FACES_A_SHARD * len(STRENGTHS)
MILLION = 1_000_000


def job(out: Path, count: int) -> Job:
    """Five strengths of a smile on ``count`` avatars, every pair measured and kept."""
    smile = MotionPlan("smile", str(embedded_root() / "motions" / "smile.safetensors"), STRENGTHS)
    plan = Plan("seed", tuple(map(str, range(count))), (smile,), str(embedded_root() / "generator.safetensors"), shard=FACES_A_SHARD)
    return Job(plan, str(out), "webdataset", AvatarInstrument, Gate(None, None, None))


def hashes(out: Path) -> str:
    """One hash of the names and bytes of all files."""
    whole = hashlib.sha256()
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        whole.update(str(path.relative_to(out)).encode() + path.read_bytes())
    return whole.hexdigest()[:16]


class Watch:
    """Looks on while a set is made: when each shard was done, how much memory the workers take, and, if asked for, kills one."""

    def __init__(self, kill: bool):
        self.kill, self.killed, self.times, self.workers = kill, 0, [], {}

    def __call__(self, done: int, total: int) -> None:
        self.times.append(time.perf_counter())
        if done % 10 == 0 or done == total // 2:
            self.workers |= {pid: peak_of(pid) for pid in ray_workers()}
        if self.kill and done >= total // 2 and not self.killed:
            self.killed = kill_a_worker()


def alone(way: str, count: int, out: str) -> None:
    """Make the set one way and print what it took."""
    wanted, watch = job(Path(out), count), Watch("killed" in way)
    ray = None if way == "one process" else "local"
    if ray:
        connected(ray)
    start = time.perf_counter()
    make(wanted, ray=ray, workers=2 if "2 workers" in way else 1, progress=watch)
    end = time.perf_counter()
    if ray:
        import ray as engine

        engine.shutdown()  # what it says at its end must not be the last line
    shard = (watch.times[-1] - watch.times[0]) / max(1, len(watch.times) - 1)
    report = {
        "seconds": end - start,
        "start": max(0.0, watch.times[0] - start - shard),
        "finish": end - watch.times[-1],
        "shard": shard,
        "mib": peak_memory(),
        "worker_mib": max(watch.workers.values(), default=0.0),
        "pairs": wanted.plan.pairs,
        "hash": hashes(Path(out)),
        "killed": watch.killed,
    }
    print(json.dumps(report))


def ray_workers() -> list[int]:
    """The processes that make pairs for Ray."""
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if (n := text_of(p / "cmdline")).startswith("ray::") and "MapWorker" in n]


def peak_of(pid: int) -> float:
    """The most MiB that a process has taken."""
    found = [line for line in text_of(Path("/proc", str(pid), "status")).splitlines() if line.startswith("VmHWM")]
    return int(found[0].split()[1]) / 1024 if found else 0.0


def text_of(path: Path) -> str:
    """A file of a process; empty once it has ended."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def kill_a_worker() -> int:
    """End one of Ray's workers without a word, as a machine that is lost would; 0 where none is there yet."""
    for pid in ray_workers()[:1]:
        os.kill(pid, signal.SIGKILL)
        return pid
    return 0


def measured(count: int, out: Path) -> list[dict]:
    """What every way took; figures that are in ``out`` already are taken from there."""
    runs = []
    for i, (way, share) in enumerate(WAYS):
        faces_made, figures = max(FACES_A_SHARD, int(count * share)), out / f"{i}.json"
        if not figures.is_file():
            figures.write_text(json.dumps(in_fresh_process("pairs.py", way, faces_made, out / str(i))))
        runs.append({"way": way, **json.loads(figures.read_text())})
    return runs


def planned(cost: float, start: float, finish: float) -> str:
    """Hours for a million pairs on several machines, nothing lost between them: arithmetic on what was measured once."""
    rows = []
    for n in WORKERS:
        shards = -(-MILLION // PER_SHARD)
        work = -(-shards // n) * PER_SHARD * cost
        whole = start + work + finish * MILLION
        rows.append([str(n), f"{cost:.4f}", f"{start:.1f}", f"{work / 3600:.2f}", f"{finish * MILLION / 3600:.2f}", f"{whole / 3600:.2f}"])
    heading = ["GPUs or cores", "seconds a pair (measured on one)", "seconds to start (measured)", "hours of work (arithmetic)"]
    return table([*heading, "hours to list and sum up (arithmetic)", f"hours for {MILLION:,} pairs (arithmetic)"], rows)


def portraits_spread() -> str:
    """What ``pairs/landmarks.py`` takes as the spread of each quantity among people: a robust standard deviation."""
    files = sorted(Path(os.environ["MICROMOTION_PORTRAITS"]).glob("*.*"))
    pictures = [media.read_image(f) for f in files if f.suffix in media.clips.PICTURES]
    found = [faces.choose(seen).landmarks for picture in pictures if (seen := faces.detect(picture)[0])]
    spread = {name: np.subtract(*np.percentile(values, (75, 25))) / 1.349 for name, values in faces.measure(np.stack(found)).items()}
    return f"{len(found)} portraits: " + ", ".join(f"{name} {value:.3f}" for name, value in spread.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=2000, help="five pairs each")
    parser.add_argument("--write", action="store_true", help="renew the tables of docs/pairs.md")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep sets and figures there, and go on from there")
    parser.add_argument("--cost", type=float, metavar="SECONDS", help="only print the plan for machines on which one pair takes so long")
    parser.add_argument("--spread", action="store_true", help="only print how much landmarks vary among portraits")
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        return alone(args.alone[0], int(args.alone[1]), args.alone[2])
    if args.cost or args.spread:
        return print(planned(args.cost, 0.0, 0.0) if args.cost else portraits_spread())
    with tempfile.TemporaryDirectory() as folder:
        (args.out or Path(folder)).mkdir(parents=True, exist_ok=True)
        publish("cost", told(measured(args.faces, args.out or Path(folder))), args.write, ROOT / "docs" / "pairs.md")


def told(runs: list[dict]) -> str:
    """Both tables, and whether all ways gave the same bytes."""
    first, alone_with_ray = runs[0], next(r for r in runs if r["way"] == "Ray, 1 worker")
    sizes = {r["pairs"] for r in runs}
    equal = "equal" if len({(r["pairs"], r["hash"]) for r in runs}) == len(sizes) else "NOT EQUAL"
    rows = [
        [
            r["way"],
            f"{r['pairs']:,}",
            f"{r['seconds']:.0f}",
            f"{r['pairs'] / r['seconds']:.0f}",
            f"{alone_with_ray['seconds'] / r['seconds']:.2f}x" if r["pairs"] == alone_with_ray["pairs"] else "",
            f"{r['mib']:.0f}",
            f"{r['worker_mib']:.0f}" if r["worker_mib"] else "the same",
            r["hash"],
        ]
        for r in runs
    ]
    heading = ["way", "pairs", "seconds", "pairs a second", "against Ray, 1 worker"]
    heading += ["peak MiB, first process", "of a worker", "hash of all files"]
    killed = "a worker was killed" if any(r["killed"] for r in runs) else "NO WORKER WAS KILLED"
    plan = planned(first["shard"] / PER_SHARD, first["start"], first["finish"] / first["pairs"])
    said = f"{machine()}; sets of one size have {equal} hashes, and in the second way {killed} in the middle. Measured:"
    return f"{said}\n\n{table(heading, rows)}\n\nThe plan, from the first row:\n\n{plan}"


if __name__ == "__main__":
    main()
