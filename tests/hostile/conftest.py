"""How programs that try to get out are run: with all walls, and with either half of them alone."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from wenlu.evaluation.sandbox import WALLS, Limits, Outcome, walls
from wenlu.evaluation.sandbox.watch import Watch

KERNEL = ("landlock", "seccomp")
SPACES = ("user namespace", "pid namespace", "network namespace", "ipc namespace", "private root")
HALVES = {
    "all walls": WALLS,
    "no namespaces": tuple(wall for wall in WALLS if wall not in SPACES),
    "no filters": tuple(wall for wall in WALLS if wall not in KERNEL),
}
LIMITS = Limits(timeout_seconds=20.0)
BRIEF = Limits(timeout_seconds=1.0, memory_bytes=256 * 2**20)

ALL_WALLS = sys.platform == "linux" and all(
    walls()[name] for name in ("landlock", "seccomp", "pid namespace", "private root")
)


class Run(Protocol):
    def __call__(
        self, program: str, limits: Limits = ..., *, raised: Collection[str] = ..., allow_weaker: bool = ...
    ) -> Outcome: ...


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """As `run_tests`, without a new interpreter for each program."""
    with Watch() as watch:

        def run(
            program: str, limits: Limits = LIMITS, *, raised: Collection[str] = WALLS, allow_weaker: bool = False
        ) -> Outcome:
            return watch.run(program, limits, raised, allow_weaker)

        yield run


@pytest.fixture(params=HALVES, ids=str)
def raised(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return HALVES[request.param]


@dataclass(frozen=True)
class Outside:
    """What a program might reach: a file that anyone may write, in a folder that anyone may write."""

    folder: Path
    victim: Path


@pytest.fixture
def outside() -> Iterator[Outside]:
    folder = Path(tempfile.mkdtemp(prefix="outside-"))
    folder.chmod(0o777)
    victim = folder / "victim"
    victim.write_text("whole")
    victim.chmod(0o666)
    os.utime(victim, (1, 1))
    yield Outside(folder, victim)
    shutil.rmtree(folder, ignore_errors=True)
