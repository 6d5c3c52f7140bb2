"""Folds: each record is held out once, and what belongs together never lies on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus.folds import divisions, pool_of
from wenlu.corpus.record import Record
from wenlu.errors import DataError


def records(clusters: list[str], **columns: list[str]) -> list[Record]:
    return [
        Record(f"text {n}", f"r{n}", {"cluster": cluster, **{name: values[n] for name, values in columns.items()}})
        for n, cluster in enumerate(clusters)
    ]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 30), min_size=40, max_size=80), st.integers(2, 5), st.integers(0, 9))
def test_each_record_is_held_out_once_and_no_cluster_straddles(clusters: list[int], count: int, seed: int) -> None:
    labels = [str(cluster % 2) for cluster in clusters]
    if len(set(clusters)) < count:
        return
    pool = pool_of(records([str(one) for one in clusters]), "near-duplicates", labels=labels)
    held_out = []
    for left, held in divisions(pool, count, "near-duplicates", seed):
        assert not set(np.array(clusters)[left]) & set(np.array(clusters)[held])
        assert sorted([*left, *held]) == list(range(len(clusters)))
        held_out += held.tolist()
    assert sorted(held_out) == list(range(len(clusters)))


def test_each_fold_has_its_share_of_each_label() -> None:
    labels = ["rare" if n % 10 == 0 else "common" for n in range(200)]
    pool = pool_of(records([str(n) for n in range(200)]), "near-duplicates", labels=labels)
    for _, held in divisions(pool, 5, "near-duplicates", 0):
        assert sum(labels[n] == "rare" for n in held) == 4


def test_each_fold_has_its_share_of_small_and_large_numbers() -> None:
    labels = [f"{n / 7:.3f}" for n in range(200)]
    pool = pool_of(records([str(n) for n in range(200)]), "near-duplicates", labels=labels)
    for _, held in divisions(pool, 4, "near-duplicates", 0):
        assert sum(n >= 180 for n in held) == 5  # a quarter of the largest tenth


def test_texts_that_hardly_recur_stratify_nothing() -> None:
    pool = pool_of(records([str(n) for n in range(50)]), "near-duplicates", labels=[f"answer {n}" for n in range(50)])
    assert set(pool.strata.tolist()) == {0}


def test_groups_and_the_near_duplicates_of_their_members_stay_together() -> None:
    clusters = ["a", "a", *(str(n) for n in range(18))]
    writers = ["x", "y", "y", "z", *(f"w{n}" for n in range(16))]  # x and y are joined by cluster a
    pool = pool_of(records(clusters, writer=writers), "group", group="writer")
    for left, held in divisions(pool, 4, "group", 1):
        assert {0, 1, 2} <= set(left.tolist()) or {0, 1, 2} <= set(held.tolist())


def test_a_record_without_the_column_of_its_group_is_named() -> None:
    with pytest.raises(DataError, match=r"record r0: has no column 'writer', which data.group names"):
        pool_of(records(["a", "b"]), "group", group="writer")


def test_by_time_the_later_is_held_out_from_the_earlier_and_what_is_alike_to_it_is_left_out() -> None:
    times = [f"2024-01-{day:02d}" for day in range(1, 13)]
    clusters = [str(n) for n in range(12)]
    clusters[0] = clusters[11]  # the first day says what the last one says
    pool = pool_of(records(clusters, day=times), "time", time="day")
    found = list(divisions(pool, 3, "time", 0))
    assert [held.tolist() for _, held in found] == [[3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert [left.tolist() for left, _ in found] == [[0, 1, 2], [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 7, 8]]


def test_random_folds_may_part_near_duplicates_as_a_random_split_does() -> None:
    pool = pool_of(records(["same"] * 40), "random")
    assert [len(held) for _, held in divisions(pool, 4, "random", 0)] == [10, 10, 10, 10]


def test_too_few_sets_of_records_are_said() -> None:
    pool = pool_of(records(["same"] * 40), "near-duplicates")
    with pytest.raises(DataError, match=r"folds.count=3, but there are only 1 sets of records that must stay together"):
        list(divisions(pool, 3, "near-duplicates", 0))
    with pytest.raises(DataError, match=r"only 3 times"):
        list(divisions(pool_of(records(["a", "b", "c"], t=["1", "2", "3"]), "time", time="t"), 3, "time", 0))
