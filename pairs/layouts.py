"""How trainers want pairs on disk. Each layout writes one shard's files, and at the end whatever lists all of them.

The sources of the rules: ai-toolkit (dataset config: ``folder_path`` with ``.txt`` captions, ``control_path`` with equal names),
musubi-tuner (``image_directory`` / ``control_directory``, and JSONL with ``image_path``, ``control_path``, ``caption``), DiffSynth-Studio
(JSONL with ``image``, ``edit_image`` and ``prompt``, beneath its ``dataset_base_path``), Hugging Face
Datasets (ImageFolder's ``metadata.jsonl`` with ``*_file_name`` columns, Parquet with ``{bytes, path}`` pictures, WebDataset), the image
sliders of Concept Sliders (folders by scale with equal names), WebDataset (files of one sample share their base name in a tar).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .errors import PairsError
from .plan import Plan
from .samples import Sample
from .store import Store

SPLITS = ("train", "test")
Rows = Iterable[dict[str, Any]]  # which can be gone through again
WriteShard = Callable[[Plan, Store, int, list[Sample]], None]
Finish = Callable[[Plan, Store, Rows], None]


@dataclass(frozen=True)
class Layout:
    """``write(plan, store, shard, samples)`` and ``finish(plan, store, rows)``; ``about`` says who reads it; ``card(splits)`` gives the
    YAML of the set's card that tells Hugging Face Datasets where the files are (None: nothing to tell)."""

    about: str
    write: WriteShard
    finish: Finish
    card: Callable[[list[str]], str] | None = None


def _list(store: Store, name: str, rows: Rows, told: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write what is told of each row as JSONL, a file of this name in the folder of each split that has rows."""
    for split in SPLITS:
        if lines := "".join(json.dumps(told(row), ensure_ascii=False) + "\n" for row in rows if row["split"] == split):
            store.write(f"{split}/{name}", lines.encode())


def _nothing(plan: Plan, store: Store, rows: Rows) -> None:
    """This layout has no list of its files."""


def _pairs(plan: Plan, store: Store, shard: int, samples: list[Sample]) -> None:
    for s in samples:
        store.write(f"{s.split}/control/{s.name}.{plan.format}", s.source)
        store.write(f"{s.split}/images/{s.name}.{plan.format}", s.edited)
        store.write(f"{s.split}/images/{s.name}.txt", s.row["instruction"].encode())


def _listed(plan: Plan, store: Store, rows: Rows) -> None:
    def for_musubi(row: dict[str, Any]) -> dict[str, Any]:
        image, control = (store.path(f"{row['split']}/{folder}/{row['name']}.{plan.format}") for folder in ("images", "control"))
        return {"image_path": image, "control_path": control, "caption": row["instruction"]}

    def for_diffsynth(row: dict[str, Any]) -> dict[str, Any]:
        picture = f"{row['name']}.{plan.format}"
        return {"image": f"images/{picture}", "edit_image": f"control/{picture}", "prompt": row["instruction"]}

    _list(store, "dataset.jsonl", rows, for_musubi)
    _list(store, "diffsynth.jsonl", rows, for_diffsynth)


def _imagefolder(plan: Plan, store: Store, shard: int, samples: list[Sample]) -> None:
    for s in samples:
        store.write(f"{s.split}/source/{s.name}.{plan.format}", s.source)
        store.write(f"{s.split}/edited/{s.name}.{plan.format}", s.edited)


def _metadata(plan: Plan, store: Store, rows: Rows) -> None:
    def told(row: dict[str, Any]) -> dict[str, Any]:
        names = {f"{which}_file_name": f"{which}/{row['name']}.{plan.format}" for which in ("source", "edited")}
        words = {"instruction": row["instruction"], "caption": row["caption"]}
        return names | words | {"coefficients": json.dumps(row["coefficients"], sort_keys=True)}

    _list(store, "metadata.jsonl", rows, told)


def _sliders(plan: Plan, store: Store, shard: int, samples: list[Sample]) -> None:
    for s in samples:
        coefficients = s.row["coefficients"]
        if plan.draws or len(coefficients) != 1:
            raise PairsError("Slider folders have one folder for each strength of one motion: give strengths, not random draws or mixes.")
        ((motion, value),) = coefficients.items()
        name = f"{s.row['face']:07}.{plan.format}"
        store.write(f"{s.split}/{motion}/{value:+g}/{name}", s.edited)
        store.write(f"{s.split}/{motion}/0/{name}", s.source)


def _scales(plan: Plan, store: Store, rows: Rows) -> None:
    """The folders and scales of every motion, smallest first; faces that lack a strength are named, because names must be equal."""
    for motion in plan.motions:
        values = sorted({0.0, *(s for s in motion.strengths)})
        lists = {"folders": [f"{v:+g}" if v else "0" for v in values], "scales": values}
        store.write(f"{motion.name}.json", json.dumps(lists, indent=1).encode())


def _webdataset(plan: Plan, store: Store, shard: int, samples: list[Sample]) -> None:
    for split in SPLITS:
        chosen = [s for s in samples if s.split == split]
        if not chosen:
            continue
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for s in chosen:
                _add(tar, f"{s.name}.source.{plan.format}", s.source)
                _add(tar, f"{s.name}.edited.{plan.format}", s.edited)
                _add(tar, f"{s.name}.txt", s.row["instruction"].encode())
                _add(tar, f"{s.name}.json", json.dumps(s.row, sort_keys=True).encode())
        store.write(f"{split}-{shard:06}.tar", packed.getvalue())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """A member without owner or time, so that equal sets are equal bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _parquet(plan: Plan, store: Store, shard: int, samples: list[Sample]) -> None:
    arrow, parquet = _arrow()
    for split in SPLITS:
        chosen = [s for s in samples if s.split == split]
        if not chosen:
            continue
        columns = {
            "source": [{"bytes": s.source, "path": f"{s.name}.{plan.format}"} for s in chosen],
            "edited": [{"bytes": s.edited, "path": f"{s.name}.{plan.format}"} for s in chosen],
            "instruction": [s.row["instruction"] for s in chosen],
            "caption": [s.row["caption"] for s in chosen],
            "coefficients": [json.dumps(s.row["coefficients"], sort_keys=True) for s in chosen],
            "name": [s.name for s in chosen],
        }
        out = io.BytesIO()
        parquet.write_table(arrow.table(columns), out)
        store.write(f"data/{split}-{shard:06}.parquet", out.getvalue())


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise PairsError("Parquet needs pyarrow: pip install 'micromotion[cluster]'.") from error
    return pyarrow, pyarrow.parquet


def _located(splits: list[str], pattern: str) -> str:
    """The part of a card's front matter that says where the splits are; only those that exist, because an empty one stops the loader."""
    lines = ["configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: {pattern.format(split)}"]
    return "\n".join(lines)


def _parquet_card(splits: list[str]) -> str:
    kinds = {"source": "image", "edited": "image", **dict.fromkeys(("instruction", "caption", "coefficients", "name"), "string")}
    features = [f"  - name: {name}\n    dtype: {kind}" for name, kind in kinds.items()]
    return "\n".join([_located(splits, "data/{}-*.parquet"), "dataset_info:", "  features:", *features])


LAYOUTS = {
    "pairs": Layout(
        "image and control folders with equal names and .txt captions (ai-toolkit, musubi-tuner), and JSONL (DiffSynth-Studio too)",
        _pairs,
        _listed,
    ),
    "imagefolder": Layout("Hugging Face ImageFolder with metadata.jsonl (InstructPix2Pix trainers)", _imagefolder, _metadata),
    "sliders": Layout("folders by scale with equal names (image sliders)", _sliders, _scales),
    "webdataset": Layout("WebDataset shards (.tar)", _webdataset, _nothing, lambda splits: _located(splits, "{}-*.tar")),
    "parquet": Layout("Parquet shards with the pictures inside (Hugging Face Datasets)", _parquet, _nothing, _parquet_card),
}
