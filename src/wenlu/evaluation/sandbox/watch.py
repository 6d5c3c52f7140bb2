"""The other end of the warden: start it, hand it programs, read what it reports."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from wenlu.errors import ResourceError, UsageError
from wenlu.evaluation.sandbox.outcome import Limits, Outcome, Reason

_PACKAGE = "wenlu.evaluation.sandbox"
_START = f"""
import sys, types
for name, folder in zip({["wenlu", "wenlu.evaluation", _PACKAGE]!r}, sys.argv[1:]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from {_PACKAGE}.warden import main
main()
"""
"""The warden's files are found where they are, and nothing else of this package is loaded into its process."""
_GRACE_SECONDS = 90.0


class Watch:
    """The process that watches over programs, one after the other. It ends with the thread that started it."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise UsageError(
                f"programs are run behind walls on Linux only, not on {sys.platform}; use a Linux container there"
            )
        here = Path(__file__).resolve().parent
        folders = [str(here.parents[1]), str(here.parent), str(here)]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-S", "-X", "utf8", "-c", _START, *folders],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env={"PYTHONHASHSEED": "0"},  # the same verdict every time
                start_new_session=True,  # Ctrl-C is for this process, which ends the other
            )
        except OSError as error:
            raise ResourceError(f"no process could be started to watch over a program: {error.strerror}") from error

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # and with it whatever it still watches
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def run(self, program: str, limits: Limits, raised: Collection[str], allow_weaker: bool) -> Outcome:
        try:
            program.encode()
        except UnicodeEncodeError as error:
            return Outcome(False, "failed", f"no text: {error}", 0.0)
        report = self.ask(program, limits, raised, allow_weaker)
        if report["missing"]:
            reasons = "; ".join(f"{wall}: {reason}" for wall, reason in report["refused"].items())
            raise UsageError(
                f"the sandbox would not hold here: {', '.join(report['missing'])} cannot be had ({reasons}). Use Linux "
                "6.2 or later, or a container that permits seccomp and Landlock or namespaces; allow_weaker=True runs "
                "programs that you trust"
            )
        assert report["reason"] in get_args(Reason), f"no reason {report['reason']!r}"
        passed = report["reason"] == "passed"
        return Outcome(passed, report["reason"], report["detail"], report["seconds"], report["output"])

    def ask(self, program: str, limits: Limits, raised: Collection[str], allow_weaker: bool) -> dict[str, Any]:
        """What it reports of one program."""
        with tempfile.TemporaryDirectory(prefix="wenlu-sandbox-", ignore_cleanup_errors=True) as folder:
            given = {**asdict(limits), "cpu_seconds": int(limits.timeout_seconds) + 2}
            request: dict[str, Any] = {"program": program, "folder": folder, "limits": given}
            request |= {"walls": list(raised), "allow_weaker": allow_weaker}
            line = self._answer(json.dumps(request).encode() + b"\n", limits.timeout_seconds + _GRACE_SECONDS)
        report: dict[str, Any] = json.loads(line or "{}")
        if "reason" not in report:
            why = report.get("broken", "it gave no answer")
            raise ResourceError(f"the process that watches over a program failed: {why}")
        return report

    def _answer(self, request: bytes, seconds: float) -> bytes:
        """The line that answers; nothing where the process has ended or gives none in time."""
        assert self._process.stdin is not None, "it is a pipe"
        assert self._process.stdout is not None, "it is a pipe"
        deadline = time.monotonic() + seconds
        try:
            rest = memoryview(request)
            while rest:
                rest = rest[self._process.stdin.write(rest) :]
        except BrokenPipeError:
            return b""
        parts: list[bytes] = []
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not parts or not parts[-1].endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return b""
                part = os.read(self._process.stdout.fileno(), 1 << 16)
                if not part:
                    return b""
                parts.append(part)
        return b"".join(parts)
