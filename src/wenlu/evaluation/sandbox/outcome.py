"""What a program may use, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal["passed", "failed", "timeout", "memory", "limits", "refused", "killed"]


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    Attributes:
        timeout_seconds: by the clock, from its first line on.
        memory_bytes: of address space, so also what is only reserved; some 30 MB are the interpreter's.
        file_bytes: of a file, and of all files together where they lie in memory.
        tasks: threads at a time.
        output_bytes: how much of what it prints is kept; the rest is thrown away and changes nothing.
    """

    timeout_seconds: float = 3.0
    memory_bytes: int = 512 * 2**20
    file_bytes: int = 16 * 2**20
    tasks: int = 32
    output_bytes: int = 2**16


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Attributes:
        reason: "passed" if it reached its end; "failed" by an exception or by leaving early; "timeout"; "memory",
            "limits" (files, threads) or "refused" (network, files outside, processes) if it gave up at that wall;
            "killed" by a signal.
        detail: the exception with its line, or what else there is to say; written by the program, so not to trust.
        output: what it printed, cut at `output_bytes`.
    """

    passed: bool
    reason: Reason
    detail: str
    seconds: float
    output: str = ""
