"""``micromotion doctor``: what a bug report needs."""

from __future__ import annotations

from argparse import Namespace

from ..files import environment
from ..stylegan2.ops import status
from .models import models_folder
from .terminal import Clock, say


def run(args: Namespace, clock: Clock) -> None:
    """Print versions, devices, the backend and why, model files and optional packages; nothing is sent anywhere."""
    with clock.stage("look around"):
        say(environment.report(args.models or models_folder(), str(status())))
