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

from wenlu.errors import ResourceError
from wenlu.progress import Progress
from wenlu.rundir.run import Run
from wenlu.rundir.trackers import FOLDER

LAST_SECONDS, LAST_SECONDS_WHEN_STOPPED = 30.0, 5.0
"""How long, when training has ended, the trackers may take for what they have not been told yet; and when it was
stopped, perhaps by a scheduler that waits no longer than half a minute."""


@contextmanager
def tracked(run: Run, names: Sequence[str], progress: Progress, last_seconds: float = LAST_SECONDS) -> Iterator[None]:
    """Within, the named trackers are told of the run's events; one that fails or hangs is named once at the end."""
    started = {name: _start(run.path, name) for name in names}
    try:
        yield
    except BaseException:
        last_seconds = min(last_seconds, LAST_SECONDS_WHEN_STOPPED)
        raise
    finally:
        deadline = time.monotonic() + last_seconds
        for process in started.values():
            if process is not None and process.stdin is not None:
                process.stdin.close()
        for name, process in started.items():
            if process is None or _end(process, deadline) != 0:
                _tell(run, name, progress)


def log_file(run: Path, name: str) -> Path:
    """What the tracker's process printed."""
    return run / FOLDER / f"{name}.log"


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


def _end(process: subprocess.Popen[bytes], deadline: float) -> int:
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _tell(run: Run, name: str, progress: Progress) -> None:
    message = (
        f"{name} is behind the run, which is whole; {log_file(run.path, name)} says why. "
        f"Bring it up to date with: wenlu runs track {run.path} --to {name}"
    )
    progress.warn(message)
    last = deque(run.events(), maxlen=1)
    if last:
        with suppress(ResourceError):
            step, tokens, seconds = last[0].step, last[0].tokens, last[0].seconds
            run.log("tracker", message, "text", step=step, tokens=tokens, seconds=seconds)
