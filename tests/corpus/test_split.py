"""Splits that no cluster, group or time crosses, whatever the data."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from wenlu.corpus.split import (
    DROPPED,
    TEST,
    TRAIN,
    VALIDATION,
    Assignment,
    Facts,
    SplitBy,
    assign,
    parse_time,
    thinned,
)
from wenlu.errors import DataError


def facts(
    cluster: list[int],
    *,
    group: list[int] | None = None,
    time: list[float] | None = None,
    origin: list[int] | None = None,
    stays: list[bool] | None = None,
) -> Facts:
    """Facts of records whose digest is drawn from their number."""
    count = len(cluster)
    first = {name: cluster.index(name) for name in set(cluster)}
    return Facts(
        np.array(origin or [TRAIN] * count, np.int8),
        np.array([first[name] for name in cluster], np.int64),
        np.random.default_rng(0).permutation(count).astype(np.uint64),
        np.array(group or [], np.uint64),
        np.array(time or [], float),
        np.array(stays or [False] * count),
    )


def split(given_: Facts, by: SplitBy = "near-duplicates", *, seed: int = 0, **settings_: object) -> Assignment:
    fractions = {"validation": 0.1, "test": 0.2, "decontaminate": True, **settings_}
    return assign(given_, by, seed=seed, **fractions)  # type: ignore[arg-type]


EXAMPLES = 150 if os.environ.get("WENLU_PROOF") == "1" else 40
CLUSTERS = st.lists(st.integers(0, 30), min_size=40, max_size=120)


@settings(max_examples=EXAMPLES, deadline=None)
@given(CLUSTERS, st.integers(0, 5), st.data())
def test_no_cluster_and_no_group_straddles(cluster: list[int], seed: int, data: st.DataObject) -> None:
    group = data.draw(st.lists(st.integers(0, 60), min_size=len(cluster), max_size=len(cluster)))
    for by in ("near-duplicates", "group"):
        try:
            assigned = split(facts(cluster, group=group), by, seed=seed)  # type: ignore[arg-type]
        except DataError:  # a set that must stay together is larger than the fraction
            reject()
        for names in [cluster, group] if by == "group" else [cluster]:
            for name in set(names):
                assert len({int(code) for code, n in zip(assigned.split, names, strict=True) if n == name}) == 1
        assert (assigned.split == TEST).sum() <= round(0.2 * len(cluster))
        assert (assigned.split == VALIDATION).sum() <= round(0.1 * len(cluster))
        assert not (assigned.split == DROPPED).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(20, 400), st.integers(0, 3))
def test_single_records_are_divided_exactly_by_the_fractions(count: int, seed: int) -> None:
    for by in ("near-duplicates", "random"):
        codes = split(facts(list(range(count))), by, seed=seed).split.tolist()  # type: ignore[arg-type]
        assert codes.count(TEST) == round(0.2 * count)
        assert codes.count(VALIDATION) == round(0.1 * count)
        assert len(codes) == count


def test_the_order_of_the_records_makes_no_difference() -> None:
    chance = random.Random(1)
    cluster = [chance.randrange(40) for _ in range(100)]
    there = facts(cluster)
    order = np.random.default_rng(2).permutation(100)
    moved = facts([cluster[i] for i in order])
    moved = Facts(moved.origin, moved.cluster, there.digest[order], moved.group, moved.time, moved.stays)
    np.testing.assert_array_equal(split(there).split[order], split(moved).split)


def test_the_seed_decides_and_nothing_else() -> None:
    there = facts(list(range(200)))
    np.testing.assert_array_equal(split(there, seed=3).split, split(there, seed=3).split)
    assert (split(there, seed=3).split != split(there, seed=4).split).any()


def test_a_large_cluster_stays_in_training_where_small_ones_can_be_held_out() -> None:
    codes = split(facts([0] * 15 + list(range(1, 86))), test=0.2, validation=None).split
    assert set(codes[:15].tolist()) == {TRAIN}
    assert (codes == TEST).sum() == 20


def test_clusters_that_are_all_large_are_held_out_nevertheless() -> None:
    codes = split(facts([i // 10 for i in range(100)]), test=0.2, validation=None).split
    assert (codes == TEST).sum() == 20


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=60, max_size=150))
def test_held_out_times_come_last_and_never_straddle(time: list[float]) -> None:
    try:
        codes = split(facts(list(range(len(time))), time=time), "time").split
    except DataError:  # the latest time alone has more records than the fraction
        reject()
    moments = np.array(time)
    assert moments[codes == TRAIN].max() < moments[codes == VALIDATION].min()
    assert moments[codes == VALIDATION].max() < moments[codes == TEST].min()


def test_earlier_near_duplicates_of_later_held_out_records_are_dropped() -> None:
    cluster = [*range(10)]
    cluster[1] = cluster[9] = 1  # train, test
    cluster[7] = cluster[8] = 7  # validation, test
    assigned = split(facts(cluster, time=list(range(10))), "time", test=0.2, validation=0.1)
    assert assigned.split.tolist() == [TRAIN, DROPPED, *[TRAIN] * 5, DROPPED, TEST, TEST]
    assert assigned.leaks_into[1] == assigned.leaks_into[7] == TEST
    kept = split(facts(cluster, time=list(range(10))), "time", test=0.2, validation=0.1, decontaminate=False)
    assert not (kept.split == DROPPED).any()


@pytest.mark.parametrize("by", ["near-duplicates", "random"])
def test_training_records_alike_to_given_held_out_files_are_dropped(by: SplitBy) -> None:
    origin = [TEST, VALIDATION, VALIDATION, TRAIN, TRAIN, TRAIN, TRAIN]
    cluster = [0, 1, 0, 0, 1, 2, 3]
    assigned = split(facts(cluster, origin=origin), by, validation=None, test=None)
    assert assigned.split.tolist() == [TEST, VALIDATION, DROPPED, DROPPED, DROPPED, TRAIN, TRAIN]
    assert assigned.leaks_into.tolist() == [DROPPED, DROPPED, TEST, TEST, VALIDATION, DROPPED, DROPPED]


def test_groups_of_given_held_out_files_are_kept_out_of_training_too() -> None:
    assigned = split(
        facts([0, 1, 2], group=[7, 7, 8], origin=[TEST, TRAIN, TRAIN]), "group", validation=None, test=None
    )
    assert assigned.split.tolist() == [TEST, DROPPED, TRAIN]


def test_a_fraction_is_drawn_from_what_given_files_leave() -> None:
    origin = [TEST] * 10 + [TRAIN] * 50
    codes = split(facts(list(range(60)), origin=origin), test=None, validation=0.1).split.tolist()
    assert (codes.count(TEST), codes.count(VALIDATION), codes.count(TRAIN)) == (10, 5, 45)
    assert codes[:10] == [TEST] * 10


@pytest.mark.parametrize(
    ("given_", "by", "message"),
    [
        (facts([0, 1, 2]), "near-duplicates", r"data.validation=0.1 of 3 records is none; set at least 0.17"),
        (facts([0] * 20), "near-duplicates", r"data.test wants 4 of 20 records, but the smallest .* has 20; set"),
        (facts(list(range(20)), time=[1.0] * 20), "time", r"data.test wants 4 of 20 .* the latest time alone has 20"),
    ],
)  # fmt: skip
def test_a_fraction_that_cannot_be_had_says_so(given_: Facts, by: SplitBy, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split(given_, by)


@pytest.mark.parametrize(
    ("one", "later"),
    [
        ("2024", "2025"),
        ("9.5", "10"),
        ("2024-05-31", "2024-06-01"),
        ("2024-05-31T23:00:00+08:00", "2024-05-31T16:00:00Z"),
        ("2024-05-31 10:00", "2024-05-31 10:01"),
    ],
)
def test_times_are_numbers_or_dates(one: str, later: str) -> None:
    assert parse_time(one, "r") < parse_time(later, "r")


@pytest.mark.parametrize("value", ["yesterday", "", "nan", "inf", "2024-13-01"])
def test_what_is_no_time_is_refused_with_its_place(value: str) -> None:
    with pytest.raises(DataError, match=r"notes.jsonl:3, date: .* is no time; write 2024-05-31"):
        parse_time(value, "notes.jsonl:3, date")


@pytest.mark.parametrize("by", ["near-duplicates", "group", "time", "random"])
def test_what_is_for_training_alone_is_never_held_out_nor_anything_like_it(by: SplitBy) -> None:
    cluster = [number // 2 for number in range(80)]
    stays = [number % 4 == 0 for number in range(80)]
    made = facts(cluster, group=cluster, time=[float(n) for n in range(80)], stays=stays)
    codes = split(made, by).split.tolist()
    assert {code for code, n in zip(codes, cluster, strict=True) if n % 2 == 0} == {TRAIN}
    assert codes.count(TEST) == 8


def test_a_smaller_share_of_training_is_inside_a_larger_one_and_leaves_what_is_held_out() -> None:
    given_ = facts(list(range(1000)))
    whole = split(given_)
    kept = {share: thinned(whole, given_, share, 0) for share in (0.05, 0.1, 0.5, 1.0)}
    training = {share: set(np.flatnonzero(each.split == TRAIN).tolist()) for share, each in kept.items()}
    assert [len(training[share]) for share in (0.05, 0.1, 0.5, 1.0)] == [35, 70, 350, 700]
    assert training[0.05] < training[0.1] < training[0.5] < training[1.0]
    for each in kept.values():
        for code in (VALIDATION, TEST):
            assert np.array_equal(each.split == code, whole.split == code)
    assert set(kept[0.1].leaks_into[(kept[0.1].split == DROPPED)].tolist()) == {TRAIN}
    other = thinned(whole, given_, 0.1, 1)
    assert set(np.flatnonzero(other.split == TRAIN).tolist()) != training[0.1]
