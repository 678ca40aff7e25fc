"""Property tests: whatever is flipped, cut or spliced in a sound file, it loads or one of our named errors says why not."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from micromotion import stylegan2
from micromotion.stylegan2 import checkpoint
from micromotion.stylegan2.checkpoint import CheckpointError

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
WRITERS = {
    "nvidia": lambda w, p, g: w.nvidia_pickle(p, g, layout="G_ema only"),
    "nvidia protocol 2": lambda w, p, g: w.nvidia_pickle(p, g, 2, layout="G_ema only"),
    "tensorflow": lambda w, p, g: w.tf_pickle(p, g),
    "rosinality": lambda w, p, g: w.psp(p, g),
    "rosinality old": lambda w, p, g: w.rosinality_training(p, g, zipped=False),
    "module": lambda w, p, g: w.rosinality_module_file(p, g),
    "native": lambda w, p, g: stylegan2.save(g, p.with_suffix(".safetensors")),
}
edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "copy", "insert", "delete"]), st.floats(0, 1), st.floats(0, 1), st.binary(min_size=1, max_size=8)
    ),
    min_size=1,
    max_size=4,
)


def edited(content: bytes, changes) -> bytes:
    for kind, where, other, data in changes:
        a, b = int(where * len(content)), int(other * len(content))
        if kind == "flip":
            content = content[:a] + bytes(x ^ y for x, y in zip(content[a : a + len(data)], data)) + content[a + len(data) :]
        elif kind == "cut":
            content = content[:a]
        elif kind == "copy":
            content = content[:a] + content[b : b + 64] + content[a + 64 :]
        elif kind == "insert":
            content = content[:a] + data + content[a:]
        else:
            content = content[:a] + content[a + len(data) :]
    return content


@pytest.fixture(scope="module", params=WRITERS)
def sound(request, tmp_path_factory, make, write):
    folder = tmp_path_factory.mktemp("damage")
    generator = make(8, channels={4: 2, 8: 2}, w_dim=3, z_dim=3)
    return WRITERS[request.param](write, folder / "a.pt", generator)


def survives(path, content):
    damaged = path.with_name(f"damaged{path.suffix}")
    damaged.write_bytes(content)
    for call in (stylegan2.load, checkpoint.read_file):
        try:
            call(damaged)
        except CheckpointError as error:
            assert str(error).endswith(".")


@SETTINGS
@given(changes=edits)
def test_edits_anywhere(sound, changes):
    survives(sound, edited(sound.read_bytes(), changes))


@SETTINGS
@given(changes=edits)
def test_edits_in_the_structure(sound, changes):
    """The first kilobytes hold the tree, the last the table of contents: edits there hit structure, not weights."""
    content = sound.read_bytes()
    survives(sound, edited(content[:3000], changes) + content[3000:])
    survives(sound, content[:-2000] + edited(content[-2000:], changes))


@SETTINGS
@given(content=st.binary(max_size=200), head=st.sampled_from([b"\x80\x02", b"\x80\x04", b"PK\x03\x04", b"\x40\0\0\0\0\0\0\0{", b""]))
def test_noise_behind_a_familiar_beginning(tmp_path, content, head):
    survives(tmp_path / "a.pt", head + content)
