"""Matthews correlation coefficient: how gold and predicted classes correlate, whatever the sizes of the classes."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.class_counts import Counts, class_counts
from wenlu.metrics.metric import Column, Metric, OfSums, quotient


def _correlation(sums: Column) -> Column:
    right, predicted, gold = Counts.of(sums)
    count = gold.sum(axis=-1)
    covariance = right.sum(axis=-1) * count - (predicted * gold).sum(axis=-1)
    spreads = [np.sqrt(count**2 - (marginal**2).sum(axis=-1)) for marginal in (predicted, gold)]
    return quotient(covariance, spreads[0] * spreads[1], otherwise=0)


MCC = Metric(
    name="mcc",
    unit="correlation",
    better="higher",
    needs=("gold", "predicted"),
    compute=OfSums(("gold", "predicted"), _correlation, class_counts),
    signature="mcc|zero_division:0|v1",
    source="Gorodkin 2004, Comparing two K-category assignments by a K-category correlation coefficient; "
    "sklearn.metrics.matthews_corrcoef",
)
"""0 where all gold or all predicted classes are the same."""
