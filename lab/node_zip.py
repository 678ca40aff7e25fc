"""What ComfyUI's registry gets: ``python -m micromotion.lab.node_zip`` lists the files of node.zip and its size.

comfy-cli packs the files that git tracks, without those that ``.comfyignore`` names; so does this. ``--out`` writes the archive.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import zipfile
from pathlib import Path

from .house import ROOT


def files(root: Path = ROOT) -> list[str]:
    """The tracked files that ``.comfyignore`` leaves in, relative and sorted. Needs git and a checkout."""
    left_out = ["-c", "-i", "--exclude-from", ".comfyignore"] if (root / ".comfyignore").is_file() else None
    ignored = set(_git(root, *left_out)) if left_out else set()
    return sorted(name for name in _git(root) if name not in ignored and (root / name).is_file())


def _git(root: Path, *options: str) -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z", *options], cwd=root, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]


def packed(names: list[str], root: Path = ROOT) -> bytes:
    """The archive itself."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(root / name, name)
    return made.getvalue()


def report(names: list[str], size: int, root: Path = ROOT) -> str:
    """Files with their sizes, the sum of every top folder, and the size of the archive in bytes."""
    sizes = {name: (root / name).stat().st_size for name in names}
    folders: dict[str, int] = {}
    for name, count in sizes.items():
        folders[name.partition("/")[0]] = folders.get(name.partition("/")[0], 0) + count
    out = [f"{count:>12,}  {name}" for name, count in sizes.items()]
    out += ["", *(f"{count:>12,}  {name}" for name, count in sorted(folders.items(), key=lambda f: -f[1]))]
    return "\n".join([*out, "", f"{len(names)} files, {sum(sizes.values()):,} bytes; node.zip has {size:,} bytes."])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the archive there, too")
    args = parser.parse_args(arguments)
    names = files()
    made = packed(names)
    if args.out:
        args.out.write_bytes(made)
    sys.stdout.write(report(names, len(made)) + "\n")


if __name__ == "__main__":
    main()
