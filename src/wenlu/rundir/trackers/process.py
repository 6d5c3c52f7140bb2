"""Trackers beside a training: each in a process of its own, which no step waits for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from wenlu.errors import ResourceError
from wenlu.progress import Progress
from wenlu.rundir.run import Run
from wenlu.rundir.trackers import FOLDER

LAST_SECONDS, LAST_SECONDS_WHEN_STOPPED = 30.0, 5.0
"""How long, when training has ended, the trackers may take for what they have not been told yet; and when it was
stopped, perhaps by a scheduler that waits no longer than half a minute."""


@contextmanager
def tracked(run: Run, names: Sequence[str], progress: Progress, last_seconds: float = LAST_SECONDS) -> Iterator[None]:
    """Within, the named trackers are told of the run's events.

    One whose process ends too early is named at once, one that hangs at the end; the run has it as an event.
    """
    beside = [_Beside(name, run.path, progress) for name in names]
    try:
        yield
    except BaseException:
        last_seconds = min(last_seconds, LAST_SECONDS_WHEN_STOPPED)
        raise
    finally:
        deadline = time.monotonic() + last_seconds
        for each in beside:
            each.release()
        for each in beside:
            if not each.has_ended_well(deadline):
                _record(run, each.message)


def log_file(run: Path, name: str) -> Path:
    """What the tracker's process printed."""
    return run / FOLDER / f"{name}.log"


class _Beside:
    """A tracker's process, and a thread that does nothing but wait for its end."""

    def __init__(self, name: str, run: Path, progress: Progress) -> None:
        self.message = (
            f"{name} is behind the run, which is whole; {log_file(run, name)} says why. "
            f"Bring it up to date with: wenlu runs track {run} --to {name}"
        )
        self._progress = progress
        self._process = _start(run, name)
        self._watch = Thread(target=self._wait, daemon=True)
        self._watch.start()

    def release(self) -> None:
        """Let the process tell what it has left to tell, and end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def has_ended_well(self, deadline: float) -> bool:
        """Whether the tracker was told everything; after the deadline its process is ended."""
        self._watch.join(max(0.0, deadline - time.monotonic()))
        if self._watch.is_alive() and self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._watch.join()
        return self._process is not None and self._process.returncode == 0

    def _wait(self) -> None:
        code = 1 if self._process is None else self._process.wait()
        if code != 0:
            self._progress.warn(self.message)


def _start(run: Path, name: str) -> subprocess.Popen[bytes] | None:
    try:
        (run / FOLDER).mkdir(exist_ok=True)
        with log_file(run, name).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "wenlu.rundir.trackers.follow", str(run), name],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for training, which then ends this process
            )
    except OSError:
        return None


def _record(run: Run, message: str) -> None:
    last = deque(run.events(), maxlen=1)
    if last:
        with suppress(ResourceError):
            step, tokens, seconds = last[0].step, last[0].tokens, last[0].seconds
            run.log("tracker", message, "text", step=step, tokens=tokens, seconds=seconds)
