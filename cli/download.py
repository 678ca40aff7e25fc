"""``micromotion download``: the catalog of public files, and fetching one of them."""

from __future__ import annotations

from argparse import Namespace

from ..files import catalogue
from .models import models_folder
from .terminal import Clock, progress_bar, say


def run(args: Namespace, clock: Clock) -> None:
    """List the catalog, or fetch the file that is asked for."""
    if args.name is None:
        say("\n".join(str(entry) for entry in catalogue.ENTRIES))
        return
    entry = catalogue.find(args.name)
    folder = args.to or models_folder() / entry.folder
    say(f"{entry.file}: {entry.about}. License: {entry.licence}.")
    with clock.stage("download"), progress_bar(entry.file, "B", scale=True) as progress:
        path = catalogue.download(args.name, folder, progress)
    say(str(path))
