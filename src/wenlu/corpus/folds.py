"""Divide records several times so that each is held out once: cross-validation.

Units that belong together (near-duplicates; with them groups) never lie on both sides. Drawing is scikit-learn's
StratifiedGroupKFold and GroupKFold; by time the later is always held out from the earlier.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.corpus.near_duplicates import unite
from wenlu.corpus.record import Record
from wenlu.corpus.shingles import I64
from wenlu.corpus.split import SplitBy, parse_time
from wenlu.errors import DataError, ResourceError

_BINS = 10
"""Of numbers, so that each fold has small and large ones."""


@dataclass(frozen=True)
class Pool:
    """What dividing needs to know of each of n records; arrays of shape (n,).

    Attributes:
        units: numbers of what must stay together.
        strata: of what each fold shall have its share; zeros where it is not stratified.
        times: numbers that grow; zeros where it is not by time.
    """

    units: I64
    strata: I64
    times: np.ndarray[Any, np.dtype[np.float64]]

    def part(self, numbers: I64) -> Pool:
        return Pool(self.units[numbers], self.strata[numbers], self.times[numbers])


def pool_of(
    records: Sequence[Record],
    by: SplitBy,
    *,
    labels: Sequence[str] | None = None,
    group: str | None = None,
    time: str | None = None,
) -> Pool:
    """The records' units, strata and times, for folds that divide as the data was split.

    Args:
        labels: to stratify by. group, time: the columns that `by` goes by.

    Raises DataError where a record lacks a column that is asked for.
    """
    units = _codes([record.meta.get("cluster") or record.id for record in records])
    if by == "random":
        units = np.arange(len(records))
    if by == "group" and group is not None:
        units = _firsts(units)
        groups = _firsts(_codes([_value(record, group, "data.group") for record in records]))
        unite(units, np.arange(len(units)), groups)
    strata = np.zeros(len(records), np.int64)
    if labels is not None and by != "time":
        strata = _strata(labels)
    times = np.zeros(len(records))
    if by == "time" and time is not None:
        times = np.array([parse_time(_value(record, time, "data.time"), f"record {record.id}") for record in records])
    return Pool(units, strata, times)


def divisions(pool: Pool, count: int, by: SplitBy, seed: int) -> Iterator[tuple[I64, I64]]:
    """`count` pairs of what is left and what is held out, as numbers of records in rising order.

    By time the first part is only ever trained on, and what is alike to the held-out part is left out of the rest.

    Raises:
        DataError: there are too few units.
        ResourceError: scikit-learn is not installed.
    """
    try:
        from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, TimeSeriesSplit
    except ImportError as error:
        raise ResourceError("folds need scikit-learn: pip install 'wenlu[tasks]'") from error
    numbers = np.arange(len(pool.units))
    there = len(np.unique(pool.times if by == "time" else pool.units))
    if there < count + (by == "time"):
        what = "times" if by == "time" else "sets of records that must stay together"
        raise DataError(f"folds.count={count}, but there are only {there} {what}; take fewer folds or more records")
    if by == "time":
        moments, place = np.unique(pool.times, return_inverse=True)
        for _, held in TimeSeriesSplit(n_splits=count).split(moments):
            is_held = np.isin(place, held)
            is_left = (place < held.min()) & ~np.isin(pool.units, pool.units[is_held])
            yield numbers[is_left], numbers[is_held]
    else:
        sizes = np.unique(pool.strata, return_counts=True)[1]
        kind = StratifiedGroupKFold if len(sizes) > 1 and sizes.max() >= count else GroupKFold
        drawn = kind(n_splits=count, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class")  # so it is held out by fewer folds
            found = list(drawn.split(numbers, pool.strata, pool.units))
        for left, held in found:
            yield np.sort(left), np.sort(held)


def _strata(values: Sequence[str]) -> I64:
    """The values by number; of many that are numbers, tenths of their ranks; of texts that hardly recur, nothing."""
    codes = _codes(values)
    count = int(codes.max(initial=0)) + 1
    if count <= 2 * _BINS:
        return codes
    try:
        found = np.array([float(value) for value in values])
    except ValueError:
        return codes if count <= len(values) / 10 else np.zeros(len(values), np.int64)
    edges = np.quantile(found, np.linspace(0, 1, _BINS + 1)[1:-1])
    return np.searchsorted(edges, found)


def _codes(values: Sequence[str]) -> I64:
    codes: I64 = np.unique(np.array(values, object).astype(str), return_inverse=True)[1].astype(np.int64)
    return codes


def _firsts(codes: I64) -> I64:
    """The number of the first record with the same code."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    firsts: I64 = first[inverse].astype(np.int64)
    return firsts


def _value(record: Record, column: str, setting: str) -> str:
    if column not in record.meta:
        raise DataError(f"record {record.id}: has no column {column!r}, which {setting} names")
    return record.meta[column]
