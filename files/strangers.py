"""What a file that no reader knows is instead, by its first bytes: pages, texts, archives, pictures, other programs' models."""

from __future__ import annotations

import re

PAGE = "a web page: the download was answered with a page (a login, a confirmation, an error) instead of the model"
SIGNATURES = (
    (b"version https://git-lfs", "a Git LFS pointer: fetch the real file with `git lfs pull` or download it from the web page"),
    (b"GGUF", "a GGUF language or diffusion model"),
    (b"\x89HDF", "an HDF5 file, such as Keras writes"),
    (b"\x12\x01\x00\x00\x00\x00\x00\x00", "an MXNet model"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"7z\xbc\xaf", "a 7-zip archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"\xfd7zXZ", "an xz archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive: unpack it first"),
    (b"\x04\x22\x4d\x18", "an LZ4 archive: unpack it first"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "a Parquet table"),
    (b"MATLAB 5", "a MATLAB file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"RIFF", "a picture or a film"),
    (b"%PDF", "a PDF document"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
)
MARKS = (
    (b"TFL3", "a TensorFlow Lite model"),
    (b"ftyp", "a film"),
    (b"pytorch", "an ONNX model"),
    (b"onnx", "an ONNX model"),
)
UNKNOWN = "not a checkpoint that can be recognized by its first bytes"
_PAGE = re.compile(r"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_LEADING = re.compile(r"\A\s*(<!--.*?(-->|$)\s*)*", re.DOTALL)
SHOWN = 60  # characters of a text


def kind(head: bytes, tar_mark: bytes = b"") -> str:
    """What begins with ``head`` (a few hundred bytes), in words; ``tar_mark``: bytes 257 to 262."""
    start = head.lstrip().lower()
    for signature, what in SIGNATURES:
        if start.startswith(signature.lower()):
            return what
    if tar_mark == b"ustar":
        return "a tar archive (or a PyTorch file older than version 0.2): unpack it first"
    if head and not head.strip(b"\0"):
        return "nothing but zeros at its beginning: a download that did not finish; fetch it again"
    text = _text(head)
    if text is not None:
        return _kind_of_text(text)
    return next((what for mark, what in MARKS if mark in head[:64]), UNKNOWN)


def _text(head: bytes) -> str | None:
    """The bytes as text, if that is what they are."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head.decode(encoding, "ignore")
    readable = sum(c.isprintable() or c.isspace() for c in text)
    return text if text and readable == len(text) and len(text) >= len(head) / 4 else None


def _kind_of_text(text: str) -> str:
    body = _LEADING.sub("", text, count=1)
    if (body.startswith("<") and _PAGE.search(text)) or ("<!--" in text and not body):
        return PAGE
    shown = " ".join(body.split())[:SHOWN]
    form = "an XML text" if body.startswith("<") else "a JSON text" if body[:1] in "{[" else "a text"
    return f"{form} instead of the model; it begins {shown!r}. The download was answered with an error, or the wrong file was saved"


def kind_of_zip(names: list[str]) -> str:
    """What a zip archive without PyTorch data is, by its entries."""
    if any(n.endswith(("model.weights.h5", "keras_metadata.pb", "saved_model.pb")) for n in names):
        return "a TensorFlow or Keras model in a zip archive"
    inside = [n for n in names if n.lower().endswith((".pkl", ".pt", ".pth", ".safetensors", ".npy", ".npz"))]
    advice = f"; unpack it and take {inside[0]!r} out of it" if inside else ""
    return f"a zip archive without PyTorch data ({', '.join(names[:3]) or 'empty'}){advice}"
