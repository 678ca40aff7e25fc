"""The small part of ComfyUI that the nodes touch, so that they are tested where there is no ComfyUI."""

from __future__ import annotations

import enum
import os
import sys
import types
from pathlib import Path

import numpy as np
import torch


class Interrupted(BaseException):
    """Stands for ComfyUI's interrupt, which is a BaseException too."""


class Put:
    """An input or output: its id, type and keywords."""

    def __init__(self, io_type: str, id: str | None = None, display_name: str | None = None, **keywords):
        self.io_type, self.id, self.display_name = io_type, id, display_name
        self.keywords = keywords
        self.tooltip = keywords.get("tooltip")
        self.optional = keywords.get("optional", False)


class Kind:
    def __init__(self, io_type: str):
        self.io_type = io_type

    def Input(self, id, **keywords):  # noqa: N802
        return Put(self.io_type, id, **keywords)

    def Output(self, id=None, display_name=None, tooltip=None, is_output_list=False):  # noqa: N802
        return Put(self.io_type, id, display_name, tooltip=tooltip)


class DynamicCombo:
    """A combo whose every option brings inputs of its own, which reach ``execute`` as one dictionary."""

    @staticmethod
    def Option(key, inputs):  # noqa: N802
        return types.SimpleNamespace(key=key, inputs=inputs)

    class Input(Put):
        def __init__(self, id, options, display_name=None, optional=False, tooltip=None):
            super().__init__(
                "COMFY_DYNAMICCOMBO_V3", id, display_name, tooltip=tooltip, optional=optional, options=[one.key for one in options]
            )
            self.options, self.inner = options, {one.key: one.inputs for one in options}


class Autogrow:
    """Sockets of one kind, as many as are connected, which reach ``execute`` as one dictionary."""

    @staticmethod
    def TemplateNames(input, names, min=1):  # noqa: N802
        return types.SimpleNamespace(input=input, names=names, min=min)

    class Input(Put):
        def __init__(self, id, template, display_name=None, optional=False, tooltip=None):
            super().__init__("COMFY_AUTOGROW_V3", id, display_name, tooltip=tooltip, optional=optional)
            self.template = template


class Schema:
    KNOWN = {"node_id", "display_name", "category", "inputs", "outputs", "hidden", "description", "search_aliases", "is_output_node"}
    KNOWN |= {"has_intermediate_output"}

    def __init__(self, **keywords):
        unknown = set(keywords) - self.KNOWN
        if unknown:
            raise TypeError(f"unexpected keywords {unknown}")
        self.inputs, self.outputs, self.hidden = [], [], []
        self.description, self.search_aliases, self.is_output_node, self.has_intermediate_output = "", [], False, False
        self.__dict__.update(keywords)


class NodeOutput:
    def __init__(self, *args, ui=None, **_):
        self.args, self.ui = args, ui

    def __getitem__(self, index):
        return self.args[index]


class ComfyNode:
    hidden = types.SimpleNamespace(prompt=None, extra_pnginfo=None, unique_id=None)


class ModelPatcher:
    def __init__(self, model, load_device, offload_device, size=0):
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        self.model.device = offload_device


class ProgressBar:
    """Records every update on the class."""

    seen: list = []

    def __init__(self, total, node_id=None):
        self.total = total

    def update_absolute(self, value, total=None, preview=None):
        ProgressBar.seen.append((value, total, preview))


class Management:
    """``comfy.model_management``: CPU, float32; ``interrupt_after`` checks raise."""

    def __init__(self):
        self.loaded: list = []
        self.interrupt_after: int | None = None

    def get_torch_device(self):
        return torch.device("cpu")

    unet_offload_device = intermediate_device = get_torch_device

    def intermediate_dtype(self):
        return torch.float32

    def load_models_gpu(self, models, memory_required=0, force_full_load=False):
        self.loaded.append((list(models), memory_required))

    def throw_exception_if_processing_interrupted(self):
        if self.interrupt_after is not None:
            self.interrupt_after -= 1
            if self.interrupt_after < 0:
                raise Interrupted


class Api:
    """Keeps what was registered."""

    replaced: list = []

    @property
    def node_replacement(self):
        return self

    async def register(self, node_replace) -> None:
        self.replaced.append(node_replace)


class Curve:
    """A drawn curve: straight lines between points."""

    def __init__(self, points):
        self.points = points

    @classmethod
    def from_raw(cls, raw):
        return raw if isinstance(raw, cls) else cls(raw["points"] if isinstance(raw, dict) else raw)

    def to_lut(self, size):
        x, y = zip(*sorted(self.points))
        return np.interp(np.linspace(0, 1, size), x, y)


def folder_paths_module(base: Path) -> types.ModuleType:
    module = types.ModuleType("folder_paths")
    module.base_path = str(base)
    module.models_dir = str(base / "models")
    module.folder_names_and_paths = {}
    for name in ("input", "output", "temp"):
        setattr(module, f"get_{name}_directory", lambda name=name: str(base / name))

    def add_model_folder_path(name, path, is_default=False):
        paths, _ = module.folder_names_and_paths.setdefault(name, ([], set()))
        if path in paths and is_default:
            paths.remove(path)
        if path not in paths:
            paths.insert(0 if is_default else len(paths), path)

    def get_filename_list(name):
        paths, extensions = module.folder_names_and_paths[name]
        return sorted({str(p.relative_to(root)) for root in paths for p in Path(root).rglob("*") if p.suffix in extensions})

    def get_full_path(name, filename):
        filename = os.path.relpath(os.path.join("/", filename), "/")
        found = [Path(root) / filename for root in module.folder_names_and_paths[name][0]]
        return next((str(path) for path in found if path.is_file()), None)

    def get_save_image_path(prefix, root, *_):
        folder = (Path(root) / prefix).parent.resolve()
        if not folder.is_relative_to(Path(root).resolve()):
            raise Exception("outside")
        folder.mkdir(parents=True, exist_ok=True)
        stem = Path(prefix).name
        counter = 1 + len(list(folder.glob(f"{stem}_*")))
        return str(folder), stem, counter, "", prefix

    module.add_model_folder_path = add_model_folder_path
    module.get_filename_list = get_filename_list
    module.get_full_path = get_full_path
    module.get_save_image_path = get_save_image_path
    module.get_folder_paths = lambda name: list(module.folder_names_and_paths[name][0])
    return module


def io_module() -> types.SimpleNamespace:
    names = ("Int", "Float", "String", "Boolean", "Combo", "Image", "Mask", "Video", "Curve")
    kinds = {name: Kind(name.upper()) for name in names} | {"BoundingBox": Kind("BOUNDING_BOX")}
    return types.SimpleNamespace(
        **kinds,
        Custom=Kind,
        DynamicCombo=DynamicCombo,
        Autogrow=Autogrow,
        Schema=Schema,
        ComfyNode=ComfyNode,
        NodeOutput=NodeOutput,
        NumberDisplay=enum.Enum("NumberDisplay", ["number", "slider", "gradient_slider"]),
        Hidden=enum.Enum("Hidden", ["unique_id", "prompt", "extra_pnginfo"]),
        NodeReplace=types.SimpleNamespace,
        FolderType=enum.Enum("FolderType", ["input", "output", "temp"]),
        UploadType=enum.Enum("UploadType", ["image", "video"]),
    )


def modules(base: Path) -> dict[str, types.ModuleType]:
    """Every module that the nodes import from ComfyUI, by name."""

    def module(name, **content):
        made = types.ModuleType(name)
        made.__dict__.update(content)
        return made

    management = Management()
    patcher = module("comfy.model_patcher", CoreModelPatcher=ModelPatcher)
    utils = module("comfy.utils", ProgressBar=ProgressBar)
    comfy = module("comfy", model_management=management, model_patcher=patcher, utils=utils)
    versioned = module("comfy_api.v0_0_2", io=io_module(), ComfyExtension=object, ComfyAPI=Api)
    versioned.InputImpl = types.SimpleNamespace(VideoFromFile=str)
    return {
        "comfy": comfy,
        "comfy.model_management": management,
        "comfy.model_patcher": patcher,
        "comfy.utils": utils,
        "comfy_api": module("comfy_api", v0_0_2=versioned),
        "comfy_api.v0_0_2": versioned,
        "comfy_api.input": module("comfy_api.input", CurveInput=Curve),
        "comfy_execution": module("comfy_execution"),
        "comfy_execution.utils": module("comfy_execution.utils", get_executing_context=lambda: None),
        "folder_paths": folder_paths_module(base),
        "server": module("server", PromptServer=types.SimpleNamespace(instance=None)),
    }


def install(base: Path) -> types.SimpleNamespace:
    """Put the fakes where ``import`` finds them, load the nodes, and return what tests steer."""
    fakes = modules(base)
    sys.modules.update(fakes)
    return types.SimpleNamespace(management=fakes["comfy.model_management"], progress=ProgressBar, folders=fakes["folder_paths"])
