"""Apply a function to a stream in several processes; the results keep the order of the stream.

No threads: the main process itself sends work and takes results, so that nothing of a result's way to it depends on
when a thread of its own gets the interpreter lock.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from wenlu.errors import ResourceError

A = TypeVar("A")
B = TypeVar("B")

_SERIAL = 8
"""Items done in this process first: for a little work, starting others takes longer than it saves."""
_GONE = (EOFError, BrokenPipeError, ConnectionResetError)


def available_workers() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def map_ordered(function: Callable[[A], B], items: Iterable[A], *, workers: int) -> Iterator[B]:
    """Yield `function(item)` for each item, in order, whatever the number of workers.

    Items should be chunks of work (milliseconds or more); as many are in flight as there are workers. An exception of
    the function is raised here, at its item's turn. On Linux the workers are forked, so `function` may be a closure;
    elsewhere it must be picklable. Raises ResourceError if a worker is killed.
    """
    stream = iter(items)
    yield from map(function, islice(stream, _SERIAL if workers > 1 else None))
    for first in stream:
        yield from _map_in_workers(function, chain([first], stream), workers)


def _map_in_workers(function: Callable[[A], B], items: Iterable[A], count: int) -> Iterator[B]:
    workers: list[_Worker[A, B]] = []
    busy: deque[_Worker[A, B]] = deque()
    try:
        for item in items:
            if len(workers) < count:
                workers.append(_Worker(function))
                workers[-1].start(item)
                busy.append(workers[-1])
                continue
            worker = busy.popleft()
            result = worker.finish()
            worker.start(item)
            busy.append(worker)
            yield result
        while busy:
            yield busy.popleft().finish()
    except _GONE as error:
        raise ResourceError(
            f"one of {count} worker processes was killed, perhaps for want of memory; try data.workers=1"
        ) from error
    finally:
        for worker in workers:
            worker.stop()


class _Worker(Generic[A, B]):
    """A process that works on one item at a time."""

    def __init__(self, function: Callable[[A], B]) -> None:
        context: Any = get_context("fork" if sys.platform == "linux" else "spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(function, theirs, self._connection), daemon=True)
        self._process.start()
        theirs.close()

    def start(self, item: A) -> None:
        self._connection.send(item)

    def finish(self) -> B:
        result, error = self._connection.recv()
        if error is not None:
            raise error
        answer: B = result
        return answer

    def stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.join()


def _serve(function: Callable[[Any], Any], connection: Connection, parents_end: Connection) -> None:
    """Answer items until the connection closes."""
    parents_end.close()  # or the connection would outlive the main process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the main process, which stops its workers
    try:
        while True:
            item = connection.recv()
            try:
                answer: tuple[Any, Exception | None] = (function(item), None)
            except Exception as error:  # noqa: BLE001  the main process raises it
                answer = (None, error)
            connection.send(answer)
    except _GONE:
        return
