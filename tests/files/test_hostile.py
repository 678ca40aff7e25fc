"""Hostile files are refused by name, run nothing, and cost neither memory nor time.

All of them are read in one process of their own, which an audit hook watches and a memory limit of 1 GB binds.
"""

from __future__ import annotations

import builtins
import functools
import importlib.util
import io
import json
import operator
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from micromotion.files import budget, containers, names
from micromotion.files.errors import DamagedFileError, UnsafeFileError
from micromotion.files.machine import Machine

HERE = Path(__file__).parent
REFUSALS = {"DamagedFileError", "UnsafeFileError", "UnsupportedFileError", "CheckpointError", "InversionError"}
SECONDS = 10
SOUND = "sound.pkl"


class Call:
    """Pickles as the call ``function(*args)``; callable, so that it may be a function itself."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __call__(self):
        raise AssertionError

    def __reduce__(self):
        return self.function, self.args


def nested(content):
    """The bytes of a legacy torch file that holds ``content``, for torch.storage._load_from_bytes."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def calls(marker):
    """Name -> an object whose unpickling would touch ``marker``."""
    command = f"touch {marker}"
    load = torch.storage._load_from_bytes
    return {
        "os_system": Call(os.system, command),
        "popen": Call(subprocess.Popen, ["touch", str(marker)]),
        "eval": Call(builtins.eval, f"open({str(marker)!r}, 'w')"),
        "exec": Call(builtins.exec, f"open({str(marker)!r}, 'w')"),
        "open": Call(builtins.open, str(marker), "w"),
        "getattr": Call(builtins.getattr, Call(builtins.__import__, "os"), "system"),
        "getattr_chain": Call(Call(builtins.getattr, Call(builtins.__import__, "os"), "system"), command),
        "attrgetter": Call(operator.attrgetter, "system"),
        "partial": Call(functools.partial, os.system, command),
        "map": Call(builtins.map, os.system, [command]),
        "torch_load": Call(torch.load, str(marker)),
        "hub": Call(torch.hub.load, "a/b", "c"),
        "inner": Call(load, nested({"a": Call(os.system, command)})),
        "inner_storage": Call(load, nested(Call(os.system, command))),
        "inner_twice": Call(load, nested(Call(load, nested(Call(os.system, command))))),
        "inner_getattr": Call(load, nested(Call(builtins.getattr, Call(builtins.__import__, "os"), "system"))),
        "object_array": np.array([Call(os.system, command)], dtype=object),
        "structured": np.zeros(2, dtype=[("a", "f4"), ("b", "O")]),
        "codec": Call(__import__("_codecs").encode, "x", "rot13"),
        "default_factory": __import__("collections").defaultdict(functools.partial(os.system, command)),
        "pickle_in_pickle": Call(pickle.loads, pickle.dumps(Call(os.system, command))),
    }


def pickles(folder, marker, write, small):
    """Every call, alone and beside a sound generator, as plain, old and new torch files."""
    state = write.rosinality_state(small)
    for name, value in calls(marker).items():
        for protocol in (2, 4, 5):
            (folder / f"call_{name}_{protocol}.pkl").write_bytes(pickle.dumps({"G_ema": value}, protocol))
        for zipped in (True, False):
            content = {"g_ema": state, "latent_avg": small.w_avg, "d": value}
            torch.save(content, folder / f"call_{name}_{'zip' if zipped else 'old'}.pt", _use_new_zipfile_serialization=zipped)
    with write.nvidia_modules():
        network = write.nvidia_network(small)
        network.meta["state"]["hook"] = calls(marker)["os_system"]
        (folder / "call_in_attribute.pkl").write_bytes(pickle.dumps({"G_ema": network}))
        network = write.nvidia_network(small)
        other = {"D": calls(marker)["inner"], "G_ema": network}
        (folder / "call_in_discriminator.pkl").write_bytes(pickle.dumps(other))


def streams(folder):
    """Hand-made pickle streams."""
    big = struct.pack("<Q", 1 << 62)
    memo = b"\x80\x04]" + b"r" + struct.pack("<I", (1 << 32) - 1) + b"."
    made = {
        "bytes8": b"\x80\x04\x8e" + big,
        "bytearray8": b"\x80\x05\x96" + big,
        "text8": b"\x80\x04\x8d" + big,
        "bytes4": b"\x80\x04B\xff\xff\xff\xff",
        "frame": b"\x80\x04\x95" + big + b"N.",
        "long4": b"\x80\x04\x8b\xff\xff\xff\x7f",
        "long4_negative": b"\x80\x04\x8b\xff\xff\xff\xff",
        "decimal": b"\x80\x02I" + b"9" * 400 + b"\n.",
        "decimal_endless": b"\x80\x02L" + b"9" * 5_000_000,
        "memo": memo,
        "memo_many": b"\x80\x04N" + b"".join(b"r" + struct.pack("<I", i * 4099) for i in range(200_000)) + b".",
        "cycle_list": b"\x80\x04]\x94h\x00a.",
        "cycle_dict": b"\x80\x04}\x94\x8c\x01ah\x00s.",
        "cycle_two": b"\x80\x04]\x94]\x94h\x00ah\x00h\x01a.",
        "deep_lists": b"\x80\x04" + b"]" * 60_000 + b"a" * 59_999 + b".",
        "deep_tuples": b"\x80\x04)" + b"\x85" * 100_000 + b".",
        "deep_key": b"\x80\x04})" + b"\x85" * 100_000 + b"Ns.",
        "laughs": b"\x80\x04]\x94" + b"".join(b"](" + b"h" + bytes([i]) * 1 + b"h" + bytes([i]) + b"e\x94" for i in range(60)) + b".",
        "wide": b"\x80\x04(" + b"\x8f" * 200_000 + b"t.",
        "endless": b"\x80\x04" + b"N0" * 300_000 + b".",
        "underflow": b"\x80\x04R.",
        "no_mark": b"\x80\x04NNt.",
        "no_stop": b"\x80\x04N",
        "odd_items": b"\x80\x04}(Nu.",
        "unhashable": b"\x80\x04}]Ns.",
        "extension": b"\x80\x04\x82\x01.",
        "inst": b"\x80\x02(S'touch x'\nios\nsystem\n.",
        "obj": b"\x80\x02(cos\nsystem\nN o.",
        "persistent": b"\x80\x02X\x01\x00\x00\x00aQ.",
        "persistent_text": b"\x80\x02Pabc\n.",
        "next_buffer": b"\x80\x05\x97.",
        "call_text": b"\x80\x02X\x01\x00\x00\x00a)R.",
        "call_dtype": b"\x80\x02ctorch\nfloat32\n)R.",
        "unsafe_set": b"\x80\x02c__builtin__\nset\n](]ae\x85R.",
        "ordered": b"\x80\x02ccollections\nOrderedDict\nK\x05\x85R.",
        "bad_name": b"\x80\x02c" + b"a" * 100_000 + b"\nb\n.",
        "bad_text": b"\x80\x04\x8c\x02\xff\xfe.",
        "module_name": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        "build_class": b"\x80\x04}\x8c\x09__class__\x8c\x01xsb.",
        "protocol": b"\x80\x63N.",
        "only": b"\x80",
    }
    for name, data in made.items():
        (folder / f"stream_{name}.pkl").write_bytes(data)


def rebuilt(storage, offset, shape, stride):
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, shape, stride, False, OrderedDict())


def tensors(folder):
    """Tensors that claim more than their storage holds."""
    storage = torch.ones(4).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    made = {
        "huge": (0, (1 << 40,), (1,)),
        "expanded": (0, (1 << 30,), (0,)),
        "offset": (1 << 50, (2,), (1,)),
        "negative": (-1, (2,), (1,)),
        "stride": (0, (2, 2), (1, 1 << 50)),
        "negative_size": (0, (-5,), (1,)),
        "ranks": (0, (2, 2), (1,)),
        "many": (0, (1,) * 60, (1,) * 60),
        "float": (0, (2.5,), (1,)),
        "text": (0, ("a",), (1,)),
    }
    for name, (offset, shape, stride) in made.items():
        content = {"synthesis.b4.const": rebuilt(typed, offset, shape, stride)}
        (folder / f"tensor_{name}.pkl").write_bytes(pickle.dumps(content))


def load_sibling(name):
    spec = importlib.util.spec_from_file_location(f"files_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arrays(folder):
    """numpy files that declare more than they hold, and archives that unpack to far more."""
    np.savez_compressed(folder / "array_bomb.npz", w=np.zeros(60_000_000, np.float32))
    np.save(folder / "array_bytes.npy", np.zeros(3, dtype="V4"))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }\n"
    (folder / "array_huge.npy").write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + b"\0" * 64)
    data = bytearray((folder / "array_bomb.npz").read_bytes())
    for entry in (data.find(b"PK\x01\x02") + 24, data.find(b"PK\x03\x04") + 22):  # what it unpacks to, told small
        data[entry : entry + 4] = struct.pack("<I", 1000)
    (folder / "array_liar.npz").write_bytes(data)


def zips(folder, marker):
    def archive(name, records, **options):
        with zipfile.ZipFile(folder / f"zip_{name}.pt", "w", **options) as file:
            for key, value in records.items():
                file.writestr(key, value)

    store = {"compression": zipfile.ZIP_STORED}
    empty = pickle.dumps({})
    archive("bomb", {"a/data.pkl": empty, "a/data/0": b"\0" * 40_000_000}, compression=zipfile.ZIP_DEFLATED)
    archive("bomb_pickle", {"a/data.pkl": b"\0" * 40_000_000}, compression=zipfile.ZIP_DEFLATED)
    archive("other", {"a/b.txt": b"x"}, **store)
    archive("escape", {"../../a/data.pkl": pickle.dumps({"x": Call(os.system, f"touch {marker}")}, 2)}, **store)
    archive("script", {"a/data.pkl": empty, "a/code/x.py": b"import os", "a/constants.pkl": empty}, **store)
    storage = b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    archive("huge", {"a/data.pkl": storage + b"\x8a\x07" + b"\xff" * 6 + b"\x00tQ.", "a/data/0": b"1234"}, **store)
    archive("missing", {"a/data.pkl": storage + b"K\x01tQ."}, **store)
    archive("big_endian", {"a/data.pkl": empty, "a/byteorder": b"big"}, **store)
    archive("many", {"a/data.pkl": empty, **{f"a/data/{i}": b"" for i in range(5_000)}}, **store)
    data = bytearray((folder / "zip_missing.pt").read_bytes())
    at = data.rfind(b"PK\x05\x06")
    for name, patch in {
        "count": struct.pack("<HH", 65535, 65535),
        "directory": struct.pack("<HHII", 1, 1, 10, 1 << 31),
        "elsewhere": struct.pack("<HHII", 1, 1, 10, 4),
    }.items():
        (folder / f"zip_{name}.pt").write_bytes(data[: at + 8] + patch + data[at + 8 + len(patch) :])
    entry = data.find(b"PK\x01\x02")
    (folder / "zip_size.pt").write_bytes(data[: entry + 20] + struct.pack("<II", 1 << 31, 1 << 31) + data[entry + 28 :])
    one = data[entry:at]
    end = struct.pack("<HHII", 5000, 5000, len(one) * 5000, entry)
    (folder / "zip_overlap.pt").write_bytes(data[:entry] + one * 5000 + data[at : at + 8] + end + b"\0\0")


def safe(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_files(folder, small, tmp):
    made = {
        "overlap": safe({"a": tensor(0, 16, [4]), "b": tensor(8, 24, [4])}, b"\0" * 24),
        "outside": safe({"a": tensor(0, 1 << 40, [1 << 38])}, b"\0" * 16),
        "beyond": safe({"a": tensor(0, 16, [4])}, b"\0" * 8),
        "backwards": safe({"a": tensor(16, 0, [4])}, b"\0" * 16),
        "negative": safe({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}, b"\0" * 16),
        "overflow": safe({"a": tensor(0, 16, [1 << 62, 1 << 62])}, b"\0" * 16),
        "mismatch": safe({"a": tensor(0, 16, [5])}, b"\0" * 16),
        "hole": safe({"a": tensor(0, 16, [4]), "b": tensor(32, 48, [4])}, b"\0" * 48),
        "dtype": safe({"a": tensor(0, 16, [4], "OBJ")}, b"\0" * 16),
        "header_length": safe({}, length=1 << 62),
        "header_100mb": safe({}, length=99_000_000),
        "not_json": safe(b"{'a': __import__('os')}"),
        "metadata_number": safe({"__metadata__": 5}),
        "metadata_value": safe({"__metadata__": {"micromotion": 5}}),
        "metadata_list": safe({"__metadata__": [1, 2]}),
        "deep": safe(b'{"a":' * 50_000),
        "many": safe({f"t{i}": tensor(0, 0, [0]) for i in range(60_000)}),
        "no_sides": safe({"a": tensor(0, 0, [0, 1 << 40, 1 << 20])}),
        "long_metadata": safe({"__metadata__": {"micromotion": "[" * 3_000_000}}),
        "long_header": safe(b"{" + b" " * 17_000_000 + b"}"),
        "float8": safe({"synthesis.b4.const": tensor(0, 16, [1, 4, 4], "F8_E4M3")}, b"\1" * 16),
        "complex": safe({"synthesis.b4.const": tensor(0, 128, [1, 4, 4], "C64")}, b"\1" * 128),
    }
    for name, data in made.items():
        (folder / f"safe_{name}.safetensors").write_bytes(data)
    from micromotion import stylegan2

    good = stylegan2.save(small, tmp / "good.safetensors").read_bytes()
    length = struct.unpack("<Q", good[:8])[0]
    header, body = json.loads(good[8 : 8 + length]), good[8 + length :]
    for name, text in descriptions(json.loads(header["__metadata__"]["micromotion"])).items():
        data = safe({**header, "__metadata__": {"micromotion": text}}, body)
        (folder / f"native_{name}.safetensors").write_bytes(data)


def descriptions(good):
    """Our own metadata, wrong in every way."""

    def changed(**arch):
        return json.dumps({**good, "architecture": {**good["architecture"], **arch}})

    return {
        "not_json": "{",
        "deep": "[" * 200_000,
        "list": "[]",
        "number": "5",
        "no_architecture": json.dumps({"version": 1}),
        "architecture_text": json.dumps({**good, "architecture": "skip"}),
        "version": json.dumps({**good, "version": 99}),
        "version_text": json.dumps({**good, "version": "1"}),
        "source": json.dumps({**good, "source": 5}),
        "notes": json.dumps({**good, "source": {"notes": [5]}}),
        "format": json.dumps({**good, "source": {"format": [5]}}),
        "layout": changed(architecture="evil"),
        "layout_list": changed(architecture=["skip"]),
        "clamp": changed(conv_clamp="256"),
        "clamp_nan": changed(conv_clamp=float("nan")),
        "clamp_infinite": changed(conv_clamp=float("inf")),
        "clamp_negative": changed(conv_clamp=-1),
        "rate": changed(lr_multiplier=[0.01]),
        "filter": changed(resample_filter="1331"),
        "filter_long": changed(resample_filter=[1] * 1000),
        "filter_text": changed(resample_filter=["1"]),
        "filter_zero": changed(resample_filter=[0, 0]),
        "activation": changed(activation="os.system"),
        "activation_list": changed(activation=[1]),
    }


def weights(folder, write, small):
    """Sound containers whose tensors are no generator, or one without end."""
    state = small.state_dict()
    made = {
        "nan": {**state, "synthesis.b8.conv1.weight": state["synthesis.b8.conv1.weight"] * float("nan")},
        "missing": {k: v for k, v in state.items() if k != "synthesis.b16.conv0.affine.bias"},
        "no_block": {k: v for k, v in state.items() if ".b8." not in k},
        "shape": {**state, "synthesis.b8.conv0.weight": torch.zeros(3, 3, 3, 3)},
        "rank": {**state, "synthesis.b4.conv1.affine.weight": torch.zeros(3)},
        "empty": {**state, "synthesis.b8.conv1.weight": torch.zeros(0, 10, 3, 3)},
        "integer": {**state, "mapping.fc0.weight": torch.zeros(24, 20, dtype=torch.long)},
        "deep_mapping": {**state, **{f"mapping.fc{i}.weight": torch.zeros(24, 24) for i in range(2, 3000)}},
        "giant_block": {**state, "synthesis.b999999.conv1.weight": torch.zeros(3)},
        "odd_block": {**state, "synthesis.b12.conv1.weight": torch.zeros(3)},
        "many_rgbs": {**write.rosinality_state(small), **{f"to_rgbs.{i}.conv.weight": torch.zeros(1) for i in range(3000)}},
        "genforce_layer": {**write.genforce_state(small), "synthesis.layer99.weight": torch.zeros(3)},
        "genforce_shape": {**write.genforce_state(small), "synthesis.layer1.weight": torch.zeros(3)},
        "rosinality_shape": {**write.rosinality_state(small), "conv1.noise.weight": torch.zeros(7)},
        "shared": shared(state),
        **without_numbers(state),
    }
    for name, content in made.items():
        torch.save(content, folder / f"weights_{name}.pt")


def without_numbers(state):
    """Sizes that no bytes back: of labels, of z, of codes, of channels and of noise that is to be made up."""
    bare = {k: v for k, v in state.items() if k != "mapping.w_avg" and not k.startswith("mapping.")}
    wide = torch.zeros(1).expand(1, 60_000)
    many = {f"x{i}": torch.zeros(1).expand(60_000) for i in range(2_000)}
    return {
        "labels": {**bare, "mapping.embed.weight": wide, "mapping.embed.bias": torch.zeros(1), "mapping.fc0.weight": torch.zeros(24, 21)},
        "z": {**bare, "mapping.fc0.weight": torch.zeros(1, 1_000_000), "mapping.fc0.bias": torch.zeros(1)},
        "codes": {**state, "synthesis.b4.conv1.affine.weight": wide},
        "channels": {**state, **{f"synthesis.b{r}.conv1.weight": torch.zeros(60_000, 1, 1, 1) for r in (4, 8, 16)}},
        "expanded": {**many, **{k: v for k, v in state.items() if k != "synthesis.b4.const"}},
    }


def shared(state):
    """Every tensor of a wide generator in one storage: a small file that would unfold to gigabytes."""
    run = torch.zeros(512 * 512 * 9)
    out = {f"mapping.fc{i}.weight": run[: 512 * 512].view(512, 512) for i in range(60)}
    for r in (4 << i for i in range(9)):
        for conv in ("conv0", "conv1"):
            out[f"synthesis.b{r}.{conv}.weight"] = run.view(512, 512, 3, 3)
            out[f"synthesis.b{r}.{conv}.affine.weight"] = run[: 512 * 512].view(512, 512)
        out[f"synthesis.b{r}.torgb.weight"] = run[: 3 * 512].view(3, 512, 1, 1)
    return {**out, "synthesis.b4.const": run[: 512 * 16].view(512, 4, 4)}


def inverters(folder):
    """Encoders of half precision whose tensors share one storage: a small file that would widen to gigabytes."""
    run = torch.zeros(512 * 512 * 9, dtype=torch.float16)
    state = {f"encoder.styles.{i}.convs.{2 * j}.weight": run.view(512, 512, 3, 3) for i in range(100) for j in range(6)}
    state |= {f"encoder.styles.{i}.linear.weight": run[: 512 * 512].view(512, 512) for i in range(100)}
    state |= {
        "encoder.input_layer.0.weight": run[: 64 * 27].view(64, 3, 3, 3),
        "encoder.body.0.res_layer.3.weight": run.view(512, 512, 3, 3),
    }
    torch.save({"state_dict": state, "opts": {}}, folder / "inverter_shared.pt")
    torch.save({"state_dict": {**state, "encoder.input_layer.0.weight": run}}, folder / "inverter_rank.pt")
    flat = {f"body.{i}.res_layer.3.weight": run.view(512, 512, 3, 3) for i in range(500)}
    torch.save(
        {"input_layer.0.weight": run.view(512, 512, 3, 3), "output_layer.3.weight": run.view(512, -1), **flat},
        folder / "identity_shared.pt",
    )


def damaged(folder, data, tmp, write, small):
    """Real files cut short, and with their structure flipped."""
    from micromotion import stylegan2

    sources = [
        data / "nvidia_ada_small_nosrc.pkl",
        data / "rosinality_small.pt",
        stylegan2.save(small, tmp / "native.safetensors"),
        write.tf_pickle(tmp / "tf.pkl", small),
        write.rosinality_training(tmp / "old.pt", small, zipped=False),
    ]
    for source in sources:
        content = source.read_bytes()
        for share in (0.001, 0.1, 0.5, 0.9, 0.999):
            (folder / f"cut_{share}_{source.name}").write_bytes(content[: int(len(content) * share)])
    content = bytearray((data / "rosinality_small.pt").read_bytes())
    for at in range(1000, len(content), len(content) // 7):
        flipped = bytearray(content)
        flipped[at] ^= 0x10
        (folder / f"flip_{at}.pt").write_bytes(flipped)
    content = bytearray((tmp / "native.safetensors").read_bytes())
    content[-1000] ^= 0x10
    (folder / "flip_native.safetensors").write_bytes(content)


def sound(folder, make, write):
    """A snapshot of 20 MB of generator and five times as much that is not needed."""
    generator = make(8, channels={4: 400, 8: 400})
    ballast = write.module("Discriminator", {"weight": torch.zeros(25_000_000)}, {})
    with write.nvidia_modules():
        content = {"D": ballast, "G_ema": write.nvidia_network(generator), "augment_pipe": None}
        (folder / SOUND).write_bytes(pickle.dumps(content, 4))


def strangers(folder):
    """Other things that people put into a models folder."""
    made = {
        "empty.pkl": b"",
        "one.pkl": b"\x80",
        "page.pkl": b"<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title>",
        "pointer.pkl": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 381624121\n",
        "noise.pkl": np.random.default_rng(0).bytes(10_000),
        "zeros.pt": b"\0" * 10_000,
        "text.safetensors": b"hello world, this is a text",
        "gguf.pt": b"GGUF" + b"\0" * 100,
        "tar.pt": b"\0" * 257 + b"ustar" + b"\0" * 500,
        "gzip.pkl": b"\x1f\x8b" + b"\0" * 100,
    }
    for name, data in made.items():
        (folder / f"stranger_{name}").write_bytes(data)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, write, make, data):
    folder, tmp = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("tmp")
    marker, small = tmp / "executed", make()
    pickles(folder, marker, write, small)
    streams(folder)
    load_sibling("unbounded").write(folder)
    tensors(folder)
    arrays(folder)
    zips(folder, marker)
    safetensors_files(folder, small, tmp)
    weights(folder, write, small)
    damaged(folder, data, tmp, write, small)
    inverters(folder)
    strangers(folder)
    sound(folder, make, write)
    return folder, marker


@pytest.fixture(scope="module")
def verdicts(corpus, data):
    folder, _ = corpus
    warm = [str(p) for p in (data / "nvidia_ada_small_nosrc.pkl", data / "rosinality_small.pt")]
    command = [sys.executable, str(HERE / "watch.py"), str(HERE.parents[1]), str(folder), *warm]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_hostile_file_is_refused_by_name(corpus, verdicts):
    files = {p.name for p in corpus[0].iterdir()}
    loads = {v["file"]: v for v in verdicts if v["call"] == "load"}
    assert set(loads) - {SOUND} == files - {SOUND} and len(files) > 250
    assert loads.pop(SOUND)["kind"] == "loaded"
    assert {f: (v["kind"], v["text"]) for f, v in loads.items() if v["kind"] not in REFUSALS} == {}
    others = [v for v in verdicts if v["call"] in ("load_inverter", "load_identity")]
    assert len(others) == 2 * len(files)
    assert {(v["file"], v["call"]): (v["kind"], v["text"]) for v in others if v["kind"] not in REFUSALS} == {}


def test_reading_any_of_them_raises_only_our_errors(verdicts):
    reads = [v for v in verdicts if v["call"] == "read_file"]
    assert all(v["kind"] == "loaded" for v in reads if v["file"] == SOUND)
    assert {v["file"]: v["kind"] for v in reads if v["kind"] not in REFUSALS | {"loaded"}} == {}
    calls_read = {v["file"]: v["kind"] for v in reads if v["file"].startswith("call_") and v["kind"] != "UnsafeFileError"}
    assert calls_read == {}


def test_none_of_them_runs_anything(corpus, verdicts):
    assert {v["file"]: v["events"] for v in verdicts if v["events"]} == {}
    assert not corpus[1].exists()


def test_none_of_them_takes_long_or_much_memory(verdicts):
    assert {v["file"]: v["seconds"] for v in verdicts if v["seconds"] > SECONDS} == {}
    assert {v["file"]: v["peak"] for v in verdicts if v["peak"] > 1 << 30} == {}


def test_memory_is_a_small_multiple_of_the_file(corpus, verdicts):
    """What is read is no more than a few times the file; the constant is for tables of small values, and for imports."""
    room = {p.name: 5 * p.stat().st_size + (160 << 20) for p in corpus[0].iterdir()}
    assert {(v["file"], v["call"]): v["peak"] >> 20 for v in verdicts if v["peak"] > room[v["file"]]} == {}


def test_the_rest_of_a_snapshot_is_not_loaded(corpus, verdicts):
    verdict = next(v for v in verdicts if v["file"] == SOUND and v["call"] == "load")
    weights = 4 * 400 * 400 * 9 * 3
    assert (corpus[0] / SOUND).stat().st_size > 5 * weights
    assert weights < verdict["peak"] < 2.5 * weights


def test_every_refusal_is_a_sentence(verdicts):
    for verdict in verdicts:
        if verdict["kind"] != "loaded":
            assert verdict["text"].endswith(".") and 20 < len(verdict["text"]) < 700, verdict


GLOBALS = """
__builtin__.bytearray __builtin__.bytes __builtin__.dict __builtin__.set _codecs.encode argparse.Namespace builtins.bytearray
builtins.bytes builtins.dict builtins.frozenset builtins.set collections.Counter collections.OrderedDict collections.defaultdict
dnnlib.tflib.network.Network dnnlib.util.EasyDict easydict.EasyDict numpy._core.multiarray._reconstruct numpy._core.multiarray.scalar
numpy._core.numeric._frombuffer numpy.core.multiarray._reconstruct numpy.core.multiarray.scalar numpy.core.numeric._frombuffer
numpy.dtype numpy.ndarray pathlib.PosixPath pathlib.PurePosixPath pathlib.WindowsPath torch.Size torch.Tensor
torch._tensor._rebuild_from_type_v2 torch._utils._rebuild_parameter torch._utils._rebuild_parameter_with_state
torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v2 torch._utils._rebuild_tensor_v3 torch.device
torch.jit._pickle.build_boollist torch.jit._pickle.build_doublelist torch.jit._pickle.build_intlist torch.jit._pickle.build_tensorlist
torch.jit._pickle.restore_type_tag torch.nn.parameter.Parameter torch.storage.TypedStorage torch.storage._load_from_bytes
torch_utils.persistence._reconstruct_persistent_obj
"""


def test_the_names_that_a_file_may_call_are_these():
    """A new name is a new way in: whoever adds one looks at it here, too."""
    assert sorted(f"{module}.{name}" for module, name in names.CONSTRUCTORS) == GLOBALS.split()
    assert all(constructor.__module__ == names.__name__ for constructor in names.CONSTRUCTORS.values())


@pytest.mark.parametrize(
    "module, name",
    [
        *(("builtins", name) for name in ("getattr", "eval", "exec", "open", "__import__", "compile", "map", "type", "object", "print")),
        *(("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("operator", "attrgetter")),
        *(("torch", name) for name in ("load", "save", "compile", "ops", "FloatStorage.from_file", "hub")),
        *(("torch.nn.modules.linear", "os"), ("torch.nn.modules.linear", "Linear.__class__"), ("torch.nn.modules.a.b", "Linear")),
        *(("torch.serialization", "load"), ("numpy", "load"), ("numpy.lib.npyio", "load"), ("pickle", "loads"), ("runpy", "run_path")),
    ],
)
def test_every_other_name_is_refused(module, name):
    with pytest.raises(UnsafeFileError, match="Nothing of it was executed"):
        names.resolve(module, name)


def test_the_limits_are_these():
    """Limits that grow a thousandfold are none."""
    assert budget.MAX_STEPS == 400_000 and budget.MULTIPLE <= 4 and budget.SLACK <= 1 << 26
    assert containers.MAX_DEPTH == 100 and containers.MAX_NODES == 2_000_000 and containers.MAX_HEADER <= 16_000_000
    with pytest.raises(DamagedFileError, match="more than 400,000 steps"):
        Machine(memoryview(b"N0" * 200_001), budget=budget.Budget(400_002)).read()


def test_the_watch_sees_what_it_watches_for(tmp_path, data):
    """The same process, given a loader that unpickles: the hook must notice, or the tests above show nothing."""
    marker = tmp_path / "executed"
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Call(os.system, f"touch {marker}")))
    script = (
        "import sys, pickle; sys.argv[0] = 'x'; sys.path.insert(0, sys.argv[1]); import watch;"
        "from pathlib import Path; sys.addaudithook(watch.hook);"
        "print(watch.attempt(lambda p: pickle.loads(p.read_bytes()), Path(sys.argv[2])))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(HERE), str(tmp_path / "evil.pkl")], capture_output=True, text=True)
    assert "os.system" in done.stdout and marker.exists()
