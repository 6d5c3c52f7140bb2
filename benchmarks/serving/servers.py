"""Servers of this repository as processes of their own, on a free port of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        process: the one that listens; its child is the engine's.
    """

    port: int
    process: subprocess.Popen[bytes]

    @property
    def pids(self) -> list[int]:
        """Of the server and of its engine, where that is a process of its own."""
        return [self.process.pid, *children(self.process.pid)]

    def resident_bytes(self) -> int:
        """Of all its processes together."""
        return sum(_resident(pid) for pid in self.pids)

    def open_files(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids)

    def threads(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.pids)

    def cpu_seconds(self) -> float:
        return sum(_cpu(pid) for pid in self.pids)


@contextmanager
def fixed(*settings: str, log: Path) -> Iterator[Server]:
    """The HTTP process alone, on an engine that writes the same tokens whatever it is asked."""
    with _started([sys.executable, str(ROOT / "benchmarks/serving/fixed.py"), *settings], log) as server:
        yield server


@contextmanager
def real(models: Sequence[str], *settings: str, log: Path) -> Iterator[Server]:
    """`wenlu serve`."""
    with _started([sys.executable, "-m", "wenlu", "serve", *models, *settings], log) as server:
        yield server


@contextmanager
def _started(command: list[str], log: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
        )
    try:
        _wait(port, process, log)
        yield Server(port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def is_ready(port: int) -> bool:
    """Whether the server says that it would answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not is_ready(port):
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"the server did not start; it said:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    """Of a process, its children with theirs."""
    try:
        own = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [each for child in own for each in (child, *children(child))]


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
