"""Pearson's correlation of gold and predicted numbers."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums, quotient
from wenlu.metrics.moments import Moments, powers


def _centred_powers(gold: Column, predicted: Column) -> Column:
    return powers(gold - np.median(gold), predicted - np.median(predicted))


def _correlation(sums: Column) -> Column:
    moments = Moments.of(sums)
    spread = np.sqrt(moments.gold_variance) * np.sqrt(moments.predicted_variance)
    return np.clip(quotient(moments.covariance, spread), -1.0, 1.0)


PEARSON = Metric(
    name="pearson",
    unit="correlation",
    better="higher",
    needs=("gold", "predicted"),
    compute=OfSums(("gold", "predicted"), _correlation, _centred_powers),
    signature="pearson|v1",
    source="Pearson 1895; scipy.stats.pearsonr",
)
"""nan where a column has only one value."""
