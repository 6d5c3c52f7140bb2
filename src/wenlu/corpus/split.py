"""Which record goes to training, validation or test, so that nothing near-equal lies on both sides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from wenlu.corpus.near_duplicates import unite
from wenlu.corpus.shingles import I64, U64, mixed
from wenlu.errors import DataError

SplitBy = Literal["near-duplicates", "group", "picture", "time", "random"]

TRAIN, VALIDATION, TEST, DROPPED = 0, 1, 2, 3
SPLITS = ("train", "validation", "test")

Codes = np.ndarray[Any, np.dtype[np.int8]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Facts:
    """What splitting needs to know of each of n records; arrays of shape (n,).

    Attributes:
        origin: `TEST` or `VALIDATION` for records of files that the user gave as such, else `TRAIN`.
        cluster: number of the first record of its cluster of near-duplicates.
        digest: a hash of the text, which does not depend on the order of the records.
        group: a hash of the group; empty if not split by group.
        time: seconds or any other number that grows; empty if not split by time.
        stays: whether it is for training alone, and with it what is held together with it.
        leaves: whether it is left out of training where it comes to be in it; none by default.
    """

    origin: Codes
    cluster: I64
    digest: U64
    group: U64
    time: Floats
    stays: Flags
    leaves: Flags | None = None


@dataclass(frozen=True)
class Assignment:
    """For each record its split or `DROPPED`, and for the dropped ones which split they would have leaked into; TRAIN,
    where it is the settings that leave them out of training."""

    split: Codes
    leaks_into: Codes


def assign(
    facts: Facts, by: SplitBy, *, validation: float | None, test: float | None, decontaminate: bool, seed: int
) -> Assignment:
    """Divide the records; `validation` and `test` are fractions, None where files were given.

    The same records in another order get the same splits (but for ties of `time` and buckets of more than 64
    near-duplicates). Raises DataError where a fraction cannot be had.
    """
    split = facts.origin.copy()
    leaks_into = np.full(len(split), DROPPED, np.int8)
    alike = united(facts.cluster, facts.group) if by == "group" else facts.cluster
    if decontaminate:
        _decontaminate(split, leaks_into, alike)
    stays = np.isin(alike, alike[facts.stays])
    pool = np.flatnonzero((facts.origin == TRAIN) & (split == TRAIN) & ~stays)
    for code, fraction in ((TEST, test), (VALIDATION, validation)):
        if not fraction:
            continue
        wanted = round(fraction * len(pool))
        if wanted == 0:
            least = math.ceil(100 * 0.5 / max(len(pool), 1)) / 100
            raise DataError(f"data.{SPLITS[code]}={fraction:g} of {len(pool)} records is none; set at least {least:g}")
        left = pool[split[pool] == TRAIN]
        if by == "time":
            chosen = _latest(left, facts.time, wanted, code)
        else:
            units = np.arange(len(split)) if by == "random" else alike
            chosen = _by_units(left, units, facts.digest, wanted, code, seed)
        split[chosen] = code
    if decontaminate and by == "time":
        _decontaminate(split, leaks_into, alike)
    return Assignment(split, leaks_into)


def thinned(assignment: Assignment, facts: Facts, fraction: float, seed: int) -> Assignment:
    """Leave this fraction of the training part in it, at least one record, less what `leaves`.

    It is drawn by the seed and a hash of each text: the same whatever else is read, and a smaller fraction is inside a
    larger one.
    """
    leaves = np.zeros(len(facts.digest), bool) if facts.leaves is None else facts.leaves
    if fraction == 1 and not leaves.any():
        return assignment
    split, leaks_into = assignment.split.copy(), assignment.leaks_into.copy()
    training = np.flatnonzero(split == TRAIN)
    salt = mixed(np.array([seed * 4 + TRAIN], np.uint64))
    order = training[np.argsort(mixed(facts.digest[training] ^ salt), kind="stable")]
    left_out = np.union1d(order[max(1, round(fraction * len(training))) :], training[leaves[training]])
    split[left_out], leaks_into[left_out] = DROPPED, TRAIN
    return Assignment(split, leaks_into)


def parse_time(value: str, where: str) -> float:
    """A number, or an ISO 8601 date as seconds since 1970 (without a zone: UTC); `where` begins the error."""
    try:
        number = float(value)
    except ValueError:
        number = _seconds(value)
    if not math.isfinite(number):
        raise DataError(f"{where}: {value!r} is no time; write 2024-05-31, 2024-05-31T12:00:00Z or a number")
    return number


def _seconds(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return math.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def united(cluster: I64, group: U64) -> I64:
    """Units that neither clusters of near-duplicates nor groups cross."""
    units = cluster.copy()
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    unite(units, np.arange(len(units)), first[inverse])
    return units


def _decontaminate(split: Codes, leaks_into: Codes, alike: I64) -> None:
    """Drop, in place, records of which one alike is held out: from training for both, from validation for test."""
    highest = np.zeros(len(split), np.int8)
    held_out = (split == VALIDATION) | (split == TEST)
    np.maximum.at(highest, alike[held_out], split[held_out])
    leaks = (split != DROPPED) & (split < highest[alike])
    leaks_into[leaks] = highest[alike][leaks]
    split[leaks] = DROPPED


def _by_units(left: I64, units: I64, digest: U64, wanted: int, code: int, seed: int) -> I64:
    """Whole units in an order drawn from the seed, together at most `wanted` records of `left`.

    Units larger than a tenth of that are passed over where they can be: few large units say little.
    """
    _, unit, sizes = np.unique(units[left], return_inverse=True, return_counts=True)
    smallest = np.full(len(sizes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, unit, digest[left])
    salt = mixed(np.array([seed * 4 + code], np.uint64))
    order = np.argsort(mixed(smallest ^ salt), kind="stable")
    for largest in (max(1, wanted // 10), wanted):
        chosen = _fill(order, sizes, wanted, largest)
        if 2 * sizes[chosen].sum() >= wanted:
            break
    if not chosen:
        raise DataError(
            f"data.{SPLITS[code]} wants {wanted} of {len(left)} records, but the smallest set of records that must "
            f"stay together has {sizes.min()}; set a larger fraction, raise data.near_duplicate_threshold, "
            "or remove near-duplicates with data.steps = [..., 'near-dedup']"
        )
    return left[np.isin(unit, chosen)]


def _fill(order: I64, sizes: I64, wanted: int, largest: int) -> list[int]:
    chosen = []
    for unit in order.tolist():
        size = int(sizes[unit])
        if size <= min(wanted, largest):
            chosen.append(unit)
            wanted -= size
            if wanted == 0:
                break
    return chosen


def _latest(left: I64, time: Floats, wanted: int, code: int) -> I64:
    """The records of the latest times, together at most `wanted`; records of one time stay together."""
    moments, counts = np.unique(time[left], return_counts=True)
    taken = int((np.cumsum(counts[::-1]) <= wanted).sum())
    if taken == 0:
        raise DataError(
            f"data.{SPLITS[code]} wants {wanted} of {len(left)} records, but the latest time alone has {counts[-1]}; "
            f"set at least {math.ceil(100 * counts[-1] / len(left)) / 100:g}, or take a finer data.time"
        )
    chosen: I64 = left[time[left] >= moments[len(moments) - taken]]
    return chosen
