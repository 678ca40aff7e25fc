"""What is derived from frozen weights, kept from call to call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

_prepared: Any = WeakIdKeyDictionary()  # of a weight: what was made of it, by name


def prepared(weights: Sequence[torch.Tensor], what: object, make: Callable[..., Any]) -> Any:
    """Return ``make(*weights)``, kept for the next call as long as the weights are frozen and unchanged."""
    if any(w.requires_grad for w in weights) or torch.compiler.is_compiling():
        return make(*weights)
    kept = _prepared.setdefault(weights[0], {})
    version = [(w.data_ptr(), 0 if w.is_inference() else w._version) for w in weights]
    if kept.get(what, (None,))[0] != version:
        with torch.inference_mode(False), torch.no_grad():
            kept[what] = (version, make(*weights))
    return kept[what][1]
