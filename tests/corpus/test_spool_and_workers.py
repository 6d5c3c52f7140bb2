from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus import spool as spool_module
from wenlu.corpus.parallel import available_workers, map_ordered
from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.spool import Spool
from wenlu.corpus.step import RecordStep, run_steps
from wenlu.errors import MissingExtra, ResourceError

RECORDS = st.builds(
    Record,
    st.text(max_size=20) | st.just("\ud800 half") | st.just("x" * 3_000_000),
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)
ITEMS = RECORDS | st.builds(Drop, RECORDS, st.just("step"), st.text(max_size=3))


@settings(max_examples=30, deadline=None)
@given(st.lists(ITEMS, max_size=8))
def test_a_spool_gives_back_what_went_in(items: list[Item]) -> None:
    with Spool() as spool:
        for item in items:
            spool.append(item)
        records = [item for item in items if isinstance(item, Record)]
        assert len(spool) == len(items)
        assert list(spool) == items
        assert [spool[i] for i in range(len(items))] == items
        assert list(spool.records()) == records
        assert spool.texts(list(range(len(records)))[::-1]) == [record.text for record in records][::-1]
        assert [text for block in spool.blocks() for text in spool.block_texts(block)] == [
            record.text for record in records
        ]


def test_a_spool_leaves_no_file_behind(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.append(Record("text", "id"))
        assert list(spool)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None: ...

    monkeypatch.setattr(spool_module.tempfile, "TemporaryFile", lambda **_: Full())
    with (
        Spool(tmp_path) as spool,
        pytest.raises(ResourceError, match=f"{tmp_path}: no space left for a temporary copy"),
    ):
        spool.append(Record("x" * 2**21, "id"))


def test_a_folder_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="nowhere: cannot hold temporary files"):
        Spool(tmp_path / "nowhere")


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_keep_the_order_of_the_items(workers: int) -> None:
    def work(i: int) -> int:
        time.sleep(0.002 if i % 3 else 0.0)
        return i * i

    assert list(map_ordered(work, range(60), workers=workers)) == [i * i for i in range(60)]


def test_a_little_work_starts_no_process() -> None:
    assert set(map_ordered(lambda _: os.getpid(), range(8), workers=2)) == {os.getpid()}
    assert set(map_ordered(lambda _: os.getpid(), range(30), workers=2)) != {os.getpid()}


def test_items_are_taken_as_they_are_needed() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in range(10_000):
            taken += 1
            yield i

    results = map_ordered(lambda i: i, items(), workers=2)
    assert [next(results) for _ in range(20)] == list(range(20))
    assert taken < 40
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_step_names_the_step_and_the_record(workers: int) -> None:
    def change(record: Record) -> Item:
        if record.id == "r 9000":
            raise KeyError("boom")
        return record

    results = run_steps([RecordStep("fragile", change)], (Record("t", f"r {i}") for i in range(10_000)), workers)
    with pytest.raises(KeyError, match="boom") as caught:
        list(results)
    assert caught.value.__notes__ == ["in step fragile, at record r 9000"]


def test_a_missing_extra_is_reported_from_a_worker() -> None:
    def work(i: int) -> int:
        if i == 20:
            raise MissingExtra("rjieba", extra="lang-zh", purpose="cut words")
        return i

    with pytest.raises(
        MissingExtra, match=r"rjieba is needed to cut words; install it with: pip install 'wenlu\[lang-zh\]'"
    ):
        list(map_ordered(work, range(30), workers=2))


def test_a_worker_that_is_killed_is_an_error_that_says_what_to_try() -> None:
    def work(i: int) -> int:
        if i == 20:
            os.kill(os.getpid(), 9)
        return i

    with pytest.raises(ResourceError, match=r"one of 2 worker processes was killed.*try data.workers=1"):
        list(map_ordered(work, range(30), workers=2))


def test_an_error_of_the_source_comes_through() -> None:
    def items() -> Iterator[int]:
        yield from range(20)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(map_ordered(lambda i: i, items(), workers=2))


def test_there_is_at_least_one_core() -> None:
    assert available_workers() >= 1


def test_no_process_is_left_when_the_results_are_not_wanted_any_more() -> None:
    results = map_ordered(lambda _: os.getpid(), range(1000), workers=2)
    workers = {next(results) for _ in range(20)} - {os.getpid()}
    assert len(workers) == 2
    results.close()  # type: ignore[attr-defined]
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_large_results_and_large_items_do_not_block_each_other() -> None:
    items = [bytes([i]) * 3_000_000 for i in range(24)]
    assert list(map_ordered(lambda item: item[::-1], items, workers=2)) == items
