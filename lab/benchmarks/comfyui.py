"""In a real ComfyUI: how long the pack takes to load, how soon a slider answers, what fifty runs leave behind.

``python lab/benchmarks/comfyui.py`` starts the ComfyUI that the tests find (``COMFYUI_PATH``, ``~/comfy/ComfyUI``) and prints the table.
A slider's answer is the time from sending the prompt to its result in the history, everything before the slider being cached.
``--write`` renews docs/expectations.md.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from pathlib import Path

from measuring import ROOT, helper, machine, publish, table

PAGE = ROOT / "docs" / "expectations.md"
WARM = 5  # runs that are not counted
SLIDERS = {"MicromotionFaceSliders": "coefficient_1", "MicromotionApplySubspace": "coefficient"}  # of one of them, what is moved


def prompt_of(hosted, server, name: str) -> tuple[dict, dict, str]:
    """A workflow as the API takes it, the inputs of the node whose coefficient is moved, and that coefficient's name."""
    workflow = json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8"))
    prompt = hosted.to_prompt(workflow, server.get("/object_info"))
    return prompt, *next((n["inputs"], SLIDERS[n["class_type"]]) for n in prompt.values() if n["class_type"] in SLIDERS)


def slide(server, prompt: dict, inputs: dict, slider: str, runs: int) -> tuple[list[float], list[float]]:
    """Move the coefficient; seconds of every answer, and ComfyUI's resident memory in MB after it."""
    seconds, memory = [], []
    for i in range(runs + WARM):
        inputs[slider] = round(0.3 + i / (2 * (runs + WARM)), 4)
        start = time.perf_counter()
        server.run(prompt, every=0.005)
        if i >= WARM:
            seconds.append(time.perf_counter() - start)
            memory.append(server.resident() / 1e6)
    return seconds, memory


def load_seconds(log: str) -> str:
    """What ComfyUI writes about the pack's loading."""
    return re.findall(r"([\d.]+) seconds: \S*micromotion", log)[0]


def growth(memory: list[float]) -> str:
    """MB by which the last ten runs stand above the first ten."""
    return f"{max(memory[-10:]) - max(memory[:10]):+.1f}"


def measure(runs: int) -> tuple[str, list[list[str]]]:
    hosted = helper("nodes/hosted.py")
    with tempfile.TemporaryDirectory() as base, hosted.Server(Path(base)) as server:
        version = server.get("/system_stats")["system"]["comfyui_version"]
        answers, small = slide(server, *prompt_of(hosted, server, "03 Expression sliders, live"), runs)
        clips, large = slide(server, *prompt_of(hosted, server, "01 Animate a face, start here"), runs)
        loading = load_seconds(server.log)
    rows = [
        ["the pack's loading, torch being there, s", loading],
        [f"live slider, one 128 px picture: median of {runs} answers, s", f"{statistics.median(answers):.3f}"],
        ["the same, slowest answer, s", f"{max(answers):.3f}"],
        [f"the first template with another coefficient, 48 frames to a video: median of {runs}, s", f"{statistics.median(clips):.2f}"],
        [f"memory growth over {runs} runs of the slider, last ten above first ten, MB", growth(small)],
        [f"memory growth over {runs} runs of the first template, MB", growth(large)],
    ]
    return version, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--write", action="store_true", help="renew the table of docs/expectations.md")
    args = parser.parse_args()
    version, rows = measure(args.runs)
    publish("measured", f"ComfyUI {version} on the CPU; {machine()}\n\n{table(['what', 'measured'], rows)}", args.write, PAGE)


if __name__ == "__main__":
    main()
