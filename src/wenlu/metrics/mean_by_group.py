"""The mean of a correlation over groups, as prompts of essays, by Fisher's z."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums, quotient
from wenlu.metrics.moments import NUM_POWERS

LIMIT = 0.999
"""z of 1 is infinite, so that one perfect group would make the mean perfect."""


def fisher_mean(correlations: Column) -> Column:
    """tanh of the mean atanh along the last axis, each first clipped to ±`LIMIT`; those that are nan are left out."""
    known = ~np.isnan(correlations)
    z = np.arctanh(np.clip(np.where(known, correlations, 0.0), -LIMIT, LIMIT))
    mean: Column = np.tanh(quotient(z.sum(axis=-1), known.sum(axis=-1)))
    return mean


@dataclass(frozen=True)
class _Grouped:
    """The statistics of a metric in the place of the example's group, 0 in those of all others: (n, G K)."""

    metric: OfSums

    def __call__(self, *columns: Column) -> Column:
        *needed, group = columns
        index = np.unique(group, return_inverse=True)[1]
        statistics = self.metric.statistics(*needed)
        count, width = statistics.shape
        grouped = np.zeros((count, index.max() + 1, width))
        grouped[np.arange(count), index] = statistics
        return grouped.reshape(count, -1)


@dataclass(frozen=True)
class _MeanOfGroups:
    metric: OfSums

    def __call__(self, sums: Column) -> Column:
        return fisher_mean(self.metric.finish(sums.reshape(*sums.shape[:-1], -1, NUM_POWERS)))


def mean_by_group(metric: Metric) -> Metric:
    """The metric `mean_…` of one of `moments`, computed in each group of the column `group`, then averaged.

    Groups count alike, whatever their size; one without spread is left out. Where scales differ between groups, clip
    and round the predictions to the scale of each first, and give the kappa the widest: its value depends on the
    grades alone.
    """
    assert isinstance(metric.compute, OfSums), f"{metric.name} is no function of sums"
    needs = (*metric.needs, "group")
    signed = metric.sign({"mean": f"fisher-z,clipped-{LIMIT}", "groups": "alike"})
    return replace(
        metric,
        name=f"mean_{metric.name}",
        needs=needs,
        compute=OfSums(needs, _MeanOfGroups(metric.compute), _Grouped(metric.compute)),
        signature=f"mean_{signed}",
    )
