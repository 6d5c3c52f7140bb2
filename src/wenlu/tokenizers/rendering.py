"""Hand a chat template to the process that renders it, and stop that process where it does not come to an end."""

from __future__ import annotations

import atexit
import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from threading import Lock
from typing import Any

from wenlu.errors import DataError, ResourceError, WeightsError
from wenlu.tokenizers.template_syntax import translate

MAX_TEMPLATE = 2**18
MAX_TEXT = 2**22
"""Characters: ten times the longest template in use; a text of some million tokens."""
FUEL = 2_000_000
SECONDS = 10
_WORKER = Path(__file__).with_name("template_worker.py")


def render(source: str, variables: dict[str, Any], *, where: str) -> str:
    """What the template `source` makes of `variables`, which are plain JSON values.

    Raises:
        WeightsError: it is too long, no template, does not end, or writes or needs too much; `where` names it.
        DataError: it refuses the messages, or they hold what is no JSON.
    """
    if len(source) > MAX_TEMPLATE:
        raise WeightsError(f"{where}: the chat template has {len(source):,} characters; {MAX_TEMPLATE:,} at most")
    try:
        given = json.dumps(variables, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"messages and tools are plain JSON values (text, numbers, lists, objects): {error}") from error
    size = len(given)
    limits = {"fuel": FUEL + 4 * size, "most": MAX_TEXT + 4 * size, "seconds": SECONDS}
    head = json.dumps({"source": translate(source), **limits})
    answer = _worker.ask(f'{head[:-1]}, "variables": {given}}}\n'.encode(), SECONDS)
    if answer is None:
        raise WeightsError(
            f"{where}: the chat template was stopped: it did not end within {SECONDS} seconds, or broke the bounds of "
            "memory or recursion; use another template (chat_template.jinja)"
        )
    if "refused" in answer:
        raise DataError(f"the chat template refuses these messages: {answer['refused']}")
    if "error" in answer:
        raise WeightsError(f"{where}: the chat template cannot be rendered: {answer['error']}")
    text: str = answer["text"]
    return text


class _Worker:
    """A process that lives until a template kills it, or this one ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, request: bytes, seconds: float) -> dict[str, Any] | None:
        """The answer; None where the process died of the question or did not answer in time."""
        with self._lock:
            process = self._alive()
            try:
                line = _answer(process, request, time.monotonic() + seconds)
            except BaseException:  # also Ctrl-C: half an answer in the pipe would be taken for the next one's
                self.stop()
                raise
            if line is None:
                self.stop()
                return None
            answer: dict[str, Any] = json.loads(line)
            return answer

    def stop(self) -> None:
        """End the process, unless it belongs to the parent that this process was forked from."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self.stop()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_WORKER)],  # without the modules beside it in reach
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the conversation, not for it
            )
        except OSError as error:
            raise ResourceError(f"no process could be started to render chat templates: {error.strerror}") from error
        self._owner = os.getpid()
        return self._process


def _answer(process: subprocess.Popen[bytes], request: bytes, deadline: float) -> bytes | None:
    """The line that answers `request`; None at the deadline or where the process ended."""
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    try:
        rest = memoryview(request)
        while rest:
            rest = rest[process.stdin.write(rest) :]
    except BrokenPipeError:
        return None
    parts: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not parts or not parts[-1].endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                return None
            parts.append(part)
    return b"".join(parts)


_worker = _Worker()
atexit.register(_worker.stop)
