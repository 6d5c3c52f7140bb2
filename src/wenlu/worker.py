"""A process that does what may hang, crash or grow, so that it takes only itself with it."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from pathlib import Path

from wenlu.errors import ResourceError

_PIECE = 1 << 20


class WorkerEnded(Exception):
    """The process ended before it answered."""


class WorkerLate(Exception):
    """The process did not answer in time."""


class Worker:
    """Lives until it is stopped, or dies of what it was asked; started again for the next question.

    It reads from its standard input and answers on its standard output. One question at a time: callers lock.

    Args:
        script: a file of its own that imports nothing of ours.
        purpose: what it is for, as a message says it.
    """

    def __init__(self, script: Path, purpose: str) -> None:
        self.script = script
        self.purpose = purpose
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._unread = bytearray()

    @property
    def pid(self) -> int | None:
        """Of the process, if it lives and is this one's, not that of a parent which this one was forked from."""
        process = self._process
        return process.pid if process is not None and self._owner == os.getpid() and process.poll() is None else None

    def start(self) -> bool:
        """Start it where it does not live; whether that was so. Raises ResourceError where it cannot be started."""
        if self.pid is not None:
            return False
        self.stop()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(self.script)],  # without the modules beside it in reach
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the conversation, not for it
            )
        except OSError as error:
            raise ResourceError(f"no process could be started to {self.purpose}: {error.strerror}") from error
        self._owner = os.getpid()
        return True

    def send(self, *parts: bytes) -> None:
        """Raises WorkerEnded."""
        pipe = self._living().stdin
        assert pipe is not None, "it is a pipe"
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[pipe.write(rest[:_PIECE]) :]
        except BrokenPipeError as error:
            raise WorkerEnded from error

    def line(self, seconds: float) -> bytes:
        """What it says next; raises WorkerEnded, WorkerLate."""
        deadline = time.monotonic() + seconds
        while (end := self._unread.find(b"\n") + 1) == 0:
            self._receive(deadline)
        return self._taken(end)

    def content(self, count: int, seconds: float) -> bytes:
        """So many bytes behind a line; raises WorkerEnded, WorkerLate."""
        deadline = time.monotonic() + seconds
        while len(self._unread) < count:
            self._receive(deadline)
        return self._taken(count)

    def exit_code(self, seconds: float) -> int | None:
        """How it ended; None where it still lives after so long."""
        try:
            return self._living().wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End it, unless it belongs to the parent that this process was forked from."""
        process, self._process = self._process, None
        self._unread.clear()
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()

    def _living(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was started"
        return self._process

    def _receive(self, deadline: float) -> None:
        pipe = self._living().stdout
        assert pipe is not None, "it is a pipe"
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise WorkerLate
        part = os.read(pipe.fileno(), _PIECE)
        if not part:
            raise WorkerEnded
        self._unread += part

    def _taken(self, count: int) -> bytes:
        found = bytes(self._unread[:count])
        del self._unread[:count]
        return found
