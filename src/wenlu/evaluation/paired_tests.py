"""Whether two systems differ on the same examples: McNemar's test, approximate randomisation, and many pairs at once.

McNemar 1947, Psychometrika 12; Fagerland et al. 2013, https://doi.org/10.1186/1471-2288-13-91 (mid-p); Noreen 1989,
Computer-intensive methods for testing hypotheses; Holm 1979, Scandinavian Journal of Statistics 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.evaluation.groups import Floats, Groups
from wenlu.metrics import Column, Columns, Fraction, Metric, OfSums, Ratio

Flags = np.ndarray[Any, np.dtype[np.bool_]]

RESAMPLES = 9999
_SWAPS_AT_ONCE = 2**22


@dataclass(frozen=True)
class McNemar:
    """Of examples that count one by one, only those tell systems apart of which one is right and the other wrong.

    Attributes:
        only_a, only_b: how many A alone, and B alone, has right.
        p_value: two-sided mid-p of the exact binomial test; 1 where the systems never disagree.
    """

    only_a: int
    only_b: int
    p_value: float


def mcnemar(right_a: Column, right_b: Column) -> McNemar:
    """Compare which of n examples each system has right, (n,) of booleans each; examples are taken as independent."""
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    n, fewer = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return McNemar(0, 0, 1.0)
    terms = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in range(fewer + 1)
    ]
    tail, last = sum(map(math.exp, terms)), math.exp(terms[-1])
    return McNemar(only_a, only_b, min(1.0, 2 * tail - last))


def randomisation(
    metric: Metric,
    a: Columns,
    b: Columns,
    clusters: Sequence[str] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """The two-sided p-value of approximate randomisation: how often the metric differs by as much where chance decides,
    for each cluster, which system's answers are which.

    Args:
        clusters: the cluster of each example, swapped whole; by default each is its own.
    """
    count = len(next(iter(a.values())))
    groups = Groups.of(clusters, count)
    observed = abs(metric.compute(a) - metric.compute(b))
    both = {name: np.concatenate([a[name], b[name]]) for name in metric.needs}
    sums = _sums(metric, both)
    found = []
    for swaps in _swaps(groups, resamples, seed):
        if sums is None:
            found.append(_swapped(metric, both, swaps[:, groups.of_example]))
        else:
            ours, theirs = groups.sums(sums.each[:count]), groups.sums(sums.each[count:])
            moved = swaps.astype(np.float64) @ (theirs - ours)
            found.append(sums.finish(ours.sum(axis=0) + moved) - sums.finish(theirs.sum(axis=0) - moved))
    as_much = int((np.abs(np.concatenate(found)) >= observed - 1e-12 * max(1.0, observed)).sum())
    return (as_much + 1) / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, in their order: the chance that even one of them is wrong stays within
    what each is held against."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _swaps(groups: Groups, resamples: int, seed: int) -> Iterator[Flags]:
    """(some, clusters) fair coins, `resamples` rows in all; a function of the seed alone."""
    rng = np.random.default_rng(seed)
    rows = max(1, _SWAPS_AT_ONCE // groups.count)
    for start in range(0, resamples, rows):
        yield rng.integers(2, size=(min(rows, resamples - start), groups.count), dtype=np.int8).astype(bool)


@dataclass(frozen=True)
class _Sums:
    """A metric as a function of sums: (n, K) what is summed, and what the sums (…, K) come to."""

    each: Column
    finish: Callable[[Floats], Floats]


def _sums(metric: Metric, columns: Columns) -> _Sums | None:
    match metric.compute:
        case OfSums() as compute:
            return _Sums(compute.of_examples(columns), compute.finish)
        case Ratio(numerator, denominator, finish):
            each = np.stack([columns[numerator], columns[denominator]], axis=1).astype(np.float64)
            return _Sums(each, lambda sums: finish(sums[:, 0] / sums[:, 1]))
        case Fraction(column):
            each = np.stack([columns[column], np.ones(len(columns[column]))], axis=1).astype(np.float64)
            return _Sums(each, lambda sums: sums[:, 0] / sums[:, 1])
    return None


def _swapped(metric: Metric, both: Columns, swaps: Flags) -> Floats:
    """As the sums say it, for metrics that are none: (some,) differences."""
    places, found = np.arange(swaps.shape[1]), []
    for swap in swaps:
        first, second = places + len(places) * swap, places + len(places) * ~swap
        a, b = ({name: column[chosen] for name, column in both.items()} for chosen in (first, second))
        found.append(metric.compute(a) - metric.compute(b))
    return np.array(found)
