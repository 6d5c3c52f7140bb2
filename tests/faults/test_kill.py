"""Kill a training run with SIGKILL at random moments; each resumption ends in the same weights, bit for bit.

`make test` tries three moments, `make proof-faults` fifty. Run as a program, this file is the process that all of them
are forked from, so that none waits for torch to be imported.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

RECIPE = Path("recipes/tiny.toml")
SETTINGS = [
    "train.duration=60 steps",
    "train.checkpoints=30",
    "train.allocator=as-is",
    "check=false",
    "train.threads=2",
    "train.dtype=bfloat16",
    "optimizer.name=muon",
]
KILLS = 50 if os.environ.get("WENLU_PROOF") == "1" else 3


def serve() -> None:
    """For each line on stdin, a verb and a run: the process id of that command, and its exit code when it ends."""
    import torch._dynamo  # noqa: F401  (what the first step of an optimizer would load)

    import wenlu.lifecycle.verbs  # noqa: F401
    from wenlu.cli.app import main

    for line in sys.stdin:
        verb, out = line.rstrip("\n").split(" ", 1)
        child = os.fork()
        if child == 0:
            sys.argv = ["wenlu", verb, str(RECIPE), *SETTINGS, "--out", out]
            os.dup2(os.open(f"{out}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
            os.dup2(1, 2)
            code = 1
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            finally:
                sys.stderr.flush()
                os._exit(code)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


class Server:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def run(self, verb: str, out: Path, kill_after: float | None = None) -> int:
        """The exit code, negative for a signal."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{verb} {out}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # where it has ended by then
                os.kill(child, signal.SIGKILL)
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Server(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def prepared(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run up to its tokenizer."""
    out = tmp_path_factory.mktemp("kill") / "prepared"
    assert server.run("tokenizer", out) == 0, Path(f"{out}.log").read_text()
    return out


@pytest.fixture(scope="module")
def uninterrupted(server: Server, prepared: Path) -> tuple[Path, float]:
    """A finished run, and the seconds that its training took."""
    out = shutil.copytree(prepared, prepared.with_name("whole"))
    begin = time.perf_counter()
    assert server.run("pretrain", out) == 0, Path(f"{out}.log").read_text()
    return out, time.perf_counter() - begin


@pytest.mark.timeout(1200)
def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(
    server: Server, prepared: Path, uninterrupted: tuple[Path, float], tmp_path: Path
) -> None:
    whole, seconds = uninterrupted
    moments = random.Random(7)
    killed = 0
    for attempt in range(KILLS):
        out = shutil.copytree(prepared, tmp_path / str(attempt))
        killed += server.run("pretrain", out, kill_after=moments.uniform(0.1, 1.0) * seconds) == -signal.SIGKILL
        assert server.run("pretrain", out) == 0, Path(f"{out}.log").read_text()
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            assert (out / "model" / name).read_bytes() == (whole / "model" / name).read_bytes(), (attempt, name)
    assert killed >= KILLS / 2, f"only {killed} of {KILLS} kills hit a living process"


if __name__ == "__main__":
    serve()
