"""The process in which forms are read first: one that takes too long, or breaks it, takes only this one with it."""

from __future__ import annotations

import json
from pathlib import Path

from wenlu.errors import ResourceError, UsageError
from wenlu.worker import Worker, WorkerEnded, WorkerLate

START_SECONDS = 20.0


class TookTooLong(UsageError):
    """Perhaps since the machine was busy."""


class FormProcess:
    """Lives until a form kills it; started again for the next one."""

    def __init__(self) -> None:
        self._worker = Worker(Path(__file__).with_name("form_worker.py"), "read forms")

    def start(self) -> None:
        """Start it where it does not live, and wait until it can read forms."""
        if self._worker.start() and self._line(START_SECONDS) is None:
            raise ResourceError("the process that reads forms does not start; is llguidance installed?")

    def check(self, kind: str, text: str, seconds: float) -> None:
        """Raises UsageError for a form that is not good, or is not read in time."""
        self.start()
        answer = self._line(seconds, json.dumps({"kind": kind, "text": text}).encode() + b"\n")
        if answer is None:
            raise TookTooLong(f"{kind}: was not read within {seconds * 1000:g} ms; make it simpler")
        error = json.loads(answer)["error"]
        if error is not None:
            raise UsageError(f"{kind}: {error}")

    def stop(self) -> None:
        self._worker.stop()

    def _line(self, seconds: float, request: bytes = b"") -> bytes | None:
        """What it says next; None, and it is stopped, where it ends or says nothing in time."""
        try:
            self._worker.send(request)
            return self._worker.line(seconds)
        except (WorkerEnded, WorkerLate):
            self.stop()
            return None
        except BaseException:  # half an answer in the pipe would be taken for the next one's
            self.stop()
            raise
