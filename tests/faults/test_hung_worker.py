"""A process that hangs says where, is replaced, and its work is done again; what hangs twice is an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wenlu.corpus.parallel import Patience, map_ordered
from wenlu.corpus.record import Item, Record
from wenlu.corpus.step import RecordStep, run_steps
from wenlu.errors import DataError
from wenlu.progress import Progress

SECONDS = 1.0


class Listening(Progress):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def asleep() -> None:
    time.sleep(1000)


def waiting_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def spinning() -> None:
    while True:
        pass


@pytest.mark.parametrize("hang", [asleep, waiting_for_a_lock, spinning])
def test_a_worker_that_hangs_once_is_replaced_and_nothing_is_lost(hang: Callable[[], None], tmp_path: Path) -> None:
    progress, before = Listening(), tmp_path / "hung before"

    def work(i: int) -> int:
        if i == 20 and not before.exists():
            before.touch()
            hang()
        return i * i

    patience = Patience(SECONDS, tmp_path, progress)
    assert list(map_ordered(work, range(40), workers=2, patience=patience)) == [i * i for i in range(40)]
    (warning,) = progress.warnings
    (stack,) = tmp_path.glob("hung-worker-*.txt")
    assert warning.startswith("a worker process gave no answer for 1 s on 20 and is replaced; where it was: ")
    assert warning.endswith(str(stack))
    assert f"in {hang.__name__}" in stack.read_text()


def test_what_hangs_two_workers_is_an_error_that_names_the_records_and_the_place(tmp_path: Path) -> None:
    def change(record: Record) -> Item:
        if record.id == "r 9000":
            asleep()
        return record

    records = (Record("t", f"r {i}") for i in range(10_000))
    results = run_steps([RecordStep("slow", change)], records, 2, Patience(SECONDS, tmp_path, Listening()))
    with pytest.raises(DataError, match=r"(?s)on the 256 records from r 8960 to r 9215; where .* in asleep") as caught:
        list(results)
    assert "raise data.worker_timeout_seconds" in str(caught.value)
    assert len(list(tmp_path.glob("hung-worker-*.txt"))) == 2


def test_work_that_is_only_slow_is_left_alone(tmp_path: Path) -> None:
    def work(i: int) -> int:
        time.sleep(0.02)
        return i

    assert list(map_ordered(work, range(20), workers=2, patience=Patience(30.0, tmp_path))) == list(range(20))
    assert list(tmp_path.iterdir()) == []
