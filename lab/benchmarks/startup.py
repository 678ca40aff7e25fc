"""What starting costs: the import, and the kernels' first use with an empty and with a filled cache.

``python lab/benchmarks/startup.py`` prints the table; ``--write`` renews docs/performance.md. Without a GPU the compiler alone is
timed, which needs none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import torch
from measuring import ROOT, in_fresh_process, machine, publish, table
from micromotion.stylegan2.ops import cuda, nvrtc


def alone(what: str, capability: int) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    if what == "compile":
        nvrtc.compiled(cuda.source(), capability, ["STORAGE=32"])
    elif what == "first use":
        reason = cuda.why_not(torch.device("cuda", 0), torch.float32)
        assert not reason, reason
        torch.cuda.synchronize()
    print(json.dumps({"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}))


def import_seconds(rounds: int) -> list[dict]:
    """Time that importing the pack's StyleGAN2 adds to importing torch."""
    program = (
        "import importlib.util, sys, time, torch, numpy\n"
        "start, cpu = time.perf_counter(), time.process_time()\n"
        f"spec = importlib.util.spec_from_file_location('micromotion', {str(ROOT / '__init__.py')!r},"
        f" submodule_search_locations=[{str(ROOT)!r}])\n"
        "sys.modules['micromotion'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(sys.modules['micromotion'])\n"
        "import micromotion.stylegan2\n"
        "print(time.perf_counter() - start, time.process_time() - cpu)\n"
    )
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(rounds)]
    return [dict(zip(("seconds", "cpu"), map(float, r.stdout.split()))) for r in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="renew the table of docs/performance.md")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        return alone(args.alone[0], int(args.alone[1]))
    gpu = torch.cuda.is_available()
    capability = 10 * torch.cuda.get_device_capability()[0] + torch.cuda.get_device_capability()[1] if gpu else 90
    what = "first use" if gpu else "compile"
    empty, filled = [], []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as cache:
            os.environ[nvrtc.CACHE_VARIABLE] = cache
            empty.append(in_fresh_process("startup.py", what, capability))
            filled.append(in_fresh_process("startup.py", what, capability))
    doing = "first use of the float32 kernels" if gpu else f"compiling the float32 kernels for sm_{capability} (no GPU here)"
    cases = {
        "import of micromotion.stylegan2, after torch": import_seconds(args.rounds),
        f"{doing}, empty cache": empty,
        f"{doing}, filled cache": filled,
    }
    rows = [[name, *(f"{min(run[key] for run in runs):.3f}" for key in ("seconds", "cpu"))] for name, runs in cases.items()]
    publish("starting", f"{machine()}; the best of {args.rounds}\n\n{table(['what', 'seconds', 'CPU seconds'], rows)}", args.write)


if __name__ == "__main__":
    main()
