"""The same work in this process or over Ray Data: items are rows, workers are actors that hold the models, retries are Ray's."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import torch

from .errors import PairsError

SECONDS_TO_ANSWER = 10
PATIENCE = "execution_no_progress_timeout_s"  # after which newer Ray gives up; one item of ours may take hours
STARTS = 2  # tries to start Ray on this machine
Item = dict[str, Any]


def spread(
    work: Callable[..., Callable[[Item], Item]],
    arguments: tuple,
    items: list[Item],
    *,
    ray: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
) -> Iterator[Item]:
    """Yield ``work(*arguments)(item)`` of every item as it is finished: here (``ray`` None), or on the Ray cluster at the address ``ray``.

    ``work`` makes a worker, which loads its models once. ``workers``: how many (None: one for each GPU, or for each ``threads`` cores).
    ``threads``: how many a worker computes with on a CPU (None: all there are in this process, 1 over Ray).
    A worker that dies is replaced and its item done again, so an item must do no harm when it is done twice. Raises PairsError.
    """
    if ray is None:
        yield from map(_Worker(work, arguments, threads or torch.get_num_threads()), items)
        return
    threads = threads or 1
    engine = connected(ray)
    gpus = int(engine.cluster_resources().get("GPU", 0))
    count = max(1, min(workers or gpus or int(engine.cluster_resources().get("CPU", 1)) // threads, len(items)))
    rows = engine.data.from_items(items, override_num_blocks=len(items))
    pool = engine.data.ActorPoolStrategy(size=count)
    made_of = (work, arguments, threads)
    made = rows.map(_Worker, fn_constructor_args=made_of, compute=pool, num_gpus=1 if gpus else 0, num_cpus=0 if gpus else threads)
    with closing(_answers(made)) as answers:  # whoever stops early stops the cluster's work too
        yield from answers


class _Worker:
    """``work`` with as many threads on every machine, so that the same sums are rounded in the same order."""

    def __init__(self, work: Callable[..., Callable[[Item], Item]], arguments: tuple, threads: int):
        self.threads = threads
        self.work = work(*arguments)

    def __call__(self, item: Item) -> Item:
        with with_threads(self.threads):
            return self.work(item)


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """A scope in which the calling thread of Python computes with this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _answers(made: Any) -> Generator[Item, None, None]:
    try:
        yield from made.iter_rows()
    except Exception as error:  # Ray Data raises its own kind and plain ones
        raise PairsError(f"The cluster could not finish the work: {_cause(error)}. Run the same command again to go on.") from error


def connected(address: str) -> Any:
    """Ray, connected to ``address`` ("local": started here). Raises PairsError where it is not installed or does not answer."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise PairsError("Working over several processes needs Ray: pip install 'micromotion[cluster]'.") from error
    settings = ray.data.DataContext.get_current()
    settings.enable_progress_bars = False
    if hasattr(settings, PATIENCE):
        setattr(settings, PATIENCE, -1)
    if ray.is_initialized():
        return ray
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    options |= {"include_dashboard": False} if address == "local" else {"address": address}
    try:
        _knock(address)
        _start(ray, options, STARTS if address == "local" else 1)
    except Exception as error:  # Ray raises plain ones too, of a machine too busy to start it
        raise PairsError(_not_there(address, _cause(error))) from error
    return ray


def _start(ray: Any, options: dict[str, Any], tries: int) -> None:
    """Start or join Ray. It gives its own parts half a minute; on a busy machine they are quicker when they were read once."""
    for left in reversed(range(tries)):
        try:
            ray.init(**options)
            return
        except Exception:
            ray.shutdown()
            if not left:
                raise


def _not_there(address: str, cause: str) -> str:
    if address == "local":
        return f"Ray cannot be started on this machine ({cause}). Close other programs, or leave --ray out: one process makes the same."
    return f"No Ray cluster answers at {address} ({cause}). Start one, or say --ray alone for this machine."


def _knock(address: str) -> None:
    """Look whether anybody listens at ``HOST:PORT``, because Ray itself would wait for minutes. Raises OSError or ValueError."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()


def _cause(error: BaseException) -> str:
    inner = getattr(error, "cause", None) or error
    return (str(inner).strip().splitlines() or [type(inner).__name__])[-1][:200]
