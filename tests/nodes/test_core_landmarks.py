"""ComfyUI's own face landmarks go into ours: its true nodes, on a network that sees one known face in every picture."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from micromotion import faces
from safetensors.torch import save_file

pytestmark = pytest.mark.comfyui

KNOWN = Path(__file__).resolve().parents[1] / "faces" / "astronaut.json"
CANVAS = 192  # px: what the mesh network looks at
PARTS = ("face_oval", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow", "lips", "irises", "nose", "tesselation")


def networks(comfy: Path):
    """The networks of ComfyUI's face landmarks, or a skip where it has none."""
    path = comfy / "comfy_extras" / "mediapipe" / "face_landmarker.py"
    if not path.is_file():
        pytest.skip("this ComfyUI has no face landmarks")
    spec = importlib.util.spec_from_file_location("core_face_landmarker", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FaceLandmarker()


def weights(comfy: Path, points: np.ndarray) -> dict[str, torch.Tensor]:
    """Weights of nothing but biases: a face in the middle of every cell, with these landmarks ``[478, 2]`` of its 192 px square."""
    state = {name: torch.zeros_like(value) for name, value in networks(comfy).state_dict().items()}
    state["mesh.head_landmarks.bias"] = torch.tensor(np.c_[points, np.zeros(len(points))].reshape(-1), dtype=torch.float32)
    state["mesh.head_presence.bias"] += 9
    box = torch.zeros(16)
    box[2:4], box[4], box[6] = 64, -10, 10  # half of the picture, the eyes level
    for name in ("detector.cls_16.bias", "detector.cls_8.bias"):
        state[name] += 9
    for name, anchors in (("detector.reg_16.bias", 2), ("detector.reg_8.bias", 6)):
        state[name] = box.repeat(anchors)
    state = {name.replace("detector.", "detector_short."): value for name, value in state.items()}
    state |= {f"topology.{part}": torch.tensor([[0, 1]], dtype=torch.int32) for part in PARTS}
    solid = torch.randn(478, 3, generator=torch.Generator().manual_seed(0))
    return state | {"canonical_vertices": solid, "procrustes_indices": torch.arange(33), "procrustes_weights": torch.ones(33)}


def test_core_landmarks_are_measured_as_the_library_measures_them(server, hosted, photo):
    from PIL import Image

    if "MediaPipeFaceLandmarker" not in server.info:
        pytest.skip("this ComfyUI has no face landmarks")
    known = np.array(json.loads(KNOWN.read_text("utf-8"))["mediapipe"])
    low, high = known.min(0), known.max(0)
    points = (known - (low + high) / 2) * 150 / (high - low).max() + CANVAS / 2
    folder = server.base / "models" / "detection"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in weights(hosted.find_comfyui(), points).items()}, folder / "face.safetensors")
    Image.fromarray(photo).save(server.base / "input" / "square.png")
    detect = {"image": ["1", 0], "detector_variant": "short", "num_faces": 1, "min_confidence": 0.5, "missing_frame_fallback": "empty"}
    entry = server.run(
        {
            "1": {"class_type": "LoadImage", "inputs": {"image": "square.png"}},
            "2": {"class_type": "LoadMediaPipeFaceLandmarker", "inputs": {"model_name": "face.safetensors"}},
            "3": {"class_type": "MediaPipeFaceLandmarker", "inputs": {"face_detection_model": ["2", 0], **detect}},
            "4": {
                "class_type": "MicromotionMeasure",
                "inputs": {"images": ["1", 0], "text": "", "landmarks": ["3", 0], "quantity": "all"},
            },
            "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 1]}},
        }
    )
    head, row = entry["outputs"]["5"]["text"][0].splitlines()
    read = dict(zip(head.replace('"', "").split(","), map(float, row.split(","))))
    for name, value in faces.measure(points[None]).items():
        assert read[name] == pytest.approx(float(value[0]), abs=2e-3), name
