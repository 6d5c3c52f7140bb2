"""How sure a score is, and whether two systems differ: the bootstrap over clusters of examples.

Efron & Tibshirani 1993, An introduction to the bootstrap, chapters 8 and 13 (percentile interval); Koehn 2004,
Statistical significance tests for machine translation evaluation (paired). Whole clusters are drawn, because
near-duplicates say the same thing twice: drawing them one by one would make intervals too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wenlu.errors import DataError
from wenlu.evaluation.groups import Floats, Groups
from wenlu.metrics import Columns, Metric, OfDraws, OfSums, Ratio

Verdict = Literal["better", "worse", "undecided"]

RESAMPLES = 2000
_COUNTS_AT_ONCE = 2**18  # what a cache holds


@dataclass(frozen=True)
class Interval:
    """A value and the percentile interval around it; the ends are None where a single cluster shows no spread."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """System A minus system B on the same examples.

    Attributes:
        p_value: two-sided, twice the share of resamples on the other side of 0; never below 2 / (resamples + 1).
        verdict: whether A is "better" or "worse" than B, where the interval leaves out 0; else "undecided".
    """

    value: float
    low: float | None
    high: float | None
    p_value: float | None
    verdict: Verdict


def interval(
    metric: Metric,
    columns: Columns,
    clusters: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The metric on all examples, and its percentile interval, where a bootstrap says anything of it.

    Args:
        clusters: the cluster of each example; by default each is its own.
    """
    groups = Groups.of(clusters, len(next(iter(columns.values()))))
    value = metric.compute(columns)
    if groups.count < 2 or not metric.is_resampled:
        return Interval(value, None, None)
    values = _resampled(metric, columns, groups, resamples, seed)
    low, high = _percentiles(values[~np.isnan(values)], confidence)
    return Interval(value, low, high)


def paired_difference(
    metric: Metric,
    a: Columns,
    b: Columns,
    clusters: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """The metric of A minus that of B; each resample draws the same clusters for both."""
    groups = Groups.of(clusters, len(next(iter(a.values()))))
    value = metric.compute(a) - metric.compute(b)
    if groups.count < 2 or not metric.is_resampled:
        return Difference(value, None, None, None, "undecided")
    with np.errstate(invalid="ignore"):  # infinite for both systems
        differences = _resampled(metric, a, groups, resamples, seed) - _resampled(metric, b, groups, resamples, seed)
    differences = differences[~np.isnan(differences)]
    low, high = _percentiles(differences, confidence)
    crossing = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    p_value = min(1.0, 2 * (crossing + 1) / (len(differences) + 1))
    return Difference(value, low, high, p_value, _verdict(metric, low, high))


def _resampled(metric: Metric, columns: Columns, groups: Groups, resamples: int, seed: int) -> Floats:
    """(resamples,) the metric on each draw; nan where a draw of empty texts has nothing to divide by."""
    if isinstance(metric.compute, Ratio):
        return _resampled_ratio(metric.compute, columns, groups, resamples, seed)
    if isinstance(metric.compute, OfSums):
        return _resampled_sums(metric.compute, columns, groups, resamples, seed)
    if isinstance(metric.compute, OfDraws):
        return _resampled_draws(metric.compute, columns, groups, resamples, seed)
    return np.array(
        [
            _or_nan(metric, {name: columns[name][groups.examples(drawn)] for name in metric.needs})
            for draws in groups.draws(resamples, seed)
            for drawn in draws
        ]
    )


def _or_nan(metric: Metric, columns: Columns) -> float:
    try:
        return metric.compute(columns)
    except DataError:
        return math.nan


def _resampled_ratio(ratio: Ratio, columns: Columns, groups: Groups, resamples: int, seed: int) -> Floats:
    sums = [
        np.bincount(groups.of_example, weights=columns[name], minlength=groups.count)
        for name in (ratio.numerator, ratio.denominator)
    ]
    numerators, denominators = (
        np.concatenate([column[draws].sum(axis=1) for draws in groups.draws(resamples, seed)]) for column in sums
    )
    ratios = np.divide(numerators, denominators, out=np.full(resamples, np.nan), where=denominators > 0)
    return ratio.finish(ratios)


def _resampled_sums(compute: OfSums, columns: Columns, groups: Groups, resamples: int, seed: int) -> Floats:
    """One product of matrices a batch of draws: how often each cluster is drawn, times what it sums to."""
    sums = groups.sums(compute.of_examples(columns))
    finite = bool(np.isfinite(sums).all())  # infinity times 0 draws would be nan
    values = []
    for draws in groups.draws(resamples, seed):
        if finite:
            drawn = groups.times(draws).astype(np.float64) @ sums
        else:
            drawn = np.stack([column[draws].sum(axis=1) for column in sums.T], axis=1)
        values.append(compute.finish(drawn))
    return np.concatenate(values)


def _resampled_draws(compute: OfDraws, columns: Columns, groups: Groups, resamples: int, seed: int) -> Floats:
    values = []
    for draws in groups.draws(resamples, seed):
        rows = max(1, _COUNTS_AT_ONCE // len(groups.of_example))
        for start in range(0, len(draws), rows):
            times = np.ascontiguousarray(groups.times(draws[start : start + rows]).T, dtype=np.float64)
            values.append(compute.of_draws(columns, times[groups.of_example]))  # of (clusters, some)
    return np.concatenate(values)


def _percentiles(values: Floats, confidence: float) -> tuple[float, float]:
    """The k-th smallest and k-th largest value, k = (1 - confidence) / 2 of one more than there are.

    With this k the interval leaves out 0 exactly where the p-value is at most 1 - confidence (Davison & Hinkley
    1997, Bootstrap methods and their application, section 5.3.1).
    """
    if not len(values):
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    k = max(1, math.floor(tail * (len(values) + 1) + 1e-9))
    ordered = np.sort(values)
    return float(ordered[k - 1]), float(ordered[-k])


def _verdict(metric: Metric, low: float, high: float) -> Verdict:
    if metric.better == "neither":
        return "undecided"
    if low > 0:
        return "better" if metric.better == "higher" else "worse"
    if high < 0:
        return "better" if metric.better == "lower" else "worse"
    return "undecided"
