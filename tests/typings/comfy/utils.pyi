# Stands for ComfyUI's module, which is not on the package index: its names have any type.

from typing import Any

def __getattr__(name: str) -> Any: ...
