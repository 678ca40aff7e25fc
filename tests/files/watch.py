"""Load every file of a folder under an audit hook and a memory limit; print what happened, as JSON. Run as a program of its own.

usage: watch.py PACK FOLDER WARM_UP_FILE...
"""

from __future__ import annotations

import encodings.cp437
import encodings.utf_8_sig
import encodings.utf_16  # noqa: F401
import importlib.util
import json
import resource
import sys
import time
from pathlib import Path

LIMIT = 1 << 30
FORBIDDEN = ("os.", "subprocess.", "socket.", "ctypes.", "shutil.", "pickle.", "marshal.", "exec", "compile", "import", "builtins.input")
HARMLESS = ("os.listdir", "os.scandir", "os.stat")
events: list[str] = []


def hook(event, args):
    if len(events) > 20:
        return
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        events.append(f"open {args[0]} {args[1]}")
    if event.startswith(FORBIDDEN) and event not in HARMLESS:
        events.append(f"{event} {str(args)[:80]}")


def import_pack(root):
    spec = importlib.util.spec_from_file_location("micromotion", Path(root) / "__init__.py", submodule_search_locations=[root])
    sys.modules["micromotion"] = importlib.util.module_from_spec(spec)
    from micromotion import stylegan2

    return stylegan2


def virtual_memory():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def memory(field):
    """VmRSS or VmHWM (its peak) in bytes."""
    return next(int(line.split()[1]) << 10 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))


def attempt(call, path):
    """The error's class and text (or "loaded"), CPU seconds, bytes at the peak beyond those before, and the forbidden events."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
    before = memory("VmRSS")
    events.clear()
    start = time.process_time()
    try:
        call(path)
        kind, text = "loaded", ""
    except Exception as error:
        kind, text = type(error).__name__, str(error)
    seen = list(events)
    spent = {"seconds": time.process_time() - start, "peak": memory("VmHWM") - before}
    return {"file": path.name, "kind": kind, "text": text, "events": seen, **spent}


def main(root, folder, *warm):
    stylegan2 = import_pack(root)
    from micromotion.stylegan2 import checkpoint
    from micromotion.stylegan2.inversion import load_identity

    for path in warm:
        attempt(stylegan2.inspect, Path(path))
        attempt(checkpoint.read_file, Path(path))
        attempt(stylegan2.load_inverter, Path(path))
    sys.addaudithook(hook)
    limit = virtual_memory() + LIMIT
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for path in sorted(Path(folder).iterdir()):
        for call in (stylegan2.load, checkpoint.read_file, stylegan2.load_inverter, load_identity):
            print(json.dumps({"call": call.__name__, **attempt(call, path)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
