"""A server of our own while something is asked of it: the command `wenlu serve` in a process, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wenlu.errors import ResourceError, UsageError
from wenlu.progress import QUIET, Progress

START_SECONDS = 120.0
STOP_SECONDS = 40.0
KEY = "WENLU_API_KEY"


@dataclass(frozen=True)
class Endpoint:
    """A server by its address, as "http://127.0.0.1:8000"; a key is read from WENLU_API_KEY."""

    url: str
    timeout_seconds: float = 600.0

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON that it answers to a GET, or to a POST of `body`; raises ResourceError with what it says else."""
        status, found = self._exchange(path, body)
        if status != 200:
            told = found.get("error", {}).get("message", found) if isinstance(found, dict) else found
            raise ResourceError(f"{self.url}{path}: answered {status}: {told}")
        assert isinstance(found, dict), f"{self.url}{path}: answers with objects"
        return found

    def is_ready(self) -> bool:
        """Whether it would answer."""
        try:
            return self._exchange("/ready", None)[0] == 200
        except ResourceError:
            return False

    def _exchange(self, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{self.url}: is no address of a server; write http://HOST:PORT")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=self.timeout_seconds)
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request("GET" if body is None else "POST", parts.path.rstrip("/") + path, data, headers)
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, HTTPException) as error:
            raise ResourceError(f"{self.url}: cannot be asked: {error}; is the server running?") from error
        finally:
            connection.close()
        try:
            return answer.status, json.loads(raw)
        except ValueError:
            return answer.status, raw[:200].decode("utf-8", "replace")


@contextmanager
def serving(models: Sequence[str], *, log: Path, progress: Progress = QUIET) -> Iterator[Endpoint]:
    """`wenlu serve` with `models` at a free port of this machine, until the block ends; what it says goes to `log`.

    Raises ResourceError where it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    progress.start("serve")
    with log.open("wb") as file:
        command = [sys.executable, "-m", "wenlu", "serve", *models, "--port", str(port)]
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    endpoint = Endpoint(f"http://127.0.0.1:{port}")
    try:
        _wait(endpoint, process, log)
        progress.finish(endpoint.url)
        yield endpoint
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(endpoint: Endpoint, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not endpoint.is_ready():
        if process.poll() is not None:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            told = " ".join(line for line in lines if not line.startswith("{"))[-1000:]  # the log's own are JSON
            raise ResourceError(f"wenlu serve ended with {process.returncode}: {told} (all of it: {log})")
        if time.monotonic() > end:
            raise ResourceError(f"wenlu serve was not ready within {START_SECONDS:g} s; what it says is in {log}")
        time.sleep(0.2)
