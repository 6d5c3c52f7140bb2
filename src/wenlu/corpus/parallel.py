"""Apply a function to a stream in several processes; the results keep the order of the stream.

No threads: the main process itself sends work and takes results, so that nothing of a result's way to it depends on
when a thread of its own gets the interpreter lock.

A worker that gives no answer for long enough writes where it is and is replaced; the new one gets the same work again.
"""

from __future__ import annotations

import faulthandler
import os
import reprlib
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

from wenlu.errors import DataError, ResourceError
from wenlu.progress import QUIET, Progress

A = TypeVar("A")
B = TypeVar("B")

_SERIAL = 8
"""Items done in this process first: for a little work, starting others takes longer than it saves."""
_DUMP_SECONDS = 5.0
"""How long a process that hangs may take to write its stack."""
_SHOWN = 1500
"""Characters of a stack that are shown in a message."""
_GONE = (EOFError, BrokenPipeError, ConnectionResetError)


@dataclass(frozen=True)
class Patience:
    """How long one item may take a worker, and where its stack is written when it took longer."""

    seconds: float = 900.0
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    progress: Progress = QUIET


def available_workers() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def map_ordered(
    function: Callable[[A], B],
    items: Iterable[A],
    *,
    workers: int,
    patience: Patience | None = None,
    name: Callable[[A], str] = reprlib.repr,
) -> Iterator[B]:
    """Yield `function(item)` for each item, in order, whatever the number of workers.

    Items should be chunks of work (milliseconds or more); as many are in flight as there are workers. An exception of
    the function is raised here, at its item's turn. On Linux the workers are forked, so `function` may be a closure;
    elsewhere it must be picklable. `name` says in messages what an item is.

    Raises:
        ResourceError: a worker was killed.
        DataError: two workers after each other hung at the same item.
    """
    stream = iter(items)
    yield from map(function, islice(stream, _SERIAL if workers > 1 else None))
    for first in stream:
        yield from _map_in_workers(function, chain([first], stream), workers, patience or Patience(), name)


def _map_in_workers(
    function: Callable[[A], B], items: Iterable[A], count: int, patience: Patience, name: Callable[[A], str]
) -> Iterator[B]:
    workers: list[_Worker[A, B]] = []
    busy: deque[_Worker[A, B]] = deque()
    try:
        for item in items:
            if len(workers) < count:
                workers.append(_Worker(function, patience, name))
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

    def __init__(self, function: Callable[[A], B], patience: Patience, name: Callable[[A], str]) -> None:
        self._function, self._patience, self._name = function, patience, name
        self._launch()

    def _launch(self) -> None:
        forks = sys.platform == "linux"
        context: Any = get_context("fork" if forks else "spawn")
        self._connection, theirs = context.Pipe()
        self._stack = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        arguments = (self._function, theirs, self._connection, self._stack.fileno() if forks else None)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def start(self, item: A) -> None:
        self._item = item
        self._connection.send(item)

    def finish(self) -> B:
        if not self._connection.poll(self._patience.seconds):
            self._patience.progress.warn(
                f"a worker process gave no answer for {self._patience.seconds:g} s on {self._name(self._item)} and is "
                f"replaced; where it was: {self._put_down()}"
            )
            self._launch()
            self._connection.send(self._item)
            if not self._connection.poll(self._patience.seconds):
                path = self._put_down()
                raise DataError(
                    f"two worker processes after each other gave no answer for {self._patience.seconds:g} s on "
                    f"{self._name(self._item)}; where the second one was: {path}, which begins\n"
                    f"{path.read_text(errors='replace')[:_SHOWN]}\n"
                    "Leave that text out, or raise data.worker_timeout_seconds if the work is only slow"
                )
        result, error = self._connection.recv()
        if error is not None:
            raise error
        answer: B = result
        return answer

    def stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.join()
        self._stack.close()

    def _put_down(self) -> Path:
        """Kill the process; returns a new file that says where it was."""
        assert self._process.pid is not None, "it was started"
        deadline = time.monotonic() + _DUMP_SECONDS
        os.kill(self._process.pid, signal.SIGUSR1)
        while not os.fstat(self._stack.fileno()).st_size and time.monotonic() < deadline:
            time.sleep(0.05)
        self._process.kill()
        self._process.join()
        self._connection.close()
        path = self._patience.folder / f"hung-worker-{self._process.pid}.txt"
        self._stack.seek(0)
        path.write_bytes(self._stack.read())
        self._stack.close()
        return path


def _serve(function: Callable[[Any], Any], connection: Connection, parents_end: Connection, stack: int | None) -> None:
    """Answer items until the connection closes; SIGUSR1 writes where all threads are to `stack`."""
    parents_end.close()  # or the connection would outlive the main process
    if stack is not None:
        faulthandler.register(signal.SIGUSR1, file=stack)
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
