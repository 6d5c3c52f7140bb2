"""Hand a picture to the process that decodes it, and replace that process where it crashes, hangs or grows."""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from wenlu.corpus.pictures.format import READ, format_of
from wenlu.corpus.pictures.picture import BadPicture, Picture, PictureLimits
from wenlu.errors import MissingExtra, ResourceError

LIMITS = PictureLimits()
BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128)}
SVG_LONGEST = 512
"""Pixels of the longer side of an SVG that is drawn where no size is named."""
_WORKER = Path(__file__).with_name("decode_worker.py")
_SPARE_BYTES = 192 * 2**20
"""Of memory that the process may keep after an answer; one that keeps more is replaced."""
_PATIENCE = 6.0
"""Seconds on the clock for each second of the processor, as other processes work too."""
_START_SECONDS = 60.0
_PIECE = 1 << 20


def decoded(
    data: bytes,
    limits: PictureLimits = LIMITS,
    *,
    background: str = "white",
    longest: int | None = None,
    svg_longest: int = SVG_LONGEST,
) -> Picture:
    """The picture in a file's bytes: its first frame, upright, opaque, in 8 bits of red, green and blue.

    Args:
        background: what shows where the picture is transparent, one of `BACKGROUNDS`.
        longest: pixels of its longer side at most; a larger picture is made smaller, an SVG is drawn so.

    Raises:
        BadPicture: it is of another format, damaged, or beyond the limits.
        MissingExtra: Pillow or resvg-py is not installed.
    """
    form = format_of(data)
    if form not in READ:
        raise BadPicture("not a picture that is read", f"it is {form}; read are {', '.join(READ)}")
    if len(data) > limits.max_bytes:
        raise BadPicture("too many bytes", f"{len(data):,}, over max_bytes = {limits.max_bytes:,}")
    _require(form)
    request = {
        "format": form,
        "bytes": len(data),
        "max_pixels": limits.max_pixels,
        "seconds": limits.max_seconds,
        "memory": limits.memory_bytes,
        "spare": _SPARE_BYTES,
        "background": BACKGROUNDS[background],
        "longest": longest,
        "svg_longest": svg_longest,
    }
    head, pixels = _worker.ask(json.dumps(request).encode() + b"\n", data, limits.max_seconds)
    if "error" in head:
        raise BadPicture(head["error"], head["detail"])
    height, width = head["size"]
    array = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    return Picture(array, form, tuple(head["done"]), head["width"], head["height"])


def decoder_pid() -> int | None:
    """The process that decodes for this one, if it lives."""
    return _worker.pid


@cache
def _require(form: str) -> None:
    for package, module in (("pillow", "PIL"), *((("resvg-py", "resvg_py"),) if form == "SVG" else ())):
        if find_spec(module) is None:
            raise MissingExtra(package, extra="vision", purpose=f"read {form} pictures")


class _Stopped(Exception):
    """The process ended, or gave no answer in time."""


class _Worker:
    """A process that lives until a picture kills it or wears it out, or this one ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and self._owner == os.getpid() and process.poll() is None else None

    def ask(self, request: bytes, data: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        """The head of the answer, and the pixels; where the process dies, a head that says of what."""
        with self._lock:
            process = self._alive()
            deadline = time.monotonic() + seconds * _PATIENCE + _START_SECONDS
            try:
                head, pixels = _exchange(process, request, data, deadline)
            except _Stopped as stopped:
                return self._post_mortem(process, seconds, in_time=not stopped.args), b""
            except BaseException:  # also Ctrl-C: half an answer in the pipe would be taken for the next one's
                self.stop()
                raise
            if head["worn"]:
                self.stop()
            return head, pixels

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

    def _post_mortem(self, process: subprocess.Popen[bytes], seconds: float, *, in_time: bool) -> dict[str, Any]:
        code = None
        if in_time:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(5.0)
        self.stop()
        if code is None or code in (-signal.SIGXCPU, -signal.SIGKILL):
            return {"error": "takes too long", "detail": f"was not decoded within max_seconds = {seconds:g}"}
        return {"error": "breaks the decoder", "detail": f"the process that decoded it ended with {_ending(code)}"}

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
            raise ResourceError(f"no process could be started to decode pictures: {error.strerror}") from error
        self._owner = os.getpid()
        return self._process


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"


def _exchange(
    process: subprocess.Popen[bytes], request: bytes, data: bytes, deadline: float
) -> tuple[dict[str, Any], bytes]:
    """Raises _Stopped where the process ended; with a word in it, at the deadline."""
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    try:
        for part in (request, data):
            rest = memoryview(part)
            while rest:
                rest = rest[process.stdin.write(rest[:_PIECE]) :]
    except BrokenPipeError as error:
        raise _Stopped from error
    with _readable(process.stdout.fileno()) as read:
        buffer = bytearray()
        while (end := buffer.find(b"\n")) < 0:
            buffer += read(deadline)
        head = json.loads(buffer[:end])
        del buffer[: end + 1]
        while len(buffer) < head.get("bytes", 0):
            buffer += read(deadline)
    return head, bytes(buffer)


@contextmanager
def _readable(fd: int) -> Iterator[Any]:
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)

        def read(deadline: float) -> bytes:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise _Stopped("late")
            part = os.read(fd, _PIECE)
            if not part:
                raise _Stopped
            return part

        yield read


_worker = _Worker()
atexit.register(_worker.stop)
