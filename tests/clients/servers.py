"""Servers for clients: one that fails as it is told to, and the real one."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from tests.server.scripted import ScriptedGateway, written

from wenlu.server.http.app import build_app
from wenlu.server.http.errors import ApiError
from wenlu.server.messages import Event, Generate, ModelInfo

STARTS_SECONDS = 120.0


class Faulty(ScriptedGateway):
    """A gateway whose models fail, each in its own way.

    Attributes:
        tries: how often each was asked.
    """

    def __init__(self) -> None:
        names = ("busy-twice", "busy", "wrong", "breaks")
        super().__init__(self._events, models=tuple(ModelInfo(name, ("chat", "complete"), created=1) for name in names))
        self.tries: Counter[str] = Counter()

    def _events(self, request: Generate) -> Sequence[Event | ApiError]:
        self.tries[request.model] += 1
        busy = ApiError(429, "64 requests wait", code="busy", retry_after=0.02)
        match request.model:
            case "busy-twice" if self.tries["busy-twice"] % 3:
                return [busy]
            case "busy":
                return [busy]
            case "wrong":
                return [ApiError(500, "the model's process failed", code="engine_failed")]
            case "breaks":
                return [*written("so ", "far", "!")[:3], ApiError(503, "the model's process ended", retry_after=1)]
        return written("at ", "last")


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The base URL of an application that runs in a thread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def faulty() -> Iterator[tuple[str, Faulty]]:
    gateway = Faulty()
    with serving(build_app(gateway)) as url:
        yield url, gateway


@contextmanager
def wenlu_serve(*arguments: str | Path, folder: Path) -> Iterator[str]:
    """The base URL of `wenlu serve` once its models are loaded."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "serve.log"
    command = [
        sys.executable,
        "-m",
        "wenlu",
        "serve",
        *map(str, arguments),
        f"store={folder / 'store.db'}",
        "--port",
        str(port),
    ]
    with log.open("wb") as file, subprocess.Popen(command, stderr=file, stdout=file) as process:
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + STARTS_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"it ended:\n{log.read_text()}"
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"not ready after {STARTS_SECONDS:.0f} s:\n{log.read_text()}")
