"""The border to ComfyUI: folders, weights it may move, progress and interrupt, IMAGE layout, gradients."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management as management
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch
from comfy_api.v0_0_2 import io
from comfy_execution.utils import get_executing_context
from PIL import Image
from torch import nn

from ..files import catalog, environment
from ..files.embedded import MOTIONS, embedded_root
from ..files.errors import MicromotionError
from ..files.naming import clean_name
from ..files.timing import Announcement
from ..files.writing import refused
from ..stylegan2.codes import SUFFIXES as CODES
from ..stylegan2.inversion.optimization import backward_bytes
from ..stylegan2.ops import status
from ..subspaces.directions import SUFFIXES as DIRECTIONS

log = logging.getLogger("micromotion")

EMBEDDED = " (embedded)"
PREVIEW_SIDE = 512  # pixels
PREVIEW_SECONDS = 0.1
GRADIENT_PICTURES = 4
BRIGHTEST = 16.0  # of an IMAGE: highlights of float pictures exceed 1, bytes reach 255


class HostError(MicromotionError):
    """A sentence for the user of the graph."""


def speak_plainly(family: type[MicromotionError] = MicromotionError) -> None:
    """Have ComfyUI's page put ``micromotion:`` before our sentences, where it puts the path of a module and the name of a class."""
    for one in family.__subclasses__():
        one.__module__, one.__qualname__ = "builtins", "micromotion"
        speak_plainly(one)


@dataclass(frozen=True)
class Folder:
    """One kind of file: its models folder, its extensions, and the embedded files by shown name."""

    name: str
    extensions: tuple[str, ...]
    embedded: dict[str, str]  # shown name -> path under the embedded weights


CHECKPOINTS = (".safetensors", ".pkl", ".pt", ".pth")
FOLDERS = {
    "generator": Folder(catalog.GENERATORS, (*CHECKPOINTS, ".pdparams"), {"avatar": "generator.safetensors"}),
    "inverter": Folder(catalog.INVERTERS, CHECKPOINTS, {"avatar": "inverter.safetensors"}),
    "scorer": Folder(catalog.SCORERS, CHECKPOINTS, {"avatar": "scorer.safetensors"}),
    "identity": Folder(catalog.IDENTITY, (".pth", ".pt"), {}),
    "motion": Folder(catalog.MOTIONS, DIRECTIONS, {name: f"motions/{name}.safetensors" for name in MOTIONS}),
    "codes": Folder("stylegan2_codes", CODES, {}),
    "tuning": Folder("stylegan2_tunings", (".safetensors",), {}),
}
OTHER_PACKS = {catalog.GENERATORS: ("stylegan",)}  # where other packs keep the same files, under models
ADVICE = {
    "motion": "A motion is made by Fit Micromotion and Save Micromotion, or shared by somebody.",
    "codes": "Faces are written by Save Face; the codes of other tools (projected_w.npz, latents.pt) may be put there too.",
    "tuning": "Tunings are written by Save Face.",
}


def register_folders() -> None:
    """Tell ComfyUI our model folders; nothing is created on the disk."""
    for folder in FOLDERS.values():
        folder_paths.add_model_folder_path(folder.name, os.path.join(folder_paths.models_dir, folder.name), is_default=True)
        for other in OTHER_PACKS.get(folder.name, ()):
            folder_paths.add_model_folder_path(folder.name, os.path.join(folder_paths.models_dir, other))
        paths, _ = folder_paths.folder_names_and_paths[folder.name]
        folder_paths.folder_names_and_paths[folder.name] = (paths, set(folder.extensions))


def describe() -> str:
    """One line for the log: versions, devices, the backend and why, how many model files; nothing is compiled for it."""
    folders = {folder.name: folder_paths.get_folder_paths(folder.name) for folder in FOLDERS.values()}
    folders[catalog.LANDMARKS] = landmark_folders()
    return environment.summary(str(status(management.get_torch_device(), test=False)), folders)


def landmark_folders() -> list[str]:
    """Where dlib's landmark file may lie: in models/dlib, and in what the user names so in extra_model_paths.yaml."""
    own = os.path.join(folder_paths.models_dir, catalog.LANDMARKS)
    known = folder_paths.get_folder_paths(catalog.LANDMARKS) if catalog.LANDMARKS in folder_paths.folder_names_and_paths else []
    return list(dict.fromkeys([own, *known]))


def fetched(entry: catalog.Entry) -> Path:
    """Where a file of the catalog belongs."""
    folder = landmark_folders()[0] if entry.folder == catalog.LANDMARKS else folder_paths.get_folder_paths(entry.folder)[0]
    return Path(folder) / entry.file


def choices(kind: str) -> list[str]:
    """The entries of a combo, never none: the embedded ones first, then the user's files."""
    return present(kind) or [nothing_in(FOLDERS[kind])]


def present(kind: str) -> list[str]:
    """What there is of a kind: the embedded ones first, then the user's files."""
    folder = FOLDERS[kind]
    return [name + EMBEDDED for name in folder.embedded] + folder_paths.get_filename_list(folder.name)


def nothing_in(folder: Folder) -> str:
    """The only entry of a combo whose folder is empty."""
    return f"(no file in models/{folder.name})"


def find(kind: str, choice: str) -> Path | None:
    """The file behind a combo entry, None where there is none."""
    folder = FOLDERS[kind]
    if choice.endswith(EMBEDDED):
        relative = folder.embedded.get(choice.removesuffix(EMBEDDED))
        path = embedded_root() / relative if relative else None
        return path if path and path.is_file() else None
    # A workflow saved on Windows writes subfolders with backslashes, which are letters elsewhere; every system takes slashes.
    names = dict.fromkeys((choice, choice.replace("\\", "/")))
    found = next((f for name in names if "\0" not in name and (f := folder_paths.get_full_path(folder.name, name))), None)
    return Path(found) if found else None


def missing(kind: str, choice: str) -> str:
    """What to say of an entry without a file: the folder it belongs into, and where such files come from."""
    folder = FOLDERS[kind]
    if choice.endswith(EMBEDDED):
        return f"The embedded {kind} {choice!r} is missing from this installation of micromotion; install the pack again."
    where = ADVICE.get(kind) or catalog.advice(folder.name)
    if choice == nothing_in(folder):
        return f"models/{folder.name} holds no {kind} file yet; put one there and press R. {where}"
    return f"There is no {kind} file {choice!r} in models/{folder.name}; choose another, or put it there. {where}"


def resolve(kind: str, choice: str) -> Path:
    """The file behind a combo entry, or a sentence that names folder and source."""
    path = find(kind, choice)
    if path is None:
        raise HostError(missing(kind, choice))
    return path


def check_file(kind: str, choice: str | None) -> bool | str:
    """For ``validate_inputs``: True, or the sentence. A linked input is not known yet and passes."""
    return True if choice is None or find(kind, choice) else missing(kind, choice)


def file_fingerprint(kind: str, choice: str) -> str:
    """Changes when the file does, so that a node is run again exactly then."""
    path = find(kind, choice)
    with suppress(OSError):  # gone since
        if path is not None:
            stat = path.stat()
            return f"{path}:{stat.st_size}:{stat.st_mtime_ns}"
    return choice


def save_path(kind: str, name: str) -> Path:
    """A new file for ``name`` in the kind's folder: counted, never outside it, never over another, whatever the name."""
    folder, stem, counter = _inside(str(_root(kind)), name, kind, f"models/{FOLDERS[kind].name}")
    while (path := folder / f"{stem}_{counter:05}_.safetensors").exists():
        counter += 1
    return path


def output_folder(name: str, fallback: str) -> Path:
    """The folder ``name`` in ComfyUI's output folder, which it need not have yet: never outside it, whatever the name."""
    folder, stem, _ = _inside(folder_paths.get_output_directory(), name, fallback, "output")
    return folder / stem


def _inside(root: str, name: str, fallback: str, place: str) -> tuple[Path, str, int]:
    """Folder, stem and next number for ``name`` under ``root``, which the user knows as ``place``."""
    root = os.path.abspath(root)
    try:
        folder, stem, counter, _, _ = folder_paths.get_save_image_path(clean_name(name, fallback), root)
    except OSError as error:
        raise HostError(f"{ascii(name)[:80]} cannot be saved in {root} ({refused(error)}).") from error
    except Exception as error:  # the host raises no class of its own
        raise HostError(f"{ascii(name)[:80]} leaves the folder {place}; give a plain name or a subfolder of it.") from error
    return Path(folder), stem, counter


def tuning_of(codes: Path) -> Path:
    """Where the tuning that belongs to a file of codes is kept: under the same name in the folder of tunings."""
    return _root("tuning") / codes.relative_to(_root("codes"))


def _root(kind: str) -> Path:
    """Where files of a kind are saved. Links and junctions below it stay as they are: they lead to other disks."""
    return Path(os.path.abspath(folder_paths.get_folder_paths(FOLDERS[kind].name)[0]))


def shown(kind: str, path: Path) -> str:
    """Where a file was saved, as the user finds it: from the models folder on, with subfolders."""
    return "Saved as " + "/".join(("models", FOLDERS[kind].name, *path.relative_to(_root(kind)).parts))


def resume_path(what: str) -> Path | None:
    """Where a canceled run of a kind (``what``) keeps its finished part, in ComfyUI's temp folder; None where that cannot be made."""
    folder = Path(folder_paths.get_temp_directory())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("ComfyUI's temp folder %s cannot be made (%s): a canceled run will begin again.", folder, refused(error))
        return None
    return folder / f"micromotion_{what}.safetensors"


_videos: list[Path] = []  # that this process put into the temp folder


def temporary_video() -> Path:
    """A new file in ComfyUI's temp folder, which ComfyUI empties when it starts."""
    root = os.path.abspath(folder_paths.get_temp_directory())
    try:
        folder, stem, counter, _, _ = folder_paths.get_save_image_path("micromotion", root)
    except OSError as error:
        raise HostError(f"The video cannot be written to ComfyUI's temp folder {root} ({refused(error)}).") from error
    while (path := Path(folder) / f"{stem}_{counter:05}_.mp4").exists():
        counter += 1
    _videos.append(path)
    return path


def lost_videos() -> int:
    """How many of the videos that were made are gone, because somebody emptied the temp folder: part of what makes a node run again."""
    return sum(not path.exists() for path in _videos)


@dataclass(frozen=True, eq=False)
class Managed:
    """A network whose weights ComfyUI may move: ``value`` for the library, ``patcher`` for ComfyUI."""

    value: Any
    patcher: Any


class Weights(nn.ModuleList):
    """Holds a network for ComfyUI, which sets attributes (``device``) that a network may have as properties of its own."""


def manage(value: nn.Module) -> Managed:
    """Hand the weights of ``value`` to ComfyUI; they stay where they are until ``ready``."""
    held = Weights([value.eval().requires_grad_(False)])
    load_device, offload_device = management.get_torch_device(), management.unet_offload_device()
    return Managed(value, comfy.model_patcher.CoreModelPatcher(held, load_device=load_device, offload_device=offload_device))


def ready(*managed: Managed | None, memory: int = 0) -> Any:
    """The value of one, or the values of several, with their weights on the device; what is not connected stays None.

    ``memory`` bytes are kept free for the work itself.
    """
    if patchers := [m.patcher for m in managed if m is not None]:
        with torch.inference_mode(False):
            management.load_models_gpu(patchers, memory_required=memory, force_full_load=True)
            for patcher in patchers:
                _drop_inference(patcher.model)
    values = tuple(None if m is None else m.value for m in managed)
    return values[0] if len(values) == 1 else values


def gradient_memory(generator: Managed) -> int:
    """Bytes that a few pictures of this generator need for their gradients."""
    return GRADIENT_PICTURES * backward_bytes(generator.value)


def _drop_inference(module: nn.Module) -> None:
    """Replace weights that were moved inside inference mode: autograd refuses those."""
    for owner in module.modules():
        for name, value in owner._parameters.items():
            if value is not None and value.is_inference():
                owner._parameters[name] = nn.Parameter(value.detach().clone(), requires_grad=False)
        for name, value in owner._buffers.items():
            if value is not None and value.is_inference():
                owner._buffers[name] = value.clone()


@contextmanager
def gradients():
    """A scope in which autograd works although ComfyUI executes nodes in inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def plain(value: torch.Tensor) -> torch.Tensor:
    """A copy that autograd accepts, of a tensor that may come from inference mode."""
    with torch.inference_mode(False):
        return value.detach().clone()


def progress(cheaper: str = "") -> Callable[..., None]:
    """The library's ``progress(done, total, images in -1..1 or None)`` on ComfyUI's bar; raises when the user cancels.

    With ``cheaper``, a sentence on what takes less, work that will take over a minute is announced.
    """
    if _silent.get():
        return lambda done, total, images=None: None
    announce = Announcement(remark, cheaper)
    bar = comfy.utils.ProgressBar(1)
    shown = 0.0

    def report(done: int, total: int, images: torch.Tensor | None = None) -> None:
        nonlocal shown
        management.throw_exception_if_processing_interrupted()
        if cheaper:
            announce(done, total)
        now = time.monotonic()
        preview = None
        if images is not None and (now - shown >= PREVIEW_SECONDS or done >= total):
            shown, preview = now, ("JPEG", to_picture(images), PREVIEW_SIDE)
        bar.update_absolute(done, max(done, total, 1), preview)

    return report


def to_picture(images: torch.Tensor) -> Image.Image:
    """The last of ``images [n, 3, H, W]`` in -1..1 as a picture."""
    pixels = images[-1].detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.movedim(0, -1).cpu().numpy())


def from_image(image: torch.Tensor) -> torch.Tensor:
    """IMAGE ``[N, H, W, C]`` in 0..1 -> images float32 ``[N, 3, H, W]`` in -1..1; gray is repeated, transparency left out."""
    return checked(image)[..., :3].expand(-1, -1, -1, 3).movedim(-1, 1).float() * 2 - 1


def checked(image: torch.Tensor) -> torch.Tensor:
    """An IMAGE of 1, 3 or 4 channels in about 0..1, or one sentence that is the same in every node."""
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or not image.numel():
        raise HostError(
            f"image has shape {list(image.shape)}; an IMAGE is [frames, height, width, 1, 3 or 4 channels], at least one frame of a pixel."
        )
    if (most := float(image.max())) > BRIGHTEST:
        raise HostError(f"image has values up to {most:.0f}; an IMAGE is 0..1. Divide it by 255 in the node that made it.")
    return image


def to_image(images: torch.Tensor) -> torch.Tensor:
    """Images ``[N, 3, H, W]`` in -1..1 -> IMAGE ``[N, H, W, 3]`` in 0..1, on ComfyUI's device and in its dtype."""
    return to_host((images.float() + 1).div(2).clamp(0, 1).movedim(1, -1))


def to_host(tensor: torch.Tensor) -> torch.Tensor:
    """A pixel tensor where ComfyUI wants it between nodes."""
    return tensor.to(management.intermediate_device(), management.intermediate_dtype())


_said: dict[Any, list[str]] = {}  # remarks of the one node that runs, by its execution
_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def quiet():
    """A scope in which nodes show no progress and remark nothing: ComfyUI has not asked for them."""
    before = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(before)


def remark(*texts: str) -> None:
    """Say what the user should know, in the log, and under the node once ``output`` ends its run; an empty text says nothing."""
    if _silent.get():
        return
    running = get_executing_context()
    for text in filter(None, texts):
        log.info(text)
        if running not in _said:
            _said.clear()  # a node that failed took its remarks along
        _said.setdefault(running, []).append(text)


def output(*values: Any, said: str | None = None, **drawn: list) -> io.NodeOutput:
    """What a node returns: its values, as text what was remarked in this run, or ``said``, and ``drawn`` for our scripts in the page.

    ComfyUI keeps all of it with the cached result.

    A node that returns one has ``has_intermediate_output`` in its schema, unless it is an output node: only then is the text sent again
    when the node itself is answered from the cache.
    """
    if _silent.get():
        return io.NodeOutput(*values)
    texts = _said.pop(get_executing_context(), []) + ([said] if said else [])
    return io.NodeOutput(*values, ui=({"text": list(dict.fromkeys(texts))} if texts else {}) | drawn or None)
