"""Names of files that are saved: whatever is typed, a plain name inside its folder comes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from micromotion.files.errors import MicromotionError
from micromotion.files.naming import MAX_BYTES, clean_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smile", "smile"),
        ("a/b", "a/b"),
        ("a\\b", "a/b"),
        ("smile.safetensors", "smile"),
        ("smile.SAFETENSORS", "smile"),
        ("sub/", "sub/motion"),
        ("", "motion"),
        (".", "motion"),
        ("...", "motion"),
        ("a/./b", "a/b"),
        (".hidden", "hidden"),
        ("name.", "name"),
        ("a\0b", "a_b"),
        ("\ud800", "_"),
        ("a:b?c", "a_b_c"),
        ("con", "_con"),
        ("nul.txt", "_nul.txt"),
        ("v1.5", "v1.5"),
        ("x" * 500, "x" * MAX_BYTES),
        ("ä" * 500, "ä" * (MAX_BYTES // 2)),
    ],
)
def test_names_become_plain(name, expected):
    assert clean_name(name, "motion") == expected


@pytest.mark.parametrize("name", ["..", "../a", "a/../../b", "a\\..\\b", "/etc/a", "\\\\server\\a", "C:\\a", "c:/a"])
def test_names_that_lead_out_are_refused(name):
    with pytest.raises(MicromotionError, match="leads out of its folder"):
        clean_name(name, "motion")


@given(st.text(st.characters(), max_size=60))
def test_any_text_is_a_name_or_refused(name):
    try:
        cleaned = clean_name(name, "motion")
    except MicromotionError:
        return
    parts = cleaned.split("/")
    assert all(part and part.encode() and not part.startswith(".") and not part.endswith((".", " ")) for part in parts)
    assert clean_name(cleaned, "motion") == cleaned or cleaned.lower().endswith(".safetensors")
