"""What is prepared ahead comes in order, with its errors, and no further ahead than it should."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from wenlu.errors import DataError
from wenlu.generation.ahead import prepared_ahead


def test_items_come_in_order() -> None:
    assert list(prepared_ahead(range(50))) == list(range(50))
    assert list(prepared_ahead([])) == []


def test_an_error_is_raised_at_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise DataError("the file ends here")

    made = prepared_ahead(items())
    assert next(made) == 1
    with pytest.raises(DataError, match="the file ends here"):
        next(made)


def test_little_is_made_ahead_and_the_thread_ends_with_the_iterator() -> None:
    made = 0

    def endless() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    before = threading.active_count()
    ahead = prepared_ahead(endless())
    assert [next(ahead), next(ahead)] == [1, 2]
    time.sleep(0.05)
    assert made <= 5
    ahead.close()
    assert threading.active_count() == before
