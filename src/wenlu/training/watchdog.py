"""Say where a training hangs: a thread looks whether steps end, and writes the stacks of all threads when none does."""

from __future__ import annotations

import faulthandler
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from wenlu.progress import Progress
from wenlu.training.state import News, TrainState

STACKS = "stacks.txt"
_LOOKS = 4


@contextmanager
def watched(state: TrainState, seconds: float | None, folder: Path, progress: Progress) -> Iterator[None]:
    """Within, a step that takes over `seconds` is told, once, and its stacks are in `folder`; None: never."""
    if seconds is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(state, seconds, folder / STACKS, progress, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(state: TrainState, seconds: float, path: Path, progress: Progress, over: threading.Event) -> None:
    step, looks = state.step, 0
    while not over.wait(seconds / _LOOKS):
        step, looks = state.step, looks + 1 if state.step == step else 0
        if looks == _LOOKS:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, after step {step}\n")
                file.flush()
                faulthandler.dump_traceback(file)
            progress.warn(f"no step has ended for {seconds:g} s; where all threads are: {path}")
            state.news.append(
                News("stalled", seconds, f"s without a step; see {path.name}", "the step has ended at last")
            )
