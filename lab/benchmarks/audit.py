"""A real ComfyUI under audit, in which everything of docs/checkpoints.md and SECURITY.md is tried through the nodes.

``python lab/benchmarks/audit.py`` starts the ComfyUI that the tests find, with two copies of the pack and a second models folder, sends
a few hundred prompts (files of every tool, damaged and hostile ones, hostile names, odd numbers, runs that are canceled), and prints what
became of them and what the pack did meanwhile: an audit hook in that process writes down every file, program, connection and piece of
code behind which a line of the pack stands (audited/sitecustomize.py). It ends with 1 where anything happened that SECURITY.md rules out,
or where a prompt ended otherwise than with a result or one of our sentences. ``--write`` renews the table of SECURITY.md.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import shutil
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import codes_of_tools, keep, module, stored
from checkpoints import files as generators_of_tools
from measuring import ROOT, publish, table
from safetensors.torch import save_file

hosted = module("audit_hosted", ROOT / "tests" / "nodes" / "hosted.py")
encoders = module("audit_encoders", ROOT / "tests" / "stylegan2" / "inversion" / "conftest.py")
keyed = module("audit_keyed", ROOT / "tests" / "stylegan2" / "inversion" / "keyed.py")

from micromotion import stylegan2  # noqa: E402
from micromotion.files.embedded import embedded_root  # noqa: E402
from micromotion.lab import fuzz  # noqa: E402
from micromotion.subspaces import Subspace  # noqa: E402

PAGE = ROOT / "SECURITY.md"
AVATAR = "avatar (embedded)"
RULED_OUT = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn")
RULED_OUT += ("os.fork", "os.startfile", "pty.", "webbrowser.", "pickle.find_class")
IN_TORCH = "b'torch.classes."  # how PyTorch names a class of its own profiler, which every optimizer's step asks for
IN_LOADING = ("exec", "compile", "marshal.loads", "import", "ctypes.dlopen")  # what Python does to load modules
WRITES = set("wax+")
DAMAGED = 25  # files of each kind
LOADERS = {  # reader of lab/fuzz.py: node and folder
    "generator": ("LoadGenerator", "stylegan2"),
    "inverter": ("LoadInverter", "stylegan2_inverters"),
    "identity": ("LoadIdentity", "stylegan2_identity"),
    "subspace": ("LoadSubspace", "micromotion"),
    "direction": ("LoadSubspace", "micromotion"),
    "codes": ("LoadFace", "stylegan2_codes"),
    "scorer": ("LoadScorer", "micromotion_scorers"),
}
NAMES = (
    "../../escape",
    "/etc/passwd",
    "..\\..\\escape",
    "C:\\escape",
    "a\0b",
    "",
    ".",
    "..",
    "x/../../y",
    "\ud800",
    "%2e%2e/x",
    "~/.bashrc",
    "con",
)
SAVED = (
    "plain",
    "plain",
    "a/b",
    "a\\b",
    "ends/",
    "..",
    "../../escape",
    "/abs",
    "con",
    "x.safetensors",
    "n" * 400,
    "💩",
    "a\tb",
    "%date%",
    ".hidden",
    "",
)
NUMBERS = (float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 10**30, "1; import os")


@dataclass
class Group:
    """What became of the prompts of one kind."""

    name: str
    tried: int = 0
    ran: int = 0
    refused: int = 0  # by one of our sentences, or by ComfyUI's own check of a number
    wrong: list[str] = field(default_factory=list)


@dataclass
class Session:
    """A running ComfyUI and what was seen of it."""

    server: Any
    info: dict
    folder: Path
    groups: list[Group] = field(default_factory=list)

    @property
    def models(self) -> Path:
        return self.server.base / "models"

    def group(self, name: str) -> Group:
        self.groups.append(Group(name))
        return self.groups[-1]

    def node(self, kind: str, **inputs) -> dict:
        """A node with what it needs; widgets that are not named have their defaults."""
        kind = kind if kind in self.info else f"Micromotion{kind}"
        first = {n: o["options"][0] for n, t, o in hosted.puts(self.info[kind]["input"]) if t == "COMBO" and o.get("options")}
        values = first | hosted.widget_values(self.info[kind], [])
        return {"class_type": kind, "inputs": {k: v for k, v in values.items() if v is not None} | inputs}

    def ask(self, prompt: dict, wanted: str | None = None) -> dict | None:
        """Run a prompt and count how it ended; ``wanted`` "result" or "sentence" where only that is right."""
        group = self.groups[-1]
        group.tried += 1
        try:
            entry = self.server.run(prompt, seconds=300)
        except hosted.RunError as error:
            if own(str(error), error.kind) and wanted != "result":
                group.refused += 1
            else:
                group.wrong.append(f"{error.kind} {str(error)[:300]!r} for {json.dumps(prompt)[:400]}")
            return None
        if wanted == "sentence":
            group.wrong.append(f"it ran: {json.dumps(prompt)[:400]}")
        group.ran += wanted != "sentence"
        return entry

    def drawn(self, generator: dict, **more) -> dict:
        """A prompt that draws a face of a generator."""
        faces = self.node("SampleFaces", generator=["1", 0], seed=7, **more)
        return {"1": generator, "2": faces, "3": self.node("Synthesize", generator=["1", 0], codes=["2", 0]), "4": self.shown(["3", 0])}

    def shown(self, images: list) -> dict:
        return self.node("PreviewImage", images=images)


def own(said: str, kind: str) -> bool:
    """Whether a prompt was refused by ComfyUI's check of it, or failed with an error of our family, in one sentence."""
    return "micromotion" in kind if kind else said.startswith("{") and "required_input_missing" not in said


def generators(session: Session) -> None:
    session.group("generators of every layout")
    folder = session.models / "stylegan2"
    names = []
    for _, _, path, _ in generators_of_tools(folder):
        names.append(path.name)
        if path.parent != folder:
            shutil.copy(path, folder)
    for name in names:
        session.ask(session.drawn(session.node("LoadGenerator", file=name)), "result")
    listed = session.server.get("/object_info/MicromotionLoadGenerator")
    options = json.dumps(listed)
    session.groups[-1].wrong += [f"{name} is not listed" for name in names if name not in options]
    session.group("oblong, conditional, gray and transparent generators")
    for name, sizes in {
        "oblong": {"base": (4, 2)},
        "classes": {"c_dim": 3},
        "gray": {"img_channels": 1},
        "alpha": {"img_channels": 4},
    }.items():
        torch.manual_seed(1)
        made = stylegan2.Generator(stylegan2.Architecture(16, {4: 8, 8: 8, 16: 8}, w_dim=16, z_dim=16, mapping_layers=2, **sizes))
        stylegan2.save(made.eval().requires_grad_(False), folder / f"{name}.safetensors")
        chosen = {"class_of": "1"} if "c_dim" in sizes else {}
        session.ask(session.drawn(session.node("LoadGenerator", file=f"{name}.safetensors"), **chosen), "result")
    session.ask(session.drawn(session.node("LoadGenerator", file="classes.safetensors"), class_of="nobody"), "sentence")


def codes(session: Session) -> None:
    session.group("face codes of every tool")
    avatar = stylegan2.load(embedded_root() / "generator.safetensors")
    faces = avatar.map(torch.randn(3, avatar.architecture.z_dim, generator=torch.Generator().manual_seed(5)), 0.7)
    for i, write in enumerate(codes_of_tools.WRITERS.values()):
        write(session.models / "stylegan2_codes" / f"kept{i}", faces)
    save_file(
        {"direction": Subspace.load(embedded_root() / "motions" / "smile.safetensors").direction},
        session.models / "stylegan2_codes" / "motion.safetensors",
    )
    for path in sorted((session.models / "stylegan2_codes").glob("kept*")):
        session.ask(loaded_face(session, path.name), "result")
    session.ask(loaded_face(session, "motion.safetensors"), "sentence")


def loaded_face(session: Session, name: str) -> dict:
    load = session.node("LoadFace", generator=["1", 0], file=name)
    drawn = session.node("Synthesize", generator=["1", 0], codes=["2", 0])
    return {"1": session.node("LoadGenerator", file=AVATAR), "2": load, "3": drawn, "4": session.shown(["3", 0])}


def directions(session: Session) -> None:
    session.group("directions of every tool")
    smile = Subspace.load(embedded_root() / "motions" / "smile.safetensors").direction
    folder = session.models / "micromotion"
    for i, (_, _, value, ending, which, _) in enumerate(stored(smile)):
        keep(folder / f"way{i}{ending}", value)
        session.ask(moved(session, f"way{i}{ending}", which=str(which or "")), "result")
    np.save(folder / "code.npy", stylegan2.load(embedded_root() / "generator.safetensors").w_avg.repeat(10, 1).numpy())
    session.ask(moved(session, "code.npy"), "sentence")
    styles = folder / "styles.npz"
    layers: dict[str, Any] = {f"layer{i}": np.zeros((100, 48), np.float32) for i in range(26)}
    np.savez(styles, **layers)
    session.ask(moved(session, styles.name), "sentence")


def moved(session: Session, motion: str, **more) -> dict:
    """A prompt that moves a face of the avatars along a motion's file."""
    prompt = session.drawn(session.node("LoadGenerator", file=AVATAR))
    prompt["5"] = session.node("LoadSubspace", file=motion, generator=["1", 0], **more)
    prompt["6"] = session.node("ApplySubspace", codes=["2", 0], motion=["5", 0], coefficient=0.5)
    prompt["3"]["inputs"]["codes"] = ["6", 0]
    return prompt


def inverters(session: Session) -> None:
    session.group("inverters: pSp, e4e, ReStyle, HyperStyle's, without a mean")
    torch.manual_seed(0)
    blocks = {2**k: 16 for k in range(2, 5)}
    made = stylegan2.Generator(stylegan2.Architecture(16, blocks, w_dim=32, z_dim=32, mapping_layers=2)).eval().requires_grad_(False)
    stylegan2.save(made, session.models / "stylegan2" / "small.safetensors")
    kinds = {"GradualStyleEncoder": 3, "Encoder4Editing": 3, "BackboneEncoder": 6, "ProgressiveBackboneEncoder": 6, "WEncoder": 3}
    for kind, channels in kinds.items():
        for mean in (True, False):
            state = {f"encoder.{k}": v for k, v in keyed.fill(encoders.tiny_encoder(kind, channels)).state_dict().items()}
            state |= {"decoder.input.input": made.state_dict()["synthesis.b4.const"][None]}
            state |= {f"decoder.convs.{i}.conv.weight": torch.zeros(1) for i in range(made.num_layers - 2)}
            content = {"state_dict": state, "opts": {"encoder_type": kind, "start_from_latent_avg": True}}
            content |= {"latent_avg": made.w_avg.repeat(made.num_layers, 1)} if mean else {}
            path = session.models / "stylegan2_inverters" / f"{kind}{mean:d}.pt"
            torch.save(content, path)
            session.ask(inverted(session, "small.safetensors", path.name), "result")


def inverted(session: Session, generator: str, inverter: str, **more) -> dict:
    prompt = session.drawn(session.node("LoadGenerator", file=generator))
    prompt["5"] = session.node("LoadInverter", file=inverter)
    prompt["6"] = session.node("LoadImage", image="micromotion_avatar.png")
    prompt["7"] = session.node("InvertFace", generator=["1", 0], inverter=["5", 0], image=["6", 0], **more)
    prompt["3"]["inputs"]["codes"] = ["7", 0]
    return prompt


def loading(session: Session, node: str, name: str) -> dict:
    """A prompt whose only purpose is to read a file."""
    if node == "LoadGenerator":
        return session.drawn(session.node(node, file=name))
    if node == "LoadInverter":
        return inverted(session, AVATAR, name)
    if node == "LoadFace":
        return loaded_face(session, name)
    if node == "LoadSubspace":
        return moved(session, name)
    anchors = {"steps": 1, "seeds": 1, "degrees": "no, 50%, 100%"}
    prompt = {"1": session.node("LoadGenerator", file=AVATAR), "2": session.node("LoadScorer", file=AVATAR)}
    if node == "LoadScorer":
        prompt["2"]["inputs"]["file"] = name
    else:
        prompt["5"] = session.node(node, file=name)
        anchors["identity"] = ["5", 0]
    prompt["3"] = session.node("TextAnchors", generator=["1", 0], scorer=["2", 0], **anchors)
    prompt["4"] = session.node("FitSubspace", **{"anchors.anchors_1": ["3", 0]})
    prompt["6"] = session.node("SaveSubspace", motion=["4", 0], name="read/x")
    return prompt


def strangers(session: Session) -> None:
    session.group("pages, archives and other programs' files in every loader's folder")
    made = {
        "page.pt": b"<!doctype html><title>Sign in</title>",
        "error.pt": b'{"error": {"code": 404}}',
        "pointer.pt": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "empty.pt": b"",
        "packed.pt": b"\x1f\x8b" + bytes(60),
        "hdf5.pt": b"\x89HDF\r\n\x1a\n" + bytes(90),
        "rar.pt": b"Rar!\x1a\x07" + bytes(60),
    }
    for node, folder in dict(LOADERS.values()).items():
        for name, content in made.items():
            (session.models / folder / name).write_bytes(content)
            session.ask(loading(session, node, name), "sentence")


class _Bomb:
    def __init__(self, call, *given):
        self.call, self.given = call, given

    def __reduce__(self):
        return self.call, self.given


def hostile(session: Session) -> None:
    session.group("pickles that would run something, in every loader's folder")
    canary = session.folder / "canary"
    bombs = {
        "system": _Bomb(os.system, f"touch {canary}"),
        "exec": _Bomb(exec, f"open({str(canary)!r}, 'w')"),
        "open": _Bomb(open, str(canary), "w"),
        "process": _Bomb(__import__("subprocess").Popen, ["touch", str(canary)]),
    }
    for node, folder in dict(LOADERS.values()).items():
        for name, bomb in bombs.items():
            for ending, write in ((".pt", torch.save), (".pth", lambda value, path: path.write_bytes(pickle.dumps(value)))):
                path = session.models / folder / f"{name}{ending}"
                write({"g_ema": bomb, "state_dict": bomb, "w": bomb}, path)
                session.ask(loading(session, node, path.name), "sentence")
    if canary.exists():
        session.groups[-1].wrong.append("a file ran what it holds")


def damaged(session: Session) -> None:
    session.group(f"damaged files, {DAMAGED} of each kind")
    with tempfile.TemporaryDirectory() as folder:
        for reader in fuzz.readers(Path(folder)):
            for i in range(DAMAGED if reader.name in LOADERS else 0):
                node, kind = LOADERS[reader.name]
                rng, source = random.Random(f"audit {reader.name} {i}"), reader.files[i % len(reader.files)]
                path = session.models / kind / f"damaged_{reader.name}{i}{source.suffix}"
                path.write_bytes(fuzz.damaged(source.read_bytes(), rng))
                session.ask(loading(session, node, path.name))


def names(session: Session) -> None:
    session.group("names that leave their folder, in every loader")
    for node in dict(LOADERS.values()):
        for name in NAMES:
            session.ask(loading(session, node, name), "sentence")


def places(session: Session) -> None:
    session.group("a second models folder, both slashes")
    extra = session.folder / "extra"
    for kind, source in (("micromotion", "motions/smile.safetensors"), ("stylegan2", "generator.safetensors")):
        (extra / kind / "sub").mkdir(parents=True, exist_ok=True)
        shutil.copy(embedded_root() / source, extra / kind / "sub" / "there.safetensors")
    for name in ("sub/there.safetensors", "sub\\there.safetensors"):
        session.ask(moved(session, name), "result")
        session.ask(session.drawn(session.node("LoadGenerator", file=name)), "result")


def saving(session: Session) -> None:
    session.group("saved again and again under odd names")
    before = everything(session.server.base.parent)
    counted = 0
    for i, name in enumerate(SAVED):
        for node in ("SaveSubspace", "SaveFace", "ConvertCheckpoint"):
            prompt = {"1": session.node("LoadGenerator", file=AVATAR), "2": session.node("SampleFaces", generator=["1", 0], seed=i)}
            prompt["3"] = session.node("LoadSubspace", file="smile (embedded)")
            puts = {"SaveSubspace": {"motion": ["3", 0]}, "SaveFace": {"codes": ["2", 0]}, "ConvertCheckpoint": {"file": AVATAR}}[node]
            prompt["4"] = session.node(node, name=name, **puts)
            counted += session.ask(prompt) is not None
    after = everything(session.server.base.parent)
    changed = [path for path, seen in before.items() if after.get(path) != seen and path.suffix == ".safetensors"]
    added = [path for path in after if path not in before and path.suffix == ".safetensors"]
    outside = [path for path in added if session.models.resolve() not in path.resolve().parents]
    session.groups[-1].wrong += [f"replaced {path}" for path in changed] + [f"outside: {path}" for path in outside]
    if len(added) != counted:
        session.groups[-1].wrong.append(f"{counted} saved, {len(added)} files")


def everything(folder: Path) -> dict[Path, tuple]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def emptied(session: Session) -> None:
    session.group("the temp folder emptied between two runs of one graph")
    prompt = session.drawn(session.node("LoadGenerator", file=AVATAR))
    prompt["5"] = session.node("LoadSubspace", file="smile (embedded)")
    prompt["6"] = session.node("Sweep", frames=8)
    puts = {"generator": ["1", 0], "codes": ["2", 0], "motion": ["5", 0], "sweep": ["6", 0]}
    prompt["3"] = session.node("SweepToVideo", **puts)
    prompt["4"] = session.node("SaveVideo", video=["3", 0], filename_prefix="audit")
    for i in range(3):
        prompt["4"]["inputs"]["filename_prefix"] = f"audit{i}"
        session.ask(prompt, "result")
        shutil.rmtree(session.server.base / "temp", ignore_errors=True)


def canceled(session: Session) -> None:
    session.group("canceled in the middle, and run again")
    small = loading(session, "LoadScorer", AVATAR)
    large = json.loads(json.dumps(small))
    large["3"]["inputs"] |= {"steps": 900, "seeds": 5}
    for prompt, wanted in ((large, None), (small, "result")):
        if wanted is None:
            number = session.server.submit(prompt)
            time.sleep(4)
            session.server.post("/interrupt", {})
            session.groups[-1].tried += 1
            try:
                session.server.wait(number, 60)
                session.groups[-1].wrong.append("it was not canceled")
            except hosted.RunError as error:
                session.groups[-1].refused += "interrupted" in str(error)
        else:
            session.ask(prompt, wanted)


def numbers(session: Session) -> None:
    session.group("numbers out of bounds, in every number of the main nodes")
    prompt = moved(session, "smile (embedded)")
    prompt["7"] = session.node("Sweep")
    prompt["6"]["inputs"]["sweep"] = ["7", 0]
    for number, kind in ((n, p["class_type"]) for n, p in prompt.items()):
        for name, type_, _ in hosted.puts(session.info[kind]["input"]):
            if type_ in ("INT", "FLOAT") and kind.startswith("Micromotion"):
                for value in NUMBERS:
                    broken = json.loads(json.dumps(prompt))
                    broken[number]["inputs"][name] = value
                    if session.ask(broken, "sentence"):
                        session.groups[-1].wrong[-1] = f"{kind} took {name} {value!r}"


def terms(session: Session) -> None:
    session.group("Fetch Model without consent")
    for what in session.info["MicromotionFetchModel"]["input"]["required"]["what"][1]["options"][:12]:
        session.ask({"1": session.node("FetchModel", what=what, accept=False)}, "result")


def templates(session: Session) -> None:
    session.group("templates, as the page sends them")
    for path in sorted((ROOT / "workflows").glob("*.json")):
        if path.stem[:2] in ("01", "03", "04", "09", "10", "12", "17", "18", "19"):
            session.ask(hosted.to_prompt(json.loads(path.read_text("utf-8")), session.info), "result")


STEPS: tuple[Callable[[Session], None], ...] = (
    *(
        generators,
        codes,
        directions,
        inverters,
        strangers,
        hostile,
        damaged,
        names,
        places,
        saving,
        emptied,
        canceled,
        numbers,
        terms,
        templates,
    ),
)


def audited(log: Path, allowed: list[Path]) -> tuple[Counter, list[str]]:
    """What the pack did by kind, and what of it is ruled out."""
    seen, wrong = Counter(), []
    for line in log.read_text("utf-8", "replace").splitlines():
        event, subject, mode, where, loading_ = json.loads(line)
        kind, fault = judged(event, subject, mode, loading_, allowed)
        seen[kind] += 1
        if fault:
            wrong.append(f"{event} {subject} {mode} at {where}")
    return seen, list(dict.fromkeys(wrong))


def judged(event: str, subject: str, mode: str, is_loading: bool, allowed: list[Path]) -> tuple[str, bool]:
    """The kind of an event, and whether it is ruled out. ``allowed``: where may be written, then where may be read."""
    if event.startswith(RULED_OUT):
        return "networks and programs", True
    if event in IN_LOADING:
        return "modules loaded", not (is_loading or event in ("import", "ctypes.dlopen") or subject.startswith(IN_TORCH))
    written = event != "open" or bool(WRITES & set(mode)) or (mode.isdigit() and int(mode) & (os.O_WRONLY | os.O_RDWR) != 0)
    places = allowed[:1] if written else allowed
    inside = subject.isdigit() or any(place in (Path(subject).resolve(), *Path(subject).resolve().parents) for place in places)
    return "files written, renamed or removed" if written else "files read", not inside


def session(base: Path) -> tuple[str, list[Group], Counter, list[str]]:
    """The whole session in ``base``."""
    home, log, extra = base / "home", base / "audit.jsonl", base / "extra"
    (home / "custom_nodes").mkdir(parents=True)
    (home / "custom_nodes" / "micromotion_again").symlink_to(ROOT, target_is_directory=True)
    for _, folder in LOADERS.values():
        (home / "models" / folder).mkdir(parents=True, exist_ok=True)
        (extra / folder).mkdir(parents=True, exist_ok=True)
    kinds = sorted({folder for _, folder in LOADERS.values()})
    (base / "extra.yaml").write_text(f"mine:\n  base_path: {extra}\n" + "".join(f"  {k}: {k}\n" for k in kinds), "utf-8")
    env = {"MICROMOTION_AUDIT": str(log), "MICROMOTION_AUDITED": str(home / "custom_nodes" / "micromotion")}
    env["PYTHONPATH"] = str(ROOT / "lab" / "benchmarks" / "audited")
    with hosted.Server(home, env=env, arguments=("--extra-model-paths-config", str(base / "extra.yaml"))) as server:
        version = server.get("/system_stats")["system"]["comfyui_version"]
        shutil.copy(ROOT / "web" / "examples" / "micromotion_avatar.png", home / "input")
        made = Session(server, server.get("/object_info"), base)
        twice = made.group("two copies of the pack")
        twice.tried, twice.refused = 1, int("installed twice" in server.log)
        twice.wrong += [] if twice.refused else ["nothing was said"]
        for step in STEPS:
            step(made)
            print(made.groups[-1].name, made.groups[-1].tried, [one[:250] for one in made.groups[-1].wrong[:3]], flush=True)
        if server.process.poll() is not None:
            made.groups[-1].wrong.append("ComfyUI ended")
        python = server.process.args[0]
    seen, wrong = audited(log, [home.resolve(), *readable(base, python)])
    return version, made.groups, seen, wrong


def readable(base: Path, python: str) -> list[Path]:
    """Where the pack may read: its own files, the second models folder, Python's libraries, and what the system says of itself."""
    libraries = [Path(python).parent.parent, Path(sysconfig.get_paths()["stdlib"]), hosted.find_comfyui()]
    return [
        p.resolve()
        for p in (ROOT, base / "extra", *libraries, Path(sys.base_prefix), Path("/proc"), Path("/sys"), Path("/dev"), Path("/usr"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="renew the table of SECURITY.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        version, groups, seen, wrong = session(Path(base))
    rows = [[g.name, str(g.tried), str(g.ran), str(g.refused), str(len(g.wrong))] for g in groups]
    acts = "; ".join(f"{count:,} {kind}" for kind, count in sorted(seen.items()))
    text = f"ComfyUI {version}. The pack's acts: {acts}; {len(wrong)} of them ruled out.\n\n"
    publish("audit", text + table(["tried", "prompts", "ran", "refused in a sentence", "ended otherwise"], rows), args.write, PAGE)
    faults = [*wrong, *(fault for group in groups for fault in group.wrong)]
    print(*faults, sep="\n")
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
