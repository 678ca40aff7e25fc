"""The same work over Ray Data: shards are rows, workers are actors that hold the models, back-pressure and retries are Ray's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from .errors import PairsError
from .job import Job
from .work import Worker

SECONDS_TO_ANSWER = 10


def over_ray(job: Job, shards: list[int], address: str, workers: int | None = None) -> Iterator[dict[str, int]]:
    """Make ``shards`` on a Ray cluster, yielding each as it is finished. An actor that dies is replaced, and its shard made again."""
    ray = connected(address)
    gpus = int(ray.cluster_resources().get("GPU", 0))
    count = max(1, min(workers or gpus or int(ray.cluster_resources().get("CPU", 1)) // job.plan.threads, len(shards)))
    data = ray.data.from_items([{"shard": s} for s in shards], override_num_blocks=len(shards))
    pool = ray.data.ActorPoolStrategy(size=count)
    made = data.map(Worker, fn_constructor_args=(job,), compute=pool, num_gpus=1 if gpus else 0, num_cpus=0 if gpus else job.plan.threads)
    try:
        yield from made.iter_rows()
    except ray.exceptions.RayError as error:
        raise PairsError(f"The cluster could not finish the work: {_cause(error)}. Run the same command again to go on.") from error


def connected(address: str) -> Any:
    """Ray, connected to ``address`` ("local": started here). Raises PairsError where it is not installed or does not answer."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise PairsError("Making pairs over several processes needs Ray: pip install 'micromotion[cluster]'.") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    if ray.is_initialized():
        return ray
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    options |= {"include_dashboard": False} if address == "local" else {"address": address}
    try:
        _knock(address)
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = f"No Ray cluster answers at {address} ({_cause(error)})."
        raise PairsError(f"{reason} Start one, or say --ray alone for this machine.") from error
    return ray


def _knock(address: str) -> None:
    """Look whether anybody listens at ``HOST:PORT``, because Ray itself would wait for minutes. Raises OSError or ValueError."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()


def _cause(error: BaseException) -> str:
    inner = getattr(error, "cause", None) or error
    return (str(inner).strip().splitlines() or [type(inner).__name__])[-1][:200]
