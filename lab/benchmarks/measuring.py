"""What the speed benchmarks share: the pack's import, a machine's description, interleaved timing, peak memory, the page."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeVar

import torch

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
Key = TypeVar("Key")  # of a variant: mostly its name

if importlib.util.find_spec("micromotion") is None:
    spec = importlib.util.spec_from_file_location("micromotion", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    sys.modules["micromotion"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["micromotion"])

from micromotion.stylegan2 import Architecture, Generator  # noqa: E402


def helper(path: str) -> ModuleType:
    """A module below ``tests/``, such as ``nodes/hosted.py``: the tests' ways to start and use a ComfyUI, its page, stand-ins for files."""
    spec = importlib.util.spec_from_file_location(f"tests_{Path(path).stem}", ROOT / "tests" / path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config_f(resolution: int, device: str = "cpu") -> Generator:
    """StyleGAN2 config F at this size with random weights and visible noise, frozen."""
    torch.manual_seed(0)
    channels = {2**k: min(32768 >> k, 512) for k in range(2, resolution.bit_length())}
    generator = Generator(Architecture(resolution, channels, mapping_layers=2)).eval().requires_grad_(False)
    for name, parameter in generator.named_parameters():
        if "noise_strength" in name:
            parameter.fill_(0.1)
    return generator.to(device)


def random_codes(generator: Generator, n: int) -> torch.Tensor:
    codes = torch.randn(n, generator.num_layers, generator.width, generator=torch.Generator().manual_seed(1))
    return codes.to(generator.w_avg.device)


def machine(threads: int | None = None) -> str:
    """One line: processor or GPU, threads, operating system, versions."""
    parts = [_processor(), f"{threads or torch.get_num_threads()} thread(s)", platform.system()]
    if torch.cuda.is_available():
        parts.insert(0, f"{torch.cuda.get_device_name()}, driver {_driver()}")
    return ", ".join([*parts, f"Python {platform.python_version()}", f"torch {torch.__version__}"])


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
        name, family, flags = (re.findall(rf"^{k}\s*: (.*)$", text, re.M)[0] for k in ("model name", "cpu family", "flags"))
        return f"{name.strip()} (family {family}){' with AVX-512' if 'avx512f' in flags else ''}"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


class Seconds(NamedTuple):
    """Of every round: CPU time of all threads of this process, which other work on the machine hardly disturbs, and time on the clock."""

    cpu: list[float]
    clock: list[float]


def interleaved(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, Seconds]:
    """Seconds of every variant, all in turn in every round, after one unmeasured round."""
    seconds = {name: Seconds([], []) for name in variants}
    for i in range(rounds + 1):
        for name, run in variants.items():
            cpu, clock = time.process_time(), time.perf_counter()
            run()
            if i:
                seconds[name].cpu.append(time.process_time() - cpu)
                seconds[name].clock.append(time.perf_counter() - clock)
    return seconds


def gpu_interleaved(variants: dict[Key, Callable[[], object]], rounds: int, repeats: int = 20) -> dict[Key, list[float]]:
    """Seconds per call on the GPU by events, ``repeats`` calls at a time, all variants in turn in every round."""
    seconds: dict[Key, list[float]] = {name: [] for name in variants}
    for i in range(rounds + 1):
        for name, run in variants.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(repeats if i else 3):
                run()
            end.record()
            torch.cuda.synchronize()
            if i:
                seconds[name].append(start.elapsed_time(end) / 1000 / repeats)
    return seconds


def gpu_peak(run: Callable[[], object]) -> float:
    """MiB that ``run`` allocates on the card at most, beyond what is there before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def ratio(slow: list[float], fast: list[float]) -> str:
    """Median of the per-round ratios, and their range."""
    ratios = [a / b for a, b in zip(slow, fast)]
    return f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"


def spread(seconds: list[float], unit: float = 1.0, digits: int = 2) -> str:
    """Smallest of the rounds: the one that was disturbed least."""
    return f"{min(seconds) * unit:.{digits}f}"


def in_fresh_process(script: str, *args: object) -> dict:
    """Run ``script --alone args`` of this folder and read the JSON of its last line."""
    command = [sys.executable, str(Path(__file__).with_name(script)), "--alone", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_increase(run: Callable[[], object]) -> float:
    """MiB by which ``run`` raises this process' peak resident memory over what it holds now."""
    before = _status("VmRSS")
    run()
    return (_status("VmHWM") - before) / 1024


def peak_memory() -> float:
    """MiB of resident memory that this process held at most."""
    return _status("VmHWM") / 1024


def _status(field: str) -> int:
    """KiB of a field of this process' status; Linux only."""
    return int(re.findall(rf"^{field}:\s+(\d+)", Path("/proc/self/status").read_text(), re.M)[0])


def table(heading: list[str], rows: list[list[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def publish(section: str, text: str, write: bool, page: Path = PAGE) -> None:
    """Print a section's text; with ``write`` also put it between the section's markers in ``page``."""
    print(text)
    if write:
        start, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
        head, rest = page.read_text("utf-8").split(start)
        page.write_text(f"{head}{start}\n{text}\n{end}{rest.split(end)[1]}", "utf-8")
