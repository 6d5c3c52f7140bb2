"""Mixing is a pure function of the seed, loses nothing, and keeps the proportion of the weights."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlu.corpus.mixing import mix
from wenlu.corpus.record import Drop, Item, Record


def records(name: str, count: int) -> list[Item]:
    return [Record(f"{name} {i}", f"{name}:{i}", {"source": name}) for i in range(count)]


def drop(name: str) -> Drop:
    return Drop(Record("", name), "source", "empty")


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 2**32))
def test_every_item_comes_out_once_and_each_source_keeps_its_order(sizes: list[int], seed: int) -> None:
    sources = [records(str(i), size) for i, size in enumerate(sizes)]
    mixed = list(mix(sources, [1.0 + i for i in range(len(sizes))], seed))
    for i, source in enumerate(sources):
        assert [item for item in mixed if isinstance(item, Record) and item.meta["source"] == str(i)] == source
    assert len(mixed) == sum(sizes)


def test_the_same_seed_gives_the_same_order_and_another_seed_another() -> None:
    def order(seed: int) -> list[Item]:
        return list(mix([records("a", 50), records("b", 50)], [1, 1], seed))

    assert order(7) == order(7)
    assert order(7) != order(8)


def test_the_proportion_is_that_of_the_weights() -> None:
    endless = [records(name, 20_000) for name in "abc"]
    drawn = Counter(
        item.meta["source"] for item in islice(mix(endless, [1, 2, 5], 0), 16_000) if isinstance(item, Record)
    )
    # Binomial: three standard deviations of 16,000 draws are below 190.
    for name, expected in (("a", 2000), ("b", 4000), ("c", 10_000)):
        assert abs(drawn[name] - expected) < 190


def test_only_the_ratio_of_the_weights_counts() -> None:
    sources = [records("a", 30), records("b", 30)]
    assert list(mix(sources, [1, 3], 5)) == list(mix(sources, [10, 30], 5))


def test_when_a_source_ends_the_others_go_on() -> None:
    mixed = list(mix([records("a", 2), records("b", 200)], [100, 1], 0))
    assert len(mixed) == 202
    assert mixed[-100:] == records("b", 200)[-100:]


def test_drops_come_with_the_record_after_them_and_do_not_count_as_draws() -> None:
    plain = list(mix([records("a", 9), records("b", 9)], [1, 1], 3))
    with_drops: list[Item] = [item for record in records("a", 9) for item in (drop("x"), drop("x"), record)]
    mixed = list(mix([[*with_drops, drop("end")], records("b", 9)], [1, 1], 3))
    assert [item for item in mixed if isinstance(item, Record)] == plain
    assert sum(isinstance(item, Drop) for item in mixed) == 19


def test_each_source_needs_a_weight() -> None:
    with pytest.raises(ValueError, match="2 sources but 1 weights"):
        list(mix([[], []], [1.0], 0))
