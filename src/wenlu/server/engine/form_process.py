"""The process in which forms are read first: one that takes too long, or breaks it, takes only this one with it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path

from wenlu.errors import ResourceError, UsageError

START_SECONDS = 20.0
_WORKER = Path(__file__).with_name("form_worker.py")


class TookTooLong(UsageError):
    """Perhaps since the machine was busy."""


class FormProcess:
    """Lives until a form kills it; started again for the next one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it where it does not live, and wait until it can read forms."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_WORKER)],  # without the modules beside it in reach
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise ResourceError(f"no process could be started to read forms: {error.strerror}") from error
        if self._line(START_SECONDS) is None:
            self.stop()
            raise ResourceError("the process that reads forms does not start; is llguidance installed?")

    def check(self, kind: str, text: str, seconds: float) -> None:
        """Raises UsageError for a form that is not good, or is not read in time."""
        self.start()
        answer = None
        process = self._process
        assert process is not None, "it was started"
        assert process.stdin is not None, "it is a pipe"
        try:
            process.stdin.write(json.dumps({"kind": kind, "text": text}).encode() + b"\n")
            answer = self._line(seconds)
        except BrokenPipeError:
            pass
        finally:
            if answer is None:
                self.stop()
        if answer is None:
            raise TookTooLong(f"{kind}: was not read within {seconds * 1000:g} ms; make it simpler")
        error = json.loads(answer)["error"]
        if error is not None:
            raise UsageError(f"{kind}: {error}")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()

    def _line(self, seconds: float) -> bytes | None:
        """What it says next; None where it ends or says nothing in time."""
        assert self._process is not None, "it was started"
        assert self._process.stdout is not None, "it is a pipe"
        deadline = time.monotonic() + seconds
        parts: list[bytes] = []
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not parts or not parts[-1].endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                part = os.read(self._process.stdout.fileno(), 1 << 16)
                if not part:
                    return None
                parts.append(part)
        return b"".join(parts)
