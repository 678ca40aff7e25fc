"""What training pairs cost: rate, peak memory, equal bytes whatever made them, and a plan for more GPUs.

``python lab/benchmarks/pairs.py --faces 2000`` makes the same set of avatars in one process, over Ray with one and with two workers, and
once more with one of two workers killed in the middle, compares the hashes of all files, and prints the tables; ``--write`` renews
docs/pairs.md. The first table is measured; the second is arithmetic on its cost for one pair.
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

from measuring import ROOT, in_fresh_process, machine, peak_memory, publish, table
from micromotion.avatars.instrument import AvatarInstrument
from micromotion.files.embedded import embedded_root
from micromotion.pairs import Gate, Job, MotionPlan, Plan, make

STRENGTHS = (-0.4, -0.2, 0.25, 0.5, 0.75)
WAYS = ("one process", "Ray, 1 worker", "Ray, 2 workers", "Ray, 2 workers, one killed")
GPUS = (1, 8, 64)


def job(out: Path, faces: int) -> Job:
    """Five strengths of a smile on ``faces`` avatars, every pair measured and kept."""
    smile = MotionPlan("smile", str(embedded_root() / "motions" / "smile.safetensors"), STRENGTHS)
    plan = Plan("seed", tuple(map(str, range(faces))), (smile,), str(embedded_root() / "generator.safetensors"), shard=20)
    return Job(plan, str(out), "webdataset", AvatarInstrument, Gate(None, None, None))


def hashes(out: Path) -> str:
    """One hash of the names and bytes of all files."""
    whole = hashlib.sha256()
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        whole.update(str(path.relative_to(out)).encode() + path.read_bytes())
    return whole.hexdigest()[:16]


def alone(way: str, faces: int, out: str) -> None:
    """Make the set one way and print what it took."""
    wanted, workers, killed = job(Path(out), faces), 2 if "2 workers" in way else 1, []

    def progress(done: int, total: int) -> None:
        if "killed" in way and done == total // 2 and not killed:
            killed.append(kill_a_worker())

    if way != WAYS[0]:
        from micromotion.pairs.cluster import connected

        connected("local")
    start = time.perf_counter()
    make(wanted, ray=None if way == WAYS[0] else "local", workers=workers, progress=progress)
    seconds = time.perf_counter() - start
    if way != WAYS[0]:
        import ray

        ray.shutdown()  # what it says at its end must not be the last line
    print(
        json.dumps({"seconds": seconds, "mib": peak_memory(), "pairs": wanted.plan.pairs, "hash": hashes(Path(out)), "killed": len(killed)})
    )


def kill_a_worker() -> int:
    """End one of Ray's workers without a word, as a machine that is lost would."""
    for folder in Path("/proc").glob("[0-9]*"):
        name = (folder / "cmdline").read_bytes().decode("utf-8", "replace") if (folder / "cmdline").exists() else ""
        if name.startswith("ray::") and "MapWorker" in name:
            os.kill(int(folder.name), signal.SIGKILL)
            return int(folder.name)
    raise SystemExit("No worker was found to kill.")


def measured(faces: int) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        return [{"way": way, **in_fresh_process("pairs.py", way, faces, Path(folder) / str(i))} for i, way in enumerate(WAYS)]


def planned(seconds: float) -> list[list[str]]:
    """Hours for a million pairs on several machines, by the cost of one pair here and nothing lost between them: arithmetic."""
    return [[str(n), f"{seconds:.4f}", f"{1e6 * seconds / n / 3600:.1f}"] for n in GPUS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=2000, help="five pairs each")
    parser.add_argument("--write", action="store_true", help="renew the tables of docs/pairs.md")
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        return alone(args.alone[0], int(args.alone[1]), args.alone[2])
    runs = measured(args.faces)
    rows = [
        [
            r["way"],
            f"{r['pairs']:,}",
            f"{r['pairs'] / r['seconds']:.0f}",
            f"{runs[1]['seconds'] / r['seconds']:.2f}x",
            f"{r['mib']:.0f}",
            r["hash"],
        ]
        for r in runs
    ]
    heading = ["way", "pairs", "pairs a second", "against 1 worker", "peak MiB of the first process", "hash of all files"]
    equal = "equal" if len({r["hash"] for r in runs}) == 1 else "NOT EQUAL"
    cost = runs[0]["seconds"] / runs[0]["pairs"]
    plan = table(["workers", "seconds for one pair on one worker (measured)", "hours for 1,000,000 pairs (arithmetic)"], planned(cost))
    text = f"{machine()}; the hashes are {equal}.\n\n{table(heading, rows)}\n\n{plan}"
    publish("cost", text, args.write, ROOT / "docs" / "pairs.md")


if __name__ == "__main__":
    main()
