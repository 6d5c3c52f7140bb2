"""The shuffled order: a permutation, a pure function of its arguments, and random enough."""

import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from wenlu.corpus.order import shuffled

PROOF = os.environ.get("WENLU_PROOF") == "1"
DRAWS = 600 if PROOF else 240
GOLDEN_10 = [1, 7, 8, 3, 9, 2, 4, 0, 5, 6]
GOLDEN_LARGE = 325756277456
integers = st.integers(-(2**70), 2**70)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 5000), seed=integers, epoch=st.integers(0, 2**40))
def test_each_row_comes_once(n: int, seed: int, epoch: int) -> None:
    order = shuffled(np.arange(n), n=n, seed=seed, epoch=epoch)
    assert np.array_equal(np.sort(order), np.arange(n))


@settings(deadline=None)
@given(n=st.integers(1, 2**62), seed=integers, epoch=integers, data=st.data())
def test_one_index_and_an_array_agree_and_stay_inside(n: int, seed: int, epoch: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5))
    together = shuffled(np.array(indices), n=n, seed=seed, epoch=epoch)
    assert together.tolist() == [shuffled(index, n=n, seed=seed, epoch=epoch) for index in indices]
    assert all(0 <= place < n for place in together.tolist())


def test_the_order_does_not_depend_on_how_many_read_it() -> None:
    n = 1000
    whole = shuffled(np.arange(n), n=n, seed=3, epoch=1)
    for world_size in (1, 2, 7):
        parts = [shuffled(np.arange(rank, n, world_size), n=n, seed=3, epoch=1) for rank in range(world_size)]
        together = np.empty(n, np.int64)
        for rank, part in enumerate(parts):
            together[rank::world_size] = part
        assert np.array_equal(together, whole)


def test_the_order_is_the_same_tomorrow() -> None:
    """Runs resume by it, so it may change only with a format version."""
    assert shuffled(np.arange(10), n=10, seed=0, epoch=0).tolist() == GOLDEN_10
    assert shuffled(123_456_789, n=10**12, seed=1, epoch=2) == GOLDEN_LARGE


def test_shape_is_kept() -> None:
    assert shuffled(np.arange(6).reshape(2, 3), n=6, seed=0, epoch=0).shape == (2, 3)
    assert shuffled(np.array([], np.int64), n=6, seed=0, epoch=0).shape == (0,)


@pytest.mark.parametrize("varied", ["seed", "epoch"])
def test_all_orders_of_four_rows_are_equally_likely(varied: str) -> None:
    counts: dict[tuple[int, ...], int] = {}
    for value in range(DRAWS):
        arguments = {"seed": 5, "epoch": 5} | {varied: value}
        order = tuple(shuffled(np.arange(4), n=4, **arguments).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize("n", [7, 1000, 1025])
def test_each_row_is_equally_likely_at_each_place(n: int) -> None:
    places = np.array([0, 1, n // 2, n - 1])
    bins = min(n, 25)
    found = np.stack([shuffled(places, n=n, seed=seed, epoch=0) for seed in range(DRAWS)])
    for column in found.T:
        expected = np.bincount(np.arange(n) * bins // n, minlength=bins) * DRAWS / n
        assert chisquare(np.bincount(column * bins // n, minlength=bins), expected).pvalue > 1e-4


def test_neighbours_do_not_stay_neighbours_and_epochs_do_not_resemble_each_other() -> None:
    n = 20_000
    first, second = (shuffled(np.arange(n), n=n, seed=9, epoch=epoch) for epoch in (0, 1))
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert (first == second).sum() < 10
    assert (np.abs(np.diff(first)) == 1).sum() < 15


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    tracemalloc.start()
    shuffled(np.arange(1000), n=10**15, seed=0, epoch=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000


@pytest.mark.parametrize("index", [-1, 10])
def test_an_index_outside_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match=f"indices from {index} to {index} are not all in 0 … 9"):
        shuffled(index, n=10, seed=0, epoch=0)
    with pytest.raises(ValueError, match="n = 0: there is nothing to order"):
        shuffled(0, n=0, seed=0, epoch=0)
