"""A program of this folder as a process of its own, which works when told to and sleeps else."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wenlu.cli.allocator import TUNABLES, VARIABLE

HERE = Path(__file__).parent


class Side:
    """One peer, or ours; `turns.Turns` is what it talks to.

    Attributes:
        allocator: "as shipped" has this shell's, "same" the tunables and the pool of memory that Wenlu trains with.
        peak_bytes: of memory that it ever held.
    """

    def __init__(self, program: str, allocator: str, arguments: Sequence[str]) -> None:
        environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
        if allocator == "same":
            environment[VARIABLE] = ":".join(f"{name}={value}" for name, value in TUNABLES.items())
        command = [sys.executable, str(HERE / f"{program}.py"), *arguments]
        command += ["--pool"] if allocator == "same" else []
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.peak_bytes = 0

    def seconds_of(self, steps: int) -> float:
        """How long so many steps take, begun now."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        while line := self.process.stdout.readline():
            if line.startswith("{"):
                told: dict[str, Any] = json.loads(line)
                self.peak_bytes = told["peak_bytes"]
                return float(sum(told["seconds"]))
        raise SystemExit(f"a side ended: {self.process.args}\n{self.process.communicate()[1]}")

    def close(self) -> None:
        self.process.communicate()


def summary(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}
