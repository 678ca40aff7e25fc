"""``micromotion download``: the catalog of public files, and fetching some of them."""

from __future__ import annotations

from argparse import Namespace

from ..files import catalog
from .models import models_folder
from .terminal import Clock, progress_bar, say


def run(args: Namespace, clock: Clock) -> None:
    """List the catalog; say under which terms the files that are asked for come; fetch them once the terms are accepted."""
    if args.name is None:
        say(catalog.listing())
        return
    entries = catalog.wanted(args.name)
    say(catalog.terms(entries))
    if not args.accept:
        say(f"Nothing was fetched. If you accept these licenses: micromotion download {args.name} --accept")
        return
    for entry in entries:
        folder = args.to or models_folder() / entry.folder
        with clock.stage("download"), progress_bar(entry.file, "B", scale=True) as progress:
            path = catalog.download(entry.name, folder, progress)
        say(str(path))
