"""Area under the precision-recall curve, as the average precision: a sum of steps, which no straight line flatters."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.metric import Column, Metric, quotient
from wenlu.metrics.one_versus_rest import MacroOneVersusRest, OfSecondClass
from wenlu.metrics.threshold_counts import threshold_counts


def average_precision(score: Column, positive: Column, times: Column) -> Column:
    """The mean, over positives, of the precision where each is let through; nan without any.

    Args:
        score: (n,).
        positive: (n,) 0 or 1.
        times: (n, R) how often each counts.
    """
    _, positives, negatives = threshold_counts(score, positive, times)
    precision = quotient(positives, positives + negatives, otherwise=0)  # where nothing that was drawn has passed yet
    return quotient((np.diff(positives, axis=0, prepend=0) * precision).sum(axis=0), positives[-1])


AUPRC = Metric(
    name="auprc",
    unit="fraction",
    better="higher",
    needs=("gold", "probabilities"),
    compute=OfSecondClass(average_precision),
    signature="auprc|positive:1|steps|v1",
    source="sklearn.metrics.average_precision_score",
)
"""Of two classes; `probabilities` is (n, 2). Not defined without positives, where the source says 0."""

MACRO_AUPRC = Metric(
    name="macro_auprc",
    unit="fraction",
    better="higher",
    needs=("gold", "probabilities"),
    compute=MacroOneVersusRest(average_precision),
    signature="macro_auprc|average:macro|one-vs-rest|classes:defined|steps|v1",
    source="sklearn.metrics.average_precision_score",
)
